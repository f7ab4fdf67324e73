/*
 * Writes and syncs that fail, each of a run in its turn: whatever an op was told is the truth,
 * before and after a loss of power.
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
enum { STRIDE = 5 };
#else
enum { STRIDE = 1 };
#endif

enum { STEPS = 12, PAIR = 2 };

/* What fails, after the store was opened. */
struct fault {
    unsigned write, writes, sync, syncs;
    int error;
    bool short_writes, power_fails;
    bool big; /* so much is published that the log is put into the file on the way */
};

struct trial {
    struct power power;
    const struct fault *fault;
    struct desk desk;
    char *dir;
    char filler[60001];
    enum engine_status published[STEPS * PAIR], settled[STEPS * PAIR];
    uint64_t seqs[STEPS * PAIR];
    bool delivered[STEPS * PAIR];
    unsigned count, told_ok, told_full, told_broken;
};

static void publish_pair(struct trial *t, uint32_t consumer, uint64_t settle)
{
    struct op_publish ops[PAIR];
    struct message *messages[PAIR];
    struct op_settle done = {.consumer = consumer, .seq = settle};
    for (unsigned i = 0; i < PAIR; i++) {
        char data[61000], id[16];
        int len = snprintf(data, sizeof(data), "[%u,\"%.*s\"]", t->count + i,
                           t->fault->big ? 60000 : 4000, t->filler);
        snprintf(id, sizeof(id), "%u", t->count + i);
        messages[i] = message_new(&(struct message_parts){.stream = SLICE("events"),
                                                          .topic = SLICE("t"),
                                                          .msgid = slice_of(id),
                                                          .data = {data, (size_t)len}});
        ops[i] = (struct op_publish){.messages = &messages[i], .count = 1};
        desk_submit(&t->desk, &ops[i].op, OP_PUBLISH);
        if (i == 0 && settle)
            desk_submit(&t->desk, &done.op, OP_SETTLE);
    }
    for (unsigned i = 0; i < PAIR; i++) {
        t->published[t->count + i] = desk_wait(&t->desk, &ops[i].op);
        t->seqs[t->count + i] = messages[i]->seq;
        message_release(messages[i]);
    }
    if (settle) {
        enum engine_status status = desk_wait(&t->desk, &done.op);
        for (unsigned i = 0; i < t->count; i++)
            if (t->seqs[i] == settle)
                t->settled[i] = status;
    }
    t->count += PAIR;
}

static void note(struct trial *t, uint64_t seq, bool *seen)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->seqs[i] == seq) {
            assert_int_equal(t->published[i], ENGINE_OK);
            assert_false(seen[i]);
            seen[i] = true;
            return;
        }
    fail_msg("message %llu came, and nobody was told that it is stored",
             (unsigned long long)seq);
}

/* In each step two are published and one that has come is settled, all at once. */
static void live(struct trial *t)
{
    uint64_t settle = 0;
    desk_open(&t->desk, &STORE_KIND, t->dir);
    desk_stream(&t->desk, "events");
    uint32_t a = desk_consumer(&t->desk, "events", "a", ">", FROM_FIRST, NULL);
    desk_credit(&t->desk, a, 1000);
    memset(t->filler, 'x', sizeof(t->filler) - 1);
    t->power.writes = t->power.syncs = 0;
    t->power.fail_write = t->fault->write;
    t->power.fail_writes = t->fault->writes;
    t->power.fail_sync = t->fault->sync;
    t->power.fail_syncs = t->fault->syncs;
    t->power.write_error = t->fault->error;
    t->power.short_writes = t->fault->short_writes;
    for (unsigned step = 0; step < STEPS; step++) {
        publish_pair(t, a, settle);
        settle = 0;
        for (unsigned i = 0; i < 3; i++) { /* until what came of it is here */
            struct arena arena = {0};
            struct op_info info = {.arena = &arena};
            desk_do(&t->desk, &info.op, OP_INFO);
            arena_deinit(&arena);
        }
        while (t->desk.note_count) {
            settle = desk_next_seq(&t->desk, a);
            note(t, settle, t->delivered);
        }
    }
}

