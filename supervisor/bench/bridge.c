#include "bench/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/embedded.h"
#include "bench/child.h"
#include "bench/load.h"
#include "client/members.h"

enum {
    START_MS = 15000, /* until a program is up */
    FETCH_MS = 10000, /* of a single question */
    PREWARM_MS = 400, /* of each way, before the first round: compilers warm up */
    WARMUP_SHARE = 8, /* of each measurement's time, one part is not counted */
    NESTING = 16,     /* descriptors for removing a tree */
    CONNECTION_MS = 10000,
};

static const char question[] = "fib?num=20";
static const char answer[] = "6765"; /* stands in every right answer */

/* A way, while it is measured. */
struct bench_way {
    struct bridge_way *told;
    char address[64];
    struct peer peer;
    struct buf request;
    double p50_us[BRIDGE_ROUNDS];
    double own_us[BRIDGE_ROUNDS];
    double cost_us[BRIDGE_ROUNDS];
    double rate[BRIDGE_ROUNDS];
};

struct bridge {
    struct bench_stage *stage;
    struct bridge_result *result;
    struct load_result *load; /* the last measurement's */
    struct bench_way ways[BRIDGE_WAYS];
    struct bench_child nodey;
    struct bench_child front; /* of the bridge */
    struct bench_child node;  /* its backends */
    struct bench_child python;
    char dir[256]; /* where the programs are unpacked to */
};

/* ----------------------------------------------------------------- programs */

/* The first line that the command writes; empty when there is no such program. */
static void ask_version(const char *command, char *text, size_t size)
{
    text[0] = '\0';
    FILE *pipe = popen(command, "re");
    if (!pipe)
        return;
    if (!fgets(text, (int)size, pipe))
        text[0] = '\0';
    if (pclose(pipe) != 0)
        text[0] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
}

static int write_file(const struct bridge *b, const char *name, const void *bytes, size_t len,
                      struct err *err)
{
    char *path = xasprintf("%s/%s", b->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, bytes, len) == (ssize_t)len;
    if (fd >= 0)
        written = close(fd) == 0 && written;
    int rc = written ? 0 : err_set(err, -1, "cannot write %s: %s", path, strerror(errno));
    xfree(path);
    return rc;
}

static int unpack(struct bridge *b, struct err *err)
{
    const char *parent = getenv("TMPDIR");
    struct buf config = {0};
    size_t len = (size_t)snprintf(b->dir, sizeof(b->dir), "%s/nodey-bench-XXXXXX",
                                  parent && *parent ? parent : "/tmp");
    if (len >= sizeof(b->dir) || !mkdtemp(b->dir)) {
        int rc = err_set(err, -1, "cannot make the folder %s: %s", b->dir, strerror(errno));
        b->dir[0] = '\0';
        return rc;
    }
    int rc = 0;
    for (const struct embedded_file *file = embedded_bench; rc == 0 && file->path; file++)
        rc = write_file(b, file->path, file->bytes, file->len, err);
    if (b->result->node[0])
        buf_adds(&config, "[workers.node]\nscript = \"worker.js\"\ninstances = 1\n");
    if (b->result->python[0])
        buf_adds(&config, "[workers.python]\nscript = \"worker.py\"\ninstances = 1\n");
    if (rc == 0)
        rc = write_file(b, "nodey.toml", config.ptr, config.len, err);
    buf_deinit(&config);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    IGNORE(remove(path)); /* the rest goes all the same */
    return 0;
}

/* ------------------------------------------------------------- start and stop */

static int start_nodey(struct bridge *b, struct err *err)
{
    char program[4096];
    bench_child_self(program, sizeof(program));
    const char *const argv[] = {program,    "up",          "-f",       "nodey.toml",
                                "--listen", "127.0.0.1:0", "--no-dev", NULL};
    return bench_child_start(&b->nodey, &b->stage->loop,
                             &(struct bench_child_spec){
                                 .what = "nodey",
                                 .argv = argv,
                                 .cwd = b->dir,
                                 .ready = "nodey ready on http://",
                                 .timeout_ms = START_MS,
                                 .stop = &b->stage->stop,
                             },
                             err);
}

static int start_program(struct bridge *b, struct bench_child *child, const char *what,
                         const char *const argv[], struct err *err)
{
    return bench_child_start(child, &b->stage->loop,
                             &(struct bench_child_spec){
                                 .what = what,
                                 .argv = argv,
                                 .cwd = b->dir,
                                 .ready = "ready on ",
                                 .timeout_ms = START_MS,
                                 .stop = &b->stage->stop,
                             },
                             err);
}

