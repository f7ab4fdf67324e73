#include "config/settings.h"

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

static const char *const access_logs[] = {[ACCESS_AUTO] = "auto",
                                          [ACCESS_OFF] = "off",
                                          [ACCESS_COMBINED] = "combined",
                                          [ACCESS_JSON] = "json",
                                          NULL};

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
     .help = "address to serve: \"HOST:PORT\", \":PORT\" (every interface) or \"unix:PATH\"", .fixed = true,
     .example = "listen = \"0.0.0.0:80\""},
    {SERVER(trusted_proxies), SETTING_LIST, "(none)", 0, 0,
     .help = "addresses or networks whose X-Forwarded-* fields are believed",
     .example = "trusted_proxies = [\"10.0.0.0/8\", \"unix\"]"},
    {SERVER(max_head), SETTING_SIZE, "32K", 1 * K, 1 * M,
     .help = "request line and fields together; more is answered 431",
     .example = "max_head = \"64K\""},
    {SERVER(max_target), SETTING_SIZE, "16K", 256, 1 * M,
     .help = "path and query; more is answered 414",
     .example = "max_target = \"32K\""},
    {SERVER(max_headers), SETTING_INT, "128", 8, 4096,
     .help = "fields of a request; more is answered 431",
     .example = "max_headers = 256"},
    {SERVER(max_body), SETTING_SIZE, "8M", 0, 16 * G,
     .help = "body of a request; more is answered 413",
     .example = "max_body = \"64M\""},
    {SERVER(max_connections), SETTING_INT, "20000", 1, 1000000,
     .help = "open connections; beyond it the longest idle one is closed",
     .example = "max_connections = 50000"},
    {SERVER(header_timeout), SETTING_DURATION, "30s", 100 * MS, 1 * H,
     .help = "until a request's head is complete",
     .example = "header_timeout = \"10s\""},
    {SERVER(body_timeout), SETTING_DURATION, "30s", 100 * MS, 1 * H,
     .help = "between two reads of a request's body",
     .example = "body_timeout = \"1m\""},
    {SERVER(idle_timeout), SETTING_DURATION, "75s", 100 * MS, 1 * D,
     .help = "of a kept connection; longer than the 60 s of most proxies, so that they close first",
     .example = "idle_timeout = \"2m\""},
    {SERVER(send_timeout), SETTING_DURATION, "30s", 100 * MS, 1 * H,
     .help = "between two writes to a client that reads slowly",
     .example = "send_timeout = \"1m\""},
    {SERVER(shutdown_timeout), SETTING_DURATION, "30s", 1 * MS, 1 * H,
     .help = "from the signal to stop to the end of the last worker",
     .example = "shutdown_timeout = \"1m\""},
    {SERVER(spin), SETTING_DURATION_US, "off", 0, 10000 * US,
     .help = "look for work this long before sleeping: a faster answer for a busier CPU",
     .example = "spin = \"50us\""},
    {SERVER(access_log), SETTING_CHOICE, "auto", 0, 0,
     .help = "one line for each request on standard output; auto: in development at a terminal, short ones in the log", .choices = access_logs,
     .example = "access_log = \"combined\""},
    {SERVER(log_format), SETTING_CHOICE, "text", 0, 0,
     .help = "of nodey's own log", .choices = log_formats,
     .example = "log_format = \"json\""},
    {SERVER(log_level), SETTING_CHOICE, "info", 0, 0,
     .help = "the least important lines that are logged", .choices = log_levels,
     .example = "log_level = \"debug\""},
    {SERVER(data_dir), SETTING_PATH, ".nodey", 0, 0,
     .help = "where nodey keeps what it must remember", .fixed = true,
     .example = "data_dir = \"/var/lib/nodey\""},
    {SERVER(dev), SETTING_CHOICE, "auto", 0, 0,
     .help = "error pages with tracebacks, and watch; auto: on a terminal", .choices = automatic, .fixed = true,
     .example = "dev = \"off\""},
    {SERVER(watch), SETTING_CHOICE, "auto", 0, 0,
     .help = "serve changed, new and removed files at once; auto: as dev", .choices = automatic, .fixed = true,
     .example = "watch = \"on\""},
    {SERVER(cache_size), SETTING_SIZE, "64M", 0, 16 * G,
     .help = "memory for the answers of routes with a cache",
     .example = "cache_size = \"256M\""},
    {SERVER(ask_endpoint), SETTING_BOOL, "false", 0, 0,
     .help = "answer POST /ask {\"asking_about\": TOKEN} with base64 JSON, as the bridges of old did",
     .example = "ask_endpoint = true"},
    {SERVER(discover), SETTING_BOOL, "true", 0, 0,
     .help = "serve the programs in workers/, also those that no section mentions",
     .example = "discover = false"},
};

