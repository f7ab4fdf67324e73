/*
 * What differs between a story and how it went this time: a part of storyfile.h.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command/flowview.h"
#include "command/storyfile.h"

struct diff {
    const struct storyfile *file;
    const json_t *came;
    struct buf *out;
    size_t count;
};

/* ------------------------------------------------------- what is another one each time */

/* 'x' stands for a hexadecimal digit, '0' for a digit, a blank for anything that follows. */
static bool has_form(const char *text, const char *form)
{
    for (; *form; form++, text++) {
        if (*form == ' ')
            return true;
        if (*form == 'x'   ? !isxdigit((unsigned char)*text)
            : *form == '0' ? !isdigit((unsigned char)*text)
                           : *text != *form)
            return false;
    }
    return *text == '\0';
}

static int form_of(const char *text)
{
    static const char *const forms[] = {
        "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "0000-00-00T00:00:00 ", "0000-00-00 00:00:00 ",
        "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    for (int i = 0; i < (int)ARRAY_LEN(forms); i++)
        if (has_form(text, forms[i]))
            return i + 1;
    return 0;
}

static bool is_id(const json_t *pubs, const char *text)
{
    size_t n;
    const json_t *pub;
    json_array_foreach(pubs, n,
                       pub) if (*text && strcmp(flow_text(pub, "id"), text) == 0) return true;
    return false;
}

static bool same_text(const struct diff *d, const char *expected, const char *came)
{
    int form = form_of(expected);
    return strcmp(expected, "*") == 0 || strcmp(expected, came) == 0 ||
           (form && form == form_of(came)) ||
           (is_id(d->file->pubs, expected) && is_id(d->came, came));
}

/* Milliseconds since 1970, of this century. */
static bool is_time(double n)
{
    return n > 9.4e11 && n < 4.2e12;
}

static bool same_number(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) || (is_time(a) && is_time(b));
}

/* False, and in `path` where they differ: "data.items[2]". */
static bool same(const struct diff *d, const json_t *a, const json_t *b, struct buf *path)
{
    size_t n, len = path->len;
    const char *name;
    json_t *item;
    if (json_is_string(a) && strcmp(json_string_value(a), "*") == 0)
        return b != NULL;
    if (!a || !b ||
        (json_typeof(a) != json_typeof(b) && !(json_is_number(a) && json_is_number(b))))
        return false;
    if (json_is_string(a))
        return same_text(d, json_string_value(a), json_string_value(b));
    if (json_is_number(a))
        return same_number(json_number_value(a), json_number_value(b));
    json_object_foreach((json_t *)a, name, item)
    {
        buf_addf(path, "%s%s", path->len ? "." : "", name);
        if (!same(d, item, json_object_get(b, name), path))
            return false;
        path->len = len;
    }
    json_object_foreach((json_t *)b, name, item) if (!json_object_get(a, name))
    {
        buf_addf(path, "%s%s", path->len ? "." : "", name);
        return false;
    }
    json_array_foreach(a, n, item)
    {
        buf_addf(path, "[%zu]", n);
        if (!same(d, item, json_array_get(b, n), path))
            return false;
        path->len = len;
    }
    return json_array_size(a) == json_array_size(b);
}

/* ------------------------------------------------------------------------- messages */

static const char *topic_of(const json_t *pub)
{
    const char *queue = json_string_value(json_object_get(pub, "queue"));
    return queue ? queue : flow_text(pub, "topic");
}

static bool is_dead(const json_t *pub)
{
    return strcmp(flow_text(pub, "stream"), "dead") == 0;
}

/* Which message it is, whatever is in it. */
static bool is_like(const struct diff *d, const json_t *a, const json_t *b)
{
    return strcmp(flow_text(a, "from"), flow_text(b, "from")) == 0 &&
           strcmp(topic_of(a), topic_of(b)) == 0 && is_dead(a) == is_dead(b) &&
           json_is_string(json_object_get(a, "queue")) ==
               json_is_string(json_object_get(b, "queue")) &&
           same_text(d, flow_text(a, "key"), flow_text(b, "key"));
}

/* What a dead letter's headers say of times and places is not compared. */
static bool is_same(const struct diff *d, const json_t *a, const json_t *b, struct buf *path)
{
    buf_clear(path);
    buf_adds(path, "headers");
    if (!is_dead(a) && json_object_get(a, "headers") &&
        !same(d, json_object_get(a, "headers"), json_object_get(b, "headers"), path))
        return false;
    buf_clear(path);
    buf_adds(path, "data");
    return same(d, json_object_get(a, "data"), json_object_get(b, "data"), path);
}

static void add_name(struct diff *d, const json_t *pub)
{
    buf_addf(d->out, "%s%s%s from %s", is_dead(pub) ? "the dead letter " : "",
             json_object_get(pub, "queue") ? "job " : "", topic_of(pub),
             *flow_text(pub, "from") ? flow_text(pub, "from") : "outside");
    if (*flow_text(pub, "key"))
        buf_addf(d->out, ", key %s", flow_text(pub, "key"));
}

/* "because query failed: Error: there is no post": what a dead letter is for. */
static void add_reason(struct diff *d, const json_t *pub)
{
    const json_t *why = json_object_get(json_object_get(pub, "headers"), "nodey-dead");
    const json_t *error = json_object_get(why, "error");
    const char *message = flow_text(error, "message");
    if (error)
        buf_addf(d->out, ", because %s failed: %s: %.*s", flow_text(why, "group"),
                 flow_text(error, "name"), (int)strcspn(message, "\r\n"), message);
}

