#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/report.h"
#include "bench/table.h"
#include "bench/target.h"
#include "client/options.h"
#include "client/session.h"
#include "config/value.h"

enum {
    CONNECTIONS = 64,
    DURATION_MS = 5000,
    WARMUP_MS = 1000,
    TIMEOUT_MS = 10000,
    COMPARE_MS = 16000,
    LONGEST_MS = 24 * 60 * 60 * 1000,
    HEADERS_MAX = 64,
    EXIT_KILLED = 128, /* and the signal's number */
};

#define RATE_MAX 1e6

const char command_bench_help[] =
    "  nodey bench                what a request costs over nodey's pipe and over an HTTP\n"
    "                             bridge, for Node and Python, side by side (20 s)\n"
    "  nodey bench URL            loads a server\n"
    "  nodey bench NAME|/ROUTE    loads a worker or a route of the nodey that is up here, or\n"
    "                             of one that is started for it\n"
    "\n"
    "  -c CONNECTIONS    at once (64)\n"
    "  -d DURATION       of measuring: 5s, 500ms, 1m\n"
    "  -r RATE           requests per second that fall due whether or not earlier ones were\n"
    "                    answered; without it each connection asks again once it was answered\n"
    "  --warmup TIME     before that, asked and not counted (1s)\n"
    "  --timeout TIME    of one request (10s)\n"
    "  -m METHOD         GET, or POST with --data\n"
    "  -H 'NAME: VALUE'  a header field; may be given again\n"
    "  --data BODY       to send\n"
    "  --format FORMAT   text, json or html\n"
    "  -f FILE           the configuration that NAME is of (nodey.toml)\n"
    "\n"
    "With -r, latency counts from when a request was due: what a stall delays is not left\n"
    "out.  Ctrl-C ends early with what was measured.\n";

struct bench {
    struct bench_stage stage;
    struct bench_look look;
    enum bench_format format;
    const char *word; /* NULL: compare pipe and bridge */
    const char *file;
    const char *method;
    const char *data;
    struct field fields[HEADERS_MAX];
    size_t field_count;
    uint64_t connections;
    uint64_t duration_ms;
    uint64_t warmup_ms;
    uint64_t timeout_ms;
    double rate;
};

/* As they were written. */
struct bench_words {
    const char *connections, *duration, *rate, *warmup, *timeout, *method, *data, *format,
        *file;
    struct word_list headers;
};

/* ------------------------------------------------------------------ options */

/* "5s", "500ms"; a number alone counts seconds. */
static int read_time(const char *name, const char *text, uint64_t least_ms, uint64_t *ms)
{
    uint64_t us, seconds;
    if (!text)
        return 0;
    if (slice_to_u64(slice_of(text), LONGEST_MS / 1000, &seconds))
        us = seconds * 1000000;
    else if (value_duration(slice_of(text), false, &us) != VALUE_GOOD)
        return usage_error("bench", "%s takes a time such as 5s or 500ms, not \"%s\"", name,
                           text);
    if (us / 1000 < least_ms || us / 1000 > LONGEST_MS)
        return usage_error("bench", "%s %s is too %s", name, text,
                           us / 1000 < least_ms ? "short" : "long");
    *ms = us / 1000;
    return 0;
}

static int read_numbers(struct bench *b, const struct bench_words *words)
{
    if (words->connections &&
        (!slice_to_u64(slice_of(words->connections), LOAD_CONNECTIONS_MAX, &b->connections) ||
         b->connections == 0))
        return usage_error("bench", "-c takes a number of connections, 1 to %d, not \"%s\"",
                           LOAD_CONNECTIONS_MAX, words->connections);
    if (words->rate) {
        char *end;
        b->rate = strtod(words->rate, &end);
        if (*end || end == words->rate || !(b->rate > 0 && b->rate <= RATE_MAX))
            return usage_error("bench",
                               "-r takes requests per second, up to 1000000, not \"%s\"",
                               words->rate);
    }
    int rc = read_time("-d", words->duration, 1, &b->duration_ms);
    if (rc == 0)
        rc = read_time("--warmup", words->warmup, 0, &b->warmup_ms);
    return rc ? rc : read_time("--timeout", words->timeout, 1, &b->timeout_ms);
}