static const struct setting worker_rows[] = {
    {WORKER(script), SETTING_PATH, "(none)", 0, 0,
     .help = "program to run: .py, .js, .mjs, .cjs, .ts, or anything executable; by default the one in workers/ of the same name", .renews = true,
     .example = "script = \"workers/fib.py\""},
    {WORKER(command), SETTING_COMMAND, "(by script)", 0, 0,
     .help = "instead of script: program and arguments, split as a shell splits once ${VAR} is filled in; no shell is involved", .renews = true,
     .example = "command = [\"python3\", \"-O\", \"workers/fib.py\"]"},
    {WORKER(cwd), SETTING_PATH, "(config's folder)", 0, 0,
     .help = "working directory", .renews = true,
     .example = "cwd = \"/srv/data\""},
    {WORKER(venv), SETTING_PATH, "(as found)", 0, 0,
     .help = "virtual environment of a Python script; by default .venv or venv beside it, or in a folder above it", .renews = true,
     .example = "venv = \"envs/fib\""},
    {WORKER(env), SETTING_ENV, "(none)", 0, 0,
     .help = "environment variables, beside those of [defaults.env]; they win over env_file, then nodey's own environment, then .env", .renews = true,
     .example = "env = { LEVEL = \"high\", WEB_PORT = \"${PORT:-3000}\" }"},
    {WORKER(env_file), SETTING_LIST, "(none)", 0, 0, .paths = true,
     .help = "files of NAME=value lines as in .env; later ones win",
     .example = "env_file = [\"common.env\", \"fib.env\"]"},
    {WORKER(env_clear), SETTING_BOOL, "false", 0, 0,
     .help = "start with no environment but env, env_file and what nodey adds: nothing inherited, nothing of .env", .renews = true,
     .example = "env_clear = true"},
    {WORKER(watch), SETTING_LIST, "(what it loads)", 0, 0, .paths = true,
     .help = "further files and folders whose change replaces the instances",
     .example = "watch = [\"templates\", \"rules.json\"]"},
    {WORKER(tokens), SETTING_LIST, "(none)", 0, 0,
     .help = "tokens it answers, beside those that it announces",
     .example = "tokens = [\"Fib\", \"Primes\"]"},
    {FIELD("ready", worker_config, ready_auto), SETTING_CHOICE, "(by script)", 0, 0,
     .help = "serves once it says so, or also when it has merely lived for 2 s", .choices = ready_ways, .renews = true,
     .example = "ready = \"auto\""},
    {WORKER(instances), SETTING_INT, "(CPUs, 2 to 8)", 1, 1024,
     .help = "processes to run",
     .example = "instances = 4"},
    {WORKER(start_timeout), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "until it must be ready",
     .example = "start_timeout = \"1m\""},
    {WORKER(timeout), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "of one request",
     .example = "timeout = \"5s\""},
    {WORKER(queue), SETTING_INT, "1024", 0, 1000000,
     .help = "requests that may wait; more are answered 503",
     .example = "queue = 100"},
    {WORKER(queue_timeout), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "a request waits no longer than this",
     .example = "queue_timeout = \"2s\""},
    {WORKER(kill_after), SETTING_DURATION, "2s", 1 * MS, 1 * D,
     .help = "a worker that ignores a cancelled request is killed after this",
     .example = "kill_after = \"5s\""},
    {WORKER(stop_grace_period), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "from SIGTERM to SIGKILL",
     .example = "stop_grace_period = \"30s\""},
    {WORKER(max_requests), SETTING_INT, "0", 0, 1000000000,
     .help = "replace an instance after so many requests; 0: never", .renews = true,
     .example = "max_requests = 10000"},
    {WORKER(ttl), SETTING_DURATION, "off", 0, 365 * D,
     .help = "replace an instance at this age", .renews = true,
     .example = "ttl = \"1d\""},
    {WORKER(prefetch), SETTING_INT, "64", 1, 4096,
     .help = "requests an instance may hold unanswered",
     .example = "prefetch = 16"},
    {WORKER(ping_interval), SETTING_DURATION, "1s", 0, 1 * H,
     .help = "how often an instance is asked whether it lives", .renews = true,
     .example = "ping_interval = \"5s\""},
    {WORKER(ping_timeout), SETTING_DURATION, "2s", 1 * MS, 1 * H,
     .help = "an answer this late: gets no new requests",
     .example = "ping_timeout = \"3s\""},
    {WORKER(ping_kill), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "an answer this late: frozen, and replaced",
     .example = "ping_kill = \"30s\""},
    {WORKER(backoff_min), SETTING_DURATION, "100ms", 1 * MS, 1 * H,
     .help = "pause before the first restart",
     .example = "backoff_min = \"500ms\""},
    {WORKER(backoff_max), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "the pause doubles up to this",
     .example = "backoff_max = \"1m\""},
    {WORKER(backoff_reset), SETTING_DURATION, "10s", 1 * MS, 1 * D,
     .help = "ready for this long: healthy again",
     .example = "backoff_reset = \"30s\""},
    {WORKER(max_restarts), SETTING_INT, "10", 1, 1000000,
     .help = "so many crashes without once being ready: failed",
     .example = "max_restarts = 5"},
    {WORKER(failed_retry), SETTING_DURATION, "30s", 1 * MS, 1 * D,
     .help = "failed: tried again after this",
     .example = "failed_retry = \"5m\""},
    {WORKER(max_line), SETTING_SIZE, "16M", 64 * K, 64 * M,
     .help = "of one protocol line, either way", .renews = true,
     .example = "max_line = \"32M\""},
    {WORKER(log_rate), SETTING_INT, "1000", 1, 1000000,
     .help = "log lines per second and instance; more are counted, not shown",
     .example = "log_rate = 100"},
};

