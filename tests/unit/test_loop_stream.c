#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/stream.h"

#include <cmocka.h>

enum { LARGE = 4 << 20 };

/* A stream over one end; the test holds the other, which does not block. */
struct end {
    struct loop loop;
    struct stream stream;
    struct timer tick;
    int peer;
    struct buf got; /* used up */
    size_t take;    /* bytes to use up at a time; the whole offer when SIZE_MAX */
    size_t offered; /* length of the last offer */
    unsigned offers;
    unsigned ends;
    int status;
    unsigned drains;
    unsigned gones;
    bool inside; /* a call of the test's: nothing may come from within */
    bool close_on_data, close_on_ended, close_on_drained;
};

static size_t on_data(struct stream *s, struct slice bytes)
{
    struct end *e = container_of(s, struct end, stream);
    assert_false(e->inside);
    assert_int_equal(e->gones, 0);
    e->offers++;
    e->offered = bytes.len;
    size_t used = MIN(bytes.len, e->take);
    buf_append(&e->got, bytes.ptr, used);
    if (e->close_on_data)
        stream_close(s);
    return used;
}

static void on_ended(struct stream *s, int status)
{
    struct end *e = container_of(s, struct end, stream);
    assert_false(e->inside);
    e->ends++;
    e->status = status;
    if (e->close_on_ended)
        stream_close(s);
}

static void on_drained(struct stream *s)
{
    struct end *e = container_of(s, struct end, stream);
    assert_false(e->inside);
    e->drains++;
    if (e->close_on_drained)
        stream_close(s);
}

static void on_gone(struct stream *s)
{
    struct end *e = container_of(s, struct end, stream);
    assert_false(e->inside);
    e->gones++;
}

static const struct stream_ops ops = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .gone = on_gone,
};

static void on_tick(struct timer *timer)
{
    loop_stop(&container_of(timer, struct end, tick)->loop);
}

static void run_for(struct end *e, uint64_t ms)
{
    timer_start(&e->loop, &e->tick, ms, on_tick);
    loop_run(&e->loop);
    timer_stop(&e->loop, &e->tick);
}

