#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"

enum { TEXT_MAX = 8192, WHO_WIDTH = 10 };

/* Set once before threads start; read only afterwards. */
static struct {
    enum log_level level;
    bool json;
    bool colour;
    log_sink_fn sink;
    void *arg;
} setup = {.level = LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level level, bool json, bool colour, log_sink_fn sink, void *arg)
{
    setup.level = level;
    setup.json = json;
    setup.colour = colour;
    setup.sink = sink;
    setup.arg = arg;
}

bool log_enabled(enum log_level level)
{
    return level >= setup.level;
}

static void add_time(struct buf *out, bool date)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    char text[40];
    if (date) {
        gmtime_r(&ts.tv_sec, &tm);
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        buf_addf(out, "%s.%03ldZ", text, ts.tv_nsec / 1000000);
    } else {
        localtime_r(&ts.tv_sec, &tm);
        strftime(text, sizeof(text), "%H:%M:%S", &tm);
        buf_addf(out, "%s.%03ld", text, ts.tv_nsec / 1000000);
    }
}

static void add_json(struct buf *out, enum log_level level, const char *who, const char *stream,
                     struct slice text)
{
    buf_adds(out, "{\"time\":\"");
    add_time(out, true);
    buf_addf(out, "\",\"level\":\"%s\",\"who\":", level_names[level]);
    json_write(out, slice_of(who));
    if (stream) {
        buf_adds(out, ",\"stream\":");
        json_write(out, slice_of(stream));
    }
    buf_adds(out, ",\"message\":");
    json_write(out, text);
    buf_adds(out, "}\n");
}

/* Control characters would let a worker paint over the terminal: shown as \xNN. */
static void add_printable(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            buf_addc(out, (char)c);
        else if (c == '\n')
            buf_adds(out, "\n    ");
        else
            buf_addf(out, "\\x%02x", c);
    }
}

/* The same name has the same colour, whatever else runs. */
static unsigned colour_of(const char *who)
{
    static const unsigned colours[] = {36, 33, 32, 35, 34, 96, 93, 92, 95, 94};
    unsigned hash = 5381;
    for (const char *c = who; *c && *c != '#'; c++)
        hash = hash * 33 + (unsigned char)*c;
    return colours[hash % ARRAY_LEN(colours)];
}

static void add_text(struct buf *out, enum log_level level, const char *who, struct slice text)
{
    static const char *const marks[] = {"debug: ", "", "warning: ", "error: "};
    static const unsigned mark_colours[] = {90, 0, 33, 31};
    add_time(out, false);
    if (setup.colour)
        buf_addf(out, " \x1b[%um%-*s\x1b[0m \x1b[%um%s", colour_of(who), WHO_WIDTH, who,
                 mark_colours[level], marks[level]);
    else
        buf_addf(out, " %-*s %s", WHO_WIDTH, who, marks[level]);
    add_printable(out, text);
    buf_adds(out, setup.colour ? "\x1b[0m\n" : "\n");
}

static void emit(enum log_level level, const char *who, const char *stream, struct slice text)
{
    if (!log_enabled(level) || !setup.sink)
        return;
    struct buf line = {0};
    if (setup.json)
        add_json(&line, level, who, stream, text);
    else
        add_text(&line, level, who, text);
    setup.sink(setup.arg, buf_slice(&line));
    buf_deinit(&line);
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
    emit(level, who, NULL, (struct slice){text, (size_t)len});
    xfree(text);
}

void log_text(enum log_level level, const char *who, const char *stream, struct slice text)
{
    if (text.len > TEXT_MAX)
        text.len = TEXT_MAX;
    emit(level, who, stream, text);
}