static const struct setting route_rows[] = {
    {ROUTE(path), SETTING_STRING, "(required)", 0, 0,
     .help = "\"/exact\", \"/users/:id\" or \"/files/*\"",
     .example = "path = \"/users/:id\""},
    {FIELD("methods", route_config, methods), SETTING_LIST, "(any)", 0, 0,
     .help = "such as [\"GET\", \"POST\"]",
     .example = "methods = [\"GET\", \"POST\"]"},
    {FIELD("method", route_config, methods), SETTING_LIST, "(any)", 0, 0,
     .help = "the same, for one",
     .example = "method = \"GET\""},
    {ROUTE(to), SETTING_STRING, "(required)", 0, 0,
     .help = "\"worker\" or \"worker:Token\"",
     .example = "to = \"fib:Fib\""},
    {ROUTE(timeout), SETTING_DURATION, "(the worker's)", 1 * MS, 1 * D,
     .help = "of one request",
     .example = "timeout = \"5s\""},
    {ROUTE(cache), SETTING_DURATION, "off", 0, 365 * D,
     .help = "keep answers to GET and HEAD this long, unless their Cache-Control says otherwise",
     .example = "cache = \"60s\""},
    {ROUTE(cache_headers), SETTING_LIST, "(none)", 0, 0,
     .help = "request headers that are part of the cache's key, beside those of Vary",
     .example = "cache_headers = [\"accept-language\"]"},
    {ROUTE(description), SETTING_STRING, "(none)", 0, 0,
     .help = "for people",
     .example = "description = \"numbers of Fibonacci\""},
};
/* clang-format on */

/* As docker-compose, systemd, pm2, nginx and Kubernetes call them. */
static const struct habit server_habits[] = {
    {"port", "listen"},    {"host", "listen"}, {"bind", "listen"},
    {"address", "listen"}, {"addr", "listen"}, {NULL, NULL},
};

static const struct habit worker_habits[] = {
    {"processes", "instances"},
    {"replicas", "instances"},
    {"workers", "instances"},
    {"count", "instances"},
    {"numprocs", "instances"},
    {"scale", "instances"},
    {"environment", "env"},
    {"directory", "cwd"},
    {"working_dir", "cwd"},
    {"workdir", "cwd"},
    {"chdir", "cwd"},
    {"exec", "command"},
    {"cmd", "command"},
    {"entrypoint", "command"},
    {"file", "script"},
    {"path", "script"},
    {NULL, NULL},
};

static const struct habit route_habits[] = {
    {"url", "path"}, {"target", "to"}, {"worker", "to"}, {NULL, NULL}};

const struct section section_server = {"[server]", server_rows, ARRAY_LEN(server_rows),
                                       server_habits};
const struct section section_worker = {"[workers.NAME]", worker_rows, ARRAY_LEN(worker_rows),
                                       worker_habits};
const struct section section_route = {"[[routes]]", route_rows, ARRAY_LEN(route_rows),
                                      route_habits};
