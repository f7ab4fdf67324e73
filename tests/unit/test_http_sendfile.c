#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "http/conn.h"
#include "tests/unit/site.h"

enum { PAGE = 16 * 1024, LARGE = 6 << 20 };

static char file_path[64];
static struct http_file wanted; /* its fd is opened for each request */
static bool was_refused;

static char byte_at(size_t i)
{
    return (char)(i * 31 + (i >> 11));
}

/* Answers every request but those for "/page" with the wanted part of the file. */
static void on_request(struct exchange *x)
{
    struct http_answer a = {.status = 200, .content_type = SLICE("text/plain")};
    struct http_file file = wanted;
    struct err why;
    if (!slice_starts(exchange_request(x)->path, SLICE("/file"))) {
        answer(x, exchange_request(x)->path);
        return;
    }
    file.fd = open(file_path, O_RDONLY | O_CLOEXEC);
    assert_true(file.fd >= 0);
    if (slice_is(exchange_request(x)->path, "/file/304"))
        a.status = 304;
    was_refused = !exchange_send_file(x, &a, &file, &why);
    if (was_refused)
        exchange_fail(x, &(struct http_problem){.status = 500, .detail = slice_of(why.text)});
}

static int setup(void **state)
{
    int rc = site_setup(state);
    strcpy(file_path, "/tmp/nodey-files-XXXXXX");
    int fd = mkstemp(file_path);
    char *bytes = xmalloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = byte_at(i);
    assert_int_equal(write(fd, bytes, LARGE), LARGE);
    xfree(bytes);
    close(fd);
    site->on_request = on_request;
    return rc;
}

