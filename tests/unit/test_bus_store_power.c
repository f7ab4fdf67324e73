/*
 * The power fails: at every moment of a run, with any part of what was not synced.
 *
 * The oracle stands outside: it knows what was acknowledged when, and looks at what a store
 * makes of the files.  Stream "events" is consumed by "a", which settles each with an output.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "folder.h"
#include "store_kind.h"
#include "vfs_power.h"

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IMAGES = 600 };
#else
enum { IMAGES = 10500 };
#endif

enum { MESSAGES = 220, FLIGHT = 6, ROUNDS = 10 };

/* Marks: what happened, with which message. */
#define ACKED   (UINT64_C(1) << 32)
#define SETTLED (UINT64_C(2) << 32)
#define OFF     (UINT64_C(3) << 32)

struct run {
    struct power power;
    struct desk desk;
    char *dir;
    uint64_t chance;
    const char *filler;
    unsigned lost, twice, redelivered, broken, images, acked;
    struct message *messages[MESSAGES];
    uint64_t seqs[MESSAGES];
};

static struct message *numbered(struct run *r, const char *topic, unsigned number)
{
    char id[32], data[3000];
    snprintf(id, sizeof(id), "%s-%u", topic, number);
    int len = snprintf(data, sizeof(data), "{\"n\":%u,\"x\":\"%.*s\"}", number,
                       (int)(power_chance(&r->chance) % 2500), r->filler);
    return message_new(&(struct message_parts){.stream = SLICE("events"),
                                               .topic = slice_of(topic),
                                               .msgid = slice_of(id),
                                               .data = {data, (size_t)len}});
}

static unsigned number_of(const struct message *m)
{
    char text[16] = "";
    const char *dash = memchr(m->msgid.ptr, '-', m->msgid.len);
    size_t len = (size_t)(m->msgid.ptr + m->msgid.len - dash - 1);
    memcpy(text, dash + 1, MIN(len, sizeof(text) - 1));
    return (unsigned)strtoul(text, NULL, 10);
}

/* Settles what has come, sometimes with a try more. */
static void consume(struct run *r, uint32_t consumer)
{
    while (r->desk.note_count) {
        struct delivery_note note = desk_next(&r->desk, consumer);
        unsigned number = number_of(note.message);
        if (power_chance(&r->chance) % 8 == 0) {
            assert_int_equal(
                desk_later(&r->desk, consumer, note.message->seq, 1, (int64_t)number),
                ENGINE_OK);
            power_mark(&r->power, OFF | number);
        } else {
            struct message *output = numbered(r, "out", number);
            struct op_settle op = {.consumer = consumer,
                                   .seq = note.message->seq,
                                   .outputs = &output,
                                   .output_count = 1};
            assert_int_equal(desk_do(&r->desk, &op.op, OP_SETTLE), ENGINE_OK);
            power_mark(&r->power, SETTLED | number);
            message_release(output);
        }
        message_release(note.message);
    }
}

/* Some are published together, as clients do. */
static void live(struct run *r, enum durability durability)
{
    struct desk *d = &r->desk;
    r->power.recording = true;
    desk_open(d, &STORE_KIND, r->dir);
    assert_int_equal(desk_declare(d, (struct op_stream){.name = SLICE("events"),
                                                        .durability = durability,
                                                        .max_bytes = 1 << 30,
                                                        .dedupe_window = 3600000}),
                     ENGINE_OK);
    uint32_t a = desk_consumer(d, "events", "a", "in", FROM_FIRST, NULL);
    desk_credit(d, a, 1000);
    for (unsigned at = 0; at < MESSAGES;) {
        struct op_publish ops[FLIGHT];
        unsigned count = 1 + (unsigned)(power_chance(&r->chance) % FLIGHT);
        count = MIN(count, MESSAGES - at);
        for (unsigned i = 0; i < count; i++) {
            r->messages[at + i] = numbered(r, "in", at + i);
            ops[i] = (struct op_publish){.messages = &r->messages[at + i], .count = 1};
            desk_submit(d, &ops[i].op, OP_PUBLISH);
        }
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(desk_wait(d, &ops[i].op), ENGINE_OK);
            power_mark(&r->power, ACKED | (at + i));
            r->seqs[at + i] = r->messages[at + i]->seq;
            message_release(r->messages[at + i]);
        }
        at += count;
        consume(r, a);
    }
    desk_close(d);
}

/* What the oracle knows after some events. */
struct known {
    bool acked[MESSAGES], settled[MESSAGES], off[MESSAGES];
};

static void learn(struct known *known, const struct power_event *e)
{
    unsigned number = (unsigned)e->len;
    if (e->kind != POWER_MARK)
        return;
    known->acked[number] |= (e->len & ~UINT64_C(0xffffffff)) == ACKED;
    known->settled[number] |= (e->len & ~UINT64_C(0xffffffff)) == SETTLED;
    known->off[number] |= (e->len & ~UINT64_C(0xffffffff)) == OFF;
}