#define until(e, condition)                                                                    \
    do {                                                                                       \
        for (int turns_ = 0; !(condition); turns_++) {                                         \
            if (turns_ > 10000)                                                                \
                fail_msg("never came true: %s", #condition);                                   \
            run_for(e, 1);                                                                     \
        }                                                                                      \
    } while (0)

static struct end *end_new(void)
{
    struct end *e = xcalloc(1, sizeof(*e));
    assert_int_equal(loop_init(&e->loop), 0);
    e->take = SIZE_MAX;
    return e;
}

/* The stream reads from a pipe. */
static struct end *reading_end(void)
{
    int ends[2];
    struct end *e = end_new();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    e->peer = ends[1];
    assert_int_equal(stream_open_pipe(&e->stream, &e->loop, ends[0], &ops), 0);
    stream_start(&e->stream, SIZE_MAX);
    return e;
}

/* The stream writes to a pipe. */
static struct end *writing_end(void)
{
    int ends[2];
    struct end *e = end_new();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    e->peer = ends[0];
    fcntl(e->peer, F_SETFL, O_NONBLOCK);
    assert_int_equal(stream_open_pipe(&e->stream, &e->loop, ends[1], &ops), 0);
    return e;
}

/* Both ways, as a connection: a unix socket, so that the end can be half closed. */
static struct end *socket_end(void)
{
    int ends[2];
    struct end *e = end_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    e->peer = ends[1];
    fcntl(e->peer, F_SETFL, O_NONBLOCK);
    assert_int_equal(stream_init_unix(&e->stream, &e->loop, &ops), 0);
    assert_int_equal(uv_pipe_open(&e->stream.uv.pipe, ends[0]), 0);
    stream_start(&e->stream, SIZE_MAX);
    return e;
}

/* Closes it if the test has not, and checks that nothing is left. */
static void end_free(struct end *e)
{
    unsigned offers = e->offers;
    stream_close(&e->stream);
    stream_close(&e->stream);
    if (e->peer >= 0)
        close(e->peer);
    loop_run(&e->loop);
    assert_int_equal(e->gones, 1);
    assert_int_equal(e->offers, offers); /* nothing comes after close */
    assert_true(e->ends <= 1);
    assert_int_equal(loop_deinit(&e->loop), 0);
    buf_deinit(&e->got);
    xfree(e);
}

static void put(struct end *e, const char *text)
{
    assert_int_equal(write(e->peer, text, strlen(text)), strlen(text));
}

/* All that the peer can read now. */
static size_t peer_read(struct end *e, struct buf *out)
{
    size_t before = out->len;
    ssize_t n;
    while ((n = read(e->peer, buf_reserve(out, 65536), 65536)) > 0)
        out->len += (size_t)n;
    return out->len - before;
}

/* -------------------------------------------------------------------- reading */

static void what_is_not_used_up_is_offered_again_in_front(void **state)
{
    (void)state;
    struct end *e = reading_end();
    e->take = 2;
    put(e, "abcde");
    until(e, e->offers == 1);
    assert_int_equal(e->offered, 5);
    put(e, "fg");
    until(e, e->offers == 2);
    assert_int_equal(e->offered, 5); /* cdefg */
    e->take = SIZE_MAX;
    put(e, "h");
    until(e, e->offers == 3);
    assert_string_equal(buf_cstr(&e->got), "abcdefgh");
    assert_null(e->stream.in.ptr); /* an idle stream holds no read buffer */
    end_free(e);
}

static void reading_stops_at_the_limit_until_it_is_asked_for(void **state)
{
    (void)state;
    struct end *e = reading_end();
    stream_start(&e->stream, 4);
    e->take = 0;
    put(e, "abcd");
    until(e, e->offers == 1);
    put(e, "efgh");
    run_for(e, 30);
    assert_int_equal(e->offers, 1);
    assert_int_equal(e->stream.in.len, 4);
    stream_poke(&e->stream); /* still nothing is used up: it stays stopped */
    until(e, e->offers == 2);
    run_for(e, 30);
    assert_int_equal(e->offers, 2);
    e->take = SIZE_MAX;
    e->inside = true;
    stream_poke(&e->stream);
    e->inside = false;
    until(e, e->got.len == 8);
    assert_string_equal(buf_cstr(&e->got), "abcdefgh");
    end_free(e);
}

static void a_paused_stream_reads_nothing(void **state)
{
    (void)state;
    struct end *e = reading_end();
    stream_pause(&e->stream);
    put(e, "abc");
    run_for(e, 30);
    assert_int_equal(e->offers, 0);
    stream_resume(&e->stream);
    until(e, e->got.len == 3);
    end_free(e);
}

static void the_end_is_told_once_and_kept_bytes_stay(void **state)
{
    (void)state;
    struct end *e = reading_end();
    e->take = 0;
    put(e, "rest");
    close(e->peer);
    e->peer = -1;
    until(e, e->ends);
    assert_int_equal(e->status, UV_EOF);
    assert_int_equal(e->stream.in.len, 4);
    stream_resume(&e->stream); /* nothing to resume */
    e->take = SIZE_MAX;
    stream_poke(&e->stream);
    until(e, e->got.len == 4);
    run_for(e, 20);
    assert_int_equal(e->ends, 1);
    end_free(e);
}

static void a_stream_may_be_closed_from_each_of_its_callbacks(void **state)
{
    (void)state;
    struct end *e = reading_end();
    e->close_on_data = true;
    put(e, "abc");
    until(e, e->gones);
    assert_int_equal(e->ends, 0);
    end_free(e);

    e = reading_end(); /* from within an offer of kept bytes */
    e->take = 1;
    put(e, "abc");
    until(e, e->offers == 1);
    e->close_on_data = true;
    stream_poke(&e->stream);
    until(e, e->gones);
    end_free(e);

    e = reading_end();
    e->close_on_ended = true;
    close(e->peer);
    e->peer = -1;
    until(e, e->gones);
    end_free(e);

    e = writing_end();
    e->close_on_drained = true;
    stream_write(&e->stream, SLICE("x"));
    until(e, e->gones);
    end_free(e);
}

/* -------------------------------------------------------------------- writing */

static void large_writes_are_queued_and_drain(void **state)
{
    struct buf got = {0};
    (void)state;
    struct end *e = writing_end();
    char *bytes = xmalloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i % 251);
    e->inside = true;
    stream_write(&e->stream, (struct slice){bytes, LARGE});
    assert_int_equal(stream_queued(&e->stream), LARGE);
    assert_int_equal(stream_position(&e->stream), LARGE);
    e->inside = false;
    run_for(e, 5);
    assert_in_range(stream_queued(&e->stream), 1, LARGE - 1);
    assert_int_equal(e->drains, 0);
    assert_int_equal(stream_taken(&e->stream) + stream_queued(&e->stream), LARGE);
    stream_write(&e->stream, SLICE("tail"));
    while (got.len < LARGE + 4) {
        peer_read(e, &got);
        run_for(e, 1);
        assert_true(stream_taken(&e->stream) >= got.len);
    }
    until(e, e->drains == 1);
    assert_int_equal(stream_queued(&e->stream), 0);
    assert_int_equal(stream_taken(&e->stream), LARGE + 4);
    assert_memory_equal(got.ptr, bytes, LARGE);
    assert_memory_equal(got.ptr + LARGE, "tail", 4);
    xfree(bytes);
    buf_deinit(&got);
    end_free(e);
}

