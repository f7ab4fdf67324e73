#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/client.h"
#include "loop/listener.h"

#include <cmocka.h>

enum { GUESTS_MAX = 16, PATIENCE_MS = 10000, TIMEOUT_MS = 5000 };

#define OK "HTTP/1.1 200 OK\r\n"
#define HI OK "Content-Length: 2\r\n\r\nhi"

/* A server that says what a test tells it to, and a client: on one loop. */
struct stage {
    struct loop loop;
    struct listener listener;
    struct timer tick;
    struct stream guests[GUESTS_MAX];
    unsigned guest_count;
    const char *says;  /* in answer to each request */
    bool closes;       /* after that */
    bool speaks_first; /* says it to whoever connects */
    struct buf asked;  /* all that came in */
    struct client client;
    struct peer peer;
    const char *again; /* asked from within `answered`, once */
    unsigned opened, heads, answered, failed, gone, status;
    enum client_failure failure;
    char why[200];
    struct buf body;
};

static struct stage *stage_of(struct stream *s)
{
    return container_of(s->loop, struct stage, loop);
}

/* ------------------------------------------------------------------- server */

static void speak(struct stream *s)
{
    struct stage *stage = stage_of(s);
    if (stage->says)
        stream_write(s, slice_of(stage->says));
    if (stage->closes)
        stream_shutdown(s);
}

static size_t on_request(struct stream *s, struct slice bytes)
{
    struct stage *stage = stage_of(s);
    buf_add(&stage->asked, bytes);
    if (memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) && !stage->speaks_first)
        speak(s);
    return bytes.len;
}

static void on_guest_ended(struct stream *s, int status)
{
    (void)status;
    stream_close(s);
}

static void on_guest_gone(struct stream *s)
{
    (void)s;
}

static const struct stream_ops guest_ops = {
    .data = on_request,
    .ended = on_guest_ended,
    .gone = on_guest_gone,
};

static void on_incoming(struct listener *l)
{
    struct stage *stage = container_of(l, struct stage, listener);
    assert_true(stage->guest_count < GUESTS_MAX);
    struct stream *s = &stage->guests[stage->guest_count++];
    assert_int_equal(stream_init_tcp(s, &stage->loop, &guest_ops), 0);
    assert_int_equal(listener_accept(l, s), 0);
    stream_start(s, SIZE_MAX);
    if (stage->speaks_first)
        speak(s);
}

static void on_listener_gone(struct listener *l)
{
    (void)l;
}

static const struct listener_ops listener_ops = {on_incoming, on_listener_gone};

/* ------------------------------------------------------------------- client */

static struct stage *of_client(struct client *c)
{
    return container_of(c, struct stage, client);
}

static void on_opened(struct client *c)
{
    of_client(c)->opened++;
}

static void on_head(struct client *c, const struct answer_head *head)
{
    of_client(c)->heads++;
    of_client(c)->status = head->status;
}

static void on_body(struct client *c, struct slice bytes)
{
    buf_add(&of_client(c)->body, bytes);
}

static void on_answered(struct client *c)
{
    struct stage *stage = of_client(c);
    const char *again = stage->again;
    stage->answered++;
    stage->again = NULL;
    if (again)
        client_send(c, slice_of(again), false, TIMEOUT_MS);
}

static void on_failed(struct client *c, enum client_failure failure, int code, const char *why)
{
    struct stage *stage = of_client(c);
    assert_true(code < 0);
    stage->failed++;
    stage->failure = failure;
    snprintf(stage->why, sizeof(stage->why), "%s", why);
    client_close(c);
}

static void on_gone(struct client *c)
{
    of_client(c)->gone++;
}

static const struct client_ops ops = {
    .opened = on_opened,
    .head = on_head,
    .body = on_body,
    .answered = on_answered,
    .failed = on_failed,
    .gone = on_gone,
};

static struct stage *stage_new(const char *says)
{
    struct stage *stage = xcalloc(1, sizeof(*stage));
    struct err err;
    stage->says = says;
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(loop_init(&stage->loop), 0);
    if (listener_open(&stage->listener, &stage->loop, "127.0.0.1:0", &listener_ops, &err) ||
        peer_resolve(&stage->peer, &stage->loop, stage->listener.address, &err))
        fail_msg("%s", err.text);
    return stage;
}

static void on_tick(struct timer *timer)
{
    loop_stop(&container_of(timer, struct stage, tick)->loop);
}

