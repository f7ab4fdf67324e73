/* What streams promise: room, dedupe, delay, big data, and looks at them. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine_suite_parts.h"
#include "folder.h"

#include <cmocka.h>

void a_job_is_deleted_with_its_last_settle(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_queue(d, "queue.mail");
    uint32_t a = desk_consumer(d, "queue.mail", "a", ">", FROM_FIRST, NULL);
    uint32_t b = desk_consumer(d, "queue.mail", "b", "x", FROM_FIRST, NULL);
    uint64_t x = desk_put(d, "queue.mail", "x", "1");
    uint64_t y = desk_put(d, "queue.mail", "y", "2");
    desk_credit(d, a, 10);
    desk_credit(d, b, 10);
    assert_int_equal(desk_next_seq(d, a), x);
    assert_int_equal(desk_next_seq(d, a), y);
    assert_int_equal(desk_next_seq(d, b), x);
    assert_int_equal(desk_settle(d, a, x), ENGINE_OK);
    assert_int_equal(desk_count(d, "queue.mail"), 2);
    assert_int_equal(desk_settle(d, a, y), ENGINE_OK); /* b does not want it */
    assert_int_equal(desk_count(d, "queue.mail"), 1);
    assert_int_equal(desk_later(d, b, x, 1, 0), ENGINE_OK);
    assert_int_equal(desk_count(d, "queue.mail"), 1);
    assert_int_equal(desk_take(d, b, x), ENGINE_OK);
    assert_int_equal(desk_next_seq(d, b), x);
    assert_int_equal(desk_settle(d, b, x), ENGINE_OK);
    assert_int_equal(desk_count(d, "queue.mail"), 0);
    assert_int_equal(desk_stream_info(d, "queue.mail").messages, 0);
    assert_int_equal(desk_stream_info(d, "queue.mail").bytes, 0);
    uint64_t next = desk_put(d, "queue.mail", "y", "3");
    assert_true(next > y);
    if (seat->kind->durable) {
        desk_reopen(d, seat->dir);
        desk_queue(d, "queue.mail");
        assert_true(desk_put(d, "queue.mail", "y", "3") > next);
    }
}

void a_full_stream_refuses_and_loses_nothing(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    char data[1002];
    memset(data, '1', 1000);
    data[1000] = '\0';
    assert_int_equal(
        desk_declare(d, (struct op_stream){.name = SLICE("small"), .max_bytes = 20000}),
        ENGINE_OK);
    uint32_t a = desk_consumer(d, "small", "a", ">", FROM_FIRST, NULL);
    struct message_parts parts = {
        .stream = SLICE("small"), .topic = SLICE("t"), .data = slice_of(data)};
    unsigned stored = 0;
    while (desk_publish(d, parts) == ENGINE_OK)
        assert_true(++stored < 30);
    assert_true(stored >= 10);
    assert_true(strstr(d->error, "full") != NULL);
    assert_int_equal(desk_publish(d, parts), ENGINE_FULL);
    assert_true(desk_stream_info(d, "small").bytes <= 20000);
    desk_credit(d, a, 100);
    for (unsigned i = 0; i < stored; i++)
        assert_int_equal(desk_settle(d, a, desk_next_seq(d, a)), ENGINE_OK);
    desk_quiet(d);
    for (unsigned i = 0; i < 40; i++) { /* what all have read makes room */
        assert_int_equal(desk_publish(d, parts), ENGINE_OK);
        assert_int_equal(desk_settle(d, a, desk_next_seq(d, a)), ENGINE_OK);
    }
    assert_true(desk_stream_info(d, "small").bytes <= 20000);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 0);
    assert_int_equal(d->gap_count, 0);
}