static int teardown(void **state)
{
    unlink(file_path);
    return site_teardown(state);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static size_t open_files(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* The body of the only answer that was heard. */
static struct slice body_of(struct buf *heard)
{
    const char *end = strstr(buf_cstr(heard), "\r\n\r\n");
    assert_non_null(end);
    return (struct slice){end + 4, (size_t)(heard->ptr + heard->len - end) - 4};
}

/* Reads until that much of a body has come, and looks whether it was all. */
static void hear_body(int fd, struct buf *heard, size_t length)
{
    for (int i = 0; i < 500; i++) {
        hear(fd, heard, 10);
        if (memmem(buf_cstr(heard), heard->len, "\r\n\r\n", 4) && body_of(heard).len >= length)
            break;
    }
    assert_int_equal(hear(fd, heard, 20), STILL_OPEN);
}

static void assert_part(struct slice body, size_t offset, size_t length)
{
    assert_int_equal(body.len, length);
    for (size_t i = 0; i < length; i++)
        if (body.ptr[i] != byte_at(offset + i))
            fail_msg("the byte at %zu of the file is another", offset + i);
}

static void a_part_of_a_file_is_sent(void **state)
{
    (void)state;

    static const struct {
        uint64_t offset, length;
    } parts[] = {
        {0, LARGE},
        {0, PAGE},
        {12345, 1},
        {1, 32 * 1024},
        {1, 40001},
        {LARGE - 70000, 70000},
        {PAGE + 1, LARGE / 2},
        {0, 0},
    };
    struct buf heard = {0};
    start(usual);
    int fd = dial(0);
    turns_for(5);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char length[64];
        size_t files = open_files();
        wanted.offset = parts[i].offset;
        wanted.length = parts[i].length;
        buf_clear(&heard);
        say(fd, GET("/file"));
        hear_body(fd, &heard, parts[i].length);
        assert_part(body_of(&heard), parts[i].offset, parts[i].length);
        snprintf(length, sizeof(length), "Content-Length: %u\r\n", (unsigned)parts[i].length);
        assert_non_null(strstr(heard.ptr, length));
        assert_int_equal(site->answered, i + 1);
        assert_int_equal(site->last_bytes, parts[i].length);
        assert_int_equal(open_files(), files);
    }
    assert_int_equal(site->gone, 0);
    close(fd);
    buf_deinit(&heard);
}

static void where_no_body_may_be_no_file_is_sent(void **state)
{
    (void)state;
    struct buf heard = {0};
    wanted = (struct http_file){.length = LARGE};
    start(usual);
    int fd = dial(0);
    say(fd, "HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n" GET("/file/304") GET("/next"));
    await(fd, &heard, "\r\n\r\n/next");
    assert_int_equal(occurrences(&heard, "Content-Length: 6291456\r\n"), 1);
    assert_int_equal(occurrences(&heard, "\r\n\r\nHTTP/1.1 304 "), 1);
    assert_int_equal(occurrences(&heard, "\r\n\r\nHTTP/1.1 200 "), 1);
    close(fd);
    buf_deinit(&heard);
}

static void the_next_request_follows(void **state)
{
    (void)state;
    struct buf heard = {0};
    wanted = (struct http_file){.length = LARGE};
    start(usual);
    int fd = dial(0);
    say(fd, GET("/file") GET("/file") GET("/next"));
    hear_bytes(fd, &heard, 2 * LARGE);
    await(fd, &heard, "/next");
    close(fd);
    buf_clear(&heard);
    fd = dial(0);
    say(fd, "GET /file HTTP/1.0\r\n\r\n");
    assert_int_equal(hear(fd, &heard, 1000), ENDED);
    assert_part(body_of(&heard), 0, LARGE);
    assert_non_null(strstr(heard.ptr, "Connection: close\r\n"));
    close(fd);
    buf_deinit(&heard);
}

static void a_file_that_is_shorter_is_not_passed_off_as_whole(void **state)
{
    (void)state;
    struct buf heard = {0};
    start(usual);
    wanted = (struct http_file){.offset = LARGE - 100, .length = 101}; /* seen beforehand */
    int fd = dial(0);
    turns_for(5);
    size_t files = open_files();
    say(fd, GET("/file"));
    await(fd, &heard, "HTTP/1.1 500 ");
    await(fd, &heard, "shorter");
    assert_true(was_refused);
    assert_int_equal(occurrences(&heard, "HTTP/1.1"), 1);
    buf_clear(&heard);
    wanted = (struct http_file){.length = LARGE + 1};
    say(fd, GET("/file"));
    assert_int_not_equal(hear(fd, &heard, 1000), STILL_OPEN);
    assert_in_range(heard.len, 0, LARGE + 400);
    assert_int_equal(site->last_bytes, LARGE);
    assert_int_equal(site->gone, 0);
    close(fd);
    turns_for(10);
    assert_int_equal(open_files(), files - 2);
    buf_deinit(&heard);
}

static void a_slow_reader_gets_the_file_and_holds_up_nobody(void **state)
{
    (void)state;
    struct buf heard = {0};
    struct http_limits limits = usual;
    limits.send_timeout_ms = 300;
    wanted = (struct http_file){.length = LARGE};
    start(limits);
    int slow = dial(16384);
    say(slow, GET("/file"));
    turns_for(50);
    struct front *front = (struct front *)site->server; /* its first member */
    struct conn *conn = list_first(&front->active, struct conn, node);
    assert_int_equal(conn->state, CONN_SENDING);
    assert_in_range(stream_queued(&conn->stream), 1, 64 * 1024); /* what nodey holds of it */
    assert_int_equal(site->answered, 0);
    int fast = dial(0);
    say(fast, GET("/file"));
    hear_body(fast, &heard, LARGE);
    assert_part(body_of(&heard), 0, LARGE);
    close(fast);
    buf_clear(&heard);
    char *room = xmalloc(LARGE / 50);
    for (int i = 0; i < 40; i++) { /* one second, longer than the timeout */
        ssize_t n = recv(slow, room, LARGE / 50, 0);
        if (n > 0)
            buf_append(&heard, room, (size_t)n);
        turns_for(25);
    }
    xfree(room);
    hear_body(slow, &heard, LARGE);
    assert_part(body_of(&heard), 0, LARGE);
    close(slow);
    buf_deinit(&heard);
}

static void others_are_served_while_a_large_file_is_sent(void **state)
{
    (void)state;
    struct buf heard = {0};
    char room[65536];
    wanted = (struct http_file){.length = LARGE};
    start(usual);
    int fd = dial(0);
    say(fd, GET("/file"));
    int other = dial(0);
    IGNORE(send(other, GET("/x"), strlen(GET("/x")), 0) < 0); /* its answer tells */
    bool is_served = false;
    size_t got = 0;
    while (got < LARGE) {
        ssize_t n = recv(fd, room, sizeof(room), 0);
        got += n > 0 ? (size_t)n : 0;
        if (!is_served && got < LARGE / 2)
            is_served = recv(other, room, sizeof(room), 0) > 0;
        uv_run(&site->loop.uv, UV_RUN_NOWAIT);
    }
    assert_true(is_served);
    close(fd), close(other);
    buf_deinit(&heard);
}

static void who_leaves_or_sleeps_gets_no_more_of_it(void **state)
{
    (void)state;
    struct http_limits limits = usual;
    limits.send_timeout_ms = 100;
    wanted = (struct http_file){.length = LARGE};
    start(limits);
    size_t files = open_files();
    int fd = dial(4096);
    say(fd, GET("/file"));
    turns_for(20);
    break_off(fd);
    await_number(&site->answered, 1);
    assert_int_equal(site->last_status, 499);
    assert_in_range(site->last_bytes, 1, LARGE - 1);
    assert_int_equal(site->gone, 0); /* the handler had done its part */
    fd = dial(4096);
    say(fd, GET("/file"));
    for (int i = 0; i < 100 && site->answered == 1; i++)
        turns_for(10);
    assert_int_equal(site->last_status, 499);
    close(fd);
    fd = dial(4096);
    say(fd, GET("/file"));
    turns_for(20);
    http_server_free(site->server);
    site->server = NULL;
    assert_int_equal(site->answered, 3);
    close(fd);
    turns_for(10);
    assert_in_range(open_files(), 0, files);
}

static void a_huge_file_is_counted_right(void **state)
{
    (void)state;
    static const uint64_t huge = 3ULL << 30;
    char *room = xmalloc(1 << 20);
    uint64_t got = 0;
    bool in_head = true;
    int holes = memfd_create("huge", MFD_CLOEXEC); /* costs neither disk nor memory */
    assert_int_equal(ftruncate(holes, (off_t)huge), 0);
    assert_int_equal(pwrite(holes, "the end", 7, (off_t)huge - 7), 7);
    unlink(file_path);
    snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", holes);
    wanted = (struct http_file){.offset = LARGE, .length = huge - LARGE};
    start(usual);
    int fd = dial(0);
    say(fd, GET("/file"));
    char last[8] = "";
    while (got < wanted.length) {
        ssize_t n = recv(fd, room, 1 << 20, 0);
        uv_run(&site->loop.uv, UV_RUN_NOWAIT);
        if (n <= 0)
            continue;
        char *from = room;
        if (in_head) {
            from = strstr(room, "\r\n\r\n") + 4;
            in_head = false;
        }
        got += (uint64_t)(room + n - from);
        if (n >= 7)
            memcpy(last, room + n - 7, 7);
    }
    assert_true(got == wanted.length);
    assert_string_equal(last, "the end");
    xfree(room);
    say(fd, GET("/next"));
    struct buf heard = {0};
    await(fd, &heard, "/next");
    assert_int_equal(site->answered, 2);
    close(fd), close(holes);
    buf_deinit(&heard);
}

static void files_go_through_unix_sockets_too(void **state)
{
    (void)state;
    struct buf heard = {0};
    char path[96];
    snprintf(path, sizeof(path), "unix:%s.sock", file_path);
    site->path = path;
    wanted = (struct http_file){.offset = 1, .length = LARGE - 1};
    start(usual);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path + strlen("unix:"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say(fd, GET("/file"));
    hear_body(fd, &heard, LARGE - 1);
    assert_part(body_of(&heard), 1, LARGE - 1);
    close(fd);
    buf_deinit(&heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(a_part_of_a_file_is_sent),
        FILE_TEST(where_no_body_may_be_no_file_is_sent),
        FILE_TEST(the_next_request_follows),
        FILE_TEST(a_file_that_is_shorter_is_not_passed_off_as_whole),
        FILE_TEST(a_slow_reader_gets_the_file_and_holds_up_nobody),
        FILE_TEST(others_are_served_while_a_large_file_is_sent),
        FILE_TEST(who_leaves_or_sleeps_gets_no_more_of_it),
        FILE_TEST(a_huge_file_is_counted_right),
        FILE_TEST(files_go_through_unix_sockets_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