/* What was not stored is sent again, as clients do: its msgid must not be taken for known. */
static void send_again(struct trial *t)
{
    t->power.fail_write = t->power.fail_sync = 0;
    for (unsigned i = 0; i < t->count; i++) {
        char id[16];
        if (t->published[i] == ENGINE_OK)
            continue;
        t->told_full += t->published[i] == ENGINE_FULL;
        t->told_broken += t->published[i] == ENGINE_BROKEN;
        snprintf(id, sizeof(id), "%u", i);
        struct message_parts parts = {.stream = SLICE("events"),
                                      .topic = SLICE("t"),
                                      .msgid = slice_of(id),
                                      .data = SLICE("again")};
        while ((t->published[i] = desk_publish(&t->desk, parts)) == ENGINE_BROKEN)
            usleep(10000); /* it is closed, and tried again each second */
        assert_int_equal(t->published[i], ENGINE_OK);
        assert_false(t->desk.duplicate);
        t->seqs[i] = t->desk.last_seq;
    }
}

/* What the files say now, against what was told. */
static void compare(struct trial *t)
{
    bool stored[STEPS * PAIR] = {false}, again[STEPS * PAIR] = {false};
    struct op_read op =
        desk_read(&t->desk, (struct op_read){.stream = SLICE("events"), .from = FROM_FIRST});
    for (size_t i = 0; i < op.count; i++) {
        unsigned number = (unsigned)atoi(op.messages[i]->msgid.ptr);
        assert_false(stored[number]);
        stored[number] = true;
    }
    desk_read_free(&op);
    uint32_t a = desk_consumer(&t->desk, "events", "a", ">", FROM_FIRST, NULL);
    uint64_t lag = desk_consumer_info(&t->desk, a).lag;
    desk_credit(&t->desk, a, 1000);
    for (uint64_t i = 0; i < lag; i++)
        note(t, desk_next_seq(&t->desk, a), again);
    for (unsigned i = 0; i < t->count; i++) {
        bool ok = t->published[i] == ENGINE_OK;
        t->told_ok += ok;
        assert_true(ok && stored[i]);
        bool settled = t->settled[i] == ENGINE_OK;
        assert_int_equal(again[i], stored[i] && !settled);
    }
    desk_quiet(&t->desk);
}

static struct trial *trial_new(const char *folder)
{
    struct trial *t = xcalloc(1, sizeof(*t));
    t->dir = xasprintf("%s/bus", folder);
    power_init(&t->power);
    for (unsigned i = 0; i < STEPS * PAIR; i++)
        t->settled[i] = ENGINE_UNKNOWN;
    return t;
}

/* It is closed in peace, or the power fails; then it is opened again. */
static void end_trial(struct trial *t, bool power_fails)
{
    if (power_fails) {
        struct power_walk walk;
        struct power_image image;
        power_walk_init(&walk, &t->power);
        while (walk.at < t->power.count)
            power_walk_step(&walk);
        power_walk_image(&walk, 0, &image);
        desk_close(&t->desk);
        power_install(&t->power, &image);
        power_image_deinit(&image);
        power_walk_deinit(&walk);
    } else {
        t->power.recording = false;
        desk_close(&t->desk);
    }
    desk_open(&t->desk, &STORE_KIND, t->dir);
    compare(t);
    desk_close(&t->desk);
}

static void trial_free(struct trial *t)
{
    power_deinit(&t->power);
    xfree(t->dir);
    xfree(t);
}

/* True when there were as many writes or syncs that it came to be. */
static bool try_fault(const char *folder, const struct fault *f, struct trial *sum)
{
    struct trial *t = trial_new(folder);
    t->power.recording = true; /* from the empty disk on: a loss of power knows all of it */
    t->fault = f;
    live(t);
    send_again(t);
    bool came = f->write ? t->power.writes >= f->write : t->power.syncs >= f->sync;
    end_trial(t, f->power_fails);
    sum->told_ok += t->told_ok;
    sum->told_full += t->told_full;
    sum->told_broken += t->told_broken;
    for (unsigned i = 0; i < t->count; i++)
        sum->count += t->settled[i] != ENGINE_OK && t->settled[i] != ENGINE_UNKNOWN;
    trial_free(t);
    return came;
}

