/* Bodies in pieces: credit both ways, turns in the pipe, and every way that they end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/rig.h"

#include <cmocka.h>

enum { WINDOW = 256 * 1024 };

static const char *const stream[] = {"ready(features=['stream','cancel'])"};

/* A request whose body comes in pieces, and what came back. */
struct parcel {
    struct call call;
    const char *source;
    size_t body; /* bytes to send after the line; */
    size_t sent; /* and that were sent */
    size_t largest;
    unsigned rooms;
    bool greedy; /* consumes nothing of the answer */
    bool leaves; /* cancels the call at the first part */
    bool closed; /* no end is sent */
    struct buf got;
    struct buf kinds; /* of the parts: R(esponse) C(hunk) I(nfo) M(essage), E(nd) */
    unsigned ends;
    unsigned status;
    char text[256];
};

static struct parcel *parcel_of(const struct call *call)
{
    return container_of(call, struct parcel, call);
}

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    struct parcel *p = parcel_of(call);
    struct buf tail = {0};
    (void)w, (void)nested;
    frame_write_request_tail(&tail, &(struct frame_request){.method = SLICE("POST"),
                                                            .path = SLICE("/"),
                                                            .body = slice_of(p->source),
                                                            .more = call->streams});
    frame_write_request(out, id, left_ms, buf_slice(&tail));
    buf_deinit(&tail);
}

static void on_room(struct call *call)
{
    static char bytes[FRAME_CHUNK_MAX];
    struct parcel *p = parcel_of(call);
    size_t room;
    p->rooms++;
    memset(bytes, 'b', sizeof(bytes));
    while (p->sent < p->body && (room = call_room(call)) > 0) {
        size_t len = MIN(room, p->body - p->sent);
        p->largest = MAX(p->largest, len);
        call->fixed = true;
        call_send(call, (struct slice){bytes, len});
        p->sent += len;
    }
    if (p->sent == p->body && !p->closed)
        call_send_end(call, &(struct frame_end){0});
}

static char letter(enum frame_kind kind)
{
    return kind == FRAME_RESPONSE  ? 'R'
           : kind == FRAME_CHUNK   ? 'C'
           : kind == FRAME_INFO    ? 'I'
           : kind == FRAME_MESSAGE ? 'M'
                                   : '?';
}

static void on_part(struct call *call, const struct frame *f, struct slice body)
{
    struct parcel *p = parcel_of(call);
    buf_addc(&p->kinds, letter(f->kind));
    buf_add(&p->got, body);
    if (p->leaves)
        call_cancel(call, "disconnect");
    else if (!p->greedy)
        call_consumed(call, body.len);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct parcel *p = parcel_of(call);
    p->ends++;
    if (reply->failure) {
        p->status = reply->failure->status;
        snprintf(p->text, sizeof(p->text), "%s", reply->failure->text);
        return;
    }
    buf_addc(&p->kinds, reply->frame->kind == FRAME_END     ? 'E'
                        : reply->frame->kind == FRAME_ERROR ? 'X'
                                                            : 'A');
    struct buf scratch = {0};
    buf_add(&p->got, reply->frame->kind == FRAME_END
                         ? reply->body
                         : frame_body_bytes(reply->frame, &scratch));
    buf_deinit(&scratch);
}

static const struct call_ops ops = {
    .write = on_write, .room = on_room, .part = on_part, .done = on_done};

static void parcel_init(struct parcel *p, const char *source, size_t body)
{
    *p = (struct parcel){.source = source, .body = body};
    call_init(&p->call, CALL_REQUEST, &ops);
    p->call.size = strlen(source);
    p->call.streams = body > 0;
}

static void parcel_deinit(struct parcel *p)
{
    buf_deinit(&p->got);
    buf_deinit(&p->kinds);
}

/* One worker, one parcel, to its end. */
static struct rig *deliver(struct parcel *p, const char *ready)
{
    struct worker_config config = rig_config("a", ready);
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p->call, 0));
    rig_until(rig, p->ends);
    rig_free(rig);
    assert_int_equal(p->ends, 1);
    return NULL;
}

static void assert_text(const struct buf *b, const char *expected)
{
    assert_int_equal(b->len, strlen(expected));
    if (b->len)
        assert_memory_equal(b->ptr, expected, b->len);
}

static void an_answer_in_pieces_is_told_piece_by_piece(void **state)
{
    struct parcel p;
    (void)state;
    parcel_init(&p, "begin('a'); chunk('b'); chunk('c\\n'); end(body='d')", 0);
    deliver(&p, stream[0]);
    assert_text(&p.kinds, "RCCE");
    assert_text(&p.got, "abc\nd");
    parcel_deinit(&p);
}

