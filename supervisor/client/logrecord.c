#include "client/logrecord.h"

#include "base/base64.h"
#include "base/logline.h"
#include "base/printable.h"
#include "client/logfile.h"

enum { ID_END_MIN = 4 };

#define RESET  "\x1b[0m"
#define DIM    "\x1b[2m"
#define YELLOW "\x1b[33m"
#define RED    "\x1b[1;31m"

/* -------------------------------------------------------------------------- reading */

static enum log_level level_of(const struct json_value *value)
{
    for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++)
        if (json_string_is(value, log_level_name(level)))
            return level;
    return LOG_INFO;
}

static void take_member(struct logrecord *r, const struct json_value *key,
                        const struct json_value *value)
{
    bool is_text = value->type == JSON_STRING;
    if (json_string_is(key, "name") && is_text)
        r->name = *value;
    else if (json_string_is(key, "stream") && is_text)
        r->stream = *value;
    else if (json_string_is(key, "text") && is_text)
        r->text = *value;
    else if (json_string_is(key, "base64") && is_text)
        r->base64 = *value;
    else if (json_string_is(key, "request_id") && is_text)
        r->request_id = *value;
    else if (json_string_is(key, "instance") && value->type == JSON_NUMBER)
        r->instance = value->raw;
    else if (json_string_is(key, "fields") && value->type == JSON_OBJECT)
        r->fields = value->raw;
    else if (json_string_is(key, "level") && is_text)
        r->level = level_of(value);
    else if (json_string_is(key, "cut"))
        r->cut = value->type == JSON_TRUE;
}

bool logrecord_read(struct slice line, struct logrecord *out)
{
    struct json_value object = {.type = JSON_OBJECT, .raw = line}, key, value;
    struct logrecord r = {.line = line, .level = LOG_INFO, .time = logfile_time(line)};
    *out = (struct logrecord){.line = line, .level = LOG_INFO};
    if (!r.time)
        return false;
    struct json_scan it = json_iter(&object);
    while (json_next_member(&it, &key, &value))
        take_member(&r, &key, &value);
    if (it.fault || !r.name.raw.len || !r.stream.raw.len || !r.text.raw.len)
        return false;
    *out = r;
    return true;
}

static bool is_stream(const struct logrecord *r, const char *stream)
{
    return r->time && json_string_is(&r->stream, stream);
}

/* Did a program write it, or nodey about it? */
static bool wrote_itself(const struct logrecord *r)
{
    return is_stream(r, "stdout") || is_stream(r, "stderr");
}

static void add_text(struct buf *out, const struct logrecord *r)
{
    if (r->time)
        json_unescape(&r->text, out);
    else
        buf_add(out, r->line);
}

/* " user=7": what the text does not say already. */
static void add_fields(struct buf *out, const struct logrecord *r, struct slice text)
{
    if (r->fields.len && !slice_eq(r->fields, text))
        logline_add_fields(out, r->fields, wrote_itself(r));
}

/* -------------------------------------------------------------------------- filters */

static bool matches_stream(const struct logfilter *f, const struct logrecord *r)
{
    if (!f->err && !f->out)
        return true;
    return (f->err && (is_stream(r, "stderr") || is_stream(r, "error"))) ||
           (f->out && is_stream(r, "stdout"));
}

static bool matches_request(const struct logfilter *f, const struct logrecord *r)
{
    if (!f->request)
        return true;
    if (!r->request_id.raw.len)
        return false;
    struct slice id = json_inner(&r->request_id), wanted = slice_of(f->request);
    return slice_eq(id, wanted) ||
           (wanted.len >= ID_END_MIN && id.len > wanted.len &&
            memcmp(id.ptr + id.len - wanted.len, wanted.ptr, wanted.len) == 0);
}

static bool matches_grep(const struct logfilter *f, const struct logrecord *r)
{
    static const struct printable plain = {.gutter = ""};
    struct buf text = {0}, shown = {0};
    if (!f->grep)
        return true;
    add_text(&text, r);
    printable_add(&shown, buf_slice(&text), &plain);
    add_fields(&shown, r, buf_slice(&text));
    bool found = regexec(f->grep, buf_cstr(&shown), 0, NULL, 0) == 0;
    buf_deinit(&text);
    buf_deinit(&shown);
    return found;
}