static void judge_messages(struct run *r, const struct known *known)
{
    unsigned in[MESSAGES] = {0}, out[MESSAGES] = {0};
    struct op_read op =
        desk_read(&r->desk, (struct op_read){.stream = SLICE("events"), .from = FROM_FIRST});
    for (size_t i = 0; i < op.count; i++)
        (slice_is(op.messages[i]->topic, "in") ? in : out)[number_of(op.messages[i])]++;
    desk_read_free(&op);
    for (unsigned i = 0; i < MESSAGES; i++) {
        r->lost += known->acked[i] && !in[i];
        r->lost += known->settled[i] && !out[i];
        r->twice += in[i] > 1 || out[i] > 1;
    }
}

/* Each is settled, put off, or comes: one of the three. */
static void judge_consumer(struct run *r, const struct known *known)
{
    struct op_consumer op;
    bool has[MESSAGES] = {false}, off[MESSAGES] = {false};
    uint32_t a = desk_consumer(&r->desk, "events", "a", "in", FROM_FIRST, &op);
    for (size_t i = 0; i < op.put_off_count; i++)
        off[op.put_off[i].due_ms] = true;
    desk_forget_put_off(&op);
    uint64_t lag = desk_consumer_info(&r->desk, a).lag, count = 0;
    desk_credit(&r->desk, a, 1000);
    desk_fed(&r->desk, a, "events");
    while (r->desk.note_count) {
        struct delivery_note note = desk_next(&r->desk, a);
        unsigned number = number_of(note.message);
        r->redelivered += known->settled[number] || known->off[number];
        assert_false(has[number]);
        has[number] = true;
        message_release(note.message);
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        count += has[i] || off[i];
        r->lost += known->off[i] && !off[i];
    }
    r->broken += lag != count;
}

/* Neither stored nor there: every input that is there and not settled must come. */
static void look(struct run *r, const struct power_image *image, const struct known *known)
{
    struct err err = {0};
    power_install(&r->power, image);
    r->images++;
    if (!desk_try_open(&r->desk, &STORE_KIND, r->dir, &err)) {
        r->broken++;
        print_message("%s\n", err.text);
        return;
    }
    struct stream_info info = desk_stream_info(&r->desk, "events");
    bool any = false;
    for (unsigned i = 0; i < MESSAGES; i++)
        any |= known->acked[i];
    if (info.messages) {
        judge_messages(r, known);
        judge_consumer(r, known);
    } else
        r->lost += any;
    desk_close(&r->desk);
}

static void all_images(struct run *r, unsigned images)
{
    struct power_walk walk;
    struct known known = {0};
    power_walk_init(&walk, &r->power);
    size_t events = r->power.count;
    double per_event = (double)images / (double)events, due = 0;
    while (walk.at < events) {
        learn(&known, &r->power.events[walk.at]);
        power_walk_step(&walk);
        for (due += per_event; due >= 1; due--) {
            struct power_image image;
            power_walk_image(&walk, power_chance(&r->chance) | 1, &image);
            look(r, &image, &known);
            power_image_deinit(&image);
        }
    }
    for (unsigned i = 0; i < MESSAGES; i++)
        r->acked += known.acked[i];
    power_walk_deinit(&walk);
}

static void run_all(struct run *r, const char *folder, enum durability durability,
                    unsigned rounds, unsigned images)
{
    char filler[2501];
    memset(filler, 'x', sizeof(filler));
    *r = (struct run){.filler = filler, .chance = 20240607};
    r->dir = xasprintf("%s/bus", folder);
    power_init(&r->power);
    for (unsigned i = 0; i < rounds; i++) {
        live(r, durability);
        all_images(r, images);
        power_clear(&r->power);
    }
    power_deinit(&r->power);
    xfree(r->dir);
    print_message("%u losses of power, %u acked, %u lost, %u stored twice, %u settled and "
                  "delivered again, %u otherwise wrong\n",
                  r->images, r->acked, r->lost, r->twice, r->redelivered, r->broken);
}

static void with_fsync_nothing_that_was_acknowledged_is_lost(void **state)
{
    struct run *r = xcalloc(1, sizeof(*r));
    run_all(r, *state, DURABILITY_FSYNC, ROUNDS, IMAGES / ROUNDS);
    assert_true(r->images >= IMAGES * 9 / 10);
    assert_int_equal(r->acked, ROUNDS * MESSAGES);
    assert_int_equal(r->lost, 0);
    assert_int_equal(r->twice, 0);
    assert_int_equal(r->redelivered, 0);
    assert_int_equal(r->broken, 0);
    xfree(r);
}

/* Else this test would be blind.  Even so nothing is there twice, and the rest is sound. */
static void with_level_os_a_loss_is_seen(void **state)
{
    struct run *r = xcalloc(1, sizeof(*r));
    run_all(r, *state, DURABILITY_OS, 2, 150);
    assert_true(r->lost > 0);
    assert_int_equal(r->twice, 0);
    assert_int_equal(r->broken, 0);
    xfree(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(with_fsync_nothing_that_was_acknowledged_is_lost,
                                        folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(with_level_os_a_loss_is_seen, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
