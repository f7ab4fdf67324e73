#include "command/storyfile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command/flowview.h"

enum { LINE_MAX_BYTES = 80 << 20, LINES_MAX = 1000000 };

/* ------------------------------------------------------------------------------ reading */

static int fail(const struct storyfile *s, size_t line, const char *why)
{
    fprintf(stderr, "nodey: %s:%zu: %s\n", s->path, line, why);
    return EXIT_REFUSED;
}

static void add_program(struct storyfile *s, const char *name)
{
    static const char *const outside[] = {"", "http", "cli", "unknown"};
    for (size_t i = 0; i < ARRAY_LEN(outside); i++)
        if (!name || strcmp(name, outside[i]) == 0)
            return;
    json_object_set_new(s->programs, name, json_true());
}

static bool is_dead(const json_t *pub)
{
    return strcmp(flow_text(pub, "stream"), "dead") == 0;
}

static int add_pub(struct storyfile *s, size_t line, json_t *o)
{
    bool topic = json_is_string(json_object_get(o, "topic"));
    bool queue = json_is_string(json_object_get(o, "queue"));
    if (topic == queue)
        return fail(s, line, "a pub has either a topic or a queue, a string");
    if (json_object_get(o, "size") && !json_object_get(o, "data"))
        return fail(s, line, "its data was too long to be recorded");
    json_array_append(s->pubs, o);
    if (*flow_text(o, "cause"))
        add_program(s, flow_text(o, "from"));
    return 0;
}

static int read_line(struct storyfile *s, size_t line, json_t *o)
{
    const char *kind = flow_text(o, "kind");
    size_t n;
    const json_t *name;
    if (strcmp(kind, "pub") == 0)
        return add_pub(s, line, o);
    if (strcmp(kind, "story") == 0) {
        json_array_foreach(json_object_get(o, "programs"), n, name)
            add_program(s, json_string_value(name));
        return 0;
    }
    if (strcmp(kind, "event") == 0)
        add_program(s, flow_text(o, "program"));
    else if (strcmp(kind, "ack") != 0 && strcmp(kind, "nack") != 0)
        return fail(s, line,
                    *kind ? "its kind is none of story, pub, event, ack and nack"
                          : "it must be an object with a member \"kind\"");
    return 0;
}

static int read_all(struct storyfile *s, struct slice text)
{
    for (size_t line = 1; text.len; line++) {
        const char *lf = memchr(text.ptr, '\n', text.len);
        size_t len = lf ? (size_t)(lf - text.ptr) : text.len;
        json_error_t error;
        struct slice words = slice_trim((struct slice){text.ptr, len});
        text = slice_from(text, MIN(len + 1, text.len));
        if (!words.len)
            continue;
        json_t *o = json_loadb(words.ptr, words.len, JSON_REJECT_DUPLICATES, &error);
        if (!o)
            return fail(s, line, error.text);
        int rc = read_line(s, line, o);
        json_decref(o);
        if (rc)
            return rc;
    }
    return json_array_size(s->pubs) ? 0 : fail(s, 1, "there is no pub in it: nothing happens");
}

int storyfile_load(struct storyfile *s, const char *path)
{
    FILE *file = fopen(path, "re");
    struct buf text = {0};
    size_t got = 1;
    *s = (struct storyfile){.path = path};
    if (!file) {
        fprintf(stderr, "nodey: %s: %s\n", path, strerror(errno));
        return EXIT_REFUSED;
    }
    while (text.len < LINE_MAX_BYTES && got) {
        got = fread(buf_reserve(&text, 65536), 1, 65536, file);
        text.len += got;
    }
    fclose(file);
    s->pubs = json_array();
    s->programs = json_object();
    int rc = read_all(s, buf_slice(&text));
    if (rc == 0 && json_object_size(s->programs) == 0)
        rc = fail(s, 1,
                  "it names no program: {\"kind\":\"story\",\"programs\":[\"NAME\"]} does");
    buf_deinit(&text);
    if (rc)
        storyfile_free(s);
    return rc;
}

void storyfile_free(struct storyfile *s)
{
    json_decref(s->pubs);
    json_decref(s->programs);
}

int storyfile_only(struct storyfile *s, const char *program)
{
    if (!json_object_get(s->programs, program)) {
        fprintf(stderr, "nodey: %s: %s takes no part in it\n", s->path, program);
        return EXIT_REFUSED;
    }
    json_object_clear(s->programs);
    add_program(s, program);
    return 0;
}

bool storyfile_expects(const struct storyfile *s, const json_t *pub)
{
    return is_dead(pub) ||
           (*flow_text(pub, "cause") && json_object_get(s->programs, flow_text(pub, "from")));
}

/* ------------------------------------------------------------------------------ writing */

void storyfile_write_pub(const json_t *pub, long long begun_ms, struct buf *out)
{
    static const char *const kept[] = {"from",  "topic",       "queue",   "id",   "key",
                                       "cause", "correlation", "headers", "size", "data"};
    char seq[32];
    snprintf(seq, sizeof(seq), "%lld", json_integer_value(json_object_get(pub, "seq")));
    buf_addf(out, "{\"kind\":\"pub\",\"t\":%lld",
             json_integer_value(json_object_get(pub, "t")) - begun_ms);
    if (is_dead(pub))
        buf_adds(out, ",\"stream\":\"dead\"");
    if (strcmp(flow_text(pub, "id"), seq) != 0) {
        buf_adds(out, ",\"msgid\":");
        flow_dump(json_object_get(pub, "id"), out);
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const json_t *value = json_object_get(pub, kept[i]);
        if (!value)
            continue;
        buf_addf(out, ",\"%s\":", kept[i]);
        flow_dump(value, out);
    }
    buf_adds(out, "}\n");
}
