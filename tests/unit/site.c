#include "tests/unit/site.h"

#include <fcntl.h>
#include <signal.h>

struct site *site;

/* ------------------------------------------------------------------ handler */

void answer(struct exchange *x, struct slice body)
{
    struct http_answer a = {.status = 200, .content_type = SLICE("text/plain"), .body = body};
    struct err why;
    if (!exchange_respond(x, &a, &why))
        fail_msg("%s", why.text);
}

static void on_request(struct http_handler *handler, struct exchange *x)
{
    const struct http_request *request = exchange_request(x);
    (void)handler;
    site->requests++;
    if (site->on_request)
        site->on_request(x);
    else if (slice_is(request->path, "/hold")) {
        assert_true(site->held_count < HELD_MAX);
        site->held[site->held_count++] = x;
    } else if (slice_is(request->path, "/big")) {
        answer(x, (struct slice){site->big, BIG});
    } else if (slice_is(request->path, "/fail")) {
        exchange_fail(x, &(struct http_problem){.status = 503,
                                                .detail = SLICE("no"),
                                                .retry_after_s = 7,
                                                .allow = SLICE("GET")});
    } else if (request->body.len) {
        answer(x, request->body);
    } else {
        answer(x, request->path);
    }
}

static void on_gone(struct http_handler *handler, struct exchange *x)
{
    (void)handler;
    site->gone++;
    for (size_t i = 0; i < site->held_count; i++)
        if (site->held[i] == x)
            site->held[i] = site->held[--site->held_count];
}

static void on_answered(struct http_handler *handler, struct exchange *x, unsigned status,
                        uint64_t body_bytes, uint64_t took_us)
{
    (void)handler;
    assert_true(exchange_request(x)->path.len > 0);
    assert_true(took_us < 60 * 1000 * 1000);
    site->answered++;
    site->last_status = status;
    site->last_bytes = body_bytes;
}

static void on_body(struct http_handler *handler, struct exchange *x)
{
    (void)handler;
    site->bodies++;
    site->on_body(x);
}

static void on_drained(struct http_handler *handler, struct exchange *x)
{
    (void)handler;
    site->drains++;
    if (site->on_drained)
        site->on_drained(x);
}

struct exchange *take_held(void)
{
    assert_true(site->held_count > 0);
    return site->held[--site->held_count];
}

static void on_refused(struct http_handler *handler, struct slice ip, const struct refusal *why)
{
    (void)handler;
    assert_true(slice_is(ip, "127.0.0.1"));
    site->refused++;
    site->refused_status = why->status;
}

void on_site_drained(void *arg)
{
    ((struct site *)arg)->drained = true;
}

/* -------------------------------------------------------------------- setup */

const struct http_limits usual = {
    .head_bytes = 4096,
    .target_bytes = 1024,
    .header_count = 32,
    .body_bytes = 1 << 20,
    .header_timeout_ms = 5000,
    .body_timeout_ms = 5000,
    .idle_timeout_ms = 5000,
    .send_timeout_ms = 5000,
    .connections = 100,
};

void start(struct http_limits limits)
{
    struct err err;
    site->handler = (struct http_handler){
        .request = on_request,
        .gone = on_gone,
        .body = site->on_body ? on_body : NULL,
        .drained = on_drained,
        .answered = on_answered,
        .refused = on_refused,
    };
    struct http_options options = {.limits = limits, .handler = &site->handler};
    site->server = http_server_new(&site->loop, &options);
    if (http_server_listen(site->server, site->path ? site->path : "127.0.0.1:0", &err))
        fail_msg("%s", err.text);
    if (site->path)
        return;
    site->port = (uint16_t)atoi(strrchr(http_server_url(site->server, 0), ':') + 1);
}

int site_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    site = xcalloc(1, sizeof(*site));
    site->big = xcalloc(1, BIG);
    return loop_init(&site->loop);
}

int site_teardown(void **state)
{
    (void)state;
    http_server_free(site->server);
    for (int i = 0; i < 100 && uv_loop_alive(&site->loop.uv); i++) {
        uv_run(&site->loop.uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
    int rc = loop_deinit(&site->loop);
    buf_deinit(&site->got);
    xfree(site->big);
    xfree(site);
    return rc;
}

/* ------------------------------------------------------------------- client */

void turn(void)
{
    uv_run(&site->loop.uv, UV_RUN_NOWAIT);
    usleep(200);
}

void turns_for(uint64_t ms)
{
    for (uint64_t end = loop_clock_ns() + ms * 1000000; loop_clock_ns() < end;)
        turn();
}

int dial(int receive_buffer)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(site->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_buffer)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

bool put(int fd, struct slice bytes)
{
    for (int i = 0; i < 20000 && bytes.len; i++) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n > 0)
            bytes = slice_from(bytes, (size_t)n);
        else if (errno != EAGAIN)
            return false;
        turn();
    }
    return bytes.len == 0;
}

void say(int fd, const char *text)
{
    assert_true(put(fd, slice_of(text)));
}

void break_off(int fd)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

enum ending hear(int fd, struct buf *heard, uint64_t ms)
{
    uint64_t quiet_since = loop_clock_ns();
    while (loop_clock_ns() - quiet_since < ms * 1000000) {
        char *room = buf_reserve(heard, 65536);
        ssize_t n = recv(fd, room, 65536, 0);
        if (n == 0)
            return ENDED;
        if (n < 0 && errno != EAGAIN)
            return RESET;
        if (n > 0) {
            heard->len += (size_t)n;
            quiet_since = loop_clock_ns();
        }
        turn();
    }
    return STILL_OPEN;
}

void hear_bytes(int fd, struct buf *heard, size_t total)
{
    uint64_t end = loop_clock_ns() + 10 * 1000000000ULL;
    while (heard->len < total && loop_clock_ns() < end)
        if (hear(fd, heard, 1) != STILL_OPEN)
            break;
    if (heard->len < total)
        fail_msg("of %zu bytes only %zu came", total, heard->len);
}

void await(int fd, struct buf *heard, const char *text)
{
    for (int i = 0; i < 300; i++) {
        if (memmem(buf_cstr(heard), heard->len, text, strlen(text)))
            return;
        hear(fd, heard, 10);
    }
    fail_msg("\"%s\" did not come, but \"%s\"", text, heard->len ? buf_cstr(heard) : "");
}

void await_count(const size_t *count, size_t want)
{
    for (int i = 0; i < 5000 && *count != want; i++)
        turn();
    assert_int_equal(*count, want);
}

void await_number(const unsigned *count, unsigned want)
{
    for (int i = 0; i < 5000 && *count != want; i++)
        turn();
    assert_int_equal(*count, want);
}

unsigned occurrences(struct buf *heard, const char *text)
{
    unsigned count = 0;
    size_t len = strlen(text);
    for (size_t at = 0; at + len <= heard->len; at++)
        count += memcmp(heard->ptr + at, text, len) == 0;
    return count;
}

void assert_answer(const char *said, const char *want, bool closes)
{
    struct buf heard = {0};
    int fd = dial(0);
    say(fd, said);
    enum ending ending = hear(fd, &heard, closes ? 2000 : 60);
    if (strncmp(buf_cstr(&heard), want, strlen(want)) != 0)
        fail_msg("\"%s\" was answered \"%s\"", said, buf_cstr(&heard));
    assert_int_equal(ending, closes ? ENDED : STILL_OPEN);
    close(fd);
    buf_deinit(&heard);
}
