/*
 * What of the flow outlives a run: a part of flowgraph.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "app/flowgraph.h"
#include "base/json.h"
#include "base/log.h"

enum { FILE_MAX = 4 << 20, READ_BYTES = 65536 };

static const char who[] = "nodey";
static const char *const kinds[] = {
    [EDGE_PUBLISHED] = "published", [EDGE_HANDLED] = "handled", [EDGE_LED] = "led"};

/* ------------------------------------------------------------------------- reading */

static const struct {
    const char *name;
    size_t at;
} texts[] =
    {
        {"program", offsetof(struct flow_edge, program)},
        {"topic", offsetof(struct flow_edge, topic)},
        {"group", offsetof(struct flow_edge, group)},
        {"to", offsetof(struct flow_edge, to)},
        {"stream", offsetof(struct flow_edge, stream)},
},
  numbers[] = {
      {"count", offsetof(struct flow_edge, count)},
      {"failed", offsetof(struct flow_edge, failed)},
      {"dead", offsetof(struct flow_edge, dead)},
      {"keyed", offsetof(struct flow_edge, keyed)},
};

static char **text_at(struct flow_edge *e, size_t i)
{
    return (char **)((char *)e + texts[i].at);
}

static uint64_t *number_at(struct flow_edge *e, size_t i)
{
    return (uint64_t *)((char *)e + numbers[i].at);
}

static void read_member(struct flow_edge *e, const struct json_value *key,
                        const struct json_value *value)
{
    struct buf text = {0};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (json_string_is(key, texts[i].name) && value->type == JSON_STRING) {
            json_unescape(value, &text);
            xfree(*text_at(e, i));
            *text_at(e, i) = buf_give(&text);
        }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (json_string_is(key, numbers[i].name))
            IGNORE(!json_to_u64(value, INT64_MAX, number_at(e, i))); /* then it is 0 */
    if (json_string_is(key, "job"))
        e->job = value->type == JSON_TRUE;
    for (size_t i = 0; json_string_is(key, "kind") && i < ARRAY_LEN(kinds); i++)
        if (json_string_is(value, kinds[i]))
            e->kind = (enum edge_kind)i;
}

/* What a line says must be all that an edge of its kind has: who edits the file may err. */
static bool is_whole(const struct flow_edge *e)
{
    if (!e->program || !e->topic)
        return false;
    return e->kind == EDGE_PUBLISHED ? e->stream && !e->group && !e->to
           : e->kind == EDGE_HANDLED ? e->group && !e->to && !e->stream
                                     : e->to && !e->group && !e->stream;
}

static void read_edge(struct flowgraph *g, const struct json_value *object)
{
    struct flow_edge read = {0};
    struct json_value key, value;
    struct json_scan it = json_iter(object);
    while (object->type == JSON_OBJECT && json_next_member(&it, &key, &value))
        read_member(&read, &key, &value);
    struct flow_edge *e = is_whole(&read) ? flowgraph_edge(g, &read) : NULL;
    for (size_t i = 0; e && i < ARRAY_LEN(numbers); i++)
        *number_at(e, i) = *number_at(&read, i);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        xfree(*text_at(&read, i));
}

static bool read_all(struct flowgraph *g, struct slice text)
{
    struct json_scan scan;
    struct json_value whole, key, value, item;
    json_scan_init(&scan, text);
    if (!json_scan_value(&scan, &whole) || !json_scan_done(&scan) || whole.type != JSON_OBJECT)
        return false;
    struct json_scan members = json_iter(&whole);
    while (json_next_member(&members, &key, &value)) {
        struct json_scan it = json_iter(&value);
        bool edges = json_string_is(&key, "edges") && value.type == JSON_ARRAY;
        while (edges && json_next_item(&it, &item))
            read_edge(g, &item);
    }
    return true;
}

/* 0, or an errno. */
static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = 0;
    if (fd < 0)
        return errno;
    while (out->len < FILE_MAX && (n = read(fd, buf_reserve(out, READ_BYTES), READ_BYTES)) > 0)
        out->len += (size_t)n;
    int why = n < 0 ? errno : out->len >= FILE_MAX ? EFBIG : 0;
    close(fd);
    return why;
}

void flowgraph_load(struct flowgraph *g)
{
    struct buf text = {0};
    int why = read_file(g->path, &text);
    if (why && why != ENOENT)
        log_line(LOG_WARN, who, "%s cannot be read (%s): nodey flow begins anew", g->path,
                 strerror(why));
    else if (!why && !read_all(g, buf_slice(&text)))
        log_line(LOG_WARN, who, "%s is damaged: nodey flow begins anew", g->path);
    buf_deinit(&text);
}

/* ------------------------------------------------------------------------- writing */

static void write_edge(struct flow_edge *e, struct buf *out)
{
    buf_addf(out, "{\"kind\":\"%s\"%s", kinds[e->kind], e->job ? ",\"job\":true" : "");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (*text_at(e, i)) {
            buf_addf(out, ",\"%s\":", texts[i].name);
            json_write(out, slice_of(*text_at(e, i)));
        }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (*number_at(e, i))
            buf_addf(out, ",\"%s\":%llu", numbers[i].name,
                     (unsigned long long)*number_at(e, i));
    buf_addc(out, '}');
}

/* 0, or an errno.  Who reads sees the file of before or the new one. */
static int write_file(const char *path, struct slice text)
{
    char *next = xasprintf("%s.new", path);
    FILE *file = fopen(next, "we");
    int why = file ? 0 : errno;
    if (file && fwrite(text.ptr, 1, text.len, file) != text.len)
        why = errno ? errno : EIO;
    if (file && fclose(file) && !why)
        why = errno;
    if (!why && rename(next, path))
        why = errno;
    if (why && file)
        unlink(next);
    xfree(next);
    return why;
}

void flowgraph_keep(struct flowgraph *g)
{
    struct buf text = {0};
    const char *before = "\n";
    if (!g->path || !g->changed || !g->events->bus)
        return;
    buf_adds(&text, "{\"version\":1,\"edges\":[");
    list_each (at, &g->edges) {
        buf_adds(&text, before);
        write_edge(container_of(at, struct flow_edge, node), &text);
        before = ",\n";
    }
    buf_adds(&text, "]}\n");
    int why = write_file(g->path, buf_slice(&text));
    if (why && !g->told)
        log_line(LOG_WARN, who, "%s cannot be written (%s): nodey flow forgets with this run",
                 g->path, strerror(why));
    g->told = why != 0;
    g->changed = false;
    buf_deinit(&text);
}
