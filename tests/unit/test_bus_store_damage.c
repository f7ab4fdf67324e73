/*
 * A flipped bit and a file that is cut, at every place: no changed byte is served, and nothing
 * is missing without a word.
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

/* Every byte would take minutes: FLIP_STEP=1 in the environment does it. */
enum { MESSAGES = 60, DATA = 2000, FLIP_STEP = 89 };

struct patient {
    struct power power;
    struct desk desk;
    char *dir;
    struct power_image healthy;
    unsigned db, log; /* places of the two files */
    unsigned refused, told, unharmed, missing;
};

static void data_of(unsigned number, char *data, size_t size)
{
    int len = snprintf(data, size, "{\"n\":%u,\"text\":\"", number);
    for (unsigned i = 0; i < 20 + number * 31 % (DATA - 100); i++)
        data[len++] = (char)('a' + (number + i) % 26);
    snprintf(data + len, size - (size_t)len, "\"}");
}

/* All in one go, so that they are in one or two transactions. */
static void publish(struct patient *p, unsigned from, unsigned to)
{
    struct op_publish ops[MESSAGES];
    struct message *messages[MESSAGES];
    for (unsigned i = from; i < to; i++) {
        char data[DATA], id[16];
        data_of(i, data, sizeof(data));
        snprintf(id, sizeof(id), "%u", i);
        messages[i] = message_new(&(struct message_parts){.stream = SLICE("events"),
                                                          .topic = SLICE("t.x"),
                                                          .key = SLICE("key"),
                                                          .msgid = slice_of(id),
                                                          .data = slice_of(data)});
        ops[i] = (struct op_publish){.messages = &messages[i], .count = 1};
        desk_submit(&p->desk, &ops[i].op, OP_PUBLISH);
    }
    for (unsigned i = from; i < to; i++) {
        assert_int_equal(desk_wait(&p->desk, &ops[i].op), ENGINE_OK);
        message_release(messages[i]);
    }
}

static void keep_files(struct patient *p)
{
    for (unsigned i = 0; i < POWER_FILES; i++) {
        const char *name = p->power.files[i].name;
        p->healthy.exists[i] = p->power.files[i].exists;
        buf_add(&p->healthy.files[i], buf_slice(&p->power.files[i].now));
        if (name && strcmp(name + strlen(name) - 3, ".db") == 0)
            p->db = i;
        if (name && strcmp(name + strlen(name) - 4, "-wal") == 0)
            p->log = i;
    }
}

/* With a log, the second half of the messages is in there. */
static void make_patient(struct patient *p, const char *folder, bool with_log)
{
    *p = (struct patient){.dir = xasprintf("%s/bus", folder)};
    power_init(&p->power);
    desk_open(&p->desk, &STORE_KIND, p->dir);
    desk_stream(&p->desk, "events");
    uint32_t a = desk_consumer(&p->desk, "events", "a", ">", FROM_FIRST, NULL);
    publish(p, 0, with_log ? MESSAGES / 2 : MESSAGES);
    desk_credit(&p->desk, a, 3);
    assert_int_equal(desk_settle(&p->desk, a, desk_next_seq(&p->desk, a)), ENGINE_OK);
    assert_int_equal(desk_later(&p->desk, a, desk_next_seq(&p->desk, a), 1, 99), ENGINE_OK);
    if (with_log) {
        desk_reopen(&p->desk, p->dir); /* closing puts the log into the file */
        publish(p, MESSAGES / 2, MESSAGES - 1);
        publish(p, MESSAGES - 1, MESSAGES);
        keep_files(p);
    }
    desk_close(&p->desk);
    if (!with_log)
        keep_files(p);
}

static void end_patient(struct patient *p)
{
    print_message("%u unharmed, %u told, %u refused to open; %u messages missing, all told\n",
                  p->unharmed, p->told, p->refused, p->missing);
    power_image_deinit(&p->healthy);
    power_deinit(&p->power);
    xfree(p->dir);
}

static bool is_true_copy(const struct message *m)
{
    char data[DATA], id[16];
    unsigned number = (unsigned)(m->seq - 1);
    data_of(number, data, sizeof(data));
    snprintf(id, sizeof(id), "%u", number);
    return number < MESSAGES && slice_is(m->data, data) && slice_is(m->msgid, id) &&
           slice_is(m->topic, "t.x") && slice_is(m->key, "key") &&
           slice_is(m->stream, "events");
}