static void run_for(struct stage *stage, uint64_t ms)
{
    timer_start(&stage->loop, &stage->tick, ms, on_tick);
    loop_run(&stage->loop);
    timer_stop(&stage->loop, &stage->tick);
}

static void turn(struct stage *stage, uint64_t since_ms, const char *awaited)
{
    run_for(stage, 2);
    if (loop_now(&stage->loop) - since_ms > PATIENCE_MS)
        fail_msg("never came true: %s (failed %u: %s)", awaited, stage->failed, stage->why);
}

#define until(stage, condition)                                                                \
    for (uint64_t since_ms = loop_now(&(stage)->loop); !(condition);)                          \
    turn(stage, since_ms, #condition)

static void stage_open(struct stage *stage)
{
    client_open(&stage->client, &stage->loop, &stage->peer, TIMEOUT_MS, &ops);
    until(stage, stage->opened || stage->failed);
}

static void stage_ask(struct stage *stage, const char *request, bool is_head)
{
    client_send(&stage->client, slice_of(request), is_head, TIMEOUT_MS);
}

/* No handle may be left. */
static void stage_free(struct stage *stage)
{
    client_close(&stage->client);
    client_close(&stage->client);
    listener_close(&stage->listener);
    for (unsigned i = 0; i < stage->guest_count; i++)
        stream_close(&stage->guests[i]);
    loop_run(&stage->loop);
    assert_int_equal(stage->gone, 1);
    assert_int_equal(loop_deinit(&stage->loop), 0);
    buf_deinit(&stage->asked);
    buf_deinit(&stage->body);
    xfree(stage);
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* --------------------------------------------------------------- connection */

static void requests_follow_each_other_on_one_connection(void **state)
{
    struct stage *stage = stage_new(HI);
    (void)state;
    stage_open(stage);
    stage->again = GET;
    stage_ask(stage, GET, false);
    until(stage, stage->answered == 2);
    assert_true(client_idle(&stage->client));
    assert_string_equal(buf_cstr(&stage->body), "hihi");
    assert_string_equal(buf_cstr(&stage->asked), GET GET);
    assert_int_equal(stage->guest_count, 1);
    assert_int_equal(stage->client.received, 2 * strlen(HI));
    stage_free(stage);
}

static void a_connection_that_closes_is_not_used_again(void **state)
{
    static const char *const texts[] = {OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi",
                                        OK "\r\nhi"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct stage *stage = stage_new(texts[i]);
        stage->closes = true;
        stage_open(stage);
        stage_ask(stage, GET, false);
        until(stage, stage->answered);
        assert_false(client_idle(&stage->client));
        assert_string_equal(buf_cstr(&stage->body), "hi");
        run_for(stage, 20);
        assert_int_equal(stage->failed, 0);
        stage_free(stage);
    }
}

static void an_answer_to_head_has_no_body(void **state)
{
    struct stage *stage = stage_new(OK "Content-Length: 100\r\n\r\n");
    (void)state;
    stage_open(stage);
    stage_ask(stage, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", true);
    until(stage, stage->answered);
    assert_true(client_idle(&stage->client));
    assert_int_equal(stage->body.len, 0);
    stage_free(stage);
}

static const struct {
    const char *says;
    bool closes;
    enum client_failure failure;
    const char *why;
} failures[] = {
    {OK "Content-Length: 5\r\n\r\nhi", true, CLIENT_CLOSED, "before the answer did"},
    {NULL, true, CLIENT_CLOSED, "before the answer did"},
    {"SSH-2.0-x\r\n", false, CLIENT_INVALID, "not valid HTTP"},
    {HI HI, false, CLIENT_INVALID, "more came"},
};

static void a_broken_answer_fails_once_and_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        struct stage *stage = stage_new(failures[i].says);
        stage->closes = failures[i].closes;
        stage_open(stage);
        stage_ask(stage, GET, false);
        until(stage, stage->failed && stage->gone);
        assert_int_equal(stage->failure, failures[i].failure);
        if (!strstr(stage->why, failures[i].why))
            fail_msg("%s", stage->why);
        assert_int_equal(stage->answered, 0);
        assert_int_equal(stage->failed, 1);
        stage_free(stage);
    }
}

/* An answer that was there before its question would be taken for the next one's. */
static void bytes_that_nobody_asked_for_are_no_answer(void **state)
{
    struct stage *stage = stage_new(HI);
    (void)state;
    stage->speaks_first = true;
    stage_open(stage);
    until(stage, stage->failed);
    assert_int_equal(stage->failure, CLIENT_INVALID);
    assert_non_null(strstr(stage->why, "nobody asked"));
    stage_free(stage);
}

static void an_idle_connection_tells_that_it_was_closed(void **state)
{
    struct stage *stage = stage_new(HI);
    (void)state;
    stage_open(stage);
    until(stage, stage->guest_count);
    stream_close(&stage->guests[0]);
    until(stage, stage->failed);
    assert_int_equal(stage->failure, CLIENT_CLOSED);
    assert_string_equal(stage->why, "the server closed the connection");
    stage_free(stage);
}

static void a_request_has_its_time(void **state)
{
    struct stage *stage = stage_new(OK "Content-Length: 5\r\n\r\nhi");
    (void)state;
    stage_open(stage);
    client_send(&stage->client, slice_of(GET), false, 30);
    until(stage, stage->failed);
    assert_int_equal(stage->failure, CLIENT_TIMEOUT);
    assert_string_equal(buf_cstr(&stage->body), "hi");
    stage_free(stage);
}

static void nobody_listens(void **state)
{
    struct stage *stage = stage_new(HI);
    (void)state;
    listener_close(&stage->listener);
    run_for(stage, 20);
    stage_open(stage);
    assert_int_equal(stage->opened, 0);
    assert_int_equal(stage->failure, CLIENT_CONNECT);
    assert_non_null(strstr(stage->why, "cannot connect to 127.0.0.1:"));
    stage_free(stage);
}

/* As localhost is ::1 first, where nobody may listen. */
static void the_next_address_is_tried(void **state)
{
    struct stage *stage = stage_new(HI);
    struct sockaddr_in *dead = (struct sockaddr_in *)&stage->peer.at[0];
    (void)state;
    stage->peer.at[1] = stage->peer.at[0];
    stage->peer.count = 2;
    dead->sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); /* 127.0.0.2 */
    stage_open(stage);
    assert_int_equal(stage->failed, 0);
    assert_int_equal(stage->client.nth, 1);
    stage_ask(stage, GET, false);
    until(stage, stage->answered);
    stage_free(stage);
}

