/*
 * The process is killed: at each named point of the store, several times, in a child that tells
 * what was acknowledged through a pipe.  The parent looks at what is left.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>

#include "folder.h"
#include "store_kind.h"

#include <cmocka.h>

enum { LIVES = 12, FLIGHT = 8, NUMBERS = 4096, MOST = 400 };

static const char *const POINTS[] = {"after_insert", "before_commit",  "after_commit",
                                     "before_reply", "mid_checkpoint", "mid_sweep"};

/* What the child says: a number with what happened to it. */
struct notice {
    enum { ACKED, SETTLED, OFF } what;

    unsigned number;
};

static void tell(int pipe, int what, unsigned number)
{
    struct notice notice = {what, number};
    if (write(pipe, &notice, sizeof(notice)) != sizeof(notice))
        _exit(3);
}

static struct message *numbered(const char *topic, unsigned number)
{
    char id[32], data[1500];
    snprintf(id, sizeof(id), "%s-%u", topic, number);
    memset(data, '7', sizeof(data));
    return message_new(&(struct message_parts){.stream = SLICE("events"),
                                               .topic = slice_of(topic),
                                               .msgid = slice_of(id),
                                               .data = {data, 1000 + number % 500}});
}

static unsigned number_of(const struct message *m)
{
    char text[16] = "";
    const char *dash = memchr(m->msgid.ptr, '-', m->msgid.len);
    memcpy(text, dash + 1, MIN((size_t)(m->msgid.ptr + m->msgid.len - dash - 1), 15));
    return (unsigned)strtoul(text, NULL, 10);
}

static uint32_t declare(struct desk *d)
{
    if (desk_declare(d, (struct op_stream){.name = SLICE("events"),
                                           .max_bytes = 1 << 30,
                                           .dedupe_window = 3600000}) != ENGINE_OK)
        _exit(4);
    if (desk_declare(d, (struct op_stream){.name = SLICE("short"), .max_bytes = 20000}) !=
        ENGINE_OK)
        _exit(4);
    return desk_consumer(d, "events", "a", "in", FROM_FIRST, NULL);
}

/* A stream that is always full: what is old goes with what is new. */
static void fill_short(struct desk *d)
{
    char data[5000];
    memset(data, '1', sizeof(data));
    if (desk_publish(d, (struct message_parts){.stream = SLICE("short"),
                                               .topic = SLICE("t"),
                                               .data = {data, sizeof(data)}}) != ENGINE_OK)
        _exit(5);
}

/* Every settle brings an output, and an eighth is put off first; the rest of a flight waits. */
static void settle_all(struct desk *d, uint32_t a, int pipe)
{
    while (d->note_count) {
        struct delivery_note note = desk_next(d, a);
        unsigned number = number_of(note.message);
        struct message *output = numbered("out", number);
        struct op_settle op = {
            .consumer = a, .seq = note.message->seq, .outputs = &output, .output_count = 1};
        if (number % 8 == 0 && note.tries == 0) {
            if (desk_later(d, a, note.message->seq, 1, 0) == ENGINE_OK)
                tell(pipe, OFF, number);
            desk_take(d, a, note.message->seq);
        } else if (desk_do(d, &op.op, OP_SETTLE) == ENGINE_OK)
            tell(pipe, SETTLED, number);
        message_release(output);
        message_release(note.message);
    }
}

static void live(const char *dir, unsigned first, int pipe)
{
    struct desk d;
    desk_open(&d, &STORE_KIND, dir);
    uint32_t a = declare(&d);
    desk_credit(&d, a, 100000);
    for (unsigned at = first; at < first + MOST && at < NUMBERS; at += FLIGHT) {
        struct message *messages[FLIGHT];
        struct op_publish ops[FLIGHT];
        for (unsigned i = 0; i < FLIGHT; i++) {
            messages[i] = numbered("in", at + i);
            ops[i] = (struct op_publish){.messages = &messages[i], .count = 1};
            desk_submit(&d, &ops[i].op, OP_PUBLISH);
        }
        for (unsigned i = 0; i < FLIGHT; i++) {
            if (desk_wait(&d, &ops[i].op) == ENGINE_OK)
                tell(pipe, ACKED, at + i);
            message_release(messages[i]);
        }
        settle_all(&d, a, pipe);
        fill_short(&d);
    }
    desk_close(&d);
    _exit(0);
}