/* Those of a write that is under way: `written` alone would come up in one great step. */
static void what_the_kernel_took_is_known_at_any_time(void **state)
{
    struct buf got = {0};
    (void)state;
    struct end *e = writing_end();
    char *bytes = xcalloc(1, LARGE);
    stream_write(&e->stream, (struct slice){bytes, LARGE});
    run_for(e, 5);
    uint64_t first = stream_taken(&e->stream);
    peer_read(e, &got);
    run_for(e, 5);
    assert_true(stream_taken(&e->stream) > first);
    assert_true(stream_taken(&e->stream) < LARGE);
    xfree(bytes);
    buf_deinit(&got);
    end_free(e);
}

static void a_write_that_fails_is_told_once_and_not_from_within(void **state)
{
    (void)state;
    struct end *e = writing_end();
    close(e->peer);
    e->peer = -1;
    e->inside = true;
    stream_write(&e->stream, SLICE("lost"));
    e->inside = false;
    until(e, e->ends);
    assert_int_equal(e->status, UV_EPIPE);
    stream_write(&e->stream, SLICE("lost too"));
    run_for(e, 10);
    assert_int_equal(e->ends, 1);
    assert_int_equal(e->drains, 0);
    end_free(e);
}

static void a_queued_write_that_fails_is_told_once(void **state)
{
    (void)state;
    struct end *e = writing_end();
    char *bytes = xcalloc(1, LARGE);
    stream_write(&e->stream, (struct slice){bytes, LARGE});
    run_for(e, 5);
    stream_write(&e->stream, (struct slice){bytes, LARGE});
    run_for(e, 5);
    close(e->peer);
    e->peer = -1;
    until(e, e->ends);
    assert_int_equal(e->status, UV_EPIPE);
    run_for(e, 10);
    assert_int_equal(e->ends, 1);
    xfree(bytes);
    end_free(e);
}

static void what_is_queued_is_lost_by_closing(void **state)
{
    (void)state;
    struct end *e = writing_end();
    char *bytes = xcalloc(1, LARGE);
    stream_write(&e->stream, (struct slice){bytes, LARGE});
    run_for(e, 5);
    stream_write(&e->stream, SLICE("and this is not even flushed"));
    stream_close(&e->stream);
    run_for(e, 5);
    assert_int_equal(e->gones, 1);
    assert_int_equal(e->ends + e->drains, 0);
    xfree(bytes);
    end_free(e);
}

static void on_loan_end(void *owner)
{
    ++*(unsigned *)owner;
}