/* All of the patient is looked at: read, and consumed. */
static unsigned look(struct patient *p)
{
    unsigned sound = 0;
    struct op_read op = {.stream = SLICE("events"), .from = FROM_FIRST, .limit = 1000};
    if (desk_do(&p->desk, &op.op, OP_READ) == ENGINE_OK)
        for (size_t i = 0; i < op.count; i++) {
            assert_true(is_true_copy(op.messages[i]));
            sound++;
        }
    desk_read_free(&op);
    struct slice pattern = SLICE(">");
    struct op_consumer a = {.stream = SLICE("events"),
                            .name = SLICE("a"),
                            .patterns = &pattern,
                            .pattern_count = 1};
    if (desk_do(&p->desk, &a.op, OP_CONSUMER) != ENGINE_OK)
        return 0;
    unsigned settled = a.created ? 0 : 1 + (unsigned)a.put_off_count;
    desk_forget_put_off(&a);
    desk_credit(&p->desk, a.id, 1000);
    desk_fed(&p->desk, a.id, "events");
    unsigned came = 0;
    while (p->desk.note_count) {
        struct delivery_note note = desk_next(&p->desk, a.id);
        assert_true(is_true_copy(note.message));
        message_release(note.message);
        came++;
    }
    return MIN(sound, came + settled);
}

static void examine(struct patient *p, const struct power_image *image)
{
    struct err err = {0};
    power_install(&p->power, image);
    if (!desk_try_open(&p->desk, &STORE_KIND, p->dir, &err)) {
        assert_true(strstr(err.text, "bus.db") != NULL);
        p->refused++;
        return;
    }
    unsigned sound = look(p);
    bool told = p->desk.told.len > 0;
    p->told += told;
    p->missing += MESSAGES - sound;
    p->unharmed += !told;
    if (sound != MESSAGES && !told)
        fail_msg("%u messages are missing, and nobody says so", MESSAGES - sound);
    desk_close(&p->desk);
}

static void copy_image(struct power_image *to, const struct power_image *from)
{
    *to = (struct power_image){0};
    for (unsigned i = 0; i < POWER_FILES; i++) {
        to->exists[i] = from->exists[i];
        buf_add(&to->files[i], buf_slice(&from->files[i]));
    }
}

static unsigned step_of(void)
{
    unsigned usual = FLIP_STEP;
    const char *text = getenv("FLIP_STEP");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    usual *= 11;
#endif
    return text ? (unsigned)atoi(text) : usual;
}

static void flip_all(struct patient *p, unsigned file)
{
    struct power_image image;
    copy_image(&image, &p->healthy);
    char *bytes = image.files[file].ptr;
    for (size_t at = 0; at < image.files[file].len; at += step_of()) {
        char bit = (char)(1 << (at * 5 / 3) % 8);
        bytes[at] ^= bit;
        examine(p, &image);
        bytes[at] ^= bit;
    }
    power_image_deinit(&image);
}

static void no_flipped_bit_of_the_file_is_served(void **state)
{
    struct patient p;
    make_patient(&p, *state, false);
    flip_all(&p, p.db);
    assert_true(p.refused > 5 && p.told > 5 && p.missing > 5);
    end_patient(&p);
}

static void no_flipped_bit_of_the_log_is_served(void **state)
{
    struct patient p;
    make_patient(&p, *state, true);
    flip_all(&p, p.log);
    assert_true(p.told > 5);
    end_patient(&p);
}

/* What is left of the log is used, up to the last whole transaction. */
static void a_log_that_was_cut_is_used_as_far_as_it_goes(void **state)
{
    struct patient p;
    make_patient(&p, *state, true);
    size_t whole = p.healthy.files[p.log].len;
    unsigned last = MESSAGES;
    for (size_t len = whole; len > 0; len -= MIN(len, step_of())) {
        struct power_image image;
        struct err err = {0};
        copy_image(&image, &p.healthy);
        image.files[p.log].len = len;
        power_install(&p.power, &image);
        power_image_deinit(&image);
        if (!desk_try_open(&p.desk, &STORE_KIND, p.dir, &err))
            fail_msg("%s", err.text);
        unsigned sound = look(&p);
        bool frame = len >= 32 && (len - 32) % (8192 + 24) == 0;
        p.told += p.desk.told.len > 0;
        assert_true(sound <= last && sound >= MESSAGES / 2);
        assert_true(frame || len == whole || p.desk.told.len > 0);
        last = sound;
        desk_close(&p.desk);
    }
    assert_int_equal(last, MESSAGES / 2);
    assert_true(p.told > 5);
    end_patient(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_flipped_bit_of_the_file_is_served, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(no_flipped_bit_of_the_log_is_served, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_log_that_was_cut_is_used_as_far_as_it_goes,
                                        folder_enter, folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
