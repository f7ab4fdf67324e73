/*
 * worker: publishes to nodey's bus and handles what comes from it, by lines written by hand.
 *
 *   worker [TOPIC GROUP MAX FROM]...      FROM: "first" or "new"; TOPIC "queue:NAME": a job
 *
 * Routes, below the pool's name:
 *   publish?depth=&bytes=&seconds=[&count=][&keys=][&mark=][&topic=|&queue=]
 *       a closed loop with `depth` unanswered; what it measured, when the last was answered
 *   stats[?reset=1]    what was handled since, and the time from publish to handler
 * A message with mark 1 kills its first handler; the next one tells how long that took.
 *
 * One thread; blocking pipes are enough, for everything it does is an answer to a line.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"

enum { MOST_IN_FLIGHT = 8192, INPUT_BYTES = 1 << 18 };

struct publisher {
    bool runs;
    uint64_t request; /* to answer when it is over */
    char target[128];
    size_t size;
    unsigned depth, keys, in_flight;
    int mark;
    uint64_t begun_ns, until_ns, count, sent, stored, refused;
    double cpu;
    struct hist latency;
    uint64_t sent_ns[MOST_IN_FLIGHT]; /* by id */
};

struct handler {
    uint64_t handled, first_ns, last_ns;
    double redelivered_us;
    struct hist latency;
};

static struct publisher publisher;
static struct handler handler;
static struct bytes output;
static char payload[PAYLOAD_MAX];

static void flush(void)
{
    size_t done = 0;
    while (done < output.len) {
        ssize_t n = write(1, output.at + done, output.len - done);
        if (n < 0 && errno != EINTR)
            exit(0);
        done += n > 0 ? (size_t)n : 0;
    }
    output.len = 0;
}

/* What follows `name` in the line, or NULL.  Only for lines whose first part is nodey's. */
static const char *after(const char *line, const char *name)
{
    const char *found = strstr(line, name);
    return found ? found + strlen(name) : NULL;
}

static uint64_t number_after(const char *line, const char *name)
{
    const char *at = after(line, name);
    return at ? strtoull(at, NULL, 10) : 0;
}

static void publish(unsigned slot)
{
    struct publisher *p = &publisher;
    uint64_t now = now_ns();
    p->sent_ns[slot] = now;
    payload_write(payload, p->size, now, p->mark);
    bytes_print(&output, "{\"type\":\"publish\",\"id\":%u,%s", slot, p->target);
    if (p->keys)
        bytes_print(&output, ",\"key\":\"k%" PRIu64 "\"", p->sent % p->keys);
    bytes_add(&output, ",\"data\":", 8);
    bytes_add(&output, payload, p->size);
    bytes_add(&output, "}\n", 2);
    p->sent++;
    p->in_flight++;
}

static bool goes_on(const struct publisher *p)
{
    return p->count ? p->sent < p->count : now_ns() < p->until_ns;
}

static void end_publishing(struct publisher *p)
{
    double seconds = (double)(now_ns() - p->begun_ns) / 1e9;
    const struct hist *h = &p->latency;
    p->runs = false;
    bytes_print(&output,
                "{\"id\":%" PRIu64 ",\"json\":{\"stored\":%" PRIu64 ",\"refused\":%" PRIu64
                ",\"seconds\":%.6f,\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
                "\"p999_us\":%.1f,\"max_us\":%.1f,\"client_cpu\":%.3f}}\n",
                p->request, p->stored, p->refused, seconds, (double)p->stored / seconds,
                hist_us(h, 50), hist_us(h, 99), hist_us(h, 99.9), (double)h->max / 1e3,
                (own_cpu_seconds() - p->cpu) / seconds);
}

static void on_stored(const char *line, bool stored)
{
    struct publisher *p = &publisher;
    unsigned slot = (unsigned)number_after(line, "\"id\":");
    if (!p->runs || slot >= MOST_IN_FLIGHT)
        return;
    hist_add(&p->latency, now_ns() - p->sent_ns[slot]);
    p->in_flight--;
    if (stored)
        p->stored++;
    else if (p->refused++ == 0)
        fprintf(stderr, "%s\n", line);
    if (goes_on(p))
        publish(slot);
    else if (p->in_flight == 0)
        end_publishing(p);
}

/* The value of a parameter of the query, up to the next one. */
static void parameter(const char *line, const char *name, char *to, size_t room)
{
    const char *query = after(line, "\"query\":\"");
    const char *at = query ? after(query, name) : NULL;
    size_t len = at ? strcspn(at, "&\"") : 0;
    if (len >= room)
        len = room - 1;
    if (at)
        memcpy(to, at, len);
    to[len] = '\0';
}

static uint64_t parameter_number(const char *line, const char *name)
{
    char text[32];
    parameter(line, name, text, sizeof(text));
    return strtoull(text, NULL, 10);
}

