/* What is the embedded store's own: its file, its lock, its retention, questions and copies. */
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "folder.h"
#include "store_kind.h"

#include <cmocka.h>

static void publish_many(struct desk *d, const char *stream, const char *topic, unsigned count)
{
    struct message *messages[MESSAGE_OUTPUTS_MAX];
    while (count) {
        unsigned n = MIN(count, MESSAGE_OUTPUTS_MAX);
        for (unsigned i = 0; i < n; i++)
            messages[i] = message_new(&(struct message_parts){
                .stream = slice_of(stream), .topic = slice_of(topic), .data = SLICE("12345")});
        struct op_publish op = {.messages = messages, .count = n};
        assert_int_equal(desk_do(d, &op.op, OP_PUBLISH), ENGINE_OK);
        for (unsigned i = 0; i < n; i++)
            message_release(messages[i]);
        count -= n;
    }
}

/* -------------------------------------------------------------------- opening */

static void another_process_is_named(void **state)
{
    struct desk d;
    struct err err = {0};
    char *dir = xasprintf("%s/bus", (char *)*state), pid[32];
    desk_open(&d, &STORE_KIND, dir);
    int status;
    snprintf(pid, sizeof(pid), "process %ld;", (long)getpid());
    pid_t child = fork();
    if (child == 0) {
        struct desk second;
        bool open = desk_try_open(&second, &STORE_KIND, dir, &err);
        _exit(open ? 1 : strstr(err.text, pid) ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_false(desk_try_open(&(struct desk){0}, &STORE_KIND, dir, &err));
    desk_close(&d);
    desk_open(&d, &STORE_KIND, dir);
    desk_close(&d);
    xfree(dir);
}

static void alter(const char *dir, const char *sql)
{
    sqlite3 *db;
    char *path = xasprintf("%s/bus.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    xfree(path);
}

static void a_newer_format_and_a_foreign_file_are_refused(void **state)
{
    struct desk d;
    struct err err = {0};
    char *dir = xasprintf("%s/bus", (char *)*state);
    assert_int_equal(mkdir(dir, 0700), 0);
    alter(dir, "CREATE TABLE diary(day); PRAGMA user_version=1");
    assert_false(desk_try_open(&d, &STORE_KIND, dir, &err));
    assert_true(strstr(err.text, "is not a store of nodey's") != NULL);
    alter(dir, "PRAGMA application_id=1852793957; PRAGMA user_version=99");
    assert_false(desk_try_open(&d, &STORE_KIND, dir, &err));
    assert_true(strstr(err.text, "has format 99") && strstr(err.text, "use the newer one"));
    char *path = xasprintf("%s/bus.db", dir);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(
        write(fd,
              "this is a letter, and longer than a header of a hundred bytes is; "
              "nothing in it looks like a file of SQLite's at all, not a bit of it",
              132),
        132);
    close(fd);
    assert_false(desk_try_open(&d, &STORE_KIND, dir, &err));
    assert_true(strstr(err.text, "bus.db") != NULL);
    xfree(path);
    xfree(dir);
}

static void a_folder_that_cannot_be_written_is_told(void **state)
{
    struct desk d;
    struct err err = {0};
    char *dir = xasprintf("%s/none/bus", (char *)*state);
    assert_false(desk_try_open(&d, &STORE_KIND, dir, &err));
    assert_true(strstr(err.text, "cannot be made: No such file") != NULL);
    xfree(dir);
}

/* Samples of each format that was ever written, as kills left them: they are read, and go on.
 */
static void files_of_older_nodeys_are_read(void **state)
{
    char *dir = xasprintf("%s/bus", (char *)*state);
    struct desk d;
    char command[512];
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(command, sizeof(command), "cp '%s/bus/format-1/'* '%s'", getenv("FIXTURES"), dir);
    assert_int_equal(system(command), 0);
    desk_open(&d, &STORE_KIND, dir);
    struct op_read op = desk_read(&d, (struct op_read){.from = FROM_FIRST});
    assert_int_equal(op.count, 5);
    assert_true(slice_is(op.messages[0]->data, "{\"title\":\"One\"}"));
    assert_true(slice_is(op.messages[0]->topic, "post.created"));
    desk_read_free(&op);
    struct op_consumer made;
    uint32_t a = desk_consumer(&d, "events", "query", "post.*", FROM_FIRST, &made);
    assert_false(made.created);
    assert_int_equal(made.put_off_count, 1);
    desk_forget_put_off(&made);
    assert_int_equal(desk_consumer_info(&d, a).lag, 3);
    desk_credit(&d, a, 10);
    assert_int_equal(desk_next_seq(&d, a), 3);
    assert_int_equal(desk_next_seq(&d, a), 4);
    desk_quiet(&d);
    assert_int_equal(desk_put(&d, "events", "post.created", "1"), 7);
    desk_close(&d);
    xfree(dir);
}

/* ------------------------------------------------------------------ retention */

static struct op_stream limited(uint64_t max_age)
{
    return (struct op_stream){
        .name = SLICE("events"), .max_bytes = 1 << 30, .max_age = max_age};
}

static void wait_for_messages(struct desk *d, uint64_t want)
{
    for (unsigned i = 0; desk_stream_info(d, "events").messages != want; i++) {
        if (i > 200)
            fail_msg("%llu messages are left",
                     (unsigned long long)desk_stream_info(d, "events").messages);
        usleep(50000);
    }
}

static void age_removes_only_what_all_have_settled(void **state)
{
    struct desk d;
    char *dir = xasprintf("%s/bus", (char *)*state);
    desk_open(&d, &STORE_KIND, dir);
    assert_int_equal(desk_declare(&d, limited(100)), ENGINE_OK);
    uint32_t a = desk_consumer(&d, "events", "a", ">", FROM_FIRST, NULL);
    uint32_t slow = desk_consumer(&d, "events", "slow", "rare", FROM_FIRST, NULL);
    uint64_t rare = desk_put(&d, "events", "rare", "1");
    publish_many(&d, "events", "often", 2500);
    desk_credit(&d, a, 5000);
    desk_credit(&d, slow, 10);
    for (unsigned i = 0; i < 2501; i++)
        assert_int_equal(desk_settle(&d, a, desk_next_seq(&d, a)), ENGINE_OK);
    assert_int_equal(desk_next_seq(&d, slow), rare);
    usleep(2200000);
    assert_int_equal(desk_stream_info(&d, "events").messages, 2501);
    assert_int_equal(desk_later(&d, slow, rare, 1, 0), ENGINE_OK);
    usleep(1200000);
    assert_int_equal(desk_stream_info(&d, "events").messages, 2501);
    assert_int_equal(desk_take(&d, slow, rare), ENGINE_OK);
    assert_int_equal(desk_next_seq(&d, slow), rare);
    assert_int_equal(desk_settle(&d, slow, rare), ENGINE_OK);
    wait_for_messages(&d, 0);
    struct stream_info info = desk_stream_info(&d, "events");
    assert_int_equal(info.bytes, 0);
    assert_int_equal(info.first, 0);
    assert_int_equal(desk_consumer_info(&d, a).lag, 0);
    assert_true(desk_put(&d, "events", "rare", "2") > 2501);
    assert_int_equal(desk_consumer_info(&d, slow).lag, 1);
    desk_reopen(&d, dir);
    assert_int_equal(desk_consumer_info(&d, slow).lag, 1);
    desk_close(&d);
    xfree(dir);
}

static void a_file_that_is_mostly_empty_gets_shorter(void **state)
{
    struct desk d;
    char *dir = xasprintf("%s/bus", (char *)*state);
    char data[8000];
    memset(data, '1', sizeof(data));
    desk_open(&d, &STORE_KIND, dir);
    desk_queue(&d, "queue.q");
    uint32_t a = desk_consumer(&d, "queue.q", "a", ">", FROM_FIRST, NULL);
    desk_credit(&d, a, 100000);
    for (unsigned i = 0; i < 1700; i++)
        assert_int_equal(desk_publish(&d, (struct message_parts){.stream = SLICE("queue.q"),
                                                                 .topic = SLICE("q"),
                                                                 .data = {data, sizeof(data)}}),
                         ENGINE_OK);
    for (unsigned i = 0; i < 1700; i++)
        assert_int_equal(desk_settle(&d, a, desk_next_seq(&d, a)), ENGINE_OK);
    char *path = xasprintf("%s/bus.db", dir);
    struct stat st = {.st_size = INT32_MAX};
    for (unsigned i = 0; i < 100 && (stat(path, &st) < 0 || st.st_size > 9 << 20); i++) {
        desk_consumer_info(&d, a);
        usleep(50000);
    }
    desk_close(&d); /* the file itself follows with the log */
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= 9 << 20);
    xfree(path);
    xfree(dir);
}

/* ----------------------------------------------------------- questions, copies */

static enum engine_status ask(struct desk *d, const char *sql, size_t limit, struct buf *rows)
{
    struct op_query op = {.text = slice_of(sql), .limit = limit, .rows = rows};
    buf_clear(rows);
    return desk_do(d, &op.op, OP_QUERY);
}

static void questions_read_and_nothing_else(void **state)
{
    struct desk d;
    struct buf rows = {0};
    char *dir = xasprintf("%s/bus", (char *)*state);
    desk_open(&d, &STORE_KIND, dir);
    desk_stream(&d, "events");
    publish_many(&d, "events", "t", 100);
    assert_int_equal(ask(&d, "SELECT seq, data, key FROM msg_1 ORDER BY seq LIMIT 2", 0, &rows),
                     ENGINE_OK);
    assert_string_equal(buf_cstr(&rows),
                        "[\"seq\",\"data\",\"key\"]\n[1,\"12345\",null]\n[2,\"12345\",null]\n");
    assert_int_equal(ask(&d, "SELECT 1 FROM msg_1", 3, &rows), ENGINE_OK);
    assert_string_equal(buf_cstr(&rows), "[\"1\"]\n[1]\n[1]\n[1]\n");
    const char *bad[] = {"DELETE FROM msg_1",
                         "PRAGMA user_version=7",
                         "ATTACH 'x' AS y",
                         "SELECT 1; SELECT 2",
                         "",
                         "SELECT nonsense",
                         "BEGIN",
                         "SELECT load_extension('x')"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(ask(&d, bad[i], 0, &rows), ENGINE_INVALID);
        assert_true(strlen(d.error) > 5);
    }
    uint64_t begin = loop_clock_ns();
    assert_int_equal(ask(&d,
                         "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n)"
                         " SELECT max(i) FROM n",
                         0, &rows),
                     ENGINE_INVALID);
    assert_true(loop_clock_ns() - begin < UINT64_C(5000000000));
    assert_int_equal(desk_count(&d, "events"), 100);
    assert_int_equal(desk_put(&d, "events", "t", "1"), 101);
    desk_close(&d);
    buf_deinit(&rows);
    xfree(dir);
}

static void a_copy_is_made_while_the_store_works(void **state)
{
    struct desk d;
    char *dir = xasprintf("%s/bus", (char *)*state);
    char *copy = xasprintf("%s/copy/bus.db", (char *)*state);
    char *copied = xasprintf("%s/copy", (char *)*state);
    desk_open(&d, &STORE_KIND, dir);
    desk_stream(&d, "events");
    publish_many(&d, "events", "t", 60000);
    struct op_backup op = {.path = copy};
    assert_int_equal(desk_do(&d, &op.op, OP_BACKUP), ENGINE_INVALID); /* no such folder */
    assert_int_equal(mkdir(copied, 0700), 0);
    desk_submit(&d, &op.op, OP_BACKUP);
    unsigned during = 0;
    while (op.op.done) {
        desk_put(&d, "events", "t", "1");
        during++;
    }
    assert_int_equal(desk_wait(&d, &op.op), ENGINE_OK);
    assert_true(during > 1);
    assert_int_equal(desk_do(&d, &op.op, OP_BACKUP), ENGINE_INVALID); /* it is there */
    desk_close(&d);
    desk_open(&d, &STORE_KIND, copied);
    uint64_t messages = desk_stream_info(&d, "events").messages;
    assert_true(messages >= 60000 && messages <= 60000 + during);
    assert_int_equal(desk_stream_info(&d, "events").last, messages);
    desk_close(&d);
    xfree(copied);
    xfree(copy);
    xfree(dir);
}

/* ----------------------------------------------------------------- other things */

static void files_of_data_without_a_message_are_removed_at_start(void **state)
{
    struct desk d;
    char *dir = xasprintf("%s/bus", (char *)*state);
    size_t len = MESSAGE_INLINE_MAX + 1;
    char *data = xmalloc(len), *stray = xasprintf("%s/blobs/9-00112233445566aa", dir);
    memset(data, '1', len);
    desk_open(&d, &STORE_KIND, dir);
    desk_stream(&d, "events");
    struct message_parts parts = {
        .stream = SLICE("events"), .topic = SLICE("t"), .data = {data, len}};
    assert_int_equal(desk_publish(&d, parts), ENGINE_OK);
    struct op_read op = desk_read(&d, (struct op_read){.from = FROM_FIRST});
    char *path = xstrndup(op.messages[0]->blob.ptr, op.messages[0]->blob.len);
    desk_read_free(&op);
    close(open(stray, O_CREAT | O_WRONLY, 0600));
    desk_reopen(&d, dir);
    assert_int_equal(access(stray, F_OK), -1);
    assert_int_equal(access(path, F_OK), 0);
    int fd = open(path, O_WRONLY); /* a flipped bit of it is found */
    assert_int_equal(pwrite(fd, "2", 1, 70000), 1);
    close(fd);
    op = desk_read(&d, (struct op_read){.from = FROM_FIRST});
    assert_int_equal(op.count, 0);
    assert_true(strstr(buf_cstr(&d.told), "message 1 of stream \"events\" is damaged") != NULL);
    desk_read_free(&op);
    struct op_drop drop = {.stream = SLICE("events")};
    assert_int_equal(desk_do(&d, &drop.op, OP_DROP), ENGINE_OK);
    desk_quiet(&d);
    assert_int_equal(access(path, F_OK), -1);
    desk_close(&d);
    xfree(path);
    xfree(stray);
    xfree(data);
    xfree(dir);
}

static struct engine *open_with_reserve(struct loop *loop, const char *dir,
                                        const struct engine_events *events, void *owner,
                                        struct err *err)
{
    struct store_config config = {.dir = dir, .min_free = UINT64_C(1) << 60};
    return store_open(loop, &config, events, owner, err);
}

/* How long it takes until the last message of the file has come to a new group. */
static uint64_t catch_up_ns(struct desk *d, const char *dir, const char *name)
{
    desk_reopen(d, dir); /* what was in memory is in the file alone */
    desk_stream(d, "events");
    uint32_t group = desk_consumer(d, "events", name, "one", FROM_FIRST, NULL);
    desk_put(d, "events", "many", "1");
    uint64_t begun = loop_clock_ns();
    desk_credit(d, group, 1);
    message_release(desk_next(d, group).message);
    return loop_clock_ns() - begun;
}

/*
 * The file is read piece by piece, with rests of milliseconds while others publish: who had
 * to wait for the store to look by itself, once a second, would not be done within that.
 */
static void who_is_behind_reads_on_though_nothing_else_happens(void **state)
{
    struct desk d;
    char *dir = xasprintf("%s/bus", (char *)*state);
    uint64_t shortest = UINT64_MAX;
    desk_open(&d, &STORE_KIND, dir);
    desk_stream(&d, "events");
    publish_many(&d, "events", "many", 20000);
    desk_put(&d, "events", "one", "1");
    const char *const tries[] = {"a", "b", "c", "d"};
    for (unsigned i = 0; i < ARRAY_LEN(tries); i++) {
        uint64_t took = catch_up_ns(&d, dir, tries[i]);
        shortest = MIN(shortest, took);
    }
    assert_true(shortest < 500000000);
    desk_close(&d);
    xfree(dir);
}

static void without_room_on_the_disk_publishes_are_refused_and_settles_are_not(void **state)
{
    struct desk d;
    struct engine_kind poor = STORE_KIND;
    char *dir = xasprintf("%s/bus", (char *)*state);
    desk_open(&d, &STORE_KIND, dir);
    desk_stream(&d, "events");
    uint32_t a = desk_consumer(&d, "events", "a", ">", FROM_FIRST, NULL);
    uint64_t seq = desk_put(&d, "events", "t", "1");
    desk_close(&d);
    poor.open = open_with_reserve;
    desk_open(&d, &poor, dir);
    desk_stream(&d, "events");
    a = desk_consumer(&d, "events", "a", ">", FROM_FIRST, NULL);
    desk_credit(&d, a, 10);
    assert_int_equal(desk_publish(&d, (struct message_parts){.stream = SLICE("events"),
                                                             .topic = SLICE("t"),
                                                             .data = SLICE("2")}),
                     ENGINE_FULL);
    assert_true(strstr(d.error, "MiB are free") != NULL);
    assert_int_equal(desk_next_seq(&d, a), seq);
    assert_int_equal(desk_settle(&d, a, seq), ENGINE_OK);
    desk_close(&d);
    xfree(dir);
}

static void a_stream_stays_where_it_is_kept(void **state)
{
    struct desk d;
    char *dir = xasprintf("%s/bus", (char *)*state);
    desk_open(&d, &STORE_KIND, dir);
    desk_stream(&d, "events");
    struct op_stream op = {.name = SLICE("events"), .durability = DURABILITY_MEMORY};
    assert_int_equal(desk_declare(&d, op), ENGINE_INVALID);
    assert_true(strstr(d.error, "drop it") != NULL);
    op.durability = DURABILITY_OS;
    op.work = true;
    assert_int_equal(desk_declare(&d, op), ENGINE_OK);
    desk_put(&d, "events", "t", "1");
    desk_reopen(&d, dir);
    assert_true(desk_stream_info(&d, "events").work);
    assert_int_equal(desk_stream_info(&d, "events").durability, DURABILITY_OS);
    desk_close(&d);
    xfree(dir);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_enter, folder_leave)

int main(void)
{
    char *here = realpath("tests/fixtures", NULL);
    if (here)
        setenv("FIXTURES", here, 0);
    free(here);
    const struct CMUnitTest tests[] = {
        TEST(another_process_is_named),
        TEST(a_newer_format_and_a_foreign_file_are_refused),
        TEST(a_folder_that_cannot_be_written_is_told),
        TEST(files_of_older_nodeys_are_read),
        TEST(age_removes_only_what_all_have_settled),
        TEST(a_file_that_is_mostly_empty_gets_shorter),
        TEST(questions_read_and_nothing_else),
        TEST(a_copy_is_made_while_the_store_works),
        TEST(files_of_data_without_a_message_are_removed_at_start),
        TEST(who_is_behind_reads_on_though_nothing_else_happens),
        TEST(without_room_on_the_disk_publishes_are_refused_and_settles_are_not),
        TEST(a_stream_stays_where_it_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
