#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/notify.h"
#include "app/passed.h"
#include "base/slice.h"
#include "loop/loop.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

/* The manager's end, at this path of the current folder, or without a file: "@name". */
static int manager(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(at.sun_path, name, len);
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    return fd;
}

static const char *next(int fd, char *text, size_t size)
{
    ssize_t got = recv(fd, text, size - 1, 0);
    text[got < 0 ? 0 : got] = '\0';
    return text;
}

static void messages_arrive_in_words(void **state)
{
    char path[128], text[600], expected[64];
    struct notify n;
    snprintf(path, sizeof(path), "%s/notify", (const char *)*state);
    int fd = manager(path);
    setenv("NOTIFY_SOCKET", path, 1);
    notify_init(&n);
    assert_null(getenv("NOTIFY_SOCKET"));

    notify_reloading(&n); /* nothing is served yet */
    notify_reloaded(&n);
    notify_status(&n, "starting, %d", 2);
    assert_string_equal(next(fd, text, sizeof(text)), "STATUS=starting, 2");
    notify_status(&n, "starting, %d", 2);
    assert_string_equal(next(fd, text, sizeof(text)), "");
    notify_ready(&n);
    snprintf(expected, sizeof(expected), "READY=1\nMAINPID=%ld", (long)getpid());
    assert_string_equal(next(fd, text, sizeof(text)), expected);
    notify_reloading(&n);
    assert_memory_equal(next(fd, text, sizeof(text)), "RELOADING=1\nMONOTONIC_USEC=", 27);
    notify_reloaded(&n);
    assert_string_equal(next(fd, text, sizeof(text)), "READY=1");
    notify_stopping(&n);
    notify_stopping(&n);
    assert_string_equal(next(fd, text, sizeof(text)), "STOPPING=1");
    assert_string_equal(next(fd, text, sizeof(text)), "STATUS=shutting down");
    notify_reloading(&n);
    assert_string_equal(next(fd, text, sizeof(text)), "");
    notify_deinit(&n);
    close(fd);
}

static void an_abstract_name_is_one(void **state)
{
    char name[64], text[100];
    struct notify n;
    (void)state;
    snprintf(name, sizeof(name), "@nodey-unit-%ld", (long)getpid());
    int fd = manager(name);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_init(&n);
    notify_status(&n, "here");
    assert_string_equal(next(fd, text, sizeof(text)), "STATUS=here");
    notify_deinit(&n);
    close(fd);
}

static void what_is_no_address_tells_nobody(void **state)
{
    static const char *const wrong[] = {"", "relative", "/", "@", "vsock:2:1"};
    char longer[300];
    struct notify n;
    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    for (size_t i = 0; i <= ARRAY_LEN(wrong); i++) {
        setenv("NOTIFY_SOCKET", i < ARRAY_LEN(wrong) ? wrong[i] : longer, 1);
        notify_init(&n);
        assert_int_equal(n.fd, -1);
        notify_ready(&n);
        notify_deinit(&n);
    }
}

static void a_watchdog_is_fed_at_twice_its_pace(void **state)
{
    static const struct {
        const char *usec, *pid;
        uint64_t beat_ms;
    } cases[] = {{"30000000", NULL, 15000},
                 {"30000000", "1", 0},
                 {"0", NULL, 0},
                 {"", NULL, 0},
                 {"-5", NULL, 0},
                 {"1", NULL, 1},
                 {"99999999999999999999999", NULL, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct notify n;
        setenv("NOTIFY_SOCKET", "/nowhere", 1);
        setenv("WATCHDOG_USEC", cases[i].usec, 1);
        if (cases[i].pid)
            setenv("WATCHDOG_PID", cases[i].pid, 1);
        notify_init(&n);
        assert_int_equal(n.beat_ms, cases[i].beat_ms);
        assert_null(getenv("WATCHDOG_USEC"));
        assert_null(getenv("WATCHDOG_PID"));
        notify_deinit(&n);
    }
}

static void nothing_is_passed_without_a_word(void **state)
{
    static const struct {
        const char *pid, *fds;
    } cases[] = {{NULL, NULL}, {"1", "1"}, {NULL, "1"}, {"x", "1"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (cases[i].pid)
            setenv("LISTEN_PID", cases[i].pid, 1);
        if (cases[i].fds)
            setenv("LISTEN_FDS", cases[i].fds, 1);
        assert_int_equal(passed_take("127.0.0.1:80"), -1);
        assert_null(getenv("LISTEN_PID"));
        assert_null(getenv("LISTEN_FDS"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_arrive_in_words, folder_enter, folder_leave),
        cmocka_unit_test(an_abstract_name_is_one),
        cmocka_unit_test(what_is_no_address_tells_nobody),
        cmocka_unit_test(a_watchdog_is_fed_at_twice_its_pace),
        cmocka_unit_test(nothing_is_passed_without_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
