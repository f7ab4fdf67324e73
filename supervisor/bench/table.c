#include "bench/table.h"

#include <stdio.h>

#include "app/html.h"
#include "base/json.h"
#include "bench/page.h"

enum { BAR_WIDTH = 40 };

static const char *way_name(const struct bridge_way *way)
{
    return way->is_pipe ? "pipe" : "HTTP bridge";
}

/* Half of the range, in per cent of the median: how sure the figure is. */
static double spread(const struct bridge_figure *f)
{
    return f->median > 0 ? 50 * (f->high - f->low) / f->median : 0;
}

static bool overlap(const struct bridge_figure *a, const struct bridge_figure *b)
{
    return a->low <= b->high && b->low <= a->high;
}

/* What two figures say about each other. */
struct verdict {
    double ratio; /* the larger by the smaller */
    bool pipe_larger;
    bool sure; /* the rounds' ranges do not overlap */
};

static struct verdict compare(const struct bridge_figure *pipe,
                              const struct bridge_figure *bridge)
{
    bool larger = pipe->median > bridge->median;
    double low = larger ? bridge->median : pipe->median;
    return (struct verdict){
        .ratio = low > 0 ? (larger ? pipe->median : bridge->median) / low : 0,
        .pipe_larger = larger,
        .sure = !overlap(pipe, bridge),
    };
}

/* ---------------------------------------------------------------- sentences */

/* Whoever wins is named, whichever it is. */
static void say_verdicts(const struct bridge_result *r, size_t i, struct buf *out)
{
    const struct bridge_way *pipe = &r->ways[i], *bridge = &r->ways[i + 1];
    if (!pipe->measured || !bridge->measured)
        return;
    struct verdict cost = compare(&pipe->cost_us, &bridge->cost_us);
    struct verdict rate = compare(&pipe->rate, &bridge->rate);
    buf_addf(out, "%s: ", pipe->language);
    if (cost.sure)
        buf_addf(out, "a request costs %.1f times as much over the %s as over the %s;",
                 cost.ratio, cost.pipe_larger ? "pipe" : "bridge",
                 cost.pipe_larger ? "bridge" : "pipe");
    else
        buf_adds(out, "what a request costs differs by less than the rounds do;");
    buf_addf(out, "\n%*s", (int)strlen(pipe->language) + 2, "");
    if (rate.sure)
        buf_addf(out, "with %u connections the %s answers %.1f times as many.\n",
                 r->connections, rate.pipe_larger ? "pipe" : "bridge", rate.ratio);
    else
        buf_addf(out, "with %u connections both answer about as many.\n", r->connections);
}

static void say_missing(const struct bridge_result *r, struct buf *out)
{
    char count[32];
    if (!r->python[0])
        buf_adds(out, "Left out: Python, because there is no python3 here.\n");
    if (!r->node[0])
        buf_adds(out, "Left out: Node, and the bridge, which is a Node program: there is no "
                      "node here.\n");
    for (size_t i = 0; i < BRIDGE_WAYS; i++)
        if (r->ways[i].failed)
            buf_addf(out, "%s over the %s: %s requests failed.\n", r->ways[i].language,
                     way_name(&r->ways[i]), bench_count((double)r->ways[i].failed, count));
    if (r->rounds < BRIDGE_ROUNDS)
        buf_addf(out, "Stopped after %u of %d rounds.\n", r->rounds, BRIDGE_ROUNDS);
}

/* A line for each thing that was run, and how. */
static void say_how(const struct bridge_result *r, bool unicode, struct buf *out)
{
    buf_adds(out,
             "pipe         client > nodey > one worker process, over its pipes\n"
             "HTTP bridge  client > node:http server that forwards with a keep-alive agent >\n"
             "             one process with node:http, or Python's ThreadingHTTPServer\n"
             "handler      fib(20), the same code everywhere; its time by its own process\n"
             "overhead     median latency of one request at a time, less the handler's time\n");
    buf_addf(out,
             "figures      medians of %u rounds, all ways in turn in each; %s is half of the\n"
             "             range; %.0f s in all; the load came from this machine too\n",
             r->rounds, unicode ? "±" : "+-", r->seconds);
}

static void say_where(const struct bridge_result *r, struct buf *out)
{
    buf_addf(out, "nodey " NODEY_VERSION "%s%s%s%s, %u CPU%s", r->node[0] ? ", Node " : "",
             r->node, r->python[0] ? ", " : "", r->python, r->cpus, r->cpus == 1 ? "" : "s");
}

/* --------------------------------------------------------------------- text */

