#include "bench/load.h"

#include <assert.h>
#include <stdio.h>

#include "loop/alarm.h"

#define MS UINT64_C(1000000) /* in nanoseconds */

enum {
    OPENING_MAX = 128,   /* connections being opened at once: below any backlog */
    RETRY_MS = 50,       /* after a failure, before the connection is opened anew */
    DRAIN_MS = 1000,     /* after the end, for what is under way */
    PROGRESS_MS = 250,   /* between two words to a terminal */
    DUE_AT_ONCE = 20000, /* requests sent in one turn */
};

enum load_phase { LOAD_OPENING, LOAD_RUNNING, LOAD_DRAINING, LOAD_CLOSING };

struct load {
    struct loop *loop;
    const struct load_options *options;
    struct load_result *result;
    enum load_phase phase;
    struct load_conn *conns;
    struct list idle; /* struct load_conn.node: connected, and not asking */
    struct timer phase_end;
    struct timer progress;
    struct alarm due; /* open loop: when the next request is */
    bool has_alarm;
    bool finished;
    unsigned begun;   /* of conns: their first opening is under way or over */
    unsigned pending; /* under way */
    unsigned busy;    /* requests under way */
    unsigned alive;   /* closing: what is not gone */
    uint64_t sent;
    uint64_t first_ns; /* when the first request of the open loop is due */
    uint64_t start_ns; /* from here on it counts: the warm-up is over */
    uint64_t end_ns;
};

struct load_conn {
    struct load *load;
    struct client client;
    struct list node;
    struct timer retry;
    uint64_t due_ns;   /* of the request under way */
    uint64_t received; /* of the client's bytes, those that have been counted */
    unsigned status;
    bool tried;  /* its first opening is over */
    bool live;   /* from the opening until it is gone */
    bool opened; /* it is connected */
    bool failed; /* it is closed because of a failure */
};

uint64_t load_failed(const struct load_result *result)
{
    uint64_t n = result->unanswered;
    for (size_t i = 0; i < LOAD_FAILURES; i++)
        n += result->failures[i];
    return n;
}

uint64_t load_refused(const struct load_result *result)
{
    uint64_t n = 0;
    for (size_t i = 400; i < LOAD_STATUSES; i++)
        n += result->statuses[i];
    return n;
}

/* ----------------------------------------------------------------- counting */

static void count_failure(struct load *load, enum client_failure failure, const char *why)
{
    struct load_result *result = load->result;
    if (loop_clock_ns() < load->start_ns)
        return;
    result->failures[failure]++;
    if (!result->first_failure[0])
        snprintf(result->first_failure, sizeof(result->first_failure), "%s", why);
}

/* The rate counts what is answered in the time; latency, what was asked in it. */
static void count_answer(struct load_conn *conn)
{
    struct load *load = conn->load;
    struct load_result *result = load->result;
    uint64_t now = loop_clock_ns();
    uint64_t bytes = conn->client.received - conn->received;
    conn->received = conn->client.received;
    if (conn->due_ns >= load->start_ns)
        histogram_add(&result->latency, now - conn->due_ns);
    if (now < load->start_ns || now >= load->end_ns)
        return;
    result->answered++;
    result->received += bytes;
    result->statuses[conn->status]++;
}

static void count_unanswered(struct load *load, uint64_t due_ns, uint64_t now_ns)
{
    if (due_ns < load->start_ns || due_ns >= load->end_ns)
        return;
    histogram_add(&load->result->latency, now_ns - due_ns);
    load->result->unanswered++;
}

/* ------------------------------------------------------------------- asking */

static void check_drained(struct load *load);

static bool is_open_loop(const struct load *load)
{
    return load->options->rate > 0;
}

/* Open loop: when the next request is due. */
static uint64_t next_due_ns(const struct load *load)
{
    return load->first_ns + (uint64_t)((double)load->sent * 1e9 / load->options->rate);
}

static void ask(struct load_conn *conn, uint64_t due_ns)
{
    struct load *load = conn->load;
    conn->due_ns = due_ns;
    list_del(&conn->node);
    load->busy++;
    load->sent++;
    client_send(&conn->client, load->options->request, load->options->is_head,
                load->options->timeout_ms);
}