static unsigned try_all(const char *folder, struct fault f, struct trial *sum)
{
    unsigned k = 1, tried = 0;
    for (;; k += f.big && f.writes ? 7 * STRIDE : f.writes ? STRIDE : 1, tried++) {
        if (f.writes)
            f.write = k;
        else
            f.sync = k;
        if (!try_fault(folder, &f, sum))
            break;
    }
    print_message("%u faults: %u told stored, %u full, %u failed; %u settles not done\n", tried,
                  sum->told_ok, sum->told_full, sum->told_broken, sum->count);
    return tried;
}

/* Room for the settles is there at the second try: the reserve has been given up. */
static void a_full_disk_refuses_publishes_and_lets_settles_pass(void **state)
{
    for (unsigned power = 0; power < 2; power++) {
        struct trial sum = {0};
        struct fault f = {.writes = 1, .error = SQLITE_FULL, .power_fails = power};
        assert_true(try_all(*state, f, &sum) > 50 / STRIDE);
        assert_true(sum.told_full > 50 / STRIDE);
        assert_int_equal(sum.told_broken, 0);
        assert_int_equal(sum.count, 0);
    }
}

static void a_disk_that_stays_full_loses_nothing(void **state)
{
    struct trial sum = {0};
    struct fault f = {
        .writes = 7, .error = SQLITE_FULL, .short_writes = true, .power_fails = true};
    assert_true(try_all(*state, f, &sum) > 50 / STRIDE);
    assert_true(sum.told_full > 50 / STRIDE);
    assert_int_equal(sum.told_broken, 0);
}

static void a_write_that_fails_fails_its_batch_only(void **state)
{
    for (unsigned power = 0; power < 2; power++) {
        struct trial sum = {0};
        struct fault f = {.writes = 1,
                          .error = SQLITE_IOERR_WRITE,
                          .short_writes = true,
                          .power_fails = power};
        assert_true(try_all(*state, f, &sum) > 50 / STRIDE);
        assert_true(sum.told_broken > 50 / STRIDE);
        assert_true(sum.told_ok > sum.told_broken);
    }
}

static void a_sync_that_fails_is_not_believed_again(void **state)
{
    for (unsigned syncs = 1; syncs <= 3; syncs++) {
        struct trial sum = {0};
        struct fault f = {.syncs = syncs, .power_fails = true};
        assert_true(try_all(*state, f, &sum) >= STEPS / STRIDE);
        assert_true(sum.told_ok > 0);
    }
}

static void the_same_while_the_log_goes_into_the_file(void **state)
{
    struct fault faults[] = {
        {.writes = 1, .error = SQLITE_FULL, .power_fails = true, .big = true},
        {.writes = 1, .error = SQLITE_IOERR_WRITE, .power_fails = true, .big = true},
        {.syncs = 1, .power_fails = true, .big = true},
    };
    for (unsigned i = 0; i < ARRAY_LEN(faults); i++) {
        struct trial *sum = xcalloc(1, sizeof(*sum));
        assert_true(try_all(*state, faults[i], sum) > STEPS / STRIDE);
        xfree(sum);
    }
}

/* -------------------------------------------------------- beside the file */

static void declare_both(struct desk *d)
{
    desk_stream(d, "events");
    assert_int_equal(desk_declare(d, (struct op_stream){.name = SLICE("fleeting"),
                                                        .durability = DURABILITY_MEMORY,
                                                        .max_bytes = 1 << 20,
                                                        .dedupe_window = 60000}),
                     ENGINE_OK);
}

static unsigned times_told(const struct desk *d, const char *what)
{
    unsigned times = 0;
    struct buf told = {0};
    buf_add(&told, buf_slice(&d->told));
    for (const char *at = buf_cstr(&told); (at = strstr(at, what)); at++)
        times++;
    buf_deinit(&told);
    return times;
}

