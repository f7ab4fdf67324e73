#include "app/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/asking.h"
#include "app/control_act.h"
#include "app/control_bus.h"
#include "app/control_incidents.h"
#include "app/control_reply.h"
#include "app/control_state.h"
#include "app/story.h"
#include "http/path.h"
#include "pool/limits.h"

enum {
    CONNECTIONS_MAX = 64,
    BODY_MAX = 64 << 20,
    HEAD_MAX = 64 << 10,
    HEADERS_MAX = 128,
    PATIENCE_MS = 30000, /* with a client that stops in the middle */
    TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000,
};

/* ------------------------------------------------------------------------- state */

static void show_self(struct control *c, struct exchange *x)
{
    struct buf out = {0};
    control_write_self(&c->host, &out);
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
}

static bool wants_usage(struct exchange *x)
{
    struct slice value;
    return control_parameter(exchange_request(x), "usage", &value) && slice_is(value, "1");
}

static void show_programs(struct control *c, struct exchange *x)
{
    struct buf out = {0};
    control_write_programs(&c->host, wants_usage(x) ? CONTROL_USAGE : CONTROL_BRIEF, &out);
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
}

/* What follows "/v1/programs/": NAME, or NAME/VERB. */
static void serve_program(struct control *c, struct exchange *x, struct slice rest)
{
    const char *slash = memchr(rest.ptr, '/', rest.len);
    struct slice name = {rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len};
    struct pool *pool = control_find(c, x, name);
    if (!pool)
        return;
    if (slash) {
        control_act(c, x, pool, slice_from(rest, name.len + 1));
        return;
    }
    if (!slice_is(exchange_request(x)->method, "GET")) {
        control_refuse_method(x, "GET");
        return;
    }
    struct buf out = {0};
    limits_measure(pool);
    control_write_program(&c->host, pool, CONTROL_ABOUT, &out);
    buf_addc(&out, '\n');
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
}

/* ------------------------------------------------------------------------- reload */

static void write_lines(struct slice text, struct buf *out)
{
    const char *before = "";
    while (text.len) {
        const char *lf = memchr(text.ptr, '\n', text.len);
        size_t len = lf ? (size_t)(lf - text.ptr) : text.len;
        buf_adds(out, before);
        json_write(out, (struct slice){text.ptr, len});
        text = slice_from(text, MIN(len + 1, text.len));
        before = ",";
    }
}

/* Programs of which new instances are on their way, of that life and later. */
static void write_renewed(const struct pools *pools, uint64_t from, struct buf *out)
{
    const char *before = "";
    list_each (at, &pools->list) {
        const struct pool *pool = container_of(at, struct pool, node);
        bool starts = pool->rest == POOL_RUNS || pool->rest == POOL_WAITS;
        if (pool->renewed_life < from || pool->leaving || !starts)
            continue;
        buf_addf(out, "%s{\"name\":", before);
        json_write(out, slice_of(pool->config->name));
        buf_addf(out, ",\"life\":%llu}", (unsigned long long)pool->renewed_life);
        before = ",";
    }
}

static void reload(struct control *c, struct exchange *x)
{
    uint64_t from = c->host.pools->next_life + 1;
    struct buf report = {0}, out = {0};
    struct err err = {.text = "this run serves one command and cannot load anything again"};
    if (!c->host.reload || c->host.reload(c->host.arg, &report, &err)) {
        control_refuse(x, 422, "failed_precondition", slice_of(err.text), (struct slice){0});
    } else {
        buf_adds(&out, "{\"changes\":[");
        write_lines(buf_slice(&report), &out);
        buf_adds(&out, "],\"renewed\":[");
        write_renewed(c->host.pools, from, &out);
        buf_adds(&out, "]}\n");
        control_answer(x, buf_slice(&out));
    }
    buf_deinit(&report);
    buf_deinit(&out);
}

/* --------------------------------------------------------------------------- ask */

/* Ends with the exchange. */
struct question {
    struct pending pending;
    struct asking asking;
    struct exchange *exchange;
};

static void on_question_gone(struct pending *pending)
{
    asking_cancel(&container_of(pending, struct question, pending)->asking);
}