static int start_bridge(struct bridge *b, struct err *err)
{
    char node_at[300], python_at[300];
    const char *const node[] = {"node", "backend.js", NULL};
    const char *const python[] = {"python3", "backend.py", NULL};
    const char *front[] = {"node", "bridge.js", node_at, python_at, NULL};
    if (!b->result->node[0])
        return 0; /* the bridge is a Node program */
    int rc = start_program(b, &b->node, "the Node backend", node, err);
    if (rc == 0 && b->result->python[0])
        rc = start_program(b, &b->python, "the Python backend", python, err);
    else
        front[3] = NULL;
    if (rc)
        return rc;
    snprintf(node_at, sizeof(node_at), "node=%s", b->node.said);
    snprintf(python_at, sizeof(python_at), "python=%s", b->python.said);
    return start_program(b, &b->front, "the HTTP bridge", front, err);
}

static int start_all(struct bridge *b, struct err *err)
{
    ask_version("node --version 2>/dev/null", b->result->node, sizeof(b->result->node));
    ask_version("python3 --version 2>/dev/null", b->result->python, sizeof(b->result->python));
    if (!b->result->node[0] && !b->result->python[0])
        return err_set(err, -1,
                       "neither node nor python3 can be run here: there is nothing to "
                       "compare; to load a server, write nodey bench URL");
    bench_stage_show(b->stage, "starting the programs");
    int rc = unpack(b, err);
    if (rc == 0)
        rc = start_nodey(b, err);
    if (rc == 0)
        rc = start_bridge(b, err);
    return rc;
}

static void stop_all(struct bridge *b)
{
    bench_stage_show(b->stage, "stopping the programs");
    bench_child_stop(&b->front);
    bench_child_stop(&b->node);
    bench_child_stop(&b->python);
    bench_child_stop(&b->nodey);
    if (b->dir[0])
        IGNORE(nftw(b->dir, remove_one, NESTING, FTW_DEPTH | FTW_PHYS)); /* it is in /tmp */
    for (size_t i = 0; i < BRIDGE_WAYS; i++)
        buf_deinit(&b->ways[i].request);
    bench_stage_show(b->stage, NULL);
}

/* ---------------------------------------------------------------- measuring */

static int fetch(const struct bench_way *way, const char *what, struct client_response *out,
                 struct err *err)
{
    char target[64];
    snprintf(target, sizeof(target), "/%s/%s", way->told->key, what);
    struct client_request request = {
        .address = way->address, .target = target, .timeout_ms = FETCH_MS};
    return client_fetch(&request, out, err);
}

/* The answer must be the right one, or speed says nothing. */
static int check_answer(const struct bench_way *way, struct err *err)
{
    struct client_response response;
    int rc = fetch(way, question, &response, err);
    if (rc)
        return rc;
    if (response.status != 200 || !memmem(response.body.ptr ? response.body.ptr : "",
                                          response.body.len, answer, strlen(answer)))
        rc = err_set(err, -1, "%s over the %s answers %u: %.*s", way->told->language,
                     way->told->is_pipe ? "pipe" : "bridge", response.status,
                     (int)MIN(response.body.len, (size_t)200),
                     response.body.len ? response.body.ptr : "");
    client_response_deinit(&response);
    return rc;
}

/* The handler's own time, in the process that serves this way. */
static int ask_own(const struct bench_way *way, double *us, struct err *err)
{
    struct client_response response;
    struct json_value body, value;
    int rc = fetch(way, "own?num=20", &response, err);
    if (rc)
        return rc;
    if (!members_read(buf_slice(&response.body), &body) || !members_get(&body, "us", &value) ||
        !json_to_double(&value, us))
        rc = err_set(err, -1, "the handler of %s did not tell its own time",
                     way->told->language);
    client_response_deinit(&response);
    return rc;
}

static void load(struct bridge *b, struct bench_way *way, unsigned connections, uint64_t ms)
{
    load_run(&b->stage->loop,
             &(struct load_options){
                 .peer = &way->peer,
                 .request = buf_slice(&way->request),
                 .connections = connections,
                 .warmup_ms = ms / WARMUP_SHARE,
                 .duration_ms = ms - ms / WARMUP_SHARE,
                 .timeout_ms = CONNECTION_MS,
                 .stop = &b->stage->stop,
             },
             b->load);
    way->told->failed += load_failed(b->load) + load_refused(b->load);
}

static int measure(struct bridge *b, struct bench_way *way, unsigned round, uint64_t ms,
                   struct err *err)
{
    int rc = ask_own(way, &way->own_us[round], err);
    if (rc)
        return rc;
    load(b, way, 1, ms);
    way->p50_us[round] = (double)histogram_at(&b->load->latency, 50) / 1e3;
    way->cost_us[round] = way->p50_us[round] - way->own_us[round];
    if (!b->stage->stop)
        load(b, way, b->result->connections, ms);
    way->rate[round] =
        b->load->elapsed_ns ? (double)b->load->answered * 1e9 / (double)b->load->elapsed_ns : 0;
    return 0;
}

