#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "loop/listener.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

enum { GUESTS_MAX = 64 };

struct hall {
    struct loop loop;
    struct listener listener;
    struct timer tick;
    unsigned gones;
    unsigned guests;
    unsigned guests_gone;
    struct stream streams[GUESTS_MAX];
    struct buf got;
    char peer[64];
};

static size_t on_data(struct stream *s, struct slice bytes)
{
    struct hall *h = container_of(s->loop, struct hall, loop);
    buf_add(&h->got, bytes);
    stream_write(s, SLICE("hello"));
    return bytes.len;
}

static void on_ended(struct stream *s, int status)
{
    (void)status;
    stream_close(s);
}

static void on_stream_gone(struct stream *s)
{
    container_of(s->loop, struct hall, loop)->guests_gone++;
}

static const struct stream_ops stream_ops = {
    .data = on_data,
    .ended = on_ended,
    .gone = on_stream_gone,
};

static void on_incoming(struct listener *l)
{
    struct hall *h = container_of(l, struct hall, listener);
    struct stream *s = &h->streams[h->guests++];
    assert_int_equal(l->is_unix ? stream_init_unix(s, &h->loop, &stream_ops)
                                : stream_init_tcp(s, &h->loop, &stream_ops),
                     0);
    assert_int_equal(listener_accept(l, s), 0);
    stream_peer(s, h->peer, sizeof(h->peer));
    stream_start(s, SIZE_MAX);
}

static void on_gone(struct listener *l)
{
    container_of(l, struct hall, listener)->gones++;
}

static const struct listener_ops ops = {on_incoming, on_gone};

static struct hall *hall_new(void)
{
    struct hall *h = xcalloc(1, sizeof(*h));
    assert_int_equal(loop_init(&h->loop), 0);
    return h;
}

static void hall_open(struct hall *h, const char *address)
{
    struct err err;
    if (listener_open(&h->listener, &h->loop, address, &ops, &err))
        fail_msg("%s", err.text);
}

static void hall_free(struct hall *h)
{
    listener_close(&h->listener);
    listener_close(&h->listener);
    for (unsigned i = 0; i < h->guests; i++)
        stream_close(&h->streams[i]);
    loop_run(&h->loop);
    assert_int_equal(h->gones, 1);
    assert_int_equal(h->guests_gone, h->guests);
    assert_int_equal(loop_deinit(&h->loop), 0);
    buf_deinit(&h->got);
    xfree(h);
}

static void on_tick(struct timer *timer)
{
    loop_stop(&container_of(timer, struct hall, tick)->loop);
}

static void run_for(struct hall *h, uint64_t ms)
{
    timer_start(&h->loop, &h->tick, ms, on_tick);
    loop_run(&h->loop);
    timer_stop(&h->loop, &h->tick);
}

static int connect_tcp(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at))) {
        close(fd);
        return -1;
    }
    return fd;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at))) {
        close(fd);
        return -1;
    }
    return fd;
}

static void port_0_is_filled_in(void **state)
{
    char expected[64], answer[8] = "";
    (void)state;
    struct hall *h = hall_new();
    hall_open(h, "127.0.0.1:0");
    assert_int_not_equal(h->listener.port, 0);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", h->listener.port);
    assert_string_equal(h->listener.address, expected);
    int fd = connect_tcp(h->listener.port);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hi", 2), 2);
    for (int i = 0; i < 5000 && h->got.len < 2; i++)
        run_for(h, 1);
    run_for(h, 1);
    assert_string_equal(h->peer, "127.0.0.1");
    assert_int_equal(recv(fd, answer, sizeof(answer), 0), 5);
    assert_string_equal(answer, "hello");
    close(fd);
    hall_free(h);
}