/* Right-aligned by what is seen, not by bytes. */
static void add_right(struct buf *out, const char *text, unsigned width)
{
    unsigned seen = 0;
    for (const char *at = text; *at; at++)
        seen += ((unsigned char)*at & 0xc0) != 0x80;
    for (; seen < width; seen++)
        buf_addc(out, ' ');
    buf_adds(out, text);
}

static void text_row(const struct bridge_way *way, bool first, bool unicode, struct buf *out)
{
    char text[64], count[32];
    buf_addf(out, "  %-7s %-12s", first ? way->language : "", way_name(way));
    add_right(out, bench_time(way->p50_us.median * 1e3, unicode, text), 9);
    add_right(out, bench_time(way->own_us.median * 1e3, unicode, text), 10);
    add_right(out, bench_time(way->cost_us.median * 1e3, unicode, text), 10);
    snprintf(text, sizeof(text), "%s%.0f%%", unicode ? "±" : "+-", spread(&way->cost_us));
    add_right(out, text, 6);
    add_right(out, bench_count(way->rate.median, count), 13);
    snprintf(text, sizeof(text), "%s%.0f%%", unicode ? "±" : "+-", spread(&way->rate));
    add_right(out, text, 6);
    buf_addc(out, '\n');
}

static void text_table(const struct bridge_result *r, bool unicode, struct buf *out)
{
    char title[40];
    snprintf(title, sizeof(title), "req/s at %u", r->connections);
    buf_addf(out, "  %-7s %-12s%9s%10s%10s%6s%13s\n", "", "", "p50 at 1", "handler", "overhead",
             "", title);
    for (size_t i = 0; i < BRIDGE_WAYS; i++)
        if (r->ways[i].measured)
            text_row(&r->ways[i], i % 2 == 0, unicode, out);
}

static double value_of(const struct bridge_way *way, bool rate)
{
    return rate ? way->rate.median : way->cost_us.median;
}

static double largest(const struct bridge_result *r, bool rate)
{
    double most = 0;
    for (size_t i = 0; i < BRIDGE_WAYS; i++)
        if (r->ways[i].measured)
            most = MAX(most, value_of(&r->ways[i], rate));
    return most;
}

static const char *value_text(const struct bridge_way *way, bool rate, bool unicode,
                              char text[40])
{
    char plain[32];
    if (rate)
        snprintf(text, 40, "%s/s", bench_count(way->rate.median, plain));
    else
        bench_time(way->cost_us.median * 1e3, unicode, text);
    return text;
}

static void text_bars(const struct bridge_result *r, bool rate, const struct bench_look *look,
                      struct buf *out)
{
    char text[40];
    for (size_t i = 0; i < BRIDGE_WAYS; i++) {
        const struct bridge_way *way = &r->ways[i];
        if (!way->measured)
            continue;
        buf_addf(out, "  %-7s %-12s ", i % 2 == 0 ? way->language : "", way_name(way));
        bench_bar(out, look, value_of(way, rate), largest(r, rate), BAR_WIDTH);
        buf_addf(out, " %s\n", value_text(way, rate, look->unicode, text));
    }
}

static void indent(struct buf *text, struct buf *out)
{
    struct slice rest = buf_slice(text);
    while (rest.len) {
        const char *lf = memchr(rest.ptr, '\n', rest.len);
        size_t len = lf ? (size_t)(lf - rest.ptr) + 1 : rest.len;
        buf_adds(out, len > 1 ? "  " : "");
        buf_append(out, rest.ptr, len);
        rest = slice_from(rest, len);
    }
    buf_deinit(text);
}

static void write_text(const struct bridge_result *r, const struct bench_look *look,
                       struct buf *out)
{
    struct buf words = {0};
    buf_adds(out, "What a request costs over nodey's pipe and over an HTTP bridge\n");
    say_where(r, out);
    buf_adds(out, "\n\n");
    text_table(r, look->unicode, out);
    buf_adds(out, "\n  overhead per request (shorter is better)\n");
    text_bars(r, false, look, out);
    buf_addf(out, "\n  requests per second at %u connections (longer is better)\n",
             r->connections);
    text_bars(r, true, look, out);
    buf_addc(out, '\n');
    say_verdicts(r, 0, &words);
    say_verdicts(r, 2, &words);
    say_missing(r, &words);
    buf_addc(&words, '\n');
    say_how(r, look->unicode, &words);
    indent(&words, out);
}

/* --------------------------------------------------------------------- json */

static void json_figure(const char *key, const struct bridge_figure *f, struct buf *out)
{
    buf_addf(out, ",\"%s\":{\"median\":%.2f,\"low\":%.2f,\"high\":%.2f}", key, f->median,
             f->low, f->high);
}