/* Each round begins with another way, so that none is always first after a pause. */
static int run_round(struct bridge *b, unsigned round, uint64_t ms, struct err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < BRIDGE_WAYS && rc == 0 && !b->stage->stop; i++) {
        struct bench_way *way = &b->ways[(round + i) % BRIDGE_WAYS];
        if (!way->told->measured)
            continue;
        bench_stage_show(b->stage, "round %u of %d: %s, %s", round + 1, BRIDGE_ROUNDS,
                         way->told->language, way->told->is_pipe ? "pipe" : "HTTP bridge");
        rc = measure(b, way, round, ms, err);
    }
    return rc;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct bridge_figure figure_of(const double *values, unsigned count)
{
    double sorted[BRIDGE_ROUNDS];
    memcpy(sorted, values, count * sizeof(*values));
    qsort(sorted, count, sizeof(*sorted), by_value);
    return (struct bridge_figure){
        .median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2,
        .low = sorted[0],
        .high = sorted[count - 1],
    };
}

static int prepare_way(struct bridge *b, struct bench_way *way, struct err *err)
{
    const struct bench_child *door = way->told->is_pipe ? &b->nodey : &b->front;
    char target[64];
    snprintf(way->address, sizeof(way->address), "%s%.40s",
             way->told->is_pipe ? "" : "127.0.0.1:", door->said);
    snprintf(target, sizeof(target), "/%s/%s", way->told->key, question);
    int rc = peer_resolve(&way->peer, &b->stage->loop, way->address, err);
    if (rc == 0)
        rc = client_request_write(
            &(struct client_request){.address = way->address, .target = target}, &way->request,
            err);
    if (rc == 0)
        rc = check_answer(way, err);
    if (rc == 0)
        load(b, way, b->result->connections, PREWARM_MS);
    way->told->failed = 0; /* of the rounds */
    return rc;
}

static void choose_ways(struct bridge *b)
{
    struct bridge_result *result = b->result;
    for (unsigned i = 0; i < BRIDGE_WAYS; i++) {
        bool is_node = i < 2, is_pipe = i % 2 == 0;
        b->ways[i].told = &result->ways[i];
        result->ways[i] = (struct bridge_way){
            .language = is_node ? "Node" : "Python",
            .key = is_node ? "node" : "python",
            .is_pipe = is_pipe,
            .measured =
                (is_node ? result->node[0] : result->python[0]) && (is_pipe || result->node[0]),
        };
    }
}

static int run_rounds(struct bridge *b, uint64_t total_ms, struct err *err)
{
    unsigned ways = 0;
    int rc = 0;
    uint64_t begun = loop_clock_ns();
    for (unsigned i = 0; i < BRIDGE_WAYS && rc == 0 && !b->stage->stop; i++) {
        ways += b->ways[i].told->measured;
        if (b->ways[i].told->measured)
            rc = prepare_way(b, &b->ways[i], err);
    }
    uint64_t ms = total_ms / (BRIDGE_ROUNDS * 2 * MAX(ways, 1U));
    for (unsigned round = 0; round < BRIDGE_ROUNDS && rc == 0 && !b->stage->stop; round++) {
        rc = run_round(b, round, MAX(ms, (uint64_t)20), err);
        b->result->rounds += !b->stage->stop; /* half a round compares nothing */
    }
    b->result->seconds = (double)(loop_clock_ns() - begun) / 1e9;
    if (rc == 0 && b->result->rounds == 0)
        rc = err_set(err, UV_ECANCELED, "stopped before the first round was over");
    return rc;
}

static void sum_up(struct bridge *b)
{
    for (unsigned i = 0; i < BRIDGE_WAYS; i++) {
        struct bench_way *way = &b->ways[i];
        unsigned rounds = b->result->rounds;
        way->told->p50_us = figure_of(way->p50_us, rounds);
        way->told->own_us = figure_of(way->own_us, rounds);
        way->told->cost_us = figure_of(way->cost_us, rounds);
        way->told->rate = figure_of(way->rate, rounds);
    }
}

static unsigned count_cpus(void)
{
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
}

int bridge_run(struct bench_stage *stage, unsigned connections, uint64_t total_ms,
               struct bridge_result *result, struct err *err)
{
    struct bridge *b = xcalloc(1, sizeof(*b));
    *result = (struct bridge_result){.connections = connections, .cpus = count_cpus()};
    b->stage = stage;
    b->result = result;
    b->load = xcalloc(1, sizeof(*b->load));
    int rc = start_all(b, err);
    choose_ways(b);
    if (rc == 0)
        rc = run_rounds(b, total_ms, err);
    if (rc == 0)
        sum_up(b);
    stop_all(b);
    xfree(b->load);
    xfree(b);
    return rc;
}