/* Sends what is due, as far as connections are free; the rest waits, and its time runs. */
static void ask_due(struct load *load)
{
    uint64_t now = loop_clock_ns();
    for (unsigned n = 0; !list_empty(&load->idle); n++) {
        uint64_t due = next_due_ns(load);
        if (due >= load->end_ns)
            return;
        if (due > now || n == DUE_AT_ONCE) {
            alarm_set(&load->due, due);
            return;
        }
        ask(list_first(&load->idle, struct load_conn, node), due);
    }
}

static void on_due(struct alarm *alarm)
{
    ask_due(container_of(alarm, struct load, due));
}

/* The connection is free. */
static void rest(struct load_conn *conn)
{
    struct load *load = conn->load;
    uint64_t now = loop_clock_ns();
    list_add(&load->idle, &conn->node);
    if (load->phase == LOAD_OPENING)
        return;
    if (is_open_loop(load))
        ask_due(load);
    else if (now < load->end_ns)
        ask(conn, now);
    check_drained(load);
}

/* ------------------------------------------------------------------- phases */

static void finish(struct load *load)
{
    load->finished = true;
    loop_stop(load->loop);
}

static void one_is_gone(struct load *load)
{
    if (--load->alive == 0)
        finish(load);
}

static void on_alarm_gone(struct alarm *alarm)
{
    one_is_gone(container_of(alarm, struct load, due));
}

static void close_all(struct load *load)
{
    load->phase = LOAD_CLOSING;
    load->alive = 1; /* this function itself */
    timer_stop(load->loop, &load->phase_end);
    timer_stop(load->loop, &load->progress);
    if (load->has_alarm) {
        load->alive++;
        alarm_close(&load->due);
    }
    for (unsigned i = 0; i < load->begun; i++) {
        struct load_conn *conn = &load->conns[i];
        timer_stop(load->loop, &conn->retry);
        if (conn->live) {
            load->alive++;
            client_close(&conn->client);
        }
    }
    one_is_gone(load);
}

/* What did not come in time had waited for so long at least. */
static void give_up(struct load *load)
{
    uint64_t now = loop_clock_ns();
    for (unsigned i = 0; i < load->begun; i++)
        if (load->conns[i].live && load->conns[i].client.state == CLIENT_BUSY)
            count_unanswered(load, load->conns[i].due_ns, now);
    for (; is_open_loop(load) && next_due_ns(load) < load->end_ns; load->sent++)
        count_unanswered(load, next_due_ns(load), now);
    close_all(load);
}

static void on_drained_enough(struct timer *timer)
{
    give_up(container_of(timer, struct load, phase_end));
}

static void check_drained(struct load *load)
{
    bool backlog = is_open_loop(load) && next_due_ns(load) < load->end_ns;
    if (load->phase == LOAD_DRAINING && load->busy == 0 && !backlog)
        close_all(load);
}

static void begin_draining(struct load *load)
{
    load->phase = LOAD_DRAINING;
    load->end_ns = MIN(load->end_ns, loop_clock_ns());
    load->result->elapsed_ns =
        load->end_ns > load->start_ns ? load->end_ns - load->start_ns : 0;
    timer_start(load->loop, &load->phase_end, DRAIN_MS, on_drained_enough);
    check_drained(load);
}

static void on_time_over(struct timer *timer)
{
    begin_draining(container_of(timer, struct load, phase_end));
}

static void on_progress(struct timer *timer)
{
    struct load *load = container_of(timer, struct load, progress);
    uint64_t now = loop_clock_ns();
    uint64_t done_ms = now > load->start_ns ? (now - load->start_ns) / MS : 0;
    load->options->progress(load->options, done_ms, load->result->answered);
    timer_start(load->loop, &load->progress, PROGRESS_MS, on_progress);
}

static void begin_running(struct load *load)
{
    const struct load_options *options = load->options;
    load->phase = LOAD_RUNNING;
    load->first_ns = loop_clock_ns();
    load->start_ns = load->first_ns + options->warmup_ms * MS;
    load->end_ns = load->start_ns + options->duration_ms * MS;
    /* Timers go by a coarser clock: with a millisecond more the time is never cut short. */
    timer_start(load->loop, &load->phase_end, options->warmup_ms + options->duration_ms + 1,
                on_time_over);
    if (options->progress)
        on_progress(&load->progress);
    if (is_open_loop(load))
        ask_due(load);
    while (!is_open_loop(load) && !list_empty(&load->idle))
        ask(list_first(&load->idle, struct load_conn, node), loop_clock_ns());
}