static void json_text(const char *key, const char *text, struct buf *out)
{
    buf_addf(out, ",\"%s\":", key);
    if (*text)
        json_write(out, slice_of(text));
    else
        buf_adds(out, "null");
}

static void write_json(const struct bridge_result *r, struct buf *out)
{
    buf_adds(out, "{\"nodey\":\"" NODEY_VERSION "\"");
    json_text("node", r->node, out);
    json_text("python", r->python, out);
    buf_addf(out, ",\"cpus\":%u,\"rounds\":%u,\"connections\":%u,\"seconds\":%.1f,\"ways\":[",
             r->cpus, r->rounds, r->connections, r->seconds);
    const char *before = "";
    for (size_t i = 0; i < BRIDGE_WAYS; i++) {
        const struct bridge_way *way = &r->ways[i];
        if (!way->measured)
            continue;
        buf_addf(out, "%s{\"language\":\"%s\",\"way\":\"%s\",\"failed\":%llu", before, way->key,
                 way->is_pipe ? "pipe" : "bridge", (unsigned long long)way->failed);
        json_figure("p50_us", &way->p50_us, out);
        json_figure("handler_us", &way->own_us, out);
        json_figure("overhead_us", &way->cost_us, out);
        json_figure("rate", &way->rate, out);
        buf_addc(out, '}');
        before = ",";
    }
    buf_adds(out, "]}\n");
}

/* --------------------------------------------------------------------- html */

static void html_bars(const struct bridge_result *r, bool rate, struct buf *page)
{
    char label[40], text[40];
    struct bench_bars bars = bench_bars_begin(page, largest(r, rate));
    for (size_t i = 0; i < BRIDGE_WAYS; i++) {
        const struct bridge_way *way = &r->ways[i];
        if (!way->measured)
            continue;
        snprintf(label, sizeof(label), "%s, %s", way->language, way_name(way));
        bench_bars_add(&bars, label, value_text(way, rate, true, text), value_of(way, rate),
                       way->is_pipe);
    }
    bench_bars_end(&bars);
}

static void html_table(const struct bridge_result *r, struct buf *page)
{
    char p50[24], own[24], cost[24], rate[32];
    html_addf(page,
              "<table><tr><th class=\"name\"></th><th>p50, one at a time</th><th>handler</th>"
              "<th>overhead</th><th>requests/s at %s</th></tr>\n",
              bench_count(r->connections, rate));
    for (size_t i = 0; i < BRIDGE_WAYS; i++) {
        const struct bridge_way *way = &r->ways[i];
        char cost_spread[24], rate_spread[24];
        if (!way->measured)
            continue;
        snprintf(cost_spread, sizeof(cost_spread), "± %.0f %%", spread(&way->cost_us));
        snprintf(rate_spread, sizeof(rate_spread), "± %.0f %%", spread(&way->rate));
        html_addf(page,
                  "<tr><td class=\"name\">%s, %s</td><td>%s</td><td>%s</td><td>%s %s</td>"
                  "<td>%s %s</td></tr>\n",
                  way->language, way_name(way), bench_time(way->p50_us.median * 1e3, true, p50),
                  bench_time(way->own_us.median * 1e3, true, own),
                  bench_time(way->cost_us.median * 1e3, true, cost), cost_spread,
                  bench_count(way->rate.median, rate), rate_spread);
    }
    buf_adds(page, "</table>\n");
}

static void write_html(const struct bridge_result *r, struct buf *out)
{
    struct buf words = {0};
    say_where(r, &words);
    bench_page_begin(out, "A pipe, or an HTTP bridge?", buf_cstr(&words));
    buf_clear(&words);
    say_verdicts(r, 0, &words);
    say_verdicts(r, 2, &words);
    say_missing(r, &words);
    buf_adds(out, "<pre>");
    html_text(out, buf_slice(&words));
    buf_adds(out, "</pre>\n<h2>Overhead per request (shorter is better)</h2>\n");
    html_bars(r, false, out);
    buf_addf(out, "<h2>Requests per second at %u connections (longer is better)</h2>\n",
             r->connections);
    html_bars(r, true, out);
    buf_adds(out, "<h2>The figures</h2>\n");
    html_table(r, out);
    buf_clear(&words);
    say_how(r, true, &words);
    buf_adds(out, "<h2>What was run</h2>\n<pre>");
    html_text(out, buf_slice(&words));
    buf_adds(out, "</pre>\n");
    buf_deinit(&words);
    bench_page_end(out);
}

void bench_table_write(const struct bridge_result *r, enum bench_format format,
                       const struct bench_look *look, struct buf *out)
{
    if (format == BENCH_JSON)
        write_json(r, out);
    else if (format == BENCH_HTML)
        write_html(r, out);
    else
        write_text(r, look, out);
}