static int read_format(struct bench *b, const char *text)
{
    static const char *const names[] = {"text", "json", "html"};
    if (!text)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0) {
            b->format = (enum bench_format)i;
            return 0;
        }
    return usage_error("bench", "--format is text, json or html, not \"%s\"", text);
}

/* What is wrong in a name or a value is said when the request is written. */
static int read_headers(struct bench *b, const struct word_list *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        const char *text = headers->items[i], *colon = strchr(text, ':');
        if (!colon)
            return usage_error("bench", "-H takes 'NAME: VALUE', not \"%s\"", text);
        if (b->field_count == HEADERS_MAX)
            return usage_error("bench", "-H may be given %d times", HEADERS_MAX);
        b->fields[b->field_count++] =
            (struct field){{text, (size_t)(colon - text)}, slice_trim(slice_of(colon + 1))};
    }
    return 0;
}

/* What has no meaning when pipe and bridge are compared. */
static int check_words(const struct bench *b, const struct bench_words *words)
{
    const struct {
        const char *name;
        bool given;
    } loads[] = {
        {"-r", words->rate != NULL},         {"-m", words->method != NULL},
        {"--data", words->data != NULL},     {"-H", words->headers.count > 0},
        {"--warmup", words->warmup != NULL}, {"--timeout", words->timeout != NULL},
        {"-f", words->file != NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(loads); i++)
        if (!b->word && loads[i].given)
            return usage_error("bench", "%s needs a URL or a NAME to ask", loads[i].name);
    return 0;
}

static int read_words(struct bench *b, int argc, char **argv, struct bench_words *words)
{
    const struct option table[] = {
        {"-c --connections", OPTION_VALUE, &words->connections},
        {"-d --duration", OPTION_VALUE, &words->duration},
        {"-r --rate", OPTION_VALUE, &words->rate},
        {"--warmup", OPTION_VALUE, &words->warmup},
        {"--timeout", OPTION_VALUE, &words->timeout},
        {"-m --method", OPTION_VALUE, &words->method},
        {"-H --header", OPTION_LIST, &words->headers},
        {"--data", OPTION_VALUE, &words->data},
        {"--format", OPTION_VALUE, &words->format},
        {"-f --file --config", OPTION_VALUE, &words->file},
    };
    struct options options = {
        .verb = "bench", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (options.words.count)
        b->word = options.words.items[0];
    word_list_deinit(&options.words);
    return rc ? rc : check_words(b, words);
}

static int read_options(struct bench *b, int argc, char **argv)
{
    struct bench_words words = {0};
    int rc = read_words(b, argc, argv, &words);
    b->connections = CONNECTIONS;
    b->duration_ms = b->word ? DURATION_MS : COMPARE_MS;
    b->warmup_ms = WARMUP_MS;
    b->timeout_ms = TIMEOUT_MS;
    b->file = words.file;
    b->data = words.data;
    b->method = words.method ? words.method : words.data ? "POST" : "GET";
    if (rc == 0)
        rc = read_numbers(b, &words);
    if (rc == 0)
        rc = read_format(b, words.format);
    if (rc == 0)
        rc = read_headers(b, &words.headers);
    word_list_deinit(&words.headers);
    return rc;
}

/* ---------------------------------------------------------------------- load */

static void on_progress(const struct load_options *options, uint64_t done_ms, uint64_t answered)
{
    struct bench *b = options->arg;
    char count[32];
    if (done_ms == 0)
        bench_stage_show(&b->stage, "warming up");
    else
        bench_stage_show(&b->stage, "%.1f s of %.1f s: %s answers", (double)done_ms / 1e3,
                         (double)options->duration_ms / 1e3,
                         bench_count((double)answered, count));
}

static void print(struct buf *text)
{
    fwrite(text->ptr, 1, text->len, stdout);
    fflush(stdout);
    buf_deinit(text);
}

static struct client_request request_of(const struct bench *b, const struct bench_target *t)
{
    return (struct client_request){
        .address = t->address,
        .host = t->host,
        .method = b->method,
        .target = t->path,
        .fields = b->fields,
        .field_count = b->field_count,
        .body = slice_of(b->data),
        .timeout_ms = b->timeout_ms,
    };
}

/* One request ahead: who cannot be reached is told at once, and not after the duration. */
static int knock(const struct client_request *request, struct err *err)
{
    struct client_response response;
    int rc = client_fetch(request, &response, err);
    if (rc == 0)
        client_response_deinit(&response);
    return rc;
}

static int measure(struct bench *b, const struct bench_target *t, struct err *err)
{
    struct client_request request = request_of(b, t);
    struct load_result *result = xcalloc(1, sizeof(*result));
    struct buf wire = {0}, text = {0};
    struct peer peer;
    int rc = client_request_write(&request, &wire, err);
    if (rc == 0)
        rc = peer_resolve(&peer, &b->stage.loop, t->address, err);
    if (rc == 0)
        rc = knock(&request, err);
    if (rc == 0) {
        struct load_options options = {
            .peer = &peer,
            .request = buf_slice(&wire),
            .is_head = strcmp(b->method, "HEAD") == 0,
            .connections = (unsigned)b->connections,
            .rate = b->rate,
            .warmup_ms = b->warmup_ms,
            .duration_ms = b->duration_ms,
            .timeout_ms = b->timeout_ms,
            .stop = &b->stage.stop,
            .progress = b->stage.shows ? on_progress : NULL,
            .arg = b,
        };
        load_run(&b->stage.loop, &options, result);
        bench_stage_show(&b->stage, NULL);
        bench_report_write(
            &(struct bench_report){
                .url = t->url, .method = b->method, .options = &options, .result = result},
            b->format, &b->look, &text);
        print(&text);
        rc = result->latency.count > result->unanswered ? 0 : EXIT_REFUSED;
    }
    buf_deinit(&wire);
    xfree(result);
    return rc;
}

static int run_load(struct bench *b, struct err *err)
{
    struct bench_target target;
    struct bench_wish wish = {.word = b->word, .file = b->file, .method = b->method};
    int rc = bench_target_find(&target, &b->stage, &wish, err);
    if (rc == 0)
        rc = measure(b, &target, err);
    bench_target_close(&target);
    return rc;
}

static int run_compare(struct bench *b, struct err *err)
{
    struct bridge_result result;
    struct buf text = {0};
    int rc = bridge_run(&b->stage, (unsigned)b->connections, b->duration_ms, &result, err);
    if (rc)
        return rc;
    bench_table_write(&result, b->format, &b->look, &text);
    print(&text);
    return 0;
}

/* Thousands of connections want descriptors; the hard limit is what we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        IGNORE(
            setrlimit(RLIMIT_NOFILE, &limit)); /* then some cannot be opened, and it is told */
    }
}

int command_bench(int argc, char **argv)
{
    struct bench *b = xcalloc(1, sizeof(*b));
    struct err err = {0};
    int rc = read_options(b, argc, argv);
    if (rc) {
        xfree(b);
        return rc;
    }
    raise_descriptor_limit();
    b->look = bench_look_of(STDOUT_FILENO);
    rc = bench_stage_open(&b->stage, &err);
    if (rc == 0) {
        rc = b->word ? run_load(b, &err) : run_compare(b, &err);
        bench_stage_close(&b->stage);
    }
    if (rc < 0)
        fprintf(stderr, "nodey bench: %s\n", err.text);
    if (b->stage.stop)
        rc = EXIT_KILLED + b->stage.signum;
    else if (rc < 0)
        rc = rc == -1 ? EXIT_REFUSED : EXIT_UNREACHABLE; /* others are the network's codes */
    xfree(b);
    return rc;
}