void discarding_is_told_as_a_gap(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    char data[1002];
    memset(data, '1', 1000);
    data[1000] = '\0';
    assert_int_equal(desk_declare(d, (struct op_stream){.name = SLICE("small"),
                                                        .max_bytes = 20000,
                                                        .discard_old = true}),
                     ENGINE_OK);
    uint32_t slow = desk_consumer(d, "small", "slow", ">", FROM_FIRST, NULL);
    uint32_t open = desk_consumer(d, "small", "open", ">", FROM_FIRST, NULL);
    desk_credit(d, open, 3);
    struct message_parts parts = {
        .stream = SLICE("small"), .topic = SLICE("t"), .data = slice_of(data)};
    uint64_t first = 0;
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(desk_publish(d, parts), ENGINE_OK);
        first = first ? first : d->last_seq;
        if (i == 3) {
            assert_int_equal(desk_next_seq(d, open), first);
            assert_int_equal(desk_next_seq(d, open), first + 1);
            assert_int_equal(desk_later(d, open, first + 1, 1, 0), ENGINE_OK);
        }
    }
    uint64_t left = desk_count(d, "small");
    assert_true(left >= 10 && left <= 20);
    assert_int_equal(desk_consumer_info(d, slow).lag, left);
    assert_int_equal(desk_consumer_info(d, open).lag, left);
    assert_int_equal(desk_consumer_info(d, open).put_off, 0);
    assert_true(d->gap_count >= 2);
    uint64_t gone = first;
    for (size_t i = 0; i < d->gap_count; i++)
        if (d->gaps[i].consumer == slow) {
            assert_int_equal(d->gaps[i].from, gone);
            gone = d->gaps[i].to + 1;
        }
    assert_int_equal(gone, first + 40 - left);
    desk_credit(d, slow, 1);
    assert_int_equal(desk_next_seq(d, slow), gone);
    assert_int_equal(desk_settle(d, open, first), ENGINE_UNKNOWN);
}

void a_msgid_is_stored_once_within_its_window(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    desk_stream(d, "others");
    assert_int_equal(desk_declare(d, (struct op_stream){.name = SLICE("short"),
                                                        .max_bytes = 1 << 20,
                                                        .dedupe_window = 60}),
                     ENGINE_OK);
    struct message_parts parts = {.stream = SLICE("events"),
                                  .topic = SLICE("t"),
                                  .msgid = SLICE("once"),
                                  .data = SLICE("1")};
    assert_int_equal(desk_publish(d, parts), ENGINE_OK);
    assert_false(d->duplicate);
    uint64_t seq = d->last_seq;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(desk_publish(d, parts), ENGINE_OK);
        assert_true(d->duplicate);
        assert_int_equal(d->last_seq, seq);
    }
    parts.stream = SLICE("others"); /* each stream has its own */
    assert_int_equal(desk_publish(d, parts), ENGINE_OK);
    assert_false(d->duplicate);
    if (seat->kind->durable) {
        desk_reopen(d, seat->dir);
        desk_stream(d, "events");
        parts.stream = SLICE("events");
        assert_int_equal(desk_publish(d, parts), ENGINE_OK);
        assert_true(d->duplicate);
        assert_int_equal(d->last_seq, seq);
        assert_int_equal(desk_declare(d, (struct op_stream){.name = SLICE("short"),
                                                            .max_bytes = 1 << 20,
                                                            .dedupe_window = 60}),
                         ENGINE_OK);
    }
    assert_int_equal(desk_count(d, "events"), 1);
    parts.stream = SLICE("short");
    assert_int_equal(desk_publish(d, parts), ENGINE_OK);
    sleep_ms(120);
    assert_int_equal(desk_publish(d, parts), ENGINE_OK);
    assert_false(d->duplicate);
    assert_int_equal(desk_count(d, "short"), 2);
}

void the_same_msgid_twice_in_one_op_is_one_message(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    struct message_parts parts = {.stream = SLICE("events"),
                                  .topic = SLICE("t"),
                                  .msgid = SLICE("twin"),
                                  .data = SLICE("1")};
    struct message *twins[2] = {message_new(&parts), message_new(&parts)};
    struct op_publish op = {.messages = twins, .count = 2};
    assert_int_equal(desk_do(d, &op.op, OP_PUBLISH), ENGINE_OK);
    assert_true(!twins[0]->duplicate && twins[1]->duplicate);
    assert_int_equal(twins[0]->seq, twins[1]->seq);
    assert_int_equal(desk_count(d, "events"), 1);
    message_release(twins[0]);
    message_release(twins[1]);
}

/* -------------------------------------------------------------------- delay */