static void tell(struct diff *d, const json_t *pub, const char *words)
{
    d->count++;
    buf_adds(d->out, "  ");
    add_name(d, pub);
    buf_addf(d->out, ": %s", words);
    const json_t *data = json_object_get(pub, "data");
    if (data && !json_is_null(data)) {
        buf_adds(d->out, ", with ");
        flow_dump(data, d->out);
    }
    add_reason(d, pub);
    buf_addc(d->out, '\n');
}

/* The value at a path as same() writes it; NULL: there is none. */
static const json_t *value_at(const json_t *pub, const char *path)
{
    const json_t *at = pub;
    while (at && *path) {
        char name[200];
        size_t len = strcspn(path + 1, ".[") + 1;
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        if (*path == '[') {
            size_t n = 0;
            sscanf(name, "[%zu]", &n);
            at = json_array_get(at, n);
        } else {
            at = json_object_get(at, name);
        }
        path += len;
        path += *path == '.';
    }
    return at;
}

static void add_value(struct diff *d, const json_t *value)
{
    if (value)
        flow_dump(value, d->out);
    else
        buf_adds(d->out, "missing");
}

static void tell_different(struct diff *d, const json_t *a, const json_t *b, struct buf *path)
{
    const char *where = buf_cstr(path);
    d->count++;
    buf_adds(d->out, "  ");
    add_name(d, a);
    buf_addf(d->out, ": %s is ", where);
    add_value(d, value_at(b, where));
    buf_adds(d->out, ", and was ");
    add_value(d, value_at(a, where));
    buf_addc(d->out, '\n');
}

/* --------------------------------------------------------------------------- matching */

/* What is expected, and what came that could be it. */
struct match {
    const json_t **expected, **came;
    size_t expected_count, came_count;
    size_t *with; /* of each expected: which one came, + 1; 0 = none */
    bool *taken;  /* of each that came */
};

static size_t collect(const struct diff *d, const json_t *pubs, const json_t ***out)
{
    size_t n, count = 0;
    const json_t *pub;
    *out = xcalloc(json_array_size(pubs) + 1, sizeof(**out));
    json_array_foreach(pubs, n, pub) if (storyfile_expects(d->file, pub))(*out)[count++] = pub;
    return count;
}

static void match_same(const struct diff *d, struct match *m)
{
    struct buf path = {0};
    for (size_t i = 0; i < m->expected_count; i++)
        for (size_t j = 0; j < m->came_count && !m->with[i]; j++)
            if (!m->taken[j] && is_like(d, m->expected[i], m->came[j]) &&
                is_same(d, m->expected[i], m->came[j], &path)) {
                m->with[i] = j + 1;
                m->taken[j] = true;
            }
    buf_deinit(&path);
}

/* Those that are left are told as what they are nearest to. */
static void tell_unmatched(struct diff *d, struct match *m)
{
    struct buf path = {0};
    for (size_t i = 0; i < m->expected_count; i++) {
        size_t j = 0;
        if (m->with[i])
            continue;
        while (j < m->came_count && (m->taken[j] || !is_like(d, m->expected[i], m->came[j])))
            j++;
        if (j == m->came_count) {
            tell(d, m->expected[i], "it is missing");
            continue;
        }
        m->taken[j] = true;
        IGNORE(is_same(d, m->expected[i], m->came[j], &path)); /* it says where they differ */
        tell_different(d, m->expected[i], m->came[j], &path);
    }
    for (size_t j = 0; j < m->came_count; j++)
        if (!m->taken[j])
            tell(d, m->came[j], "it is new");
    buf_deinit(&path);
}

/* Messages of one key and one program come in their order. */
static void tell_order(struct diff *d, const struct match *m)
{
    for (size_t i = 0; i < m->expected_count; i++) {
        const json_t *a = m->expected[i];
        const char *key = flow_text(a, "key");
        for (size_t j = i + 1; *key && m->with[i] && j < m->expected_count; j++) {
            const json_t *b = m->expected[j];
            if (!m->with[j] || m->with[j] > m->with[i] ||
                strcmp(flow_text(b, "key"), key) != 0 ||
                strcmp(flow_text(b, "from"), flow_text(a, "from")) != 0)
                continue;
            d->count++;
            buf_adds(d->out, "  ");
            add_name(d, a);
            buf_addf(d->out, ": it came after %s, and was before it\n", topic_of(b));
            break;
        }
    }
}

size_t storyfile_compare(const struct storyfile *file, const json_t *came, struct buf *out)
{
    struct diff d = {.file = file, .came = came, .out = out};
    struct match m = {0};
    m.expected_count = collect(&d, file->pubs, &m.expected);
    m.came_count = collect(&d, came, &m.came);
    m.with = xcalloc(m.expected_count + 1, sizeof(*m.with));
    m.taken = xcalloc(m.came_count + 1, sizeof(*m.taken));
    match_same(&d, &m);
    tell_order(&d, &m);
    tell_unmatched(&d, &m);
    xfree(m.expected);
    xfree(m.came);
    xfree(m.with);
    xfree(m.taken);
    return d.count;
}
