#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/logline.h"
#include "base/printable.h"

enum {
    TEXT_MAX = 8192,
    NAME_COLUMN = 5, /* as wide as "nodey"; grows with the names that come */
    NAME_COLUMN_MAX = 20,
    TIME_COLUMN = sizeof("12:34:56.789") - 1,
    ID_SHOWN = 8,
};

#define RESET  "\x1b[0m"
#define DIM    "\x1b[2m"
#define YELLOW "\x1b[33m"
#define RED    "\x1b[1;31m"

/* Set once before threads start and read only afterwards, but for the column. */
static struct {
    enum log_level level;
    enum log_form form;
    log_sink_fn sink;
    void *arg;
    log_keep_fn keep;
    void *keep_arg;
    atomic_size_t column; /* of names, so wide */
} setup = {.level = LOG_INFO, .column = NAME_COLUMN};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level level, enum log_form form, log_sink_fn sink, void *arg)
{
    setup.level = level;
    setup.form = form;
    setup.sink = sink;
    setup.arg = arg;
}

void log_keep(log_keep_fn keep, void *arg)
{
    setup.keep = keep;
    setup.keep_arg = arg;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

static bool is_on(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value && strcmp(value, "0") != 0;
}

bool log_wants_colour(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no && *no)
        return false;
    if (is_on("FORCE_COLOR") || is_on("CLICOLOR_FORCE"))
        return true;
    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

enum log_form log_form_for(int fd)
{
    if (log_wants_colour(fd))
        return LOG_COLOURED;
    return isatty(fd) ? LOG_PRETTY : LOG_PLAIN;
}

bool log_is_pretty(void)
{
    return setup.form == LOG_PRETTY || setup.form == LOG_COLOURED;
}

bool log_enabled(enum log_level level)
{
    return level >= setup.level;
}

/* -------------------------------------------------------------------- pieces */

static void add_utc(struct buf *out)
{
    struct timespec ts;
    struct tm tm;
    char text[40];
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_addf(out, "%s.%03ldZ", text, ts.tv_nsec / 1000000);
}

static void add_clock(struct buf *out)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    localtime_r(&ts.tv_sec, &tm);
    buf_addf(out, "%02d:%02d:%02d.%03ld", tm.tm_hour, tm.tm_min, tm.tm_sec,
             ts.tv_nsec / 1000000);
}

static void add_printable(struct buf *out, struct slice text, size_t indent, const char *gutter)
{
    const struct printable how = {
        .colours = setup.form == LOG_COLOURED, .indent = indent, .gutter = gutter};
    printable_add(out, text, &how);
}

static struct slice without_last_lf(struct slice text)
{
    while (text.len && text.ptr[text.len - 1] == '\n')
        text.len--;
    return text;
}

static struct slice first_line(struct slice text)
{
    const char *lf = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    return lf ? (struct slice){text.ptr, (size_t)(lf - text.ptr)} : text;
}

/* Its path is enough: whoever wrote the line may have said that much already. */
static bool names_request(struct slice line, struct slice request)
{
    const char *query = memchr(request.ptr, '?', request.len);
    size_t len = query ? (size_t)(query - request.ptr) : request.len;
    return line.len && memmem(line.ptr, line.len, request.ptr, len) != NULL;
}

/* " (GET /fib?num=x, request 1f2e3d4c)": which one, of many at the same time? */
static void add_request(struct buf *out, const struct log_entry *e)
{
    bool named = !e->request.len || names_request(first_line(e->text), e->request);
    size_t cut = e->request_id.len > ID_SHOWN ? e->request_id.len - ID_SHOWN : 0;
    if (e->level < LOG_WARN || (named && !e->request_id.len))
        return;
    buf_adds(out, log_is_pretty() ? " " DIM "(" : " (");
    if (!named)
        add_printable(out, e->request, 0, "");
    if (e->request_id.len) {
        buf_adds(out, named ? "request " : ", request ");
        add_printable(out, slice_from(e->request_id, cut), 0, "");
    }
    buf_adds(out, log_is_pretty() ? ")" RESET : ")");
}

bool log_wrote_itself(const char *stream)
{
    return stream && (strcmp(stream, "stdout") == 0 || strcmp(stream, "stderr") == 0);
}

/* What a program wrote as JSON without a message is its own text already. */
static void add_fields(struct buf *out, const struct log_entry *e)
{
    struct buf fields = {0};
    if (!e->fields.len || slice_eq(e->fields, e->text))
        return;
    logline_add_fields(&fields, e->fields, log_wrote_itself(e->stream));
    add_printable(out, buf_slice(&fields), 0, "");
    buf_deinit(&fields);
}

static void add_message(struct buf *out, const struct log_entry *e, size_t indent,
                        const char *gutter)
{
    struct slice first = first_line(e->text);
    if (e->painted && log_is_pretty())
        buf_add(out, first);
    else
        add_printable(out, first, 0, "");
    add_fields(out, e);
    add_request(out, e);
    add_printable(out, slice_from(e->text, first.len), indent, gutter);
    if (e->cut)
        buf_adds(out, " ... (cut after 8 KiB)");
    buf_addc(out, '\n');
}

/* --------------------------------------------------------------------- forms */