static void it_may_be_closed_at_any_moment(void **state)
{
    (void)state;
    for (unsigned moment = 0; moment < 3; moment++) {
        struct stage *stage = stage_new(moment == 2 ? NULL : HI);
        client_open(&stage->client, &stage->loop, &stage->peer, TIMEOUT_MS, &ops);
        if (moment > 0)
            until(stage, stage->opened);
        if (moment > 1)
            stage_ask(stage, GET, false);
        client_close(&stage->client);
        until(stage, stage->gone);
        assert_int_equal(stage->failed + stage->answered, 0);
        stage_free(stage);
    }
}

static void a_paused_client_reads_on_when_it_is_resumed(void **state)
{
    struct stage *stage = stage_new(HI);
    (void)state;
    stage_open(stage);
    client_pause(&stage->client);
    stage_ask(stage, GET, false);
    run_for(stage, 50);
    assert_int_equal(stage->heads, 0);
    client_resume(&stage->client);
    until(stage, stage->answered);
    stage_free(stage);
}

/* -------------------------------------------------------------------- fetch */

/* A process that answers connections on the listening descriptor, one after the other. */
static pid_t serve(int listening, const char *says, bool waits)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    for (;;) {
        char request[4096];
        int fd = accept(listening, NULL, NULL);
        ssize_t len = read(fd, request, sizeof(request));
        if (len > 0 && !waits)
            len = write(fd, says, strlen(says));
        if (waits)
            pause();
        close(fd);
    }
}