/* To both streams in one op, while so many syncs fail. */
static enum engine_status publish_to_both(struct trial *t, unsigned syncs)
{
    struct message *both[2];
    both[0] = message_new(&(struct message_parts){
        .stream = SLICE("events"), .topic = SLICE("t"), .data = SLICE("1")});
    both[1] = message_new(&(struct message_parts){
        .stream = SLICE("fleeting"), .topic = SLICE("t"), .data = SLICE("2")});
    struct op_publish op = {.messages = both, .count = 2};
    t->power.syncs = 0;
    t->power.fail_sync = 1;
    t->power.fail_syncs = syncs;
    enum engine_status status = desk_do(&t->desk, &op.op, OP_PUBLISH);
    message_release(both[0]);
    message_release(both[1]);
    return status;
}

static void check_fleeting(struct desk *d, uint32_t a, const uint64_t *seqs)
{
    assert_int_equal(desk_count(d, "fleeting"), 5);
    assert_int_equal(desk_stream_info(d, "fleeting").messages, 5);
    assert_int_equal(desk_consumer_info(d, a).lag, 4);
    assert_int_equal(desk_take(d, a, seqs[1]), ENGINE_OK);
    assert_int_equal(desk_next_seq(d, a), seqs[1]);
    assert_int_equal(desk_settle(d, a, seqs[1]), ENGINE_OK);
    assert_int_equal(desk_settle(d, a, seqs[2]), ENGINE_OK); /* was out all the time */
    desk_credit(d, a, 10);
    assert_int_equal(desk_next_seq(d, a), seqs[3]);
    assert_int_equal(desk_next_seq(d, a), seqs[4]);
    uint64_t next = desk_put(d, "fleeting", "t", "later");
    assert_int_equal(desk_next_seq(d, a), next);
    desk_quiet(d);
}

/* However long the file cannot be opened: nothing of it was there. */
static void streams_in_memory_outlive_a_failure_of_the_file(void **state)
{
    for (unsigned syncs = 1; syncs <= 9; syncs += 4) {
        struct fault none = {0};
        struct trial *t = trial_new(*state);
        uint64_t seqs[5];
        t->fault = &none;
        t->power.recording = true;
        desk_open(&t->desk, &STORE_KIND, t->dir);
        declare_both(&t->desk);
        uint32_t a = desk_consumer(&t->desk, "fleeting", "a", ">", FROM_FIRST, NULL);
        for (unsigned i = 0; i < 5; i++)
            seqs[i] = desk_put(&t->desk, "fleeting", "t", "1");
        desk_credit(&t->desk, a, 3);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(desk_next_seq(&t->desk, a), seqs[i]);
        assert_int_equal(desk_settle(&t->desk, a, seqs[0]), ENGINE_OK);
        assert_int_equal(desk_later(&t->desk, a, seqs[1], 1, 5), ENGINE_OK);
        assert_int_equal(publish_to_both(t, syncs), ENGINE_BROKEN);
        while (desk_publish(&t->desk, (struct message_parts){.stream = SLICE("events"),
                                                             .topic = SLICE("t"),
                                                             .data = SLICE("3")}) ==
               ENGINE_BROKEN)
            usleep(1000);
        assert_int_equal(desk_count(&t->desk, "events"), 1);
        check_fleeting(&t->desk, a, seqs);
        assert_int_equal(times_told(&t->desk, "the store has failed"), 1);
        assert_int_equal(times_told(&t->desk, "is lost"), 0);
        desk_close(&t->desk);
        trial_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_publishes_and_lets_settles_pass,
                                        folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(a_disk_that_stays_full_loses_nothing, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_write_that_fails_fails_its_batch_only, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_sync_that_fails_is_not_believed_again, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(streams_in_memory_outlive_a_failure_of_the_file,
                                        folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(the_same_while_the_log_goes_into_the_file, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