static void add_member(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, ",\"%s\":", name);
    json_write(out, text);
}

static void add_json(struct buf *out, const struct log_entry *e)
{
    buf_adds(out, "{\"time\":\"");
    add_utc(out);
    buf_addf(out, "\",\"level\":\"%s\"", level_names[e->level]);
    add_member(out, "who", slice_of(e->who));
    if (e->stream)
        add_member(out, "stream", slice_of(e->stream));
    if (e->request_id.len)
        add_member(out, "request_id", e->request_id);
    if (e->request.len)
        add_member(out, "request", e->request);
    add_member(out, "message", e->text);
    if (e->fields.len) {
        buf_adds(out, ",\"fields\":");
        buf_add(out, e->fields);
    }
    buf_adds(out, e->cut ? ",\"cut\":true}\n" : "}\n");
}

/* "nodey ready on ...": once is enough. */
static bool names_itself(const struct log_entry *e)
{
    size_t len = strlen(e->who);
    return !e->stream && e->level == LOG_INFO && slice_starts(e->text, slice_of(e->who)) &&
           e->text.len > len && e->text.ptr[len] == ' ';
}

static void add_plain(struct buf *out, const struct log_entry *e)
{
    static const char *const marks[] = {"debug: ", "", "warning: ", "error: "};
    add_utc(out);
    buf_addf(out, "%s%s %s%s", names_itself(e) ? "" : " ", names_itself(e) ? "" : e->who,
             e->stream ? "| " : "", marks[e->level]);
    add_message(out, e, 4, "");
}

/* The same name has the same colour, whatever else runs; its instances share it. */
unsigned log_colour(const char *who)
{
    static const unsigned colours[] = {36, 35, 34, 32, 96, 95, 94, 92};
    unsigned hash = 5381;
    for (const char *c = who; *c && *c != '#'; c++)
        hash = hash * 33 + (unsigned char)*c;
    return colours[hash % ARRAY_LEN(colours)];
}

/* The column is as wide as the widest name so far, within reason. */
static size_t widen(size_t len)
{
    size_t width = atomic_load(&setup.column);
    if (len > width && width < NAME_COLUMN_MAX) {
        width = MIN(len, (size_t)NAME_COLUMN_MAX);
        atomic_store(&setup.column, width);
    }
    return width;
}

/* What a worker wrote has a bar in front, and so have all of its lines. */
static void add_pretty(struct buf *out, const struct log_entry *e)
{
    static const char *const marks[] = {DIM "debug" RESET " ", "", YELLOW "warning" RESET " ",
                                        RED "error" RESET " "};
    const char *gutter = e->stream ? DIM "|" RESET " " : "";
    size_t len = strlen(e->who), width = widen(len);
    buf_adds(out, DIM);
    add_clock(out);
    if (strcmp(e->who, "nodey") == 0)
        buf_addf(out, " %-*s" RESET " ", (int)width, e->who);
    else
        buf_addf(out, RESET " \x1b[%um%-*s" RESET " ", log_colour(e->who), (int)width, e->who);
    buf_addf(out, "%s%s", gutter, marks[e->level]);
    add_message(out, e, TIME_COLUMN + 1 + width + 1, gutter);
}

/* What is not ours holds no escape: every one begins a colour, "ESC [ ... m". */
static void remove_colours(struct buf *text)
{
    char *to = text->ptr;
    const char *end = text->ptr + text->len;
    for (const char *from = text->ptr; from < end; from++) {
        if (*from != '\x1b') {
            *to++ = *from;
            continue;
        }
        const char *m = memchr(from, 'm', (size_t)(end - from));
        from = m ? m : end - 1;
    }
    text->len = (size_t)(to - text->ptr);
}

static void emit(struct buf *text)
{
    if (setup.form == LOG_PRETTY && text->len)
        remove_colours(text);
    setup.sink(setup.arg, buf_slice(text));
}

/* A program that writes debugging lines was told to; nodey's own level is not about them. */
static bool is_shown(const struct log_entry *e)
{
    enum log_level level = e->level;
    if (log_wrote_itself(e->stream))
        level = MAX(level, LOG_INFO);
    return setup.sink && log_enabled(level);
}

void log_write(const struct log_entry *entry)
{
    struct log_entry e = *entry;
    struct buf out = {0};
    bool shown = is_shown(&e);
    if (e.stream && e.text.len > TEXT_MAX) {
        e.text.len = TEXT_MAX;
        e.cut = true;
    }
    if (setup.keep && !e.painted && (shown || e.stream))
        setup.keep(setup.keep_arg, &e);
    if (!shown)
        return;
    e.text = without_last_lf(e.text);
    if (setup.form == LOG_JSON)
        add_json(&out, &e);
    else if (log_is_pretty())
        add_pretty(&out, &e);
    else
        add_plain(&out, &e);
    emit(&out);
    buf_deinit(&out);
}

void log_line(enum log_level level, const char *who, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    log_write(&(struct log_entry){.level = level, .who = who, .text = {text, (size_t)len}});
    xfree(text);
}

void log_show(struct slice text)
{
    if (!log_is_pretty() || !setup.sink)
        return;
    struct buf out = {0};
    buf_add(&out, text);
    emit(&out);
    buf_deinit(&out);
}
