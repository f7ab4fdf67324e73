#include "app/incidentjson.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "app/incidentfile.h"
#include "base/json.h"
#include "pool/blame.h"

enum { REQUESTS_MAX = 50, LINES_MAX = POSTMORTEM_LINES };

/* How much is told of what can be long. */
struct measure {
    size_t requests;
    size_t lines;
    size_t stack; /* bytes */
};

uint64_t incident_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void incident_write_time(uint64_t wall_ms, struct buf *out)
{
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    buf_addf(out, "%s.%03uZ", text, (unsigned)(wall_ms % 1000));
}

/* -------------------------------------------------------------------- the reason */

/* It ended by itself: is that what its restart policy takes for a good end? */
static bool ended_well(const struct worker *w)
{
    const struct worker_config *config = w->pool->config;
    return w->proc.exit.signal == 0 && w->proc.exit.code == 0 &&
           (config->restart.when == RESTART_NO || config->restart.when == RESTART_ON_FAILURE);
}

enum incident_reason incident_reason(const struct worker *w)
{
    switch (w->end) {
    case END_ITSELF:
        return w->pool->pools->stopping || ended_well(w) ? INCIDENT_NONE : INCIDENT_CRASH;
    case END_START:
        return INCIDENT_START;
    case END_FROZEN:
        return INCIDENT_FROZEN;
    case END_STUCK:
        return INCIDENT_STUCK;
    case END_MEMORY:
        return INCIDENT_MEMORY;
    case END_PIDS:
        return INCIDENT_PIDS;
    case END_PIPE:
        return w->pool->pools->stopping ? INCIDENT_NONE : INCIDENT_PROTOCOL;
    case END_PLANNED:
        break;
    }
    return INCIDENT_NONE;
}

const char *incident_reason_name(enum incident_reason reason)
{
    static const char *const names[] = {
        [INCIDENT_NONE] = "none",         [INCIDENT_CRASH] = "crash",
        [INCIDENT_FROZEN] = "frozen",     [INCIDENT_STUCK] = "stuck",
        [INCIDENT_MEMORY] = "memory",     [INCIDENT_START] = "start",
        [INCIDENT_PROTOCOL] = "protocol", [INCIDENT_PIDS] = "pids",
    };

    return names[reason];
}

static void add_masked(struct buf *out, struct slice text, const struct incident_secrets *hide)
{
    struct buf scratch = {0};
    buf_add(out, hide->values ? secrets_mask(hide->values, text, &scratch) : text);
    buf_deinit(&scratch);
}

static void write_masked(struct buf *out, struct slice text,
                         const struct incident_secrets *hide)
{
    struct buf scratch = {0};
    json_write(out, hide->values ? secrets_mask(hide->values, text, &scratch) : text);
    buf_deinit(&scratch);
}

/* A person had nodey send the signal that ended it. */
static bool ended_by_a_person(const struct worker *w)
{
    return w->end == END_ITSELF && w->signalled && w->proc.exit.signal == w->signalled;
}

/* Nodey has told it to end, or has killed it: it looks no further for who did. */
static bool ended_by_nodey(const struct worker *w)
{
    return w->end != END_ITSELF || w->ending;
}

void incident_sentence(const struct worker *w, const char *how,
                       const struct incident_secrets *hide, struct buf *out)
{
    char exit[128];
    enum incident_reason reason = incident_reason(w);
    bool ran = w->proc.pid && w->proc.reaped;
    postmortem_describe_exit(&w->proc.exit, exit, sizeof(exit));
    if (ended_by_a_person(w)) {
        char name[16];
        postmortem_signal_name(w->signalled, name, sizeof(name));
        snprintf(exit, sizeof(exit), "killed by nodey kill (%s)", name);
    }
    if (reason == INCIDENT_CRASH || !w->cause[0]) {
        add_masked(out, slice_of(ran ? exit : how), hide);
        if (!w->ready_ms)
            buf_adds(out, ", before it was ready");
        if (w->cause[0]) {
            buf_adds(out, ": ");
            add_masked(out, slice_of(w->cause), hide);
        }
        if (ran && w->proc.exit.signal == SIGKILL && !ended_by_a_person(w) &&
            !ended_by_nodey(w))
            buf_adds(out, ", and not by nodey");
        return;
    }
    buf_addf(out, "%s: ",
             reason == INCIDENT_MEMORY     ? "too much memory"
             : reason == INCIDENT_PIDS     ? "killed by nodey"
             : reason == INCIDENT_PROTOCOL ? "broke the protocol"
             : reason == INCIDENT_START    ? "did not start"
                                           : incident_reason_name(reason));
    add_masked(out, slice_of(w->cause), hide);
    if (ran)
        buf_addf(out, "; %s", exit);
}

