#include "import/yaml.h"

#include <errno.h>
#include <yaml.h>

#include "config/file.h"

/* What an anchor names, once it is complete. */
struct anchor {
    struct anchor *next;
    struct slice name;
    const struct tree *node; /* NULL: still being read */
};

struct parsing {
    struct arena *arena;
    const struct source *source;
    struct slice text;
    yaml_parser_t parser;
    struct anchor *anchors;
    size_t weight;
    struct err *err;
};

static struct tree *fail_at(struct parsing *p, yaml_mark_t mark, const char *why)
{
    err_set(p->err, -1, "%s:%zu:%zu: %s", p->source->shown, mark.line + 1, mark.column + 1,
            why);
    return NULL;
}

/* Is there a tab among what the line, counted from 0, is indented with? */
static bool is_indented_by_tab(struct slice text, size_t line)
{
    for (; line && text.len; text = slice_from(text, 1))
        line -= text.ptr[0] == '\n';
    while (text.len && text.ptr[0] == ' ')
        text = slice_from(text, 1);
    return text.len && text.ptr[0] == '\t';
}

/* libyaml's own words, but where it cannot know what was meant. */
static struct tree *fail_syntax(struct parsing *p)
{
    const yaml_parser_t *y = &p->parser;
    char *why = xasprintf("this is not YAML: %s%s%s", y->problem ? y->problem : "unreadable",
                          y->context ? ", " : "", y->context ? y->context : "");
    if (y->error == YAML_SCANNER_ERROR && is_indented_by_tab(p->text, y->problem_mark.line))
        fail_at(p, y->problem_mark,
                "this is not YAML: a tab stands here, and YAML is indented with spaces only");
    else if (y->error == YAML_READER_ERROR)
        err_set(p->err, -1, "%s: byte %zu: %s", p->source->shown, y->problem_offset + 1, why);
    else
        fail_at(p, y->problem_mark, why);
    xfree(why);
    return NULL;
}

static struct slice text_of(const yaml_char_t *text)
{
    return slice_of((const char *)text);
}

static struct tree *new_node(struct parsing *p, enum tree_type type, const yaml_event_t *event)
{
    struct tree place = {.source = p->source,
                         .line = (unsigned)event->start_mark.line + 1,
                         .column = (unsigned)event->start_mark.column + 1};
    return tree_new(p->arena, type, &place);
}

/* Its value is set when it is complete, so that it cannot hold itself. */
static struct anchor *add_anchor(struct parsing *p, const yaml_char_t *name)
{
    if (!name)
        return NULL;
    struct anchor *anchor = arena_alloc(p->arena, sizeof(*anchor));
    *anchor = (struct anchor){p->anchors, arena_copy(p->arena, text_of(name)), NULL};
    p->anchors = anchor;
    return anchor;
}

static struct tree *read_alias(struct parsing *p, const yaml_event_t *event)
{
    struct slice name = text_of(event->data.alias.anchor);
    const struct anchor *at = p->anchors;
    while (at && !slice_eq(at->name, name))
        at = at->next;
    if (!at)
        return fail_at(p, event->start_mark, "an alias of what has no such anchor before it");
    if (!at->node)
        return fail_at(p, event->start_mark, "an alias inside of what it stands for");
    p->weight += at->node->weight;
    if (p->weight > YAML_MAX_WEIGHT)
        return fail_at(p, event->start_mark, "aliases make too many values of it");
    struct tree *copy = arena_alloc(p->arena, sizeof(*copy));
    *copy = *at->node;
    copy->next = NULL;
    return copy;
}

static struct tree *read_text(struct parsing *p, const yaml_event_t *event)
{
    const yaml_char_t *value = event->data.scalar.value;
    struct slice text = {(const char *)value, event->data.scalar.length};
    if (memchr(text.ptr, '\0', text.len))
        return fail_at(p, event->start_mark, "a text with a NUL in it");
    struct tree *node = new_node(p, TREE_TEXT, event);
    node->text = (struct slice){arena_strdup(p->arena, text), text.len};
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (event->data.scalar.tag)
        node->tag = arena_copy(p->arena, text_of(event->data.scalar.tag));
    return node;
}

static struct tree *read_node(struct parsing *p, yaml_event_t *event, unsigned depth);

/* The next event; the caller deletes it. */
static bool next_event(struct parsing *p, yaml_event_t *event)
{
    if (yaml_parser_parse(&p->parser, event))
        return true;
    fail_syntax(p);
    return false;
}

static struct tree *next_node(struct parsing *p, unsigned depth, yaml_event_type_t end,
                              bool *ended)
{
    yaml_event_t event;
    *ended = false;
    if (!next_event(p, &event))
        return NULL;
    *ended = event.type == end;
    struct tree *node = *ended ? NULL : read_node(p, &event, depth);
    yaml_event_delete(&event);
    return node;
}

static void append(struct tree *parent, struct tree *node)
{
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    parent->weight += node->weight;
}

static struct tree *read_list(struct parsing *p, struct tree *list, unsigned depth)
{
    struct tree *node;
    bool ended;
    while ((node = next_node(p, depth + 1, YAML_SEQUENCE_END_EVENT, &ended))) {
        if (list->count == YAML_MAX_MEMBERS) {
            tree_fail(node, p->err, "a list of more than %d values", YAML_MAX_MEMBERS);
            return NULL;
        }
        append(list, node);
    }
    return ended ? list : NULL;
}

/* What is merged stands behind what the map says itself, which wins. */
static bool merge_map(struct parsing *p, struct tree *map, const struct tree *from)
{
    for (const struct tree *at = from->first; at; at = at->next)
        if (!tree_find(map, at->key)) {
            tree_add(p->arena, map, at->key, at);
            p->weight += at->weight;
        }
    bool fits = map->count <= YAML_MAX_MEMBERS && p->weight <= YAML_MAX_WEIGHT;
    if (!fits)
        tree_fail(map, p->err, "this map is too large");
    return fits;
}

