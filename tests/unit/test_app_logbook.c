/* Entries to files, by a thread, with a bound on what waits; the disk's troubles are told. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/logbook.h"
#include "app/rotate.h"
#include "base/log.h"
#include "tests/unit/folder.h"
#include "tests/unit/tree.h"

#include <cmocka.h>

struct bench {
    struct loop loop;
    struct logbook book;
    struct server_config config;
    struct timer stop;
    struct buf told; /* nodey's own log */
};

static void to_told(void *arg, struct slice line)
{
    buf_add(arg, line);
}

static void bench_init(struct bench *b)
{
    *b = (struct bench){.config = {.data_dir = ".",
                                   .log_files = true,
                                   .log_max_size = 64 << 20,
                                   .log_max_files = 3,
                                   .log_compress = true}};
    assert_int_equal(loop_init(&b->loop), 0);
    log_setup(LOG_WARN, LOG_PLAIN, to_told, &b->told);
    logbook_open(&b->book, &b->loop, &b->config);
}

static void on_stop(struct timer *timer)
{
    loop_stop(&container_of(timer, struct bench, stop)->loop);
}

static void run_for(struct bench *b, uint64_t ms)
{
    timer_start(&b->loop, &b->stop, ms, on_stop);
    loop_run(&b->loop);
}

/* As app/ ends it: closed, and the loop runs until nothing is left. */
static void bench_deinit(struct bench *b)
{
    logbook_close(&b->book);
    loop_run(&b->loop);
    logbook_deinit(&b->book);
    assert_int_equal(loop_deinit(&b->loop), 0);
    log_setup(LOG_INFO, LOG_PLAIN, NULL, NULL);
    buf_deinit(&b->told);
}

static void wrote(const char *who, struct slice text)
{
    log_write(
        &(struct log_entry){.level = LOG_INFO, .who = who, .stream = "stderr", .text = text});
}

static void read_text(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    assert_true(fd >= 0);
    while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0)
        out->len += (size_t)n;
    close(fd);
}

static size_t count_lines(const char *path)
{
    struct buf text = {0};
    size_t lines = 0;
    read_text(path, &text);
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    buf_deinit(&text);
    return lines;
}

static bool told(struct bench *b, const char *words)
{
    return strstr(buf_cstr(&b->told), words) != NULL;
}

/* The machine may be busy: until then, or for a long time. */
static void run_until_told(struct bench *b, const char *words)
{
    for (int turns = 0; turns < 1000 && !told(b, words); turns++)
        run_for(b, 10);
    assert_true(told(b, words));
}

static void run_until_written(struct bench *b)
{
    for (int turns = 0; turns < 1000 && (b->book.bytes || work_busy(&b->book.pack)); turns++)
        run_for(b, 10);
    assert_int_equal(b->book.bytes, 0);
}

static void an_entry_becomes_an_object_in_its_programs_file(void **state)
{
    struct bench b;
    struct buf text = {0};
    json_error_t error;
    (void)state;
    bench_init(&b);
    log_write(&(struct log_entry){.level = LOG_WARN,
                                  .who = "api#3",
                                  .stream = "log",
                                  .text = SLICE("a \"b\"\nc\n"),
                                  .fields = SLICE("{\"n\":1}"),
                                  .request = SLICE("GET /"),
                                  .request_id = SLICE("id7"),
                                  .cut = true});
    log_line(LOG_WARN, "api", "about all of it");
    log_line(LOG_WARN, "nodey", "about nodey");
    wrote("../etc#0", SLICE("no such name"));
    bench_deinit(&b);
    read_text("logs/api.log", &text);
    json_t *one = json_loads(buf_cstr(&text), JSON_DISABLE_EOF_CHECK, &error);
    assert_non_null(one);
    assert_int_equal(strlen(json_string_value(json_object_get(one, "time"))), 27);
    assert_int_equal(json_integer_value(json_object_get(one, "instance")), 3);
    assert_string_equal(json_string_value(json_object_get(one, "level")), "warn");
    assert_string_equal(json_string_value(json_object_get(one, "text")), "a \"b\"\nc");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(one, "fields"), "n")),
                     1);
    assert_string_equal(json_string_value(json_object_get(one, "request_id")), "id7");
    assert_non_null(strstr(buf_cstr(&text), ",\"cut\":true}\n"));
    json_decref(one);
    const char *second = strchr(buf_cstr(&text), '\n') + 1;
    assert_non_null(strstr(second, "\"name\":\"api\",\"stream\":\"nodey\",\"level\":\"warn\""));
    assert_int_equal(count_lines("logs/nodey.log"), 2);
    buf_deinit(&text);
}

static void programs_lines_are_kept_whatever_nodeys_level(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b);
    wrote("api#0", SLICE("information"));
    log_line(LOG_INFO, "api", "not told, and not kept");
    bench_deinit(&b);
    assert_int_equal(count_lines("logs/api.log"), 1);
}

static void what_comes_at_the_very_end_is_written_too(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b);
    wrote("api#0", SLICE("one"));
    logbook_close(&b.book);
    wrote("api#0", SLICE("two"));
    loop_run(&b.loop);
    wrote("api#0", SLICE("three"));
    logbook_deinit(&b.book);
    assert_int_equal(count_lines("logs/api.log"), 3);
    wrote("api#0", SLICE("nobody keeps this"));
    assert_int_equal(count_lines("logs/api.log"), 3);
    assert_int_equal(loop_deinit(&b.loop), 0);
    log_setup(LOG_INFO, LOG_PLAIN, NULL, NULL);
    buf_deinit(&b.told);
}