void a_delayed_message_comes_never_early_and_once(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    desk_stream(d, "events");
    uint32_t a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
    desk_credit(d, a, 10);
    int64_t due = wall_ms() + 400;
    struct message_parts parts = {.stream = SLICE("events"),
                                  .topic = SLICE("late"),
                                  .key = SLICE("k"),
                                  .msgid = SLICE("alarm"),
                                  .data = SLICE("\"later\""),
                                  .due_ms = due};
    assert_int_equal(desk_publish(d, parts), ENGINE_OK);
    assert_int_equal(d->last_seq, 0);
    struct message_parts after = {.stream = SLICE("events"),
                                  .topic = SLICE("later"),
                                  .data = SLICE("1"),
                                  .due_ms = due + 300};
    assert_int_equal(desk_publish(d, after), ENGINE_OK);
    if (seat->kind->dedupe) {
        assert_int_equal(desk_publish(d, parts), ENGINE_OK);
        assert_true(d->duplicate);
    }
    uint64_t now_seq = desk_put(d, "events", "now", "1");
    assert_int_equal(desk_next_seq(d, a), now_seq);
    desk_quiet(d);
    if (seat->kind->durable) {
        desk_reopen(d, seat->dir);
        desk_stream(d, "events");
        a = desk_consumer(d, "events", "a", ">", FROM_FIRST, NULL);
        desk_credit(d, a, 10);
        assert_int_equal(desk_next_seq(d, a), now_seq);
    }
    struct delivery_note note = desk_next(d, a);
    assert_true(wall_ms() >= due);
    assert_true(wall_ms() < due + 2000);
    assert_true(note.message->seq > now_seq);
    assert_true(note.message->time_ms >= due);
    assert_true(slice_is(note.message->data, "\"later\""));
    assert_true(slice_is(note.message->key, "k"));
    message_release(note.message);
    note = desk_next(d, a);
    assert_true(note.message->time_ms >= due + 300);
    message_release(note.message);
    desk_quiet(d);
    if (seat->kind->durable) {
        desk_reopen(d, seat->dir);
        assert_int_equal(desk_count(d, "events"), 3);
    }
}

/* -------------------------------------------------------------------- blobs */

static void check_blob(struct delivery_note note, const char *data, size_t len)
{
    const struct message *m = note.message;
    assert_int_equal(m->data.len, 0);
    assert_int_equal(m->size, len);
    char *path = xstrndup(m->blob.ptr, m->blob.len);
    char *read_back = xmalloc(len + 1);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, read_back, len + 1), len);
    close(fd);
    assert_memory_equal(read_back, data, len);
    xfree(read_back);
    xfree(path);
    message_release(note.message);
}

void big_data_has_a_file_for_as_long_as_its_message(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    size_t len = MESSAGE_INLINE_MAX + 100000;
    char *data = xmalloc(len), *path;
    for (size_t i = 0; i < len; i++)
        data[i] = (char)('a' + (i * 7 + i / 1000) % 26);
    desk_queue(d, "queue.big");
    uint32_t a = desk_consumer(d, "queue.big", "a", ">", FROM_FIRST, NULL);
    desk_credit(d, a, 10);
    assert_int_equal(desk_publish(d, (struct message_parts){.stream = SLICE("queue.big"),
                                                            .topic = SLICE("t"),
                                                            .data = {data, len}}),
                     ENGINE_OK);
    uint64_t seq = d->last_seq;
    struct delivery_note note = desk_next(d, a);
    path = xstrndup(note.message->blob.ptr, note.message->blob.len);
    check_blob(note, data, len);
    desk_reopen(d, seat->dir);
    a = desk_consumer(d, "queue.big", "a", ">", FROM_FIRST, NULL);
    desk_credit(d, a, 10);
    check_blob(desk_next(d, a), data, len);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(desk_settle(d, a, seq), ENGINE_OK);
    desk_quiet(d);
    assert_int_equal(access(path, F_OK), -1);
    xfree(path);
    xfree(data);
}

/* --------------------------------------------------------------------- looks */