static void an_interim_answer_comes_first(void **state)
{
    struct parcel p;
    (void)state;
    parcel_init(&p, "put(json.dumps({'type':'info','id':me(),'status':103})); reply('x')", 0);
    deliver(&p, stream[0]);
    assert_text(&p.kinds, "IA");
    assert_text(&p.got, "x");
    parcel_deinit(&p);
}

static void a_body_is_sent_in_pieces_and_ended(void **state)
{
    struct parcel p;
    (void)state;
    parcel_init(&p,
                "size, n = 0, 0\n"
                "while True:\n"
                "    f = piece('chunk', 'end')\n"
                "    if f['type'] == 'end': break\n"
                "    n += 1\n"
                "    size += len(text_of(f))\n"
                "reply(f'{size} in {n}')",
                200000);
    deliver(&p, stream[0]);
    assert_text(&p.got, "200000 in 4");
    assert_int_equal(p.largest, FRAME_CHUNK_MAX);
    parcel_deinit(&p);
}

/* Not one byte beyond it; and what is granted later, exactly. */
static void a_body_waits_for_credit(void **state)
{
    struct parcel p;
    struct worker_config config = rig_config("a", "ready(features=['stream'],window=1500)");
    (void)state;
    parcel_init(&p,
                "size = len(text_of(piece('chunk')))\n"
                "sleep(0.1)\n"
                "credit(700)\n"
                "size2 = len(text_of(piece('chunk')))\n"
                "reply(f'{size} {size2}')",
                100000);
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p.call, 0));
    rig_until(rig, p.sent == 1500);
    rig_linger(rig, 50);
    assert_int_equal(p.sent, 1500);
    rig_until(rig, p.ends);
    assert_int_equal(p.sent, 2200);
    assert_text(&p.got, "1500 700");
    rig_free(rig);
    parcel_deinit(&p);
}

/* The pipe is full of chunks that the worker has not read when it speaks of the first. */
static void credit_counts_while_the_pipe_is_full(void **state)
{
    struct parcel p;
    (void)state;
    parcel_init(&p,
                "size = len(text_of(piece('chunk')))\n"
                "sleep(0.1)\n"
                "credit(500000)\n"
                "sleep(0.1)\n"
                "while size < 1400000: size += len(text_of(piece('chunk')))\n"
                "reply(str(size))",
                1400000);
    deliver(&p, "ready(features=['stream'],window=1000000)");
    assert_text(&p.got, "1400000");
    parcel_deinit(&p);
}

/* The worker has sent a window, nothing of which was passed on. */
static void an_answer_waits_for_credit(void **state)
{
    struct parcel p;
    struct worker_config config = rig_config("a", "ready(features=['stream'],concurrency=2)");
    (void)state;
    parcel_init(&p,
                "begin()\n"
                "for i in range(4): chunk('x' * 65536)\n"
                "c = piece('credit')['bytes']\n"
                "chunk('y' * c)\n"
                "end()",
                0);
    p.greedy = true;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p.call, 0));
    rig_until(rig, p.got.len == WINDOW);
    call_consumed(&p.call, WINDOW / 2 - 1);
    rig_linger(rig, 50);
    assert_int_equal(p.got.len, WINDOW); /* less than half a window is not told of */
    call_consumed(&p.call, 1);
    rig_until(rig, p.ends);
    assert_int_equal(p.got.len, WINDOW + WINDOW / 2);
    assert_int_equal(p.status, 0);
    rig_free(rig);
    parcel_deinit(&p);
}

static void more_than_the_window_cuts_the_answer_only(void **state)
{
    struct parcel p;
    struct job next;
    struct worker_config config =
        rig_config("a", "ready(features=['stream','cancel'],concurrency=2)");
    (void)state;
    parcel_init(&p, "begin()\nfor i in range(5): chunk('x' * 65536)\nend()", 0);
    p.greedy = true;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    assert_null(pool_submit(pool, &p.call, 0));
    rig_until(rig, p.ends);
    assert_int_equal(p.status, 502);
    assert_non_null(strstr(p.text, "more than it had credit for"));
    job_send(&next, pool, "reply('next')");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "next");
    assert_int_equal(rig_worker(pool, 0)->life, life);
    assert_int_equal(rig_worker(pool, 0)->slot_count, 0);
    rig_free(rig);
    parcel_deinit(&p);
}

