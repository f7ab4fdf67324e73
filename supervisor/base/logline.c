#include "base/logline.h"

enum { NUMBER_DEBUG = 29, NUMBER_INFO = 39, NUMBER_WARN = 49, NUMBER_MAX = 1000 };

static bool is_any(const struct json_value *text, const char *const *names)
{
    for (; *names; names++)
        if (json_string_is(text, *names))
            return true;
    return false;
}

static const char *const message_names[] = {"msg", "message", "event", NULL};
static const char *const level_names[] = {"level", "severity", "lvl", "levelname", NULL};
static const char *const told_names[] = {"time", "timestamp", "ts", "@timestamp",
                                         "pid",  "hostname",  "v",  NULL};

static bool word_is(struct slice word, const char *const *names)
{
    for (; *names; names++)
        if (slice_eq_nocase(word, slice_of(*names)))
            return true;
    return false;
}

static enum log_level level_of_word(struct slice word)
{
    static const char *const debug[] = {"trace", "debug", "verbose", "silly", NULL};
    static const char *const warn[] = {"warn", "warning", NULL};
    static const char *const error[] = {"error", "err",   "fatal", "critical",  "crit",
                                        "panic", "alert", "emerg", "emergency", NULL};
    if (word_is(word, debug))
        return LOG_DEBUG;
    if (word_is(word, warn))
        return LOG_WARN;
    return word_is(word, error) ? LOG_ERROR : LOG_INFO;
}

/* pino's and bunyan's numbers: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
static enum log_level level_of(const struct json_value *value)
{
    uint64_t n;
    if (value->type == JSON_STRING)
        return level_of_word(json_inner(value));
    if (!json_to_u64(value, NUMBER_MAX, &n) || (n > NUMBER_DEBUG && n <= NUMBER_INFO))
        return LOG_INFO;
    if (n <= NUMBER_DEBUG)
        return LOG_DEBUG;
    return n <= NUMBER_WARN ? LOG_WARN : LOG_ERROR;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice without_blanks(struct slice text)
{
    while (text.len && is_blank(text.ptr[0]))
        text = slice_from(text, 1);
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

bool logline_read(struct slice line, struct logline *out)
{
    struct slice text = without_blanks(line);
    if (text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}')
        return false;
    struct logline found = {.object = line, .level = LOG_INFO};
    struct json_value object = {.type = JSON_OBJECT, .raw = text}, key, value;
    struct json_scan it = json_iter(&object);
    unsigned members = 0;
    while (json_next_member(&it, &key, &value)) {
        if (++members > LOGLINE_MAX)
            return false;
        if (!found.message.raw.len && value.type == JSON_STRING && is_any(&key, message_names))
            found.message = value;
        else if (is_any(&key, level_names))
            found.level = level_of(&value);
    }
    if (it.fault || it.dirty || !json_scan_done(&it) || !members)
        return false;
    *out = found;
    return true;
}

/* Without quotes it could not be told where it ends, or what it is. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || strchr("\"=\\{}[]", text.ptr[i]))
            return false;
    return text.len > 0;
}

static void add_field(struct buf *out, const struct json_value *key,
                      const struct json_value *value)
{
    struct slice inner = value->type == JSON_STRING ? json_inner(value) : value->raw;
    buf_addc(out, ' ');
    buf_add(out, json_inner(key));
    buf_addc(out, '=');
    buf_add(out, value->type == JSON_STRING && (value->escaped || !is_plain(inner)) ? value->raw
                                                                                    : inner);
}

void logline_add_fields(struct buf *out, struct slice object, bool whole)
{
    struct json_value container = {.type = JSON_OBJECT, .raw = without_blanks(object)}, key,
                      value;
    struct json_scan it = json_iter(&container);
    bool has_message = false;
    while (json_next_member(&it, &key, &value)) {
        bool is_message = value.type == JSON_STRING && is_any(&key, message_names);
        bool skip = whole && ((is_message && !has_message) || is_any(&key, level_names) ||
                              is_any(&key, told_names));
        has_message = has_message || is_message;
        if (!skip)
            add_field(out, &key, &value);
    }
}
