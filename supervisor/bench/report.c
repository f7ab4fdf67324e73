#include "bench/report.h"

#include <stdio.h>

#include "app/html.h"
#include "base/json.h"
#include "bench/page.h"

static const double percentiles[] = {50, 90, 99, 99.9};

/* By enum client_failure. */
static const struct {
    const char *key;
    const char *words;
} failures[LOAD_FAILURES] = {
    [CLIENT_CONNECT] = {"connect", "connections that could not be opened"},
    [CLIENT_TIMEOUT] = {"timeout", "without an answer in time"},
    [CLIENT_CLOSED] = {"closed", "cut off: the connection ended before the answer did"},
    [CLIENT_INVALID] = {"invalid", "answered with what is no HTTP"},
};

static double seconds(const struct bench_report *r)
{
    return (double)r->result->elapsed_ns / 1e9;
}

static double rate(const struct bench_report *r)
{
    return r->result->elapsed_ns ? (double)r->result->answered / seconds(r) : 0;
}

/* --------------------------------------------------------------------- text */

static void describe(const struct bench_report *r, struct buf *out)
{
    const struct load_options *o = r->options;
    char count[32];
    buf_addf(out, "%u connection%s, ", o->connections, o->connections == 1 ? "" : "s");
    if (o->rate > 0)
        buf_addf(out, "open loop at %s requests/s", bench_count(o->rate, count));
    else
        buf_adds(out, "closed loop");
    buf_addf(out, ", %.1f s after %.1f s of warm-up", seconds(r), (double)o->warmup_ms / 1e3);
}

static void text_failures(const struct bench_report *r, struct buf *out)
{
    const struct load_result *result = r->result;
    char count[32];
    const char *title = "  failed    ";
    for (size_t i = 0; i < LOAD_FAILURES; i++) {
        if (!result->failures[i])
            continue;
        buf_addf(out, "%s%s %s\n", title, bench_count((double)result->failures[i], count),
                 failures[i].words);
        title = "            ";
    }
    if (result->unanswered)
        buf_addf(out, "%s%s not answered 1 s after the end; their waiting counts as latency\n",
                 title, bench_count((double)result->unanswered, count));
    if (result->first_failure[0])
        buf_addf(out, "  first     %s\n", result->first_failure);
}

static void text_statuses(const struct bench_report *r, struct buf *out)
{
    char count[32];
    buf_adds(out, "  answers   ");
    const char *before = "";
    for (size_t i = 0; i < LOAD_STATUSES; i++) {
        if (!r->result->statuses[i])
            continue;
        buf_addf(out, "%s%zu: %s", before, i,
                 bench_count((double)r->result->statuses[i], count));
        before = "   ";
    }
    buf_adds(out, *before ? "\n" : "none\n");
    if (load_refused(r->result))
        buf_addf(out,
                 "            %s of them are errors: an error may be quicker than an answer\n",
                 bench_count((double)load_refused(r->result), count));
}

static void text_latency(const struct bench_report *r, const struct bench_look *look,
                         struct buf *out)
{
    const struct histogram *h = &r->result->latency;
    char time[24];
    buf_adds(out, "  latency   ");
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        buf_addf(out, "p%g %s   ", percentiles[i],
                 bench_time((double)histogram_at(h, percentiles[i]), look->unicode, time));
    buf_addf(out, "max %s\n\n", bench_time((double)h->max, look->unicode, time));
    bench_distribution(out, look, h);
}

static void write_text(const struct bench_report *r, const struct bench_look *look,
                       struct buf *out)
{
    const struct load_result *result = r->result;
    char count[32], per_second[32], bytes[32];
    buf_addf(out, "%s %s\n", r->method, r->url);
    describe(r, out);
    buf_addf(out, "\n\n  requests  %s   %s/s", bench_count((double)result->answered, count),
             bench_count(rate(r), per_second));
    if (r->options->rate > 0)
        buf_addf(out, " of %s/s asked for", bench_count(r->options->rate, count));
    buf_addf(out, "\n  received  %s\n", bench_bytes((double)result->received, bytes));
    text_statuses(r, out);
    text_failures(r, out);
    if (result->reconnects)
        buf_addf(out, "  reopened  %s connections that the server had closed\n",
                 bench_count((double)result->reconnects, count));
    if (result->latency.count)
        text_latency(r, look, out);
}

/* --------------------------------------------------------------------- json */

