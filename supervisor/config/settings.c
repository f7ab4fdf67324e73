#include "config/settings.h"

#include <string.h>

#include "base/log.h"
#include "config/config.h"
#include "config/value.h"

#define US UINT64_C(1)
#define MS UINT64_C(1)
#define S  (1000 * MS)
#define H  (3600 * S)
#define D  (24 * H)
#define K  (UINT64_C(1) << 10)
#define M  (UINT64_C(1) << 20)
#define G  (UINT64_C(1) << 30)

#define FIELD(key, owner, field)                                                               \
    key, offsetof(struct owner, field), sizeof(((struct owner *)0)->field)
#define SERVER(key) FIELD(#key, server_config, key)
#define WORKER(key) FIELD(#key, worker_config, key)
#define ROUTE(key)  FIELD(#key, route_config, key)

static const char *const access_logs[] = {
    [ACCESS_OFF] = "off", [ACCESS_COMBINED] = "combined", [ACCESS_JSON] = "json", NULL};

static const char *const log_formats[] = {
    [LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL};

static const char *const automatic[] = {
    [AUTO_AUTO] = "auto", [AUTO_ON] = "on", [AUTO_OFF] = "off", NULL};

static const char *const log_levels[] = {[LOG_DEBUG] = "debug",
                                         [LOG_INFO] = "info",
                                         [LOG_WARN] = "warn",
                                         [LOG_ERROR] = "error",
                                         NULL};

/* Indices into what becomes worker_config.ready_auto. */
static const char *const ready_ways[] = {[false] = "frame", [true] = "auto", NULL};

/* clang-format off */
static const struct setting server_rows[] = {
    {SERVER(listen), SETTING_STRING, "127.0.0.1:8000", 0, 0,
     .help = "address to serve: \"HOST:PORT\", \":PORT\" (every interface) or \"unix:PATH\"", .fixed = true},
    {SERVER(trusted_proxies), SETTING_LIST, "(none)", 0, 0,
     .help = "addresses or networks whose X-Forwarded-* fields are believed"},
    {SERVER(max_head), SETTING_SIZE, "32K", 1 * K, 1 * M,
     .help = "request line and fields together; more is answered 431"},
    {SERVER(max_target), SETTING_SIZE, "16K", 256, 1 * M,
     .help = "path and query; more is answered 414"},
    {SERVER(max_headers), SETTING_INT, "128", 8, 4096,
     .help = "fields of a request; more is answered 431"},
    {SERVER(max_body), SETTING_SIZE, "8M", 0, 16 * G,
     .help = "body of a request; more is answered 413"},
    {SERVER(max_connections), SETTING_INT, "20000", 1, 1000000,
     .help = "open connections; beyond it the longest idle one is closed"},
    {SERVER(header_timeout), SETTING_DURATION, "30s", 100 * MS, 1 * H,
     .help = "until a request's head is complete"},
    {SERVER(body_timeout), SETTING_DURATION, "30s", 100 * MS, 1 * H,
     .help = "between two reads of a request's body"},
    {SERVER(idle_timeout), SETTING_DURATION, "75s", 100 * MS, 1 * D,
     .help = "of a kept connection; longer than the 60 s of most proxies, so that they close first"},
    {SERVER(send_timeout), SETTING_DURATION, "30s", 100 * MS, 1 * H,
     .help = "between two writes to a client that reads slowly"},
    {SERVER(shutdown_timeout), SETTING_DURATION, "30s", 1 * MS, 1 * H,
     .help = "from the signal to stop to the end of the last worker"},
    {SERVER(spin), SETTING_DURATION_US, "off", 0, 10000 * US,
     .help = "look for work this long before sleeping: a faster answer for a busier CPU"},
    {SERVER(access_log), SETTING_CHOICE, "off", 0, 0,
     .help = "one line for each request", .choices = access_logs},
    {SERVER(log_format), SETTING_CHOICE, "text", 0, 0,
     .help = "of nodey's own log", .choices = log_formats},
    {SERVER(log_level), SETTING_CHOICE, "info", 0, 0,
     .help = "the least important lines that are logged", .choices = log_levels},
    {SERVER(data_dir), SETTING_PATH, ".nodey", 0, 0,
     .help = "where nodey keeps what it must remember", .fixed = true},
    {SERVER(dev), SETTING_CHOICE, "auto", 0, 0,
     .help = "error pages with tracebacks, and watch; auto: on a terminal", .choices = automatic, .fixed = true},
    {SERVER(watch), SETTING_CHOICE, "auto", 0, 0,
     .help = "serve changed, new and removed files at once; auto: as dev", .choices = automatic, .fixed = true},
    {SERVER(cache_size), SETTING_SIZE, "64M", 0, 16 * G,
     .help = "memory for the answers of routes with a cache"},
    {SERVER(ask_endpoint), SETTING_BOOL, "false", 0, 0,
     .help = "answer POST /ask {\"asking_about\": TOKEN} with base64 JSON, as the bridges of old did"},
};

static const struct setting worker_rows[] = {
    {WORKER(script), SETTING_PATH, "(none)", 0, 0,
     .help = "program to run: .py, .js, .mjs, .cjs, .ts, or anything executable"},
    {WORKER(command), SETTING_COMMAND, "(by script)", 0, 0,
     .help = "instead of script: program and arguments; no shell is involved"},
    {WORKER(cwd), SETTING_PATH, "(config's folder)", 0, 0,
     .help = "working directory"},
    {WORKER(env), SETTING_ENV, "(none)", 0, 0,
     .help = "further environment variables"},
    {WORKER(env_file), SETTING_LIST, "(none)", 0, 0,
     .help = "files of NAME=value lines, below env"},
    {WORKER(env_clear), SETTING_BOOL, "false", 0, 0,
     .help = "start with no environment but env, env_file and what nodey adds"},
    {WORKER(watch), SETTING_LIST, "(what it loads)", 0, 0,
     .help = "further files and folders whose change replaces the instances"},
    {WORKER(tokens), SETTING_LIST, "(none)", 0, 0,
     .help = "tokens it answers, beside those that it announces"},
    {FIELD("ready", worker_config, ready_auto), SETTING_CHOICE, "(by script)", 0, 0,
     .help = "serves once it says so, or also when it has merely lived for 2 s", .choices = ready_ways},
    {WORKER(instances), SETTING_INT, "(CPUs, 2 to 8)", 1, 1024,
     .help = "processes to run"},
    {WORKER(start_timeout), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "until it must be ready"},
    {WORKER(timeout), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "of one request"},
    {WORKER(queue), SETTING_INT, "1024", 0, 1000000,
     .help = "requests that may wait; more are answered 503"},
    {WORKER(queue_timeout), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "a request waits no longer than this"},
    {WORKER(kill_after), SETTING_DURATION, "2s", 1 * MS, 1 * D,
     .help = "a worker that ignores a cancelled request is killed after this"},
    {WORKER(stop_grace_period), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "from SIGTERM to SIGKILL"},
    {WORKER(max_requests), SETTING_INT, "0", 0, 1000000000,
     .help = "replace an instance after so many requests; 0: never"},
    {WORKER(ttl), SETTING_DURATION, "off", 0, 365 * D,
     .help = "replace an instance at this age"},
    {WORKER(prefetch), SETTING_INT, "64", 1, 4096,
     .help = "requests an instance may hold unanswered"},
    {WORKER(ping_interval), SETTING_DURATION, "1s", 0, 1 * H,
     .help = "how often an instance is asked whether it lives"},
    {WORKER(ping_timeout), SETTING_DURATION, "2s", 1 * MS, 1 * H,
     .help = "an answer this late: gets no new requests"},
    {WORKER(ping_kill), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "an answer this late: frozen, and replaced"},
    {WORKER(backoff_min), SETTING_DURATION, "100ms", 1 * MS, 1 * H,
     .help = "pause before the first restart"},
    {WORKER(backoff_max), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "the pause doubles up to this"},
    {WORKER(backoff_reset), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "ready for this long: healthy again"},
    {WORKER(max_restarts), SETTING_INT, "10", 1, 1000000,
     .help = "so many crashes without once being ready: failed"},
    {WORKER(failed_retry), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "failed: tried again after this"},
    {WORKER(max_line), SETTING_SIZE, "16M", 64 * K, 64 * M,
     .help = "of one protocol line, either way"},
    {WORKER(log_rate), SETTING_INT, "1000", 1, 1000000,
     .help = "log lines per second and instance; more are counted, not shown"},
};

static const struct setting route_rows[] = {
    {ROUTE(path), SETTING_STRING, "(required)", 0, 0,
     .help = "\"/exact\", \"/users/:id\" or \"/files/*\""},
    {FIELD("methods", route_config, methods), SETTING_LIST, "(any)", 0, 0,
     .help = "such as [\"GET\", \"POST\"]"},
    {FIELD("method", route_config, methods), SETTING_LIST, "(any)", 0, 0,
     .help = "the same, for one"},
    {ROUTE(to), SETTING_STRING, "(required)", 0, 0,
     .help = "\"worker\" or \"worker:Token\""},
    {ROUTE(timeout), SETTING_DURATION, "(the worker's)", 1 * MS, 1 * D,
     .help = "of one request"},
    {ROUTE(cache), SETTING_DURATION, "off", 0, 365 * D,
     .help = "keep answers to GET and HEAD this long, unless their Cache-Control says otherwise"},
    {ROUTE(cache_headers), SETTING_LIST, "(none)", 0, 0,
     .help = "request headers that are part of the cache's key, beside those of Vary"},
    {ROUTE(description), SETTING_STRING, "(none)", 0, 0,
     .help = "for people"},
};
/* clang-format on */

const struct section section_server = {"[server]", server_rows, ARRAY_LEN(server_rows)};
const struct section section_worker = {"[workers.NAME]", worker_rows, ARRAY_LEN(worker_rows)};
const struct section section_route = {"[[routes]]", route_rows, ARRAY_LEN(route_rows)};

static const char *type_name(const struct setting *s)
{
    static const char *const names[] = {
        [SETTING_BOOL] = "bool",         [SETTING_INT] = "integer",
        [SETTING_DURATION] = "duration", [SETTING_DURATION_US] = "duration",
        [SETTING_SIZE] = "size",         [SETTING_CHOICE] = "choice",
        [SETTING_STRING] = "string",     [SETTING_PATH] = "path",
        [SETTING_LIST] = "list",         [SETTING_ENV] = "table",
        [SETTING_COMMAND] = "command",
    };
    return names[s->type];
}

static void describe_row(struct buf *out, const struct setting *s, int key, int fallback)
{
    buf_addf(out, "  %-*s  %-8s  %-*s  %s", key, s->key, type_name(s), fallback, s->fallback,
             s->help);
    for (size_t i = 0; s->choices && s->choices[i]; i++)
        buf_addf(out, "%s\"%s\"", i ? ", " : ": ", s->choices[i]);
    buf_adds(out, s->fixed ? " (a change needs a restart)\n" : "\n");
}

void config_describe(struct buf *out)
{
    const struct section *sections[] = {&section_server, &section_worker, &section_route};
    size_t key = 0, fallback = 0;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        for (size_t j = 0; j < sections[i]->count; j++) {
            key = MAX(key, strlen(sections[i]->rows[j].key));
            fallback = MAX(fallback, strlen(sections[i]->rows[j].fallback));
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        buf_addf(out, "%s%s\n", i ? "\n" : "", sections[i]->title);
        for (size_t j = 0; j < sections[i]->count; j++)
            describe_row(out, &sections[i]->rows[j], (int)key, (int)fallback);
    }
}