static bool merge(struct parsing *p, struct tree *map, const struct tree *from)
{
    if (!from || tree_is_null(from))
        return true;
    if (from->type == TREE_MAP)
        return merge_map(p, map, from);
    bool good = from->type == TREE_LIST;
    for (const struct tree *at = from->first; at && good; at = at->next)
        good = at->type == TREE_MAP;
    if (!good)
        tree_fail(from, p->err, "\"<<\" takes a map, or a list of maps");
    for (const struct tree *at = from->first; at && good; at = at->next)
        good = merge_map(p, map, at);
    return good;
}

/* The value of a key, which takes the key's name and place. */
static struct tree *read_member(struct parsing *p, const struct tree *key, unsigned depth)
{
    bool ended;
    struct tree *value = next_node(p, depth + 1, YAML_NO_EVENT, &ended);
    if (value) {
        value->key = key->text;
        value->source = key->source;
        value->line = key->line;
        value->column = key->column;
    }
    return value;
}

static struct tree *read_map(struct parsing *p, struct tree *map, unsigned depth)
{
    struct tree *key, *value, *merged = NULL;
    bool ended;
    while ((key = next_node(p, depth + 1, YAML_MAPPING_END_EVENT, &ended))) {
        bool merges = key->type == TREE_TEXT && key->plain && slice_is(key->text, "<<");
        if (key->type != TREE_TEXT || (merges && merged) || tree_find(map, key->text))
            tree_fail(key, p->err,
                      key->type == TREE_TEXT ? "the key \"%.60s\" stands here twice"
                                             : "a key must be a text%s",
                      key->type == TREE_TEXT ? key->text.ptr : "");
        else if (map->count == YAML_MAX_MEMBERS)
            tree_fail(key, p->err, "a map of more than %d keys", YAML_MAX_MEMBERS);
        else if ((value = read_member(p, key, depth))) {
            if (merges)
                merged = value;
            else
                append(map, value);
            continue;
        }
        return NULL;
    }
    return ended && merge(p, map, merged) ? map : NULL;
}

static struct tree *read_node(struct parsing *p, yaml_event_t *event, unsigned depth)
{
    struct tree *node = NULL;
    struct anchor *anchor = NULL;
    if (depth > YAML_MAX_DEPTH)
        return fail_at(p, event->start_mark, "lists and maps too deep inside each other");
    if (++p->weight > YAML_MAX_WEIGHT)
        return fail_at(p, event->start_mark, "too many values");
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(p, event);
    case YAML_SCALAR_EVENT:
        anchor = add_anchor(p, event->data.scalar.anchor);
        node = read_text(p, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = add_anchor(p, event->data.sequence_start.anchor);
        node = read_list(p, new_node(p, TREE_LIST, event), depth);
        if (node && event->data.sequence_start.tag)
            node->tag = arena_copy(p->arena, text_of(event->data.sequence_start.tag));
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = add_anchor(p, event->data.mapping_start.anchor);
        node = read_map(p, new_node(p, TREE_MAP, event), depth);
        if (node && event->data.mapping_start.tag)
            node->tag = arena_copy(p->arena, text_of(event->data.mapping_start.tag));
        break;
    default:
        return fail_at(p, event->start_mark, "a value is missing");
    }
    if (anchor)
        anchor->node = node;
    return node;
}

static struct tree *read_document(struct parsing *p, bool *more)
{
    yaml_event_t event;
    struct tree *root = NULL;
    yaml_event_type_t type;
    *more = false;
    do {
        if (!next_event(p, &event))
            return NULL;
        type = event.type;
        bool is_value = type == YAML_ALIAS_EVENT || type == YAML_SCALAR_EVENT ||
                        type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
        *more = *more || (root && type == YAML_DOCUMENT_START_EVENT);
        if (is_value && !root && !(root = read_node(p, &event, 1))) {
            yaml_event_delete(&event);
            return NULL;
        }
        yaml_event_delete(&event);
    } while (type != YAML_STREAM_END_EVENT && !*more);
    if (!root)
        err_set(p->err, -1, "%s: there is nothing in this file", p->source->shown);
    return root;
}

const struct tree *tree_parse(struct arena *a, struct slice text, const struct source *source,
                              bool *more, struct err *err)
{
    struct parsing p = {.arena = a, .source = source, .text = text, .err = err};
    bool ignored;
    if (!yaml_parser_initialize(&p.parser)) {
        err_set(err, -ENOMEM, "%s: out of memory", source->shown);
        return NULL;
    }
    yaml_parser_set_input_string(&p.parser, (const unsigned char *)text.ptr, text.len);
    struct tree *root = read_document(&p, more ? more : &ignored);
    yaml_parser_delete(&p.parser);
    return root;
}

const struct tree *tree_read(struct arena *a, const char *path, const char *shown, bool *more,
                             struct err *err)
{
    struct buf text = {0};
    const struct tree *root = NULL;
    struct source *source = arena_alloc(a, sizeof(*source));
    *source = (struct source){arena_strdup(a, slice_of(shown)), file_folder(a, path), false};
    int code = file_read(path, YAML_MAX_FILE, true, &text);
    if (code < 0 || !source->dir)
        err_set(err, code < 0 ? code : -errno, "%s: %s", shown,
                strerror(code < 0 ? -code : errno));
    else if (text.len > YAML_MAX_FILE)
        err_set(err, -E2BIG, "%s: larger than %d KiB", shown, YAML_MAX_FILE / 1024);
    else
        root = tree_parse(a, buf_slice(&text), source, more, err);
    buf_deinit(&text);
    return root;
}
