#include "tests/unit/rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/shim.h"

#include <cmocka.h>

enum { TICK_MS = 2, PATIENCE_MS = 10000 };

/* ------------------------------------------------------------------ observer */

static void on_tell(struct pool_observer *observer, const struct pool *pool,
                    const struct worker *w, enum log_level level, const char *sentence)
{
    struct rig *rig = container_of(observer, struct rig, observer);
    (void)level;
    buf_addf(&rig->told, "%s: %s\n", w ? w->name : pool->config->name, sentence);
}

static void on_wrote(struct pool_observer *observer, const struct worker_line *line)
{
    struct rig *rig = container_of(observer, struct rig, observer);
    struct call_about about;
    call_describe(line->call, &about);
    buf_addf(&rig->wrote, "%s %s: " SLICE_FMT "\n", line->worker->name, line->stream,
             SLICE_ARG(line->text));
    buf_addf(&rig->about, SLICE_FMT " < %s\n", SLICE_ARG(line->text), about.what);
}

static void on_ready(struct pool_observer *observer, struct pool *pool, struct worker *w)
{
    (void)pool, (void)w;
    container_of(observer, struct rig, observer)->readies++;
}

static void on_failed(struct pool_observer *observer, struct pool *pool, struct worker *w)
{
    (void)pool;
    (void)w;
    container_of(observer, struct rig, observer)->failures++;
}

static void on_ended(struct pool_observer *observer, struct pool *pool, struct worker *w,
                     const char *how)
{
    struct rig *rig = container_of(observer, struct rig, observer);
    (void)pool, (void)how;
    rig->ends++;
    rig->end = w->end;
}

static void on_changed(struct pool_observer *observer, struct pool *pool)
{
    (void)pool;
    container_of(observer, struct rig, observer)->changes++;
}

static void on_settled(struct pool_observer *observer, struct pool *pool)
{
    (void)pool;
    container_of(observer, struct rig, observer)->settles++;
}

static void on_stopped(struct pool_observer *observer)
{
    container_of(observer, struct rig, observer)->stops++;
}

static bool holds(struct buf *text, const char *words)
{
    return strstr(buf_cstr(text), words) != NULL;
}

bool rig_told(struct rig *rig, const char *words)
{
    return holds(&rig->told, words);
}

bool rig_wrote(struct rig *rig, const char *words)
{
    return holds(&rig->wrote, words);
}

static unsigned times(struct buf *text, const char *words)
{
    unsigned count = 0;
    for (const char *at = buf_cstr(text); (at = strstr(at, words)); at += strlen(words))
        count++;
    return count;
}

unsigned rig_times_told(struct rig *rig, const char *words)
{
    return times(&rig->told, words);
}

unsigned rig_times_wrote(struct rig *rig, const char *words)
{
    return times(&rig->wrote, words);
}

bool rig_wrote_about(struct rig *rig, const char *words, const char *source)
{
    struct buf line = {0};
    buf_addf(&line, "%s < %s", words, source);
    bool found = holds(&rig->about, buf_cstr(&line));
    buf_deinit(&line);
    return found;
}

/* ------------------------------------------------------------------ the loop */

uint64_t rig_slow(void)
{
    const char *slow = getenv("NODEY_SLOW");
    return slow && atoi(slow) > 1 ? (uint64_t)atoi(slow) : 1;
}

static void on_tick(struct timer *timer)
{
    loop_stop(&container_of(timer, struct rig, tick)->loop);
}

static void run_for(struct rig *rig, uint64_t ms)
{
    timer_start(&rig->loop, &rig->tick, ms, on_tick);
    loop_run(&rig->loop);
    timer_stop(&rig->loop, &rig->tick);
}

void rig_begin_wait(struct rig *rig)
{
    rig->waits_since_ms = loop_now(&rig->loop);
}

void rig_turn(struct rig *rig, const char *awaited, const char *file, int line)
{
    run_for(rig, TICK_MS);
    if (loop_now(&rig->loop) - rig->waits_since_ms <= PATIENCE_MS * rig_slow())
        return;
    print_error("told:\n%s\nwrote:\n%s\n", buf_cstr(&rig->told), buf_cstr(&rig->wrote));
    print_error("never came true: %s\n", awaited);
    _fail(file, line);
}

void rig_linger(struct rig *rig, uint64_t ms)
{
    run_for(rig, ms);
}

/* ------------------------------------------------------------------ the rig */

int rig_main(int argc, char **argv, int (*tests)(void))
{
    if (argc > 1 && strcmp(argv[1], SHIM_VERB) == 0)
        return shim_main(argc - 2, argv + 2);
    signal(SIGPIPE, SIG_IGN);
    return tests();
}

struct rig *rig_new(void)
{
    static char path[4096];
    static const char *env[] = {path, NULL};
    struct rig *rig = xcalloc(1, sizeof(*rig));
    snprintf(path, sizeof(path), "PATH=%s", getenv("PATH"));
    rig->observer = (struct pool_observer){.tell = on_tell,
                                           .wrote = on_wrote,
                                           .ended = on_ended,
                                           .changed = on_changed,
                                           .ready = on_ready,
                                           .failed = on_failed,
                                           .settled = on_settled,
                                           .stopped = on_stopped};
    assert_int_equal(loop_init(&rig->loop), 0);
    pools_init(&rig->pools, &rig->loop, &rig->observer);
    rig->pools.env = rig->pools.bare_env = env;
    rig->pools.server = "nodey/test";
    return rig;
}