static void begin_publishing(const char *line, uint64_t id)
{
    struct publisher *p = &publisher;
    char name[64], seconds[32];
    memset(p, 0, sizeof(*p));
    parameter(line, "queue=", name, sizeof(name));
    const char *kind = *name ? "queue" : "topic";
    if (!*name)
        parameter(line, "topic=", name, sizeof(name));
    snprintf(p->target, sizeof(p->target), "\"%s\":\"%s\"", kind, *name ? name : "bench.a");
    parameter(line, "seconds=", seconds, sizeof(seconds));
    p->runs = true;
    p->request = id;
    p->size = parameter_number(line, "bytes=");
    p->depth = (unsigned)parameter_number(line, "depth=");
    p->keys = (unsigned)parameter_number(line, "keys=");
    p->mark = (int)parameter_number(line, "mark=");
    p->count = parameter_number(line, "count=");
    p->cpu = own_cpu_seconds();
    if (p->size < 48 || p->size > PAYLOAD_MAX || !p->depth || p->depth > MOST_IN_FLIGHT)
        die("bytes is 48..%d, depth 1..%d", PAYLOAD_MAX, MOST_IN_FLIGHT);
    p->begun_ns = now_ns();
    p->until_ns = p->begun_ns + (uint64_t)(strtod(seconds, NULL) * 1e9);
    for (unsigned i = 0; i < p->depth && (!p->count || p->sent < p->count); i++)
        publish(i);
}

static void on_request(const char *line)
{
    uint64_t id = number_after(line, "\"id\":");
    if (strstr(line, "/publish\"")) {
        begin_publishing(line, id);
        return;
    }
    const struct hist *h = &handler.latency;
    bytes_print(&output,
                "{\"id\":%" PRIu64 ",\"json\":{\"handled\":%" PRIu64 ",\"first_ns\":%" PRIu64
                ",\"last_ns\":%" PRIu64 ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
                "\"redelivered_us\":%.1f,\"cpu\":%.3f}}\n",
                id, handler.handled, handler.first_ns, handler.last_ns, hist_us(h, 50),
                hist_us(h, 99), (double)h->max / 1e3, handler.redelivered_us,
                own_cpu_seconds());
    if (parameter_number(line, "reset="))
        memset(&handler, 0, sizeof(handler));
}

static void die_of(uint64_t now)
{
    FILE *told = fopen("death", "w");
    if (told) {
        fprintf(told, "%" PRIu64 "\n", now);
        fclose(told);
    }
    raise(SIGKILL);
}

static double since_death(uint64_t now)
{
    char text[32] = "";
    FILE *told = fopen("death", "r");
    if (told) {
        if (!fgets(text, sizeof(text), told))
            text[0] = '\0';
        fclose(told);
    }
    return (double)(now - strtoull(text, NULL, 10)) / 1e3;
}

static void on_event(const char *line)
{
    uint64_t now = now_ns();
    const char *id = after(line, "\"id\":");
    const char *data = after(line, "\"data\":{\"t\":1");
    if (!id)
        return;
    if (data) {
        hist_add(&handler.latency, now - strtoull(data, NULL, 10));
        if (strstr(data, "\"m\":1,") && number_after(line, "\"attempt\":") == 1)
            die_of(now_ns());
        if (strstr(data, "\"m\":1,"))
            handler.redelivered_us = since_death(now);
    }
    if (handler.handled++ == 0)
        handler.first_ns = now;
    handler.last_ns = now;
    bytes_print(&output, "{\"type\":\"ack\",\"id\":%.*s}\n", (int)strspn(id, "0123456789"), id);
}

static void on_line(const char *line)
{
    if (strncmp(line, "{\"type\":\"", 9) != 0)
        on_request(line);
    else if (strncmp(line + 9, "event\"", 6) == 0)
        on_event(line);
    else if (strncmp(line + 9, "ack\"", 4) == 0)
        on_stored(line, true);
    else if (strncmp(line + 9, "error\"", 6) == 0)
        on_stored(line, false);
    else if (strncmp(line + 9, "ping\"", 5) == 0)
        bytes_print(&output, "{\"type\":\"pong\",\"id\":%" PRIu64 "}\n",
                    number_after(line, "\"id\":"));
}

/* One frame: the subscriptions of the arguments, events and jobs. */
static void say_ready(char **arguments)
{
    struct bytes topics = {0}, queues = {0};
    bytes_print(&topics, "%s", "");
    bytes_print(&queues, "%s", "");
    for (char **a = arguments; *a; a += 4) {
        if (strncmp(a[0], "queue:", 6) == 0)
            bytes_print(&queues, "%s{\"queue\":\"%s\",\"max\":%s}", queues.len ? "," : "",
                        a[0] + 6, a[2]);
        else
            bytes_print(&topics,
                        "%s{\"topic\":\"%s\",\"group\":\"%s\",\"max\":%s,\"from\":\"%s\"}",
                        topics.len ? "," : "", a[0], a[1], a[2], a[3]);
    }
    bytes_print(&output,
                "{\"type\":\"ready\",\"concurrency\":1024,\"features\":[\"events\",\"ping\"],"
                "\"subscribe\":[");
    bytes_add(&output, topics.at, topics.len);
    bytes_print(&output, "],\"jobs\":[");
    bytes_add(&output, queues.at, queues.len);
    bytes_print(&output, "]}\n");
    flush();
}

int main(int argc, char **argv)
{
    static char input[INPUT_BYTES + 1];
    size_t len = 0;
    if ((argc - 1) % 4)
        die("TOPIC GROUP MAX FROM, four words for each subscription");
    signal(SIGPIPE, SIG_IGN);
    say_ready(argv + 1);
    for (;;) {
        ssize_t n = read(0, input + len, INPUT_BYTES - len);
        if (n <= 0)
            return 0;
        len += (size_t)n;
        char *line = input, *end;
        while ((end = memchr(line, '\n', (size_t)(input + len - line)))) {
            *end = '\0';
            on_line(line);
            line = end + 1;
        }
        len = (size_t)(input + len - line);
        memmove(input, line, len);
        if (len == INPUT_BYTES)
            die("a line of more than %d bytes", INPUT_BYTES);
        flush();
    }
}