static void what_comes_for_a_call_that_is_over_is_granted_at_once(void **state)
{
    struct parcel p;
    struct job next;
    struct worker_config config = rig_config("a", "ready(features=['stream'])");
    (void)state;
    /* It does not heed cancel, and sends five windows of a one-at-a-time worker. */
    parcel_init(
        &p,
        "begin('a')\n"
        "sent, given = 1, 0\n"
        "for i in range(80):\n"
        "    while 1024 * 1024 + given - sent < 65536: given += piece('credit')['bytes']\n"
        "    chunk('x' * 65536)\n"
        "    sent += 65536\n"
        "end()",
        0);
    p.leaves = true;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p.call, 0));
    rig_until(rig, p.got.len);
    job_send(&next, pool, "reply(str(given + sum(p['bytes'] for p in pieces) <= sent))");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "True");
    assert_int_equal(p.ends, 0);
    assert_text(&p.got, "a");
    rig_free(rig);
    parcel_deinit(&p);
}

static void a_worker_without_credit_gets_it_when_its_call_is_over(void **state)
{
    struct parcel p;
    struct job next;
    struct worker_config config = rig_config("a", "ready(features=['stream'],concurrency=2)");
    (void)state;
    /* It does not heed cancel, and waits for the credit of what its client never took. */
    parcel_init(&p,
                "begin()\n"
                "for i in range(4): chunk('x' * 65536)\n"
                "assert piece('credit')['bytes'] == 4 * 65536\n"
                "end()",
                0);
    p.greedy = true;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    uint64_t life = rig_worker(pool, 0)->life;
    assert_null(pool_submit(pool, &p.call, 0));
    rig_until(rig, p.got.len == WINDOW);
    call_cancel(&p.call, "disconnect");
    job_send(&next, pool, "reply('next')");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "next");
    assert_int_equal(rig_worker(pool, 0)->life, life);
    rig_free(rig);
    parcel_deinit(&p);
}

static void cancel_reaches_a_worker_that_streams(void **state)
{
    struct parcel p;
    struct job next;
    struct worker_config config = rig_config("a", stream[0]);
    (void)state;
    parcel_init(&p, "begin('a')\nwhile not cancelled: sort(read())\nfail('cancelled')", 0);
    p.leaves = true;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p.call, 0));
    rig_until(rig, p.got.len);
    job_send(&next, pool, "reply('next')");
    rig_until(rig, next.ends);
    assert_string_equal(next.text, "next");
    rig_free(rig);
    parcel_deinit(&p);
}

static void an_answer_that_streams_has_no_deadline(void **state)
{
    struct parcel p;
    struct worker_config config = rig_config("a", stream[0]);
    (void)state;
    parcel_init(&p, "begin('a'); sleep(0.3); end(body='b')", 0);
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p.call, 100 * rig_slow()));
    rig_until(rig, p.ends);
    assert_text(&p.got, "ab");
    assert_int_equal(p.status, 0);
    rig_free(rig);
    parcel_deinit(&p);
}

/* Its deadline counts from the last piece of the body that moved. */
static void a_body_that_moves_renews_the_deadline(void **state)
{
    struct parcel p;
    struct worker_config config = rig_config("a", "ready(features=['stream'],window=1024)");
    (void)state;
    parcel_init(&p,
                "n = len(text_of(piece('chunk')))\n"
                "while n < 12 * 1024:\n"
                "    sleep(0.08)\n"
                "    credit(1024)\n"
                "    n += len(text_of(piece('chunk')))\n"
                "reply(str(n))",
                12 * 1024);
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p.call, 200 * rig_slow()));
    rig_until(rig, p.ends);
    assert_text(&p.got, "12288");
    rig_free(rig);
    parcel_deinit(&p);
}

static void a_body_that_nobody_takes_runs_into_the_deadline(void **state)
{
    struct parcel p;
    struct worker_config config = rig_config("a", "ready(features=['stream'],window=1024)");
    (void)state;
    parcel_init(&p, "sleep(0.6); reply('late')", 5 * 1024);
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    assert_null(pool_submit(pool, &p.call, 100));
    rig_until(rig, p.ends);
    assert_int_equal(p.status, 504);
    rig_free(rig);
    parcel_deinit(&p);
}

static void a_worker_that_dies_ends_the_stream(void **state)
{
    struct parcel p;
    (void)state;
    parcel_init(&p, "begin('a'); os._exit(3)", 0);
    p.call.idempotent = true; /* and yet it cannot be tried again */
    deliver(&p, stream[0]);
    assert_text(&p.kinds, "R");
    assert_int_equal(p.status, 502);
    parcel_deinit(&p);
}