struct oracle {
    bool acked[NUMBERS], settled[NUMBERS], off[NUMBERS];
    unsigned first; /* to be published in the next life: what is not acked is sent again */
    unsigned kills, acks;
};

static void hear(struct oracle *o, int pipe)
{
    struct notice notice;
    while (read(pipe, &notice, sizeof(notice)) == sizeof(notice)) {
        assert_true(notice.number < NUMBERS);
        if (notice.what == ACKED) {
            o->acks += !o->acked[notice.number];
            o->acked[notice.number] = true;
        } else
            (notice.what == SETTLED ? o->settled : o->off)[notice.number] = true;
    }
}

/* True when it was killed at the point; false when it came to its end before. */
static bool one_life(struct oracle *o, const char *dir, const char *point, unsigned pass)
{
    int ends[2], status;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        char fault[64];
        snprintf(fault, sizeof(fault), "%s:%u", point, pass);
        setenv("NODEY_FAULT", fault, 1);
        live(dir, o->first, ends[1]);
    }
    close(ends[1]);
    hear(o, ends[0]);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
                (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    while (o->first < NUMBERS && o->acked[o->first])
        o->first++;
    o->kills += WIFSIGNALED(status);
    return WIFSIGNALED(status);
}

static void check_outputs(const struct oracle *o, struct desk *d, const bool *in)
{
    unsigned out[NUMBERS] = {0};
    uint64_t from = 1;
    for (;;) {
        struct op_read op = desk_read(
            d, (struct op_read){.pattern = SLICE("out"), .from = {START_SEQ, from, 0}});
        for (size_t i = 0; i < op.count; i++) {
            out[number_of(op.messages[i])]++;
            from = op.messages[i]->seq + 1;
        }
        size_t count = op.count;
        desk_read_free(&op);
        if (count == 0)
            break;
    }
    for (unsigned i = 0; i < NUMBERS; i++) {
        assert_true(out[i] <= 1);
        assert_true(!out[i] || !in[i]); /* with its output the input is settled */
        assert_true(!o->acked[i] || in[i] || out[i]);
        assert_true(!o->settled[i] || out[i]);
    }
}

/* What nobody has settled must come, or wait to be taken; what somebody has, must not. */
static void check(const struct oracle *o, const char *dir)
{
    struct desk d;
    struct op_consumer op;
    bool in[NUMBERS] = {false};
    desk_open(&d, &STORE_KIND, dir);
    desk_stream(&d, "events"); /* it may have died before */
    uint32_t a = desk_consumer(&d, "events", "a", "in", FROM_FIRST, &op);
    for (size_t i = 0; i < op.put_off_count; i++)
        assert_int_equal(desk_take(&d, a, op.put_off[i].seq), ENGINE_OK);
    desk_forget_put_off(&op);
    uint64_t lag = desk_consumer_info(&d, a).lag;
    desk_credit(&d, a, 100000);
    for (uint64_t i = 0; i < lag; i++) {
        struct delivery_note note = desk_next(&d, a);
        unsigned number = number_of(note.message);
        assert_false(in[number]);
        assert_false(o->settled[number]);
        in[number] = true;
        message_release(note.message);
    }
    desk_quiet(&d);
    check_outputs(o, &d, in);
    desk_close(&d);
}

static void at_every_point_nothing_is_lost_or_there_twice(void **state)
{
    unsigned kills = 0, acks = 0;
    for (unsigned p = 0; p < ARRAY_LEN(POINTS); p++) {
        struct oracle *o = xcalloc(1, sizeof(*o));
        char *dir = xasprintf("%s/%s", (char *)*state, POINTS[p]);
        for (unsigned life = 0; life < LIVES && o->first < NUMBERS; life++) {
            one_life(o, dir, POINTS[p], 1 + life * (p < 4 ? 3 : 1));
            check(o, dir);
        }
        assert_true(o->kills >= 3);
        kills += o->kills;
        acks += o->acks;
        xfree(dir);
        xfree(o);
    }
    print_message("%u kills, %u acked, 0 lost\n", kills, acks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_every_point_nothing_is_lost_or_there_twice,
                                        folder_enter, folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
