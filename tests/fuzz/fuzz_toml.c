/*
 * fuzz_toml: any bytes as a nodey.toml.
 *
 * Parsed, its variables filled in, and read by the table into the structs of a
 * configuration, without a file system.  What is read stays within its bounds, whatever
 * is refused says where, and no sentence carries bytes that would forge a line of a log.
 */
#include <assert.h>

#include "config/interpolate.h"
#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A few variables with values that mean something somewhere. */
static const char *look_up(const void *arg, struct slice name)
{
    (void)arg;
    if (slice_is(name, "N"))
        return "3";
    if (slice_is(name, "T"))
        return "1m30s";
    if (slice_is(name, "E"))
        return "";
    return slice_is(name, "D") ? "${N} $$ \"'\n" : NULL;
}

static void check_sentence(const struct err *err)
{
    assert(err->code < 0 && strncmp(err->text, "x.toml:", 7) == 0);
    for (const char *at = err->text; *at; at++)
        assert((unsigned char)*at >= 0x20 && *at != 0x7f);
}

/* Numbers lie between the bounds of their rows, choices among their words. */
static void check_section(const struct section *section, const void *read)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct setting *s = &section->rows[i];
        const char *field = (const char *)read + s->offset;
        bool number = s->type == SETTING_INT || s->type == SETTING_SIZE ||
                      s->type == SETTING_DURATION || s->type == SETTING_DURATION_US;
        uint64_t n = number ? *(const uint64_t *)field : 0;
        bool may_be_none = s->fallback[0] == '(' || strcmp(s->fallback, "off") == 0;
        bool by_default = may_be_none && n == 0;
        assert(!number || by_default || (n >= s->min && n <= s->max));
        if (s->type == SETTING_STRING || s->type == SETTING_PATH) {
            const char *text = *(const char *const *)field;
            assert(!text || *text);
        }
        if (s->type == SETTING_LIST || s->type == SETTING_ENV || s->type == SETTING_COMMAND) {
            const struct string_list *list = (const struct string_list *)field;
            for (size_t j = 0; j < list->count; j++)
                assert(list->items[j]);
            assert(!list->items[list->count]);
        }
    }
}

static int read_table(const struct reader *r, const struct section *section,
                      const struct toml_node *table, void *out)
{
    if (table->type != TOML_TABLE)
        return 0;
    reader_defaults(r, section, out);
    int code = reader_section(r, section, table, section->title, out);
    if (code < 0)
        check_sentence(r->err);
    else
        check_section(section, out);
    return code;
}

/* Each member of a table or a list as a section. */
static void read_members(const struct reader *r, const struct section *section,
                         const struct toml_node *all, void *out)
{
    bool inner = all->type == TOML_TABLE || all->type == TOML_ARRAY;
    for (const struct toml_node *node = inner ? all->items.first : NULL; node;
         node = node->next)
        if (read_table(r, section, node, out) < 0)
            return;
}

static void read_root(const struct reader *r, const struct toml_node *root)
{
    struct server_config server;
    struct worker_config worker;
    struct route_config route;
    for (const struct toml_node *node = root->items.first; node; node = node->next) {
        if (slice_is(node->key, "server"))
            IGNORE(read_table(r, &section_server, node, &server)); /* the check is inside */
        else if (slice_is(node->key, "defaults"))
            IGNORE(read_table(r, &section_worker, node, &worker)); /* as above */
        else if (slice_is(node->key, "workers"))
            read_members(r, &section_worker, node, &worker);
        else if (slice_is(node->key, "routes"))
            read_members(r, &section_route, node, &route);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct err err = {0};
    struct journal journal = {.arena = &arena};
    struct reader r = {&arena, "x.toml", "/srv/app", &err};
    struct interpolation in = {.arena = &arena,
                               .look_up = look_up,
                               .file = "x.toml",
                               .journal = &journal,
                               .err = &err};
    struct toml_node *root =
        toml_parse(&arena, (struct slice){(const char *)data, size}, "x.toml", &err);
    if (!root)
        assert(err.code < 0 && strncmp(err.text, "x.toml:", 7) == 0);
    else if (interpolate_tree(&in, root) < 0)
        check_sentence(&err);
    else
        read_root(&r, root);
    journal_deinit(&journal);
    arena_deinit(&arena);
    return 0;
}