/* -------------------------------------------------------------------- requests */

/* "GET /a?token=abc" with *** for what its name says is a secret. */
static void write_what(struct buf *out, const char *what, const struct incident_secrets *hide)
{
    struct buf text = {0};
    struct slice rest = slice_of(what);
    const char *query = strchr(what, '?');
    size_t head = query ? (size_t)(query - what) + 1 : rest.len;
    buf_append(&text, rest.ptr, head);
    rest = slice_from(rest, head);
    while (rest.len) {
        const char *end = memchr(rest.ptr, '&', rest.len);
        struct slice pair = {rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len};
        const char *equals = memchr(pair.ptr, '=', pair.len);
        struct slice name = {pair.ptr, equals ? (size_t)(equals - pair.ptr) : pair.len};
        bool secret = equals && secret_is_name(name, hide->names);
        buf_add(&text, secret ? name : pair);
        buf_adds(&text, secret ? "=***" : "");
        buf_adds(&text, end ? "&" : "");
        rest = slice_from(rest, MIN(pair.len + 1, rest.len));
    }
    write_masked(out, buf_slice(&text), hide);
    buf_deinit(&text);
}

static void write_request(struct buf *out, const struct blamed *b,
                          const struct incident_secrets *hide)
{
    buf_adds(out, "{\"what\":");
    write_what(out, b->what[0] ? b->what : "(not known any more)", hide);
    if (b->request_id[0]) {
        buf_adds(out, ",\"id\":");
        json_write(out, slice_of(b->request_id));
    }
    if (b->route[0]) {
        buf_adds(out, ",\"route\":");
        json_write(out, slice_of(b->route));
    }
    buf_addf(out, ",\"ms\":%llu,\"begun\":%s,\"given_up\":%s}", (unsigned long long)b->ms,
             b->begun ? "true" : "false", b->given_up ? "true" : "false");
}

static void write_requests(struct buf *out, const struct worker *w, size_t max,
                           const struct incident_secrets *hide)
{
    struct blamed b;
    size_t count = 0;
    buf_adds(out, ",\"requests\":[");
    list_each (at, &w->slots) {
        if (count++ >= max)
            continue;
        blame_describe(container_of(at, struct slot, node), &b);
        buf_adds(out, count > 1 ? "," : "");
        write_request(out, &b, hide);
    }
    list_each (at, &w->used) {
        if (count++ >= max)
            continue;
        blame_describe_use(container_of(at, struct use, node), &b);
        buf_adds(out, count > 1 ? "," : "");
        write_request(out, &b, hide);
    }
    buf_addf(out, "],\"requests_more\":%zu", count > max ? count - max : 0);
}

/* Of one that had begun; false: it is not that. */
static bool take_route(const struct blamed *b, char *text, size_t size)
{
    if (!b->begun || !b->what[0])
        return false;
    snprintf(text, size, "%s", b->route[0] ? b->route : b->what);
    text[strcspn(text, "?")] = '\0';
    return true;
}

void incident_route(const struct worker *w, char *text, size_t size)
{
    struct blamed b;
    text[0] = '\0';
    list_each (at, &w->slots) {
        blame_describe(container_of(at, struct slot, node), &b);
        if (take_route(&b, text, size))
            return;
    }
    list_each (at, &w->used) {
        blame_describe_use(container_of(at, struct use, node), &b);
        if (take_route(&b, text, size))
            return;
    }
}

/* ------------------------------------------------------------- lines and stack */

static struct slice next_line(struct slice *rest)
{
    const char *lf = memchr(rest->ptr, '\n', rest->len);
    struct slice line = {rest->ptr, lf ? (size_t)(lf - rest->ptr) : rest->len};
    *rest = slice_from(*rest, MIN(line.len + 1, rest->len));
    return line;
}