/* The file is a folder: nothing can be written, so that all there may be waits. */
static void what_waits_has_a_bound_and_what_is_over_it_is_counted(void **state)
{
    enum { LINES = 20000, LEN = 1000 };

    char line[LEN];
    struct bench b;
    (void)state;
    bench_init(&b);
    assert_int_equal(mkdir("logs", 0700), 0);
    assert_int_equal(mkdir("logs/api.log", 0700), 0);
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < LINES; i++)
        wrote("api#0", (struct slice){line, sizeof(line)});
    assert_in_range(b.book.bytes, LOGBOOK_PROGRAM_MAX * 9 / 10, LOGBOOK_PROGRAM_MAX);
    wrote("other#0", SLICE("has room"));
    run_until_told(&b, "api.log cannot be written: Is a directory");
    assert_false(told(&b, "were lost"));
    assert_int_equal(count_lines("logs/other.log"), 1);
    assert_int_equal(rmdir("logs/api.log"), 0);
    run_until_told(&b, "were lost");
    run_until_written(&b);
    size_t kept = count_lines("logs/api.log") - 1; /* and the note */
    char expected[80];
    snprintf(expected, sizeof(expected), "%zu log lines were lost: Is a directory",
             LINES - kept);
    assert_true(told(&b, expected));
    assert_in_range(kept, 1000, LINES / 2);
    bench_deinit(&b);
    assert_int_equal(count_lines("logs/api.log"), kept + 1);
}

static void all_together_have_a_bound_too(void **state)
{
    static const char *const names[] = {"a#0", "b#0", "c#0", "d#0"};
    char line[1000];
    struct bench b;
    (void)state;
    bench_init(&b);
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 40000; i++)
        wrote(names[i % 4], (struct slice){line, sizeof(line)});
    assert_in_range(b.book.bytes, LOGBOOK_BYTES_MAX * 9 / 10, LOGBOOK_BYTES_MAX);
    bench_deinit(&b);
    assert_int_equal(b.book.bytes, 0);
}

static void files_are_put_aside_and_packed(void **state)
{
    char line[1000];
    struct bench b;
    (void)state;
    bench_init(&b);
    b.config.log_max_size = 1 << 20;
    logbook_configure(&b.book, &b.config);
    memset(line, 'x', sizeof(line));
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 1100; i++)
            wrote("api#0", (struct slice){line, sizeof(line)});
        run_until_written(&b);
    }
    bench_deinit(&b);
    assert_int_equal(access("logs/api.log.1.gz", F_OK), 0);
    assert_int_equal(access("logs/api.log.2.gz", F_OK), 0);
    assert_int_not_equal(access("logs/api.log.3.gz", F_OK), 0);
    assert_int_not_equal(access("logs/api.log.1", F_OK), 0);
}

/* Lines in all of a program's files, packed or not. */
static size_t count_all_lines(const char *name)
{
    struct rotated *files;
    size_t count = rotate_list("logs", name, &files), lines = 0;
    char piece[8192];
    for (size_t i = 0; i < count; i++) {
        char *path = rotate_path("logs", name, files[i]);
        struct packed *reader = packed_open(open(path, O_RDONLY | O_CLOEXEC));
        ssize_t n;
        while ((n = packed_read(reader, piece, sizeof(piece))) > 0)
            for (ssize_t at = 0; at < n; at++)
                lines += piece[at] == '\n';
        packed_close(reader);
        xfree(path);
    }
    xfree(files);
    return lines;
}

/* Else a file would be packed under another's name, and the other one removed. */
static void nothing_is_put_aside_while_a_file_is_packed(void **state)
{
    enum { ROUNDS = 60, LINES = 500 };

    char line[1000];
    struct bench b;
    uint64_t random = 1;
    (void)state;
    bench_init(&b);
    b.config.log_max_size = 1 << 20;
    b.config.log_max_files = 1000;
    logbook_configure(&b.book, &b.config);
    for (int i = 0; i < ROUNDS * LINES; i++) {
        for (size_t at = 0; at < sizeof(line); at++) { /* hard to pack */
            random = random * 6364136223846793005U + 1442695040888963407U;
            line[at] = (char)('0' + (random >> 58));
        }
        wrote("api#0", (struct slice){line, sizeof(line)});
        if (i % LINES == LINES - 1)
            run_for(&b, LOGBOOK_FLUSH_MS + 2);
    }
    run_until_written(&b);
    bench_deinit(&b);
    assert_true(access("logs/api.log.2.gz", F_OK) == 0);
    assert_int_equal(count_all_lines("api"), ROUNDS * LINES);
}

static void a_switched_off_logbook_keeps_nothing(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b);
    b.config.log_files = false;
    logbook_configure(&b.book, &b.config);
    wrote("api#0", SLICE("one"));
    bench_deinit(&b);
    assert_int_not_equal(access("logs", F_OK), 0);
    struct logbook none = {0};
    logbook_configure(&none, &b.config);
    logbook_close(&none);
    logbook_deinit(&none);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_entry_becomes_an_object_in_its_programs_file),
        IN_FOLDER(programs_lines_are_kept_whatever_nodeys_level),
        IN_FOLDER(what_comes_at_the_very_end_is_written_too),
        IN_FOLDER(what_waits_has_a_bound_and_what_is_over_it_is_counted),
        IN_FOLDER(all_together_have_a_bound_too),
        IN_FOLDER(files_are_put_aside_and_packed),
        IN_FOLDER(nothing_is_put_aside_while_a_file_is_packed),
        IN_FOLDER(a_switched_off_logbook_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
