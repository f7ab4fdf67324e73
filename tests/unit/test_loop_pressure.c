#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/stream_file.h"

#include <cmocka.h>

enum { PIECE = 256 * 1024, PIECES = 16 };

/* A stream over one end of a connection with small buffers; the test holds the other. */
struct end {
    struct loop loop;
    struct stream stream;
    struct timer alive; /* keeps the loop running while nothing is read */
    int peer;
    size_t got;
    bool pauses; /* after each offer */
    unsigned offers, eases, drains, ends, gones;
    int status;
};

static size_t on_data(struct stream *s, struct slice bytes)
{
    struct end *e = container_of(s, struct end, stream);
    size_t used = e->pauses ? 1 : bytes.len;
    e->offers++;
    e->got += used;
    if (e->pauses)
        stream_pause(s);
    return used;
}

static void on_ended(struct stream *s, int status)
{
    struct end *e = container_of(s, struct end, stream);
    e->ends++;
    e->status = status;
}

static void on_drained(struct stream *s)
{
    container_of(s, struct end, stream)->drains++;
}

static void on_eased(struct stream *s)
{
    assert_true(stream_unsent(s) > 0);
    container_of(s, struct end, stream)->eases++;
}

static void on_gone(struct stream *s)
{
    container_of(s, struct end, stream)->gones++;
}

static const struct stream_ops ops = {
    .data = on_data,
    .ended = on_ended,
    .drained = on_drained,
    .gone = on_gone,
    .eased = on_eased,
};

static void on_alive(struct timer *timer)
{
    (void)timer;
}

static void on_bare_ended(struct stream *s, int status)
{
    (void)s;
    fail_msg("it ended with %d", status);
}

static void on_bare_gone(struct stream *s)
{
    assert_true(s->closed);
}

static const struct stream_ops bare_ops = {.ended = on_bare_ended, .gone = on_bare_gone};

static void connect_ends(int ends[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int little = 16 * 1024;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&at, &len);
    ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(ends[1], SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
    assert_int_equal(connect(ends[1], (struct sockaddr *)&at, sizeof(at)), 0);
    ends[0] = accept(listener, NULL, NULL);
    assert_true(ends[0] >= 0);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
    close(listener);
}

static int setup(void **state)
{
    struct end *e = xcalloc(1, sizeof(*e));
    int ends[2];
    connect_ends(ends);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_init(&e->loop), 0);
    e->peer = ends[1];
    fcntl(e->peer, F_SETFL, O_NONBLOCK);
    assert_int_equal(stream_init_tcp(&e->stream, &e->loop, &ops), 0);
    assert_int_equal(uv_tcp_open(&e->stream.uv.tcp, ends[0]), 0);
    stream_start(&e->stream, 1024);
    timer_start(&e->loop, &e->alive, 3600 * 1000, on_alive);
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    struct end *e = *state;
    stream_close(&e->stream);
    timer_stop(&e->loop, &e->alive);
    if (e->peer >= 0)
        close(e->peer);
    loop_run(&e->loop);
    assert_int_equal(e->gones, 1);
    int rc = loop_deinit(&e->loop);
    xfree(e);
    return rc;
}

static void turns(struct end *e, unsigned count)
{
    while (count--) {
        uv_run(&e->loop.uv, UV_RUN_NOWAIT);
        usleep(100);
    }
}

static size_t peer_read(struct end *e, size_t most)
{
    static char room[65536];
    size_t got = 0;
    ssize_t n = 1;
    while (got < most && n > 0) {
        n = read(e->peer, room, MIN(sizeof(room), most - got));
        got += n > 0 ? (size_t)n : 0;
    }
    return got;
}

/* Each turn a write of its own, so that several wait one behind the other. */
static void write_all(struct end *e)
{
    char *bytes = xcalloc(1, PIECE);
    for (int i = 0; i < PIECES; i++) {
        stream_write(&e->stream, (struct slice){bytes, PIECE});
        turns(e, 1);
    }
    xfree(bytes);
}