static struct slice next_word(struct slice *rest)
{
    const char *blank = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    struct slice word = {rest->ptr, blank ? (size_t)(blank - rest->ptr) : rest->len};
    *rest = slice_from(*rest, MIN(word.len + 1, rest->len));
    return word;
}

/* From the end, so many lines of them. */
static struct slice last_lines(struct slice lines, size_t max)
{
    size_t at = lines.len, count = 0;
    while (at > 0) {
        if (lines.ptr[at - 1] == '\n' && count++ == max)
            break;
        at--;
    }
    return lines.len ? slice_from(lines, at) : lines;
}

static void write_lines(struct buf *out, const struct worker *w, size_t max,
                        const struct incident_secrets *hide)
{
    struct slice lines = w->postmortem ? buf_slice(&w->postmortem->lines) : (struct slice){0};
    const char *before = "";
    uint64_t ms;
    buf_adds(out, ",\"lines\":[");
    for (lines = last_lines(lines, max); lines.len; before = ",") {
        struct slice text = next_line(&lines);
        struct slice time = next_word(&text), stream = next_word(&text);
        buf_addf(out, "%s{\"time\":\"", before);
        incident_write_time(slice_to_u64(time, UINT64_MAX, &ms) ? ms : 0, out);
        buf_addf(out, "\",\"stream\":\"" SLICE_FMT "\",\"text\":", SLICE_ARG(stream));
        write_masked(out, text, hide);
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

static void write_stack(struct buf *out, const struct worker *w, size_t max,
                        const struct incident_secrets *hide)
{
    struct buf stack = {0};
    const char *before = "";
    postmortem_stack(w, &stack);
    struct slice rest = {stack.ptr, MIN(stack.len, max)};
    if (rest.len) {
        for (buf_adds(out, ",\"stack\":["); rest.len; before = ",") {
            struct slice line = next_line(&rest);
            buf_adds(out, before);
            write_masked(out, line, hide);
        }
        buf_addc(out, ']');
    }
    buf_deinit(&stack);
}

/* --------------------------------------------------------------------- the rest */

static void write_usage(struct buf *out, const struct worker *w)
{
    const struct postmortem *pm = w->postmortem;
    bool measured = pm && pm->measured;
    const struct usage *u = measured ? &pm->usage : &w->usage;
    if (!measured && !w->usage_ms)
        return;
    buf_addf(out,
             ",\"usage\":{\"memory\":%llu,\"cpu_ms\":%llu,\"threads\":%llu,"
             "\"processes\":%llu}",
             (unsigned long long)u->memory, (unsigned long long)u->cpu_us / 1000,
             (unsigned long long)u->threads, (unsigned long long)u->processes);
}

static void write_exit(struct buf *out, const struct worker *w)
{
    char name[16];
    if (!w->proc.pid || !w->proc.reaped)
        return;
    if (w->proc.exit.signal) {
        postmortem_signal_name(w->proc.exit.signal, name, sizeof(name));
        buf_addf(out, ",\"exit\":{\"signal\":\"%s\"}", name);
    } else {
        buf_addf(out, ",\"exit\":{\"status\":%lld}", (long long)w->proc.exit.code);
    }
}

static bool was_stopped(const struct worker *w)
{
    return w->postmortem && w->postmortem->did && strstr(w->postmortem->did, "SIGSTOP");
}

static bool ran_out_of_heap(const struct worker *w)
{
    const struct buf *lines = w->postmortem ? &w->postmortem->lines : NULL;
    return lines && lines->len && memmem(lines->ptr, lines->len, "heap out of memory", 18);
}

static const char *advice_on_exit(const struct worker *w)
{
    const struct proc_exit *exit = &w->proc.exit;
    if (ran_out_of_heap(w))
        return "Node's own heap was full, which is smaller than `memory`: find what grows, or "
               "give it more by  env = { NODE_OPTIONS = \"--max-old-space-size=1024\" }";
    if (ended_by_a_person(w))
        return "A person did that with nodey kill, or through the control socket. It starts "
               "again as its restart policy says; to end it for good:  nodey stop NAME";
    if (exit->signal == SIGKILL && ended_by_nodey(w))
        return "Its last lines say what it did; the sentence above, why nodey ended it.";
    if (exit->signal == SIGKILL)
        return "Nodey did not do that. When the machine has no memory left the kernel does: "
               "look with  dmesg | grep -i 'out of memory'";
    if (exit->signal == SIGSEGV || exit->signal == SIGBUS || exit->signal == SIGILL)
        return "A native library is at fault, or the interpreter: the innermost line of the "
               "stack names the call. Is there a newer version of it?";
    if (exit->code == 127)
        return "Is the command installed, and does nodey's PATH lead to it?";
    if (exit->code == 126)
        return "Is the file executable (chmod +x), and is the interpreter of its first line "
               "there?";
    if (exit->code == 0 && !w->pool->config->is_service)
        return "It ended as if it were done. A worker serves until its input ends: what calls "
               "exit()?";
    return "Its last lines and the stack say why.";
}

static const char *advice_on(const struct worker *w, enum incident_reason reason)
{
    if ((reason == INCIDENT_FROZEN || reason == INCIDENT_STUCK) && was_stopped(w))
        return "Somebody had stopped it (SIGSTOP, a debugger): the program need not be wrong.";
    switch (reason) {
    case INCIDENT_STUCK:
        return "The stack shows where it was. Give what it waits for a time limit of its own, "
               "or, if that work may take so long, the worker or the route more `timeout`.";
    case INCIDENT_FROZEN:
        return w->pool->config->is_service
                   ? "Its health check says it is not well: look at its last lines, and at "
                     "its stack if there is one."
                   : "Nothing may block an event loop: the stack shows what did. Such work "
                     "belongs into a thread or a process, or into a worker that does one thing "
                     "at a time.";
    case INCIDENT_MEMORY:
        return "Find what grows; raise `memory`; or set `max_memory` below it: then it is "
               "replaced between two requests, and nobody notices.";
    case INCIDENT_PIDS:
        return "Find what forks, or starts threads, without end; if it needs so many, raise "
               "`pids`.";
    case INCIDENT_START:
        return "What does it wait for? If it needs longer: `start_timeout`.";
    case INCIDENT_PROTOCOL:
        return "Let  nodey check PROGRAM  talk to it: it says which line is wrong.";
    default:
        return advice_on_exit(w);
    }
}

static void write_once(const struct worker *w, const char *id, const char *how,
                       const struct measure *m, const struct incident_secrets *hide,
                       struct buf *out)
{
    enum incident_reason reason = incident_reason(w);
    struct buf sentence = {0};
    uint64_t now = loop_now(w->pool->pools->loop);
    buf_addf(out, "{\"id\":\"%s\",\"time\":\"", id);
    incident_write_time(incident_wall_ms(), out);
    buf_addf(out, "\",\"program\":\"%s\",\"kind\":\"%s\",\"instance\":%u,\"pid\":%ld",
             w->pool->config->name, w->pool->config->is_service ? "service" : "worker",
             w->instance, (long)w->proc.pid);
    buf_addf(out, ",\"generation\":%u,\"reason\":\"%s\",\"sentence\":", w->generation,
             incident_reason_name(reason));
    incident_sentence(w, how, hide, &sentence);
    json_write(out, buf_slice(&sentence));
    buf_deinit(&sentence);
    buf_addf(out, ",\"age_ms\":%llu,\"was_ready\":%s",
             (unsigned long long)(w->started_ms ? now - w->started_ms : 0),
             w->ready_ms ? "true" : "false");
    write_exit(out, w);
    if (w->postmortem && w->postmortem->did)
        buf_addf(out, ",\"did\":\"%s\"", w->postmortem->did);
    write_requests(out, w, m->requests, hide);
    write_lines(out, w, m->lines, hide);
    write_stack(out, w, m->stack, hide);
    write_usage(out, w);
    buf_adds(out, ",\"advice\":");
    json_write(out, slice_of(advice_on(w, reason)));
}

void incident_write_json(const struct worker *w, const char *id, const char *how,
                         const struct incident_secrets *hide, struct buf *out)
{
    struct measure m = {REQUESTS_MAX, LINES_MAX, POSTMORTEM_STACK};
    size_t before = out->len;
    for (;;) {
        write_once(w, id, how, &m, hide, out);
        if (out->len - before < INCIDENT_BYTES / 2 || m.stack == 0)
            return;
        out->len = before;
        m = (struct measure){m.requests / 2, m.lines / 2, m.stack / 2};
    }
}