bool logfilter_matches(const struct logfilter *f, const struct logrecord *r)
{
    bool timed = f->since || f->until;
    if (timed && !r->time)
        return false;
    if (f->since && memcmp(r->time, f->since, LOGFILE_TIME) < 0)
        return false;
    if (f->until && memcmp(r->time, f->until, LOGFILE_TIME) > 0)
        return false;
    if (f->by_level && r->level < f->level)
        return false;
    return matches_stream(f, r) && matches_request(f, r) && matches_grep(f, r);
}

/* -------------------------------------------------------------------------- showing */

static void show_raw(struct buf *out, const struct logrecord *r)
{
    if (r->base64.raw.len && base64_decode(out, json_inner(&r->base64)))
        return;
    if (r->fields.len && wrote_itself(r))
        buf_add(out, r->fields);
    else
        add_text(out, r);
}

static void add_time(struct buf *out, const struct logrecord *r, const struct logstyle *style)
{
    if (!style->time || !r->time)
        return;
    buf_adds(out, style->colour ? DIM : "");
    buf_append(out, r->time, LOGFILE_TIME);
    buf_adds(out, style->colour ? RESET " " : " ");
}

/* "api#0  | ": what a program wrote has a bar in front, nodey's own words have none. */
static void add_name(struct buf *out, const struct logrecord *r, const struct logstyle *style)
{
    struct buf name = {0};
    if (style->no_prefix || !r->time)
        return;
    buf_add(&name, json_inner(&r->name));
    if (r->instance.len) {
        buf_addc(&name, '#');
        buf_add(&name, r->instance);
    }
    int width = (int)style->width;
    if (style->colour)
        buf_addf(out, "\x1b[%um%-*s" RESET " ", log_colour(buf_cstr(&name)), width,
                 buf_cstr(&name));
    else
        buf_addf(out, "%-*s ", width, buf_cstr(&name));
    if (is_stream(r, "nodey"))
        buf_adds(out, "  ");
    else
        buf_adds(out, style->colour ? DIM "|" RESET " " : "| ");
    buf_deinit(&name);
}

static void add_level(struct buf *out, const struct logrecord *r, const struct logstyle *style)
{
    static const char *const marks[] = {"debug: ", "", "warning: ", "error: "};
    static const char *const coloured[] = {DIM "debug" RESET " ", "",
                                           YELLOW "warning" RESET " ", RED "error" RESET " "};
    buf_adds(out, style->colour ? coloured[r->level] : marks[r->level]);
}

static struct slice first_line(struct slice text)
{
    const char *lf = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    return lf ? (struct slice){text.ptr, (size_t)(lf - text.ptr)} : text;
}

/* Each line has the prefix in front, so that it says by itself whose it is. */
static void show_text(struct buf *out, const struct logrecord *r, const struct logstyle *style)
{
    struct buf prefix = {0}, text = {0}, fields = {0};
    struct printable how = {.colours = style->colour};
    add_time(&prefix, r, style);
    add_name(&prefix, r, style);
    how.gutter = buf_cstr(&prefix);
    add_text(&text, r);
    add_fields(&fields, r, buf_slice(&text));
    struct slice first = first_line(buf_slice(&text));
    buf_add(out, buf_slice(&prefix));
    add_level(out, r, style);
    printable_add(out, first, &how);
    printable_add(out, buf_slice(&fields), &how);
    printable_add(out, slice_from(buf_slice(&text), first.len), &how);
    if (r->cut)
        buf_adds(out, " ... (cut after 8 KiB)");
    buf_deinit(&prefix);
    buf_deinit(&text);
    buf_deinit(&fields);
}

void logrecord_show(struct buf *out, const struct logrecord *r, const struct logstyle *style)
{
    if (style->json)
        buf_add(out, r->line);
    else if (style->raw)
        show_raw(out, r);
    else
        show_text(out, r, style);
    buf_addc(out, '\n');
}