/* -------------------------------------------------------------- connections */

static const struct client_ops client_ops;

static void open_conn(struct load_conn *conn)
{
    struct load *load = conn->load;
    conn->live = true;
    conn->opened = conn->failed = false;
    conn->received = 0;
    client_open(&conn->client, load->loop, load->options->peer, load->options->timeout_ms,
                &client_ops);
}

static void open_more(struct load *load)
{
    while (load->begun < load->options->connections && load->pending < OPENING_MAX) {
        load->pending++;
        open_conn(&load->conns[load->begun++]);
    }
}

/* It has been opened for the first time, or could not be. */
static void note_tried(struct load_conn *conn)
{
    struct load *load = conn->load;
    if (conn->tried)
        return;
    conn->tried = true;
    load->pending--;
    open_more(load);
    if (load->phase == LOAD_OPENING && load->pending == 0)
        begin_running(load);
}

static void on_opened(struct client *c)
{
    struct load_conn *conn = container_of(c, struct load_conn, client);
    conn->opened = true;
    rest(conn);
    note_tried(conn);
}

static void on_head(struct client *c, const struct answer_head *head)
{
    container_of(c, struct load_conn, client)->status = head->status;
}

static void on_body(struct client *c, struct slice bytes)
{
    (void)c, (void)bytes; /* the client counts them */
}

static void on_answered(struct client *c)
{
    struct load_conn *conn = container_of(c, struct load_conn, client);
    struct load *load = conn->load;
    load->busy--;
    count_answer(conn);
    if (client_idle(c)) {
        rest(conn);
        return;
    }
    load->result->reconnects++;
    client_close(c);
    check_drained(load);
}

/* A connection that the server closes while nothing is asked on it is no failure. */
static void on_failed(struct client *c, enum client_failure failure, int code, const char *why)
{
    struct load_conn *conn = container_of(c, struct load_conn, client);
    struct load *load = conn->load;
    bool was_idle = !list_empty(&conn->node);
    (void)code;
    conn->failed = !was_idle;
    list_del(&conn->node);
    if (conn->opened && !was_idle)
        load->busy--;
    if (!was_idle)
        count_failure(load, failure, why);
    else
        load->result->reconnects++;
    client_close(c);
    note_tried(conn);
    check_drained(load);
}

static void on_retry(struct timer *timer)
{
    open_conn(container_of(timer, struct load_conn, retry));
}

static void on_gone(struct client *c)
{
    struct load_conn *conn = container_of(c, struct load_conn, client);
    struct load *load = conn->load;
    conn->live = false;
    if (load->phase == LOAD_CLOSING)
        one_is_gone(load);
    else if (conn->failed)
        timer_start(load->loop, &conn->retry, RETRY_MS, on_retry);
    else
        open_conn(conn);
}

static const struct client_ops client_ops = {
    .opened = on_opened,
    .head = on_head,
    .body = on_body,
    .answered = on_answered,
    .failed = on_failed,
    .gone = on_gone,
};

/* --------------------------------------------------------------------- run */

static void prepare(struct load *load)
{
    unsigned count = load->options->connections;
    assert(count >= 1 && count <= LOAD_CONNECTIONS_MAX);
    list_init(&load->idle);
    load->conns = xcalloc(count, sizeof(*load->conns));
    for (unsigned i = 0; i < count; i++) {
        load->conns[i].load = load;
        list_init(&load->conns[i].node);
    }
    if (is_open_loop(load)) {
        int rc = alarm_open(&load->due, load->loop, on_due, on_alarm_gone);
        load->has_alarm = rc == 0;
        if (rc)
            snprintf(load->result->first_failure, sizeof(load->result->first_failure),
                     "cannot open a timer: %s", loop_strerror(rc));
    }
}

void load_run(struct loop *loop, const struct load_options *options, struct load_result *result)
{
    struct load load = {.loop = loop, .options = options, .result = result};
    memset(result, 0, sizeof(*result));
    prepare(&load);
    if (is_open_loop(&load) == load.has_alarm)
        open_more(&load);
    else
        close_all(&load);
    while (!load.finished) {
        if (*options->stop && load.phase == LOAD_OPENING)
            close_all(&load);
        else if (*options->stop && load.phase == LOAD_RUNNING)
            begin_draining(&load);
        if (!load.finished)
            loop_run(loop);
    }
    xfree(load.conns);
}
