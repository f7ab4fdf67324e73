#include "command/whytext.h"

#include <stdio.h>
#include <time.h>

#include "base/printable.h"
#include "client/human.h"
#include "client/members.h"

enum { LABEL = 12 }; /* columns in front of what is said */

/* ------------------------------------------------------------------------ values */

static uint64_t number(const struct json_value *object, const char *name)
{
    struct json_value value;
    uint64_t n = 0;
    if (members_get(object, name, &value))
        IGNORE(!json_to_u64(&value, UINT64_MAX, &n)); /* then it is 0 */
    return n;
}

static bool has(const struct json_value *object, const char *name)
{
    struct json_value value;
    return members_get(object, name, &value);
}

static void add_plain(struct buf *out, struct slice text)
{
    printable_add(out, text, &(struct printable){.indent = LABEL});
}

static void add_text(struct buf *out, const struct json_value *object, const char *name)
{
    char *text = members_text(object, name);
    if (text)
        add_plain(out, slice_of(text));
    xfree(text);
}

/* "2026-11-21T18:40:03.123Z" in the reader's own zone: "2026-11-21 19:40:03", or its time. */
static void add_time(struct buf *out, const struct json_value *object, const char *name,
                     const char *form)
{
    char *text = members_text(object, name), shown[32];
    struct tm tm = {0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (rest) {
        time_t seconds = timegm(&tm);
        strftime(shown, sizeof(shown), form, localtime_r(&seconds, &tm));
        buf_adds(out, shown);
    }
    xfree(text);
}

/* "340 ms", "3.2 s", "5m 2s" */
static void add_span(struct buf *out, uint64_t ms)
{
    char text[HUMAN_MAX];
    if (ms < 1000)
        buf_addf(out, "%llu ms", (unsigned long long)ms);
    else if (ms < 60000)
        buf_addf(out, "%llu.%llu s", (unsigned long long)ms / 1000,
                 (unsigned long long)ms / 100 % 10);
    else
        buf_adds(out, human_age(text, ms));
}

static void add_label(struct buf *out, const char *label)
{
    buf_addf(out, "%-*s", LABEL, label);
}

/* ---------------------------------------------------------------------- sections */

static void add_head(struct buf *out, const struct json_value *r, bool colour)
{
    buf_adds(out, colour ? "\x1b[1m" : "");
    add_text(out, r, "program");
    buf_addf(out, "#%llu: ", (unsigned long long)number(r, "instance"));
    add_text(out, r, "sentence");
    buf_adds(out, colour ? "\x1b[0m\n\n" : "\n\n");
    add_label(out, "when");
    add_time(out, r, "time", "%Y-%m-%d %H:%M:%S");
    buf_adds(out, ", report ");
    add_text(out, r, "id");
    buf_addc(out, '\n');
}

static void add_again(struct buf *out, const struct json_value *r)
{
    struct json_value again;
    if (!members_get(r, "again", &again))
        return;
    uint64_t count = number(&again, "count");
    add_label(out, "again");
    buf_addf(out, "%llu time%s, last at ", (unsigned long long)count, count == 1 ? "" : "s");
    add_time(out, &again, "last", "%H:%M:%S");
    buf_addc(out, '\n');
}

static void add_request(struct buf *out, const struct json_value *q, const char *label)
{
    add_label(out, label);
    add_text(out, q, "what");
    if (members_is_true(q, "begun"))
        buf_adds(out, ", under way for ");
    else
        buf_adds(out, ", not begun, waited for ");
    add_span(out, number(q, "ms"));
    if (members_is_true(q, "given_up"))
        buf_adds(out, ", its time was over or its client gone");
    if (has(q, "id")) {
        buf_adds(out, " (request ");
        add_text(out, q, "id");
        buf_addc(out, ')');
    }
    buf_addc(out, '\n');
}

static bool is_service(const struct json_value *r)
{
    struct json_value kind;
    return members_get(r, "kind", &kind) && json_string_is(&kind, "service");
}

static void add_requests(struct buf *out, const struct json_value *r)
{
    struct json_value list, q;
    const char *label = "requests";
    uint64_t more = number(r, "requests_more");
    if (members_get(r, "requests", &list)) {
        struct json_scan it = json_iter(&list);
        while (json_next_item(&it, &q)) {
            add_request(out, &q, label);
            label = "";
        }
    }
    if (more)
        buf_addf(out, "%*sand %llu more\n", LABEL, "", (unsigned long long)more);
    if (*label) {
        add_label(out, label);
        buf_adds(out, is_service(r) ? "none that came through nodey\n" : "none\n");
    }
}

/* A stack that it wrote as it died stands among its last lines already. */
static bool is_among_lines(const struct json_value *r, const struct json_value *stack)
{
    struct json_value list, line, text, first;
    struct json_scan it = json_iter(stack);
    if (!json_next_item(&it, &first) || !members_get(r, "lines", &list))
        return false;
    it = json_iter(&list);
    while (json_next_item(&it, &line))
        if (members_get(&line, "text", &text) && slice_eq(text.raw, first.raw))
            return true;
    return false;
}

static void add_stack(struct buf *out, const struct json_value *r)
{
    struct json_value list, line;
    const char *label = "stack";
    if (!members_get(r, "stack", &list) || is_among_lines(r, &list))
        return;
    struct json_scan it = json_iter(&list);
    while (json_next_item(&it, &line)) {
        struct buf text = {0};
        add_label(out, label);
        json_unescape(&line, &text);
        add_plain(out, buf_slice(&text));
        buf_addc(out, '\n');
        buf_deinit(&text);
        label = "";
    }
}

static void add_lines(struct buf *out, const struct json_value *r)
{
    struct json_value list, line;
    const char *label = "last lines";
    if (!members_get(r, "lines", &list))
        return;
    struct json_scan it = json_iter(&list);
    while (json_next_item(&it, &line)) {
        add_label(out, label);
        add_time(out, &line, "time", "%H:%M:%S ");
        add_text(out, &line, "text");
        buf_addc(out, '\n');
        label = "";
    }
    if (*label) {
        add_label(out, label);
        buf_adds(out, "none: it wrote nothing\n");
    }
}

static void add_life(struct buf *out, const struct json_value *r)
{
    struct json_value usage;
    char text[HUMAN_MAX];
    add_label(out, "process");
    buf_addf(out, "%llu, ran for ", (unsigned long long)number(r, "pid"));
    add_span(out, number(r, "age_ms"));
    if (!members_is_true(r, "was_ready"))
        buf_adds(out, " and was never ready");
    if (members_get(r, "usage", &usage)) {
        buf_addf(out, ", used %s", human_memory(text, number(&usage, "memory")));
        buf_adds(out, " and ");
        add_span(out, number(&usage, "cpu_ms"));
        buf_adds(out, " of CPU");
    }
    if (has(r, "did")) {
        buf_adds(out, ", ");
        add_text(out, r, "did");
    }
    buf_addc(out, '\n');
}

static void add_then(struct buf *out, const struct json_value *r)
{
    uint64_t restarts = number(r, "restarts");
    add_label(out, "then");
    add_text(out, r, "then");
    if (number(r, "recovered_ms")) {
        buf_adds(out, "; ready again after ");
        add_span(out, number(r, "recovered_ms"));
    }
    if (restarts)
        buf_addf(out, "; %llu restart%s until then", (unsigned long long)restarts,
                 restarts == 1 ? "" : "s");
    buf_addc(out, '\n');
}

static void add_quarantine(struct buf *out, const struct json_value *r)
{
    struct json_value list, q;
    if (!members_get(r, "quarantine", &list))
        return;
    struct json_scan it = json_iter(&list);
    while (json_next_item(&it, &q)) {
        add_label(out, "refused");
        add_text(out, &q, "what");
        buf_addf(out, ", which ended %llu workers, is answered with 500 until ",
                 (unsigned long long)number(&q, "deaths"));
        add_time(out, &q, "until", "%H:%M:%S");
        buf_adds(out, ", or until the program changes\n");
    }
}

void whytext_report(const struct json_value *report, bool colour, struct buf *out)
{
    add_head(out, report, colour);
    add_again(out, report);
    add_requests(out, report);
    add_stack(out, report);
    add_lines(out, report);
    add_life(out, report);
    add_then(out, report);
    add_quarantine(out, report);
    buf_addc(out, '\n');
    add_label(out, "what to do");
    add_text(out, report, "advice");
    buf_addc(out, '\n');
}

void whytext_line(const struct json_value *report, struct buf *out)
{
    struct json_value again;
    add_text(out, report, "id");
    buf_adds(out, "  ");
    add_time(out, report, "time", "%m-%d %H:%M:%S");
    buf_adds(out, "  ");
    add_text(out, report, "program");
    buf_addf(out, "#%llu  ", (unsigned long long)number(report, "instance"));
    add_text(out, report, "sentence");
    if (members_get(report, "again", &again)) {
        uint64_t count = number(&again, "count");
        buf_addf(out, " (again %llu time%s)", (unsigned long long)count, count == 1 ? "" : "s");
    }
    buf_addc(out, '\n');
}