static void check_read(struct desk *d, struct op_read op, const uint64_t *seqs, size_t count)
{
    op = desk_read(d, op);
    assert_int_equal(op.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(op.messages[i]->seq, seqs[i]);
    desk_read_free(&op);
}

void reading_needs_no_consumer(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    uint64_t s[10], b[10];
    desk_stream(d, "even");
    desk_stream(d, "odd");
    for (unsigned i = 0; i < 10; i++) {
        s[i] = desk_put(d, i % 2 ? "odd" : "even", i % 3 ? "a.b" : "c", "1");
        b[9 - i] = s[i];
    }
    check_read(d, (struct op_read){.from = FROM_FIRST}, s, 10);
    check_read(d, (struct op_read){.from = FROM_FIRST, .limit = 3}, s, 3);
    check_read(d, (struct op_read){.from = {START_SEQ, s[4], 0}}, s + 4, 6);
    check_read(d, (struct op_read){.from = {START_SEQ, s[4], 0}, .before = s[7]}, s + 4, 3);
    check_read(d, (struct op_read){.from = FROM_NEW, .limit = 4}, s + 6, 4);
    check_read(d, (struct op_read){.from = FROM_NEW, .limit = 4, .backwards = true}, b, 4);
    check_read(d, (struct op_read){.from = FROM_FIRST, .before = s[5], .backwards = true},
               b + 5, 5);
    const uint64_t odd[] = {s[1], s[3], s[5], s[7], s[9]};
    check_read(d, (struct op_read){.stream = SLICE("odd"), .from = FROM_FIRST}, odd, 5);
    const uint64_t c[] = {s[0], s[3], s[6], s[9]};
    check_read(d, (struct op_read){.pattern = SLICE("c"), .from = FROM_FIRST}, c, 4);
    struct op_read none = {.stream = SLICE("none"), .from = FROM_FIRST, .limit = 1};
    assert_int_equal(desk_do(d, &none.op, OP_READ), ENGINE_UNKNOWN);
}

void what_is_stored_is_told_once_and_in_order(void **state)
{
    struct desk *d = &((struct seat *)*state)->desk;
    desk_stream(d, "events");
    for (unsigned i = 0; i < 100; i++)
        desk_put(d, "events", "t", "1");
    desk_quiet(d);
    assert_int_equal(d->stored_count, 100);
    for (unsigned i = 1; i < 100; i++)
        assert_true(d->stored[i] > d->stored[i - 1]);
}

void a_stream_in_memory_ends_with_the_engine(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;
    struct op_stream op = {
        .name = SLICE("fleeting"), .durability = DURABILITY_MEMORY, .max_bytes = 1 << 20};
    assert_int_equal(desk_declare(d, op), ENGINE_OK);
    uint32_t a = desk_consumer(d, "fleeting", "a", ">", FROM_FIRST, NULL);
    desk_credit(d, a, 2);
    uint64_t one = desk_put(d, "fleeting", "t", "1"), two = desk_put(d, "fleeting", "t", "2");
    assert_int_equal(desk_next_seq(d, a), one);
    assert_int_equal(desk_next_seq(d, a), two);
    assert_int_equal(desk_settle(d, a, one), ENGINE_OK);
    assert_int_equal(desk_later(d, a, two, 1, 5), ENGINE_OK);
    assert_int_equal(desk_take(d, a, two), ENGINE_OK);
    assert_int_equal(desk_next_seq(d, a), two);
    if (d->kind->exact_lag)
        assert_int_equal(desk_consumer_info(d, a).lag, 1);
    assert_int_equal(desk_count(d, "fleeting"), 2);
    desk_reopen(d, seat->dir);
    assert_int_equal(desk_declare(d, op), ENGINE_OK);
    assert_int_equal(desk_count(d, "fleeting"), 0);
}

void what_was_submitted_ends_although_it_closes(void **state)
{
    struct seat *seat = *state;
    struct desk *d = &seat->desk;

    enum { MANY = 5000 };

    desk_stream(d, "events");
    struct op_publish *ops = xcalloc(MANY, sizeof(*ops));
    struct message **messages = xcalloc(MANY, sizeof(*messages));
    for (unsigned i = 0; i < MANY; i++) {
        messages[i] = message_new(&(struct message_parts){
            .stream = SLICE("events"), .topic = SLICE("t"), .data = SLICE("1")});
        ops[i] = (struct op_publish){.messages = &messages[i], .count = 1};
        desk_submit(d, &ops[i].op, OP_PUBLISH);
    }
    const struct engine_kind *kind = d->kind;
    desk_close(d);
    for (unsigned i = 0; i < MANY; i++) {
        assert_null(ops[i].op.done);
        assert_int_equal(ops[i].op.status, ENGINE_OK);
        assert_true(i == 0 || messages[i]->seq > messages[i - 1]->seq);
    }
    for (unsigned i = 0; i < MANY; i++)
        message_release(messages[i]);
    desk_open(d, kind, seat->dir);
    if (kind->durable)
        assert_int_equal(desk_stream_info(d, "events").messages, MANY);
    xfree(messages);
    xfree(ops);
}