static void on_asked(struct asking *a, const struct asking_reply *reply)
{
    struct exchange *x = container_of(a, struct question, asking)->exchange;
    if (!reply->code)
        control_answer(x, reply->value);
    else
        control_refuse(x, reply->status, reply->code, reply->text, reply->data);
}

/* Line breaks of JSON stand between its tokens only, and a frame is one line. */
static struct slice one_line(struct arena *arena, struct slice json)
{
    char *copy = arena_strdup(arena, json);
    for (size_t i = 0; i < json.len; i++)
        if (copy[i] == '\n' || copy[i] == '\r')
            copy[i] = ' ';
    return (struct slice){copy, json.len};
}

static const char *fault_of(struct slice json)
{
    struct json_scan scan;
    struct json_value value;
    json_scan_init(&scan, json);
    scan.depth = 1; /* the frame around it */
    if (!json_scan_value(&scan, &value))
        return scan.fault;
    if (!json_scan_done(&scan))
        return "something follows the value";
    return scan.dirty ? "it is not UTF-8" : NULL;
}

static void ask(struct control *c, struct exchange *x, struct slice token)
{
    const struct http_request *req = exchange_request(x);
    struct arena *arena = exchange_arena(x);
    uint64_t timeout = 0;
    struct slice wanted = control_field(req, "x-nodey-timeout");
    const char *fault = req->body.len ? fault_of(req->body) : NULL;
    char text[256] = "";
    if (!path_decode(token, arena, &token) || token.len == 0 || token.len > 128)
        snprintf(text, sizeof(text), "a token has 1 to 128 bytes");
    else if (wanted.len && !slice_to_u64(wanted, TIMEOUT_MAX_MS, &timeout))
        snprintf(text, sizeof(text), "x-nodey-timeout is in milliseconds, at most a day");
    else if (fault)
        snprintf(text, sizeof(text), "the arguments are not JSON: %s", fault);
    if (text[0]) {
        control_invalid(x, "%s", text);
        return;
    }
    struct question *q = arena_alloc(arena, sizeof(*q));
    q->pending = (struct pending){.gone = on_question_gone};
    q->exchange = x;
    exchange_set_data(x, &q->pending);
    asking_start(&q->asking, c->host.pools,
                 &(struct asking_question){.token = arena_strdup(arena, token),
                                           .args = one_line(arena, req->body),
                                           .from = "nodey ask",
                                           .timeout_ms = timeout},
                 on_asked);
}

/* ------------------------------------------------------------------------ handler */

static void relay(struct control *c, struct exchange *x, struct slice name)
{
    struct pool *pool = pools_find(c->host.pools, name);
    struct http_handler *front = &c->host.gateway->handler;
    if (slice_is(name, "*")) {
        front->request(front, x);
        return;
    }
    if (pool) {
        gateway_relay(c->host.gateway, x, pool);
        return;
    }
    struct buf text = {0};
    const char *before = "; there are ";
    buf_addf(&text, "no worker is called \"%.64s\"", arena_strdup(exchange_arena(x), name));
    list_each (at, &c->host.pools->list) {
        buf_addf(&text, "%s%s", before, container_of(at, struct pool, node)->config->name);
        before = ", ";
    }
    control_refuse(x, 404, "not_found", buf_slice(&text), (struct slice){0});
    buf_deinit(&text);
}

static const struct endpoint {
    const char *path;
    const char *method;
    void (*serve)(struct control *, struct exchange *);
} endpoints[] = {
    {"/v1", "GET", show_self},
    {"/v1/programs", "GET", show_programs},
    {"/v1/incidents", "GET", control_incidents},
    {"/v1/reload", "POST", reload},
    {"/v1/down", "POST", control_down},
};