static void lend(struct end *e, const char *bytes, size_t len, unsigned *ended)
{
    e->inside = true;
    stream_lend(&e->stream, &(struct loan){{bytes, len}, on_loan_end, ended});
    e->inside = false;
}

static void what_is_lent_goes_out_in_its_place(void **state)
{
    struct buf got = {0};
    unsigned ended = 0;
    (void)state;
    struct end *e = writing_end();
    char *bytes = xmalloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i % 251);
    stream_write(&e->stream, SLICE("head"));
    lend(e, bytes, LARGE, &ended);
    assert_int_equal(ended, 0);
    assert_int_equal(stream_position(&e->stream), LARGE + 4);
    stream_write(&e->stream, SLICE("between"));
    lend(e, bytes, LARGE, &ended);
    stream_write(&e->stream, SLICE("tail"));
    while (got.len < 2 * LARGE + 15) {
        peer_read(e, &got);
        run_for(e, 1);
        assert_true(stream_taken(&e->stream) >= got.len);
        assert_true(ended == 2 || got.len < 2 * LARGE + 11);
    }
    until(e, e->drains == 1);
    assert_int_equal(ended, 2);
    assert_int_equal(stream_taken(&e->stream), 2 * LARGE + 15);
    assert_memory_equal(got.ptr, "head", 4);
    assert_memory_equal(got.ptr + 4, bytes, LARGE);
    assert_memory_equal(got.ptr + LARGE + 4, "between", 7);
    assert_memory_equal(got.ptr + LARGE + 11, bytes, LARGE);
    assert_memory_equal(got.ptr + 2 * LARGE + 11, "tail", 4);
    xfree(bytes);
    buf_deinit(&got);
    end_free(e);
}

static void what_the_kernel_takes_at_once_is_given_back_at_once(void **state)
{
    struct buf got = {0};
    unsigned ended = 0;
    (void)state;
    struct end *e = writing_end();
    stream_write(&e->stream, SLICE("head"));
    lend(e, "lent", 4, &ended);
    assert_int_equal(ended, 1);
    assert_int_equal(stream_queued(&e->stream), 0);
    lend(e, "", 0, &ended);
    assert_int_equal(ended, 2);
    peer_read(e, &got);
    assert_string_equal(buf_cstr(&got), "headlent");
    buf_deinit(&got);
    end_free(e);
}

/* However it ends, whoever lent gets it back once. */
static void what_is_lent_comes_back_from_a_failure_and_from_closing(void **state)
{
    unsigned ended = 0;
    (void)state;
    char *bytes = xcalloc(1, LARGE);
    struct end *e = writing_end();
    lend(e, bytes, LARGE, &ended);
    lend(e, bytes, LARGE, &ended);
    assert_int_equal(ended, 0);
    stream_close(&e->stream);
    run_for(e, 5);
    assert_int_equal(ended, 2);
    lend(e, bytes, LARGE, &ended);
    assert_int_equal(ended, 3);
    end_free(e);

    e = writing_end();
    lend(e, bytes, LARGE, &ended);
    close(e->peer);
    e->peer = -1;
    until(e, e->ends);
    assert_int_equal(ended, 4);
    lend(e, bytes, LARGE, &ended);
    assert_int_equal(ended, 5);
    end_free(e);

    e = writing_end();
    close(e->peer);
    e->peer = -1;
    lend(e, bytes, LARGE, &ended);
    assert_int_equal(ended, 6);
    until(e, e->ends == 1);
    end_free(e);
    xfree(bytes);
}

/* ------------------------------------------------------------------- shutdown */

static void shutting_a_pipe_writes_all_of_it_first(void **state)
{
    struct buf got = {0};
    (void)state;
    struct end *e = writing_end();
    char *bytes = xcalloc(1, LARGE);
    stream_write(&e->stream, (struct slice){bytes, LARGE});
    stream_shutdown(&e->stream);
    while (!e->gones) {
        peer_read(e, &got);
        run_for(e, 1);
    }
    peer_read(e, &got);
    assert_int_equal(got.len, LARGE);
    assert_int_equal(read(e->peer, got.ptr, 1), 0);
    xfree(bytes);
    buf_deinit(&got);
    end_free(e);
}