static void who_waits_is_told_of_each_part_that_left(void **state)
{
    struct end *e = *state;
    write_all(e);
    size_t all = PIECES * PIECE;
    assert_int_equal(stream_unsent(&e->stream) + stream_taken(&e->stream), all);
    size_t before = stream_unsent(&e->stream);
    size_t read = 0;
    while (read < all) {
        read += peer_read(e, 100000);
        turns(e, 1);
        assert_true(stream_unsent(&e->stream) <= before);
        before = stream_unsent(&e->stream);
    }
    turns(e, 5);
    assert_int_equal(stream_unsent(&e->stream), 0);
    assert_int_equal(e->drains, 1);
    assert_in_range(e->eases, PIECES - 4, PIECES - 1); /* some left at once */
}

static void it_is_known_whether_the_other_side_reads(void **state)
{
    struct end *e = *state;
    int fd, much = 512 * 1024;
    char *bytes = xcalloc(1, PIECE / 2);
    assert_int_equal(uv_fileno(&e->stream.uv.handle, &fd), 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &much, sizeof(much));
    stream_write(&e->stream, (struct slice){bytes, PIECE / 2});
    turns(e, 20);
    assert_int_equal(stream_unsent(&e->stream), 0); /* our kernel has it all */
    uint64_t arrived = stream_arrived(&e->stream);
    assert_in_range(arrived, 1, PIECE / 4);
    turns(e, 20);
    assert_true(stream_arrived(&e->stream) == arrived);
    assert_int_equal(peer_read(e, 10000), 10000);
    turns(e, 20);
    assert_true(stream_arrived(&e->stream) > arrived);
    assert_int_equal(stream_taken(&e->stream), PIECE / 2);
    xfree(bytes);
}

static void what_the_owner_pauses_stays_so_until_it_asks(void **state)
{
    struct end *e = *state;
    e->pauses = true;
    assert_int_equal(write(e->peer, "abc", 3), 3);
    turns(e, 5);
    assert_int_equal(e->offers, 1);
    stream_poke(&e->stream); /* offers the rest, and is paused by that again */
    turns(e, 5);
    assert_int_equal(e->offers, 2);
    assert_false(e->stream.reading);
    assert_int_equal(write(e->peer, "defg", 4), 4);
    turns(e, 5);
    assert_int_equal(e->offers, 2);
    e->pauses = false;
    stream_poke(&e->stream);
    turns(e, 5);
    assert_int_equal(e->got, 7);
    assert_true(e->stream.reading);
}

static void a_write_that_fails_behind_the_end_is_told(void **state)
{
    struct end *e = *state;
    shutdown(e->peer, SHUT_WR);
    turns(e, 5);
    assert_int_equal(e->ends, 1);
    assert_int_equal(e->status, UV_EOF);
    stream_write(&e->stream, SLICE("still welcome"));
    turns(e, 5);
    assert_int_equal(e->ends, 1);
    close(e->peer);
    e->peer = -1;
    for (int i = 0; i < 3; i++) {
        stream_write(&e->stream, SLICE("x"));
        turns(e, 5);
    }
    assert_int_equal(e->ends, 2);
    assert_true(e->status == UV_EPIPE || e->status == UV_ECONNRESET);
}

static void on_file_end(struct stream_file *file, int status)
{
    assert_int_equal(status, 0);
    assert_int_equal(file->left, 0);
}

static void one_that_takes_all_does_not_get_all_at_once(void **state)
{
    struct end *e = *state;
    struct stream nowhere;

    enum { MIB = 1 << 20 };

    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 3 * MIB), 0);
    struct stream_file file = {.fd = fd, .left = 3 * MIB, .end = on_file_end};
    assert_int_equal(stream_open_pipe(&nowhere, &e->loop,
                                      open("/dev/null", O_WRONLY | O_CLOEXEC), &bare_ops),
                     0);
    stream_send_file(&nowhere, &file);
    assert_int_equal(file.left, 3 * MIB); /* nothing happens within the call */
    turns(e, 1);
    assert_int_equal(file.left, 2 * MIB);
    turns(e, 1);
    assert_int_equal(file.left, MIB);
    turns(e, 3);
    assert_int_equal(file.left, 0);
    assert_null(nowhere.file);
    stream_close(&nowhere);
    turns(e, 3);
    close(fd);
}

#define END_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        END_TEST(who_waits_is_told_of_each_part_that_left),
        END_TEST(it_is_known_whether_the_other_side_reads),
        END_TEST(what_the_owner_pauses_stays_so_until_it_asks),
        END_TEST(a_write_that_fails_behind_the_end_is_told),
        END_TEST(one_that_takes_all_does_not_get_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