static void addresses_have_short_forms(void **state)
{
    static const struct {
        const char *address, *bound;
    } cases[] = {
        {"0", "127.0.0.1:"},           {"localhost:0", "127.0.0.1:"}, {":0", "0.0.0.0:"},
        {"*:0", "0.0.0.0:"},           {"0.0.0.0:0", "0.0.0.0:"},     {"[::1]:0", "[::1]:"},
        {"127.0.0.1:0", "127.0.0.1:"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        struct hall *h = hall_new();
        int rc = listener_open(&h->listener, &h->loop, cases[i].address, &ops, &err);
        bool without_v6 = rc == UV_EADDRNOTAVAIL || rc == UV_EAFNOSUPPORT;
        if (rc && !(without_v6 && cases[i].address[0] == '['))
            fail_msg("%s: %s", cases[i].address, err.text);
        if (rc == 0)
            assert_memory_equal(h->listener.address, cases[i].bound, strlen(cases[i].bound));
        hall_free(h);
    }
}

static void what_is_no_address_is_said_to_be_none(void **state)
{
    static const char *const addresses[] = {"",      "a",        "127.0.0.1:", "1.2.3.4:65536",
                                            ":http", "[::1]:-1", "1 2",        "999999"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct err err;
        struct hall *h = hall_new();
        assert_int_equal(listener_open(&h->listener, &h->loop, addresses[i], &ops, &err),
                         UV_EINVAL);
        assert_non_null(strstr(err.text, "is no address to listen on"));
        hall_free(h);
    }
}

static void a_port_that_is_taken_is_told_of(void **state)
{
    struct err err;
    (void)state;
    struct hall *first = hall_new(), *second = hall_new();
    hall_open(first, "127.0.0.1:0");
    assert_int_equal(
        listener_open(&second->listener, &second->loop, first->listener.address, &ops, &err),
        UV_EADDRINUSE);
    assert_non_null(strstr(err.text, first->listener.address));
    assert_non_null(strstr(err.text, "is another nodey running?"));
    hall_free(second);
    hall_free(first);
}

static void a_unix_socket_is_an_address_too(void **state)
{
    char address[128], path[100];
    snprintf(path, sizeof(path), "%s/sock", (const char *)*state);
    snprintf(address, sizeof(address), "unix:%s", path);
    struct hall *h = hall_new();
    hall_open(h, address);
    assert_string_equal(h->listener.address, address);
    assert_int_equal(h->listener.port, 0);
    assert_true(h->listener.is_unix);
    int fd = connect_unix(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hi", 2), 2);
    for (int i = 0; i < 5000 && h->got.len < 2; i++)
        run_for(h, 1);
    assert_string_equal(h->peer, "");
    close(fd);
    hall_free(h);
    assert_int_equal(access(path, F_OK), -1); /* it takes its file with it */
}

/* As somebody leaves it who was killed. */
static void leave_socket(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd);
}

static void a_stale_socket_file_is_replaced(void **state)
{
    (void)state;
    leave_socket("stale");
    struct hall *h = hall_new();
    hall_open(h, "unix:stale");
    int fd = connect_unix("stale");
    assert_true(fd >= 0);
    close(fd);
    hall_free(h);
}

static void a_live_socket_and_a_plain_file_are_left_alone(void **state)
{
    struct err err;
    (void)state;
    struct hall *first = hall_new(), *second = hall_new(), *third = hall_new();
    hall_open(first, "unix:live");
    assert_int_equal(listener_open(&second->listener, &second->loop, "unix:live", &ops, &err),
                     UV_EADDRINUSE);
    int fd = connect_unix("live");
    assert_true(fd >= 0);
    close(fd);
    folder_put("file", "precious");
    assert_int_not_equal(listener_open(&third->listener, &third->loop, "unix:file", &ops, &err),
                         0);
    assert_int_equal(access("file", F_OK), 0);
    hall_free(third);
    hall_free(second);
    hall_free(first);
}

/* Its backlog is full, so that it neither refuses nor accepts: it lives. */
static void a_socket_that_is_too_busy_to_answer_is_not_stale(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "busy"};
    struct err err;
    int waiting[8];
    (void)state;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(waiting[i], (struct sockaddr *)&at, sizeof(at)) == 0)
            continue;
    }
    struct hall *h = hall_new();
    assert_int_equal(listener_open(&h->listener, &h->loop, "unix:busy", &ops, &err),
                     UV_EADDRINUSE);
    assert_int_equal(access("busy", F_OK), 0);
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
        close(waiting[i]);
    close(fd);
    hall_free(h);
}

static void a_path_that_is_too_long_is_refused_not_cut(void **state)
{
    char address[256];
    struct err err;
    (void)state;
    memset(address, 'x', sizeof(address) - 1);
    address[sizeof(address) - 1] = '\0';
    memcpy(address, "unix:", 5);
    struct hall *h = hall_new();
    assert_int_equal(listener_open(&h->listener, &h->loop, address, &ops, &err),
                     UV_ENAMETOOLONG);
    hall_free(h);
}

/* Those who have connected already are not sent away. */
static void closing_lets_the_backlog_in(void **state)
{
    int fds[20];
    (void)state;
    struct hall *h = hall_new();
    hall_open(h, "127.0.0.1:0");
    uint16_t port = h->listener.port;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = connect_tcp(port);
        assert_true(fds[i] >= 0);
    }
    listener_close(&h->listener);
    assert_int_equal(h->guests, 0);
    for (int i = 0; i < 5000 && !h->gones; i++)
        run_for(h, 1);
    assert_int_equal(h->guests, ARRAY_LEN(fds));
    assert_int_equal(connect_tcp(port), -1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    hall_free(h);
}

static void a_listening_socket_that_is_passed_is_served_and_lives_on(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct hall *h = hall_new();
    struct err err;
    (void)state;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(server, 16), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(listener_take(&h->listener, &h->loop, dup(server), &ops, &err), 0);
    assert_int_equal(h->listener.port, ntohs(at.sin_port));
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
    run_for(h, 50);
    assert_int_equal(h->guests, 1);
    close(client);
    hall_free(h);

    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0); /* it waits */
    close(client);
    close(server);
}

static void what_does_not_listen_is_refused_and_closed(void **state)
{
    struct err err;
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct hall *h = hall_new();
        int fd = i == 0   ? open("/dev/null", O_RDWR | O_CLOEXEC)
                 : i == 1 ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
                          : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(listener_take(&h->listener, &h->loop, fd, &ops, &err), UV_EINVAL);
        assert_non_null(strstr(err.text, "no listening stream socket"));
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        hall_free(h);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_is_filled_in),
        cmocka_unit_test(addresses_have_short_forms),
        cmocka_unit_test(what_is_no_address_is_said_to_be_none),
        cmocka_unit_test(a_port_that_is_taken_is_told_of),
        cmocka_unit_test_setup_teardown(a_unix_socket_is_an_address_too, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_stale_socket_file_is_replaced, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_live_socket_and_a_plain_file_are_left_alone,
                                        folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(a_socket_that_is_too_busy_to_answer_is_not_stale,
                                        folder_enter, folder_leave),
        cmocka_unit_test(a_path_that_is_too_long_is_refused_not_cut),
        cmocka_unit_test(closing_lets_the_backlog_in),
        cmocka_unit_test(a_listening_socket_that_is_passed_is_served_and_lives_on),
        cmocka_unit_test(what_does_not_listen_is_refused_and_closed),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