static void half_a_body_goes_to_no_other_worker(void **state)
{
    struct parcel p;
    (void)state;
    parcel_init(&p, "piece('chunk'); os._exit(3)", 300000);
    p.call.idempotent = true;
    deliver(&p, stream[0]);
    assert_int_equal(p.status, 502);
    parcel_deinit(&p);
}

static void an_early_answer_ends_the_body(void **state)
{
    struct parcel p;
    (void)state;
    parcel_init(&p, "reply('no')", 10 * WINDOW);
    deliver(&p, stream[0]);
    assert_text(&p.got, "no");
    assert_true(p.sent <= WINDOW);
    parcel_deinit(&p);
}

struct misplaced {
    const char *source, *ready, *words;
};

static void misplaced_pieces_fail_their_request(void **state)
{
    static const struct misplaced cases[] = {
        {"chunk('x')", NULL, "a piece of an answer that it has not begun"},
        {"end()", NULL, "a piece of an answer that it has not begun"},
        {"begin('a'); begin('b')", NULL, "began its answer twice"},
        {"begin('a'); reply('b')", NULL, "began its answer twice"},
        {"begin('a')\nput(json.dumps({'type':'info','id':me(),'status':103}))", NULL,
         "an interim answer after the head"},
        {"begin('a')", "ready()", "did not declare \"stream\""},
        {"begin('a')", "ready(features=['cancel'])", "did not declare \"stream\""},
        {"put(json.dumps({'id':me(),'file':'/etc/passwd'}))", NULL,
         "did not declare \"sendfile\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parcel p;
        parcel_init(&p, cases[i].source, 0);
        deliver(&p, cases[i].ready ? cases[i].ready : stream[0]);
        assert_int_equal(p.status, 502);
        if (!strstr(p.text, cases[i].words))
            fail_msg("case %zu: \"%s\"", i, p.text);
        parcel_deinit(&p);
    }
}

/* A long body to the same worker does not hold up what else it is sent. */
static void bodies_share_the_pipe(void **state)
{
    static const char source[] = "size = 0\n"
                                 "while True:\n"
                                 "    f = piece('chunk', 'end')\n"
                                 "    if f['type'] == 'end': break\n"
                                 "    size += len(text_of(f)); credit(len(text_of(f)))\n"
                                 "reply(str(size))";

    enum { MANY = 4, SIZE = 2 * 1024 * 1024 };
    struct parcel all[MANY];
    struct worker_config config = rig_config("a", "ready(features=['stream'],concurrency=8)");
    (void)state;
    struct rig *rig = rig_new();
    struct pool *pool = rig_pool(rig, &config);
    rig_until(rig, rig->readies);
    for (int i = 0; i < MANY; i++) {
        parcel_init(&all[i], source, SIZE);
        assert_null(pool_submit(pool, &all[i].call, 0));
    }
    /* It was alone for two pieces; its third turn comes when all others have had one. */
    rig_until(rig, all[0].sent >= WINDOW);
    for (int i = 0; i < MANY; i++)
        assert_true(all[i].sent >= FRAME_CHUNK_MAX);
    for (int i = 0; i < MANY; i++) {
        rig_until(rig, all[i].ends);
        assert_text(&all[i].got, "2097152");
        parcel_deinit(&all[i]);
    }
    rig_free(rig);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(an_answer_in_pieces_is_told_piece_by_piece),
        cmocka_unit_test(an_interim_answer_comes_first),
        cmocka_unit_test(a_body_is_sent_in_pieces_and_ended),
        cmocka_unit_test(a_body_waits_for_credit),
        cmocka_unit_test(credit_counts_while_the_pipe_is_full),
        cmocka_unit_test(an_answer_waits_for_credit),
        cmocka_unit_test(more_than_the_window_cuts_the_answer_only),
        cmocka_unit_test(what_comes_for_a_call_that_is_over_is_granted_at_once),
        cmocka_unit_test(a_worker_without_credit_gets_it_when_its_call_is_over),
        cmocka_unit_test(cancel_reaches_a_worker_that_streams),
        cmocka_unit_test(an_answer_that_streams_has_no_deadline),
        cmocka_unit_test(a_body_that_moves_renews_the_deadline),
        cmocka_unit_test(a_body_that_nobody_takes_runs_into_the_deadline),
        cmocka_unit_test(a_worker_that_dies_ends_the_stream),
        cmocka_unit_test(half_a_body_goes_to_no_other_worker),
        cmocka_unit_test(an_early_answer_ends_the_body),
        cmocka_unit_test(misplaced_pieces_fail_their_request),
        cmocka_unit_test(bodies_share_the_pipe),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
    return rig_main(argc, argv, tests);
}