static int listen_here(char *address, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(address, size, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static int fetch_from(const char *says, bool waits, struct client_request request,
                      struct client_response *response, struct err *err)
{
    char address[64];
    int fd = listen_here(address, sizeof(address));
    pid_t pid = serve(fd, says, waits);
    request.address = address;
    int rc = client_fetch(&request, response, err);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(fd);
    return rc;
}

static void a_fetch_brings_the_whole_answer(void **state)
{
    struct client_response response;
    struct err err;
    (void)state;
    int rc = fetch_from("HTTP/1.1 201 Made\r\nX-Who: me\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "2\r\nhi\r\n0\r\n\r\n",
                        false, (struct client_request){0}, &response, &err);
    if (rc)
        fail_msg("%s", err.text);
    assert_int_equal(response.status, 201);
    assert_true(slice_is(client_response_field(&response, "x-who"), "me"));
    assert_int_equal(client_response_field(&response, "x-none").len, 0);
    assert_string_equal(buf_cstr(&response.body), "hi");
    client_response_deinit(&response);
}

static void a_fetch_is_bounded_in_time_and_size(void **state)
{
    struct client_response response;
    struct err err;
    (void)state;
    int rc = fetch_from(HI, true, (struct client_request){.timeout_ms = 50}, &response, &err);
    assert_int_equal(rc, UV_ETIMEDOUT);
    assert_non_null(strstr(err.text, "in time"));
    rc = fetch_from(HI, false, (struct client_request){.body_max = 1}, &response, &err);
    assert_int_equal(rc, UV_EMSGSIZE);
    assert_non_null(strstr(err.text, "larger than 1 bytes"));
}

static void a_fetch_says_what_went_wrong(void **state)
{
    struct client_response response;
    struct err err;
    char address[64];
    (void)state;
    assert_int_equal(fetch_from("", false, (struct client_request){0}, &response, &err),
                     UV_EOF);
    assert_int_equal(
        fetch_from("hello\r\n", false, (struct client_request){0}, &response, &err), UV_EPROTO);
    struct client_request nobody = {.address = "unix:/nonexistent/x.sock"};
    assert_int_equal(client_fetch(&nobody, &response, &err), UV_ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/x.sock"));
    close(listen_here(address, sizeof(address)));
    nobody.address = address;
    assert_int_equal(client_fetch(&nobody, &response, &err), UV_ECONNREFUSED);
    nobody.address = "localhost:http";
    assert_int_equal(client_fetch(&nobody, &response, &err), UV_EINVAL);
}

/* -------------------------------------------------------------------- write */

static void check_write(struct client_request request, const char *expected)
{
    struct buf out = {0};
    struct err err = {0};
    request.address = request.address ? request.address : "host:8000";
    int rc = client_request_write(&request, &out, &err);
    if (expected) {
        assert_int_equal(rc, 0);
        assert_string_equal(buf_cstr(&out), expected);
    } else {
        assert_int_equal(rc, UV_EINVAL);
        assert_true(err.text[0]);
        assert_int_equal(out.len, 0);
    }
    buf_deinit(&out);
}

static void a_request_is_written_as_it_is_meant_or_not_at_all(void **state)
{
    struct field host = {SLICE("HOST"), SLICE("other")};
    struct field split = {SLICE("X"), SLICE("a\r\nY: b")};
    struct field name = {SLICE("X Y"), SLICE("a")};
    (void)state;
    check_write((struct client_request){0}, "GET / HTTP/1.1\r\nHost: host:8000\r\n\r\n");
    check_write((struct client_request){.address = "unix:/x"},
                "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    check_write((struct client_request){.method = "POST", .target = "/a?b=c"},
                "POST /a?b=c HTTP/1.1\r\nHost: host:8000\r\nContent-Length: 0\r\n\r\n");
    check_write((struct client_request){.body = SLICE("hi"), .fields = &host, .field_count = 1},
                "GET / HTTP/1.1\r\nContent-Length: 2\r\nHOST: other\r\n\r\nhi");
    check_write((struct client_request){.method = "GE T"}, NULL);
    check_write((struct client_request){.target = "/a b"}, NULL);
    check_write((struct client_request){.target = "/\r\nX: y"}, NULL);
    check_write((struct client_request){.fields = &split, .field_count = 1}, NULL);
    check_write((struct client_request){.fields = &name, .field_count = 1}, NULL);
    check_write((struct client_request){.host = "a\r\nX: y"}, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_follow_each_other_on_one_connection),
        cmocka_unit_test(a_connection_that_closes_is_not_used_again),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(a_broken_answer_fails_once_and_says_why),
        cmocka_unit_test(bytes_that_nobody_asked_for_are_no_answer),
        cmocka_unit_test(an_idle_connection_tells_that_it_was_closed),
        cmocka_unit_test(a_request_has_its_time),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(it_may_be_closed_at_any_moment),
        cmocka_unit_test(a_paused_client_reads_on_when_it_is_resumed),
        cmocka_unit_test(a_fetch_brings_the_whole_answer),
        cmocka_unit_test(a_fetch_is_bounded_in_time_and_size),
        cmocka_unit_test(a_fetch_says_what_went_wrong),
        cmocka_unit_test(a_request_is_written_as_it_is_meant_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