static void json_latency(const struct histogram *h, struct buf *out)
{
    buf_addf(out, "\"latency_us\":{\"count\":%llu,\"mean\":%.1f", (unsigned long long)h->count,
             histogram_mean(h) / 1e3);
    for (size_t i = 0; i < ARRAY_LEN(percentiles); i++)
        buf_addf(out, ",\"p%g\":%.1f", percentiles[i],
                 (double)histogram_at(h, percentiles[i]) / 1e3);
    buf_addf(out, ",\"max\":%.1f},\"distribution\":[", (double)h->max / 1e3);
    const char *before = "";
    for (uint64_t low = 0; low < h->max;) {
        uint64_t high = bench_next_bound(low);
        uint64_t n = histogram_between(h, low, high);
        low = high;
        if (!n)
            continue;
        buf_addf(out, "%s{\"up_to_us\":%llu,\"count\":%llu}", before,
                 (unsigned long long)high / 1000, (unsigned long long)n);
        before = ",";
    }
    buf_addc(out, ']');
}

static void write_json(const struct bench_report *r, struct buf *out)
{
    const struct load_options *o = r->options;
    const struct load_result *result = r->result;
    buf_adds(out, "{\"url\":");
    json_write(out, slice_of(r->url));
    buf_adds(out, ",\"method\":");
    json_write(out, slice_of(r->method));
    buf_addf(out, ",\"connections\":%u,\"asked_rate\":", o->connections);
    buf_addf(out, o->rate > 0 ? "%g" : "null", o->rate);
    buf_addf(out, ",\"warmup_s\":%.3f,\"seconds\":%.3f,\"requests\":%llu,\"rate\":%.1f",
             (double)o->warmup_ms / 1e3, seconds(r), (unsigned long long)result->answered,
             rate(r));
    buf_addf(out, ",\"received_bytes\":%llu,\"reconnects\":%llu,\"statuses\":{",
             (unsigned long long)result->received, (unsigned long long)result->reconnects);
    const char *before = "";
    for (size_t i = 0; i < LOAD_STATUSES; i++) {
        if (!result->statuses[i])
            continue;
        buf_addf(out, "%s\"%zu\":%llu", before, i, (unsigned long long)result->statuses[i]);
        before = ",";
    }
    buf_addf(out, "},\"failures\":{\"unanswered\":%llu",
             (unsigned long long)result->unanswered);
    for (size_t i = 0; i < LOAD_FAILURES; i++)
        buf_addf(out, ",\"%s\":%llu", failures[i].key, (unsigned long long)result->failures[i]);
    buf_adds(out, "},\"first_failure\":");
    if (result->first_failure[0])
        json_write(out, slice_of(result->first_failure));
    else
        buf_adds(out, "null");
    buf_addc(out, ',');
    json_latency(&result->latency, out);
    buf_adds(out, "}\n");
}

/* --------------------------------------------------------------------- html */

static void html_bars(const struct histogram *h, struct buf *page)
{
    uint64_t most = 0, first = 0;
    for (uint64_t low = 0, high; low < h->max; low = high) {
        high = bench_next_bound(low);
        uint64_t n = histogram_between(h, low, high);
        most = MAX(most, n);
        if (n && !first)
            first = high;
    }
    struct bench_bars bars = bench_bars_begin(page, (double)most);
    for (uint64_t low = 0, high; low < h->max; low = high) {
        char label[24], value[40];
        high = bench_next_bound(low);
        if (high < first)
            continue;
        uint64_t n = histogram_between(h, low, high);
        snprintf(value, sizeof(value), "%.3f %%", 100 * (double)n / (double)h->count);
        bench_bars_add(&bars, bench_bound(high, true, label), value, (double)n, false);
    }
    bench_bars_end(&bars);
}

/* The text says it all already; the page adds the drawing. */
static void write_html(const struct bench_report *r, struct buf *out)
{
    struct buf text = {0};
    struct bench_look plain = {.unicode = true};
    bench_page_begin(out, "nodey bench", r->url);
    write_text(r, &plain, &text);
    char *drawing = memmem(buf_cstr(&text), text.len, "\n\n  up to", 9);
    if (drawing)
        text.len = (size_t)(drawing - text.ptr);
    buf_adds(out, "<pre>");
    html_text(out, buf_slice(&text));
    buf_adds(out, "</pre>\n");
    buf_deinit(&text);
    if (r->result->latency.count) {
        buf_adds(out, "<h2>How long the answers took: up to</h2>\n");
        html_bars(&r->result->latency, out);
    }
    bench_page_end(out);
}

void bench_report_write(const struct bench_report *r, enum bench_format format,
                        const struct bench_look *look, struct buf *out)
{
    if (format == BENCH_JSON)
        write_json(r, out);
    else if (format == BENCH_HTML)
        write_html(r, out);
    else
        write_text(r, look, out);
}