static void on_request(struct http_handler *handler, struct exchange *x)
{
    static const struct slice ask_prefix = {"/v1/ask/", 8};
    static const struct slice program_prefix = {"/v1/programs/", 13};
    static const struct slice incident_prefix = {"/v1/incidents/", 14};
    struct control *c = container_of(handler, struct control, handler);
    const struct http_request *req = exchange_request(x);
    struct slice worker = control_field(req, "x-nodey-worker");
    if (worker.len) {
        relay(c, x, worker);
        return;
    }
    if (slice_starts(req->path, ask_prefix)) {
        if (slice_is(req->method, "POST"))
            ask(c, x, slice_from(req->path, ask_prefix.len));
        else
            control_refuse_method(x, "POST");
        return;
    }
    if (slice_starts(req->path, program_prefix)) {
        serve_program(c, x, slice_from(req->path, program_prefix.len));
        return;
    }
    if (slice_starts(req->path, incident_prefix)) {
        control_incident(c, x, slice_from(req->path, incident_prefix.len));
        return;
    }
    if (control_bus(c, x) || story_serve(c, x))
        return;
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        const struct endpoint *e = &endpoints[i];
        if (!slice_is(req->path, e->path))
            continue;
        if (slice_is(req->method, e->method))
            e->serve(c, x);
        else
            control_refuse_method(x, e->method);
        return;
    }
    control_refuse(x, 404, "not_found", SLICE("the control socket knows no such path"),
                   (struct slice){0});
}

static void on_gone(struct http_handler *handler, struct exchange *x)
{
    struct control *c = container_of(handler, struct control, handler);
    struct pending *pending = exchange_data(x);
    if (control_field(exchange_request(x), "x-nodey-worker").len)
        c->host.gateway->handler.gone(&c->host.gateway->handler, x);
    else if (pending)
        pending->gone(pending);
}

static void on_drained(struct http_handler *handler, struct exchange *x)
{
    struct pending *pending = exchange_data(x);
    (void)handler;
    if (pending && pending->drained)
        pending->drained(pending);
}

/* -------------------------------------------------------------------------- door */

void control_init(struct control *c, struct loop *loop, const struct control_host *host)
{
    *c = (struct control){
        .handler = {.request = on_request, .gone = on_gone, .drained = on_drained},
        .host = *host,
        .loop = loop};
    list_init(&c->waiters);
    task_init(&c->down, control_on_down);
}

static const struct http_limits limits = {
    .head_bytes = HEAD_MAX,
    .target_bytes = HEAD_MAX,
    .header_count = HEADERS_MAX,
    .body_bytes = BODY_MAX,
    .header_timeout_ms = PATIENCE_MS,
    .body_timeout_ms = PATIENCE_MS,
    .idle_timeout_ms = PATIENCE_MS,
    .send_timeout_ms = PATIENCE_MS,
    .connections = CONNECTIONS_MAX,
};

int control_open(struct control *c, const char *path, struct err *err)
{
    char address[sizeof("unix:") + sizeof(((struct sockaddr_un *)0)->sun_path)];
    int rc = control_address(path, address, sizeof(address), err);
    if (rc)
        return rc;
    if (unlink(path) && errno != ENOENT)
        return err_set(err, -errno, "cannot replace %s: %s", path, strerror(errno));
    c->server = http_server_new(
        c->loop, &(struct http_options){.limits = limits, .handler = &c->handler});
    mode_t before = umask(0177); /* it is made 0600, not made so afterwards */
    rc = http_server_listen(c->server, address, err);
    umask(before);
    if (rc)
        control_close(c);
    return rc;
}

void control_close(struct control *c)
{
    http_server_free(c->server);
    c->server = NULL;
    if (!c->loop)
        return;
    timer_stop(c->loop, &c->look);
    task_cancel(&c->down);
}

char *control_path(const char *data_dir)
{
    return xasprintf("%s/control.sock", data_dir);
}

int control_address(const char *path, char *text, size_t size, struct err *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path)) {
        snprintf(text, size, "unix:%s", path);
        return 0;
    }
    char *folder = xstrndup(path, (size_t)(slash - path) + 1);
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc =
        fd < 0 ? err_set(err, -errno, "cannot open the folder %s: %s", folder, strerror(errno))
               : 0;
    xfree(folder);
    if (rc == 0)
        snprintf(text, size, "unix:/proc/self/fd/%d%s", fd, slash);
    return rc;
}