void rig_free(struct rig *rig)
{
    if (!rig->pools.stopping)
        pools_kill(&rig->pools);
    rig_until(rig, rig->stops > 0);
    assert_int_equal(rig->pools.lives, 0);
    assert_int_equal(rig->stops, 1);
    pools_deinit(&rig->pools);
    assert_int_equal(loop_deinit(&rig->loop), 0);
    buf_deinit(&rig->told);
    buf_deinit(&rig->wrote);
    buf_deinit(&rig->about);
    xfree(rig);
}

struct worker_config rig_command(const char *name, const char **argv)
{
    size_t count = 0;
    while (argv[count])
        count++;
    static const char *none[] = {NULL};
    return (struct worker_config){
        .name = name,
        .command = {argv, count},
        .cwd = "/",
        .env = {none, 0},
        .tokens = {none, 0},
        .instances = 1,
        .start_timeout = 20000,
        .timeout = 20000,
        .queue = 100,
        .queue_timeout = 20000,
        .kill_after = 100,
        .stop_grace_period = 200,
        .prefetch = 64,
        .ping_timeout = 2000,
        .ping_kill = 10000,
        .backoff_min = 5,
        .backoff_max = 20,
        .backoff_reset = 10000,
        .max_restarts = 10,
        .failed_retry = 60000,
        .max_line = 1 << 20,
        .log_rate = 1000,
    };
}

struct worker_config rig_service(const char *name, const char *script)
{
    enum { ARGV = 4, SERVICES = 16 };

    static const char *argvs[SERVICES][ARGV];
    static unsigned next;
    const char **argv = argvs[next++ % SERVICES];
    memcpy(argv, (const char *[ARGV]){"sh", "-c", script, NULL}, sizeof(argvs[0]));
    struct worker_config config = rig_command(name, argv);
    config.is_service = true;
    return config;
}

/* The sources stand where the tests were built, in the top folder. */
static const char *actor_path(void)
{
    static char path[4096];
    if (!path[0] && !realpath("tests/unit/actor.py", path))
        fail_msg("run this in the top folder: there is no tests/unit/actor.py here");
    return path;
}

struct worker_config rig_config(const char *name, const char *source)
{
    enum { ARGV = 7, ACTORS = 8 };

    static const char *argvs[ACTORS][ARGV];
    static unsigned next;
    const char **argv = argvs[next++ % ACTORS];
    memcpy(argv, (const char *[ARGV]){"python3", "-S", "-E", "-u", actor_path(), source, NULL},
           sizeof(argvs[0]));
    return rig_command(name, argv);
}

struct pool *rig_pool(struct rig *rig, const struct worker_config *config)
{
    struct pool *pool = pool_new(&rig->pools, config);
    pool_start(pool);
    return pool;
}

struct worker *rig_worker(const struct pool *pool, unsigned instance)
{
    return pool->instances[instance].current;
}

/* ---------------------------------------------------------------------- jobs */

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    struct job *job = container_of(call, struct job, call);
    struct buf tail = {0};
    (void)nested;
    frame_write_request_tail(&tail, &(struct frame_request){.method = SLICE("GET"),
                                                            .path = SLICE("/"),
                                                            .body = slice_of(job->source)});
    frame_write_request(out, id, left_ms, buf_slice(&tail));
    buf_deinit(&tail);
    job->writes++;
    snprintf(job->by, sizeof(job->by), "%s", w->name);
}

static void note_frame(struct job *job, const struct frame *frame)
{
    struct buf text = {0};
    if (frame->kind == FRAME_ERROR) {
        snprintf(job->code, sizeof(job->code), "%.*s", (int)frame->code.raw.len,
                 frame->code.raw.ptr);
        json_unescape(&frame->message, &text);
        job->status =
            frame_code_status((struct slice){frame->code.raw.ptr + 1, frame->code.raw.len - 2});
    } else {
        frame_body_decode(frame, &text);
        job->status = frame->status ? (unsigned)frame->status : 200;
    }
    snprintf(job->text, sizeof(job->text), "%s", buf_cstr(&text));
    buf_deinit(&text);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct job *job = container_of(call, struct job, call);
    job->ends++;
    assert_true(!reply->frame != !reply->failure);
    if (reply->frame) {
        note_frame(job, reply->frame);
        return;
    }
    job->status = reply->failure->status;
    snprintf(job->code, sizeof(job->code), "%s", reply->failure->code);
    snprintf(job->text, sizeof(job->text), "%s", reply->failure->text);
}

static void on_describe(const struct call *call, struct call_about *about)
{
    const struct job *job = container_of(call, struct job, call);
    snprintf(about->what, sizeof(about->what), "%.100s", job->source);
}

void job_init(struct job *job, const char *source)
{
    static const struct call_ops ops = {
        .write = on_write, .done = on_done, .describe = on_describe};
    memset(job, 0, sizeof(*job));
    call_init(&job->call, CALL_REQUEST, &ops);
    job->call.size = strlen(source);
    job->source = source;
}

const struct call_failure *job_submit(struct job *job, struct pool *pool, uint64_t timeout_ms)
{
    return pool_submit(pool, &job->call, timeout_ms);
}

void job_send(struct job *job, struct pool *pool, const char *source)
{
    job_init(job, source);
    const struct call_failure *refused = job_submit(job, pool, 0);
    if (refused)
        fail_msg("refused: %s", refused->text);
}
