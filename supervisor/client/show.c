#include "client/show.h"

#include "base/json.h"
#include "base/log.h"

enum { INDENT = 2 };

bool show_colour(FILE *to, bool no_color)
{
    return !no_color && log_wants_colour(fileno(to));
}

void show_write(FILE *to, struct slice text)
{
    if (text.len)
        fwrite(text.ptr, 1, text.len, to);
    fflush(to);
}

bool show_is_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return false;
    }
    return utf8_valid(text);
}

/* ------------------------------------------------------------------------ JSON */

struct printer {
    struct buf *out;
    bool colour;
};

static const char key_colour[] = "\x1b[36m", string_colour[] = "\x1b[32m",
                  word_colour[] = "\x1b[33m", no_colour[] = "\x1b[0m";

static void put(const struct printer *p, const char *colour, struct slice text)
{
    if (p->colour)
        buf_adds(p->out, colour);
    buf_add(p->out, text);
    if (p->colour)
        buf_adds(p->out, no_colour);
}

static void new_line(const struct printer *p, unsigned depth)
{
    buf_addc(p->out, '\n');
    for (unsigned i = 0; i < depth * INDENT; i++)
        buf_addc(p->out, ' ');
}

static void put_value(const struct printer *p, const struct json_value *value, unsigned depth);

/* Bounded by the scanner's own bound on depth. */
static void put_container(const struct printer *p, const struct json_value *value,
                          unsigned depth)
{
    bool is_object = value->type == JSON_OBJECT;
    struct json_scan it = json_iter(value);
    struct json_value key, item;
    size_t count = 0;
    buf_addc(p->out, is_object ? '{' : '[');
    while (is_object ? json_next_member(&it, &key, &item) : json_next_item(&it, &item)) {
        buf_adds(p->out, count++ ? "," : "");
        new_line(p, depth + 1);
        if (is_object) {
            put(p, key_colour, key.raw);
            buf_adds(p->out, ": ");
        }
        put_value(p, &item, depth + 1);
    }
    if (count)
        new_line(p, depth);
    buf_addc(p->out, is_object ? '}' : ']');
}

static void put_value(const struct printer *p, const struct json_value *value, unsigned depth)
{
    if (value->type == JSON_OBJECT || value->type == JSON_ARRAY)
        put_container(p, value, depth);
    else
        put(p, value->type == JSON_STRING ? string_colour : word_colour, value->raw);
}

bool show_json(struct buf *out, struct slice text, bool colour)
{
    struct json_scan scan;
    struct json_value value;
    json_scan_init(&scan, text);
    if (!json_scan_value(&scan, &value) || !json_scan_done(&scan) || scan.dirty)
        return false;
    put_value(&(struct printer){out, colour}, &value, 0);
    return true;
}