static void a_pipe_with_nothing_queued_is_shut_at_once(void **state)
{
    char byte;
    (void)state;
    struct end *e = writing_end();
    stream_shutdown(&e->stream);
    stream_shutdown(&e->stream);
    until(e, e->gones);
    assert_int_equal(read(e->peer, &byte, 1), 0);
    end_free(e);
}

static void a_connection_may_be_shut_and_still_reads(void **state)
{
    struct buf got = {0};
    char byte;
    (void)state;
    struct end *e = socket_end();
    stream_write(&e->stream, SLICE("bye"));
    stream_shutdown(&e->stream);
    until(e, peer_read(e, &got) || got.len);
    assert_string_equal(buf_cstr(&got), "bye");
    until(e, read(e->peer, &byte, 1) == 0);
    put(e, "still here");
    until(e, e->got.len == 10);
    assert_int_equal(e->gones, 0);
    buf_deinit(&got);
    end_free(e);
}

/* The other side has said all and waits for the answer and the end of it. */
static void a_half_closed_connection_is_written_to_and_shut(void **state)
{
    struct buf got = {0};
    char byte;
    (void)state;
    struct end *e = socket_end();
    shutdown(e->peer, SHUT_WR);
    until(e, e->ends);
    assert_int_equal(e->status, UV_EOF);
    stream_write(&e->stream, SLICE("answer"));
    until(e, e->drains == 1);
    stream_write(&e->stream, SLICE("."));
    stream_shutdown(&e->stream);
    until(e, peer_read(e, &got) && got.len == 7);
    until(e, read(e->peer, &byte, 1) == 0);
    buf_deinit(&got);
    end_free(e);
}

static void closing_during_a_shutdown_leaves_nothing(void **state)
{
    (void)state;
    struct end *e = socket_end();
    stream_write(&e->stream, SLICE("bye"));
    stream_shutdown(&e->stream);
    run_for(e, 1);
    stream_close(&e->stream);
    end_free(e);
}

static void only_a_connection_has_a_peer(void **state)
{
    char text[64] = "?";
    (void)state;
    struct end *e = socket_end();
    stream_peer(&e->stream, text, sizeof(text));
    assert_string_equal(text, "");
    stream_reset(&e->stream); /* of what is no TCP connection: a close */
    end_free(e);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_used_up_is_offered_again_in_front),
        cmocka_unit_test(reading_stops_at_the_limit_until_it_is_asked_for),
        cmocka_unit_test(a_paused_stream_reads_nothing),
        cmocka_unit_test(the_end_is_told_once_and_kept_bytes_stay),
        cmocka_unit_test(a_stream_may_be_closed_from_each_of_its_callbacks),
        cmocka_unit_test(large_writes_are_queued_and_drain),
        cmocka_unit_test(what_the_kernel_took_is_known_at_any_time),
        cmocka_unit_test(a_write_that_fails_is_told_once_and_not_from_within),
        cmocka_unit_test(a_queued_write_that_fails_is_told_once),
        cmocka_unit_test(what_is_queued_is_lost_by_closing),
        cmocka_unit_test(what_is_lent_goes_out_in_its_place),
        cmocka_unit_test(what_the_kernel_takes_at_once_is_given_back_at_once),
        cmocka_unit_test(what_is_lent_comes_back_from_a_failure_and_from_closing),
        cmocka_unit_test(shutting_a_pipe_writes_all_of_it_first),
        cmocka_unit_test(a_pipe_with_nothing_queued_is_shut_at_once),
        cmocka_unit_test(a_connection_may_be_shut_and_still_reads),
        cmocka_unit_test(a_half_closed_connection_is_written_to_and_shut),
        cmocka_unit_test(closing_during_a_shutdown_leaves_nothing),
        cmocka_unit_test(only_a_connection_has_a_peer),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
