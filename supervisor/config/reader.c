#include "config/reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "config/compose.h"
#include "config/value.h"

int reader_fail(const struct reader *r, struct toml_place at, const char *fmt, ...)
{
    char sentence[sizeof(r->err->text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);
    return err_set(r->err, -EINVAL, "%s:%u:%u: %s", r->file, at.line, at.column, sentence);
}

const char *reader_path(const struct reader *r, struct slice path)
{
    while (path.len > 2 && slice_starts(path, SLICE("./")))
        path = slice_from(path, 2);
    if (path.ptr[0] == '/' || slice_is(path, "."))
        return path.ptr[0] == '/' ? arena_strdup(r->arena, path) : r->dir;
    struct buf b = {0};
    buf_adds(&b, r->dir);
    if (b.len > 1)
        buf_addc(&b, '/');
    buf_add(&b, path);
    const char *joined = arena_strdup(r->arena, buf_slice(&b));
    buf_deinit(&b);
    return joined;
}

/* What a setting wants, for the sentence "<key> must be <this>". */
static const char *wanted(const struct reader *r, const struct setting *s)
{
    struct buf b = {0};
    switch (s->type) {
    case SETTING_BOOL:
        return "true or false";
    case SETTING_DURATION:
        return "a duration such as \"300ms\", \"30s\" or \"1m30s\"";
    case SETTING_DURATION_US:
        return "a duration such as \"50us\" or \"1ms\"";
    case SETTING_SIZE:
        return "a size such as \"512K\" or \"8M\"";
    case SETTING_STRING:
    case SETTING_PATH:
        return "a string";
    case SETTING_LIST:
    case SETTING_COMMAND:
        return "a string or a list of strings";
    case SETTING_ENV:
        return "a table such as { NAME = \"value\" }";
    case SETTING_INT:
        buf_addf(&b, "a whole number %" PRIu64 "..%" PRIu64, s->min, s->max);
        break;
    case SETTING_CHOICE:
        for (size_t i = 0; s->choices[i]; i++)
            buf_addf(&b, "%s\"%s\"",
                     i == 0              ? ""
                     : s->choices[i + 1] ? ", "
                                         : " or ",
                     s->choices[i]);
        break;
    case SETTING_TABLE:
        return "a table";
    case SETTING_SCALE:
    case SETTING_PORT:
    case SETTING_CPUS:
    case SETTING_RESTART:
    case SETTING_SIGNAL:
    case SETTING_DEPENDS:
    case SETTING_TEST:
        return compose_wanted(s, r->arena);
    }
    const char *text = arena_strdup(r->arena, buf_slice(&b));
    buf_deinit(&b);
    return text;
}

const char *reader_found(const struct reader *r, const struct toml_node *node)
{
    char text[192] = "";
    switch (node->type) {
    case TOML_STRING:
        if (node->written.ptr)
            snprintf(text, sizeof(text), "%s, which %s stands for",
                     value_quote(r->arena, node->string), value_quote(r->arena, node->written));
        else if (node->string.len == 0)
            return "an empty string";
        else
            snprintf(text, sizeof(text), "the string %s", value_quote(r->arena, node->string));
        break;
    case TOML_INTEGER:
        snprintf(text, sizeof(text), "the number %" PRId64, node->integer);
        break;
    case TOML_FLOAT:
        snprintf(text, sizeof(text), "the number %g", node->real);
        break;
    case TOML_BOOL:
        return node->boolean ? "true" : "false";
    case TOML_DATE:
        return "a date or time";
    case TOML_ARRAY:
        return "a list";
    case TOML_TABLE:
        return "a table";
    }
    return arena_strdup(r->arena, slice_of(text));
}

static int fail_type(const struct reader *r, const struct setting *s,
                     const struct toml_node *node)
{
    return reader_fail(r, node->at, "%s must be %s, not %s", s->key, wanted(r, s),
                       reader_found(r, node));
}

static int fail_unit(const struct reader *r, const struct setting *s,
                     const struct toml_node *node)
{
    char number[24];
    if (node->type == TOML_INTEGER)
        snprintf(number, sizeof(number), "%" PRId64, node->integer);
    else
        snprintf(number, sizeof(number), "%.20s", node->string.ptr);
    const char *unit = s->type == SETTING_DURATION_US ? "us" : "s";
    return reader_fail(r, node->at, "%s needs a unit: write \"%s%s\" or \"%sms\", not %s",
                       s->key, number, unit, number, reader_found(r, node));
}

static void add_bound(struct buf *b, const struct setting *s, uint64_t n)
{
    if (s->type == SETTING_SIZE)
        value_add_size(b, n);
    else
        value_add_duration(b, s->type == SETTING_DURATION ? n * 1000 : n);
}

static int fail_range(const struct reader *r, const struct setting *s,
                      const struct toml_node *node)
{
    struct buf b = {0};
    add_bound(&b, s, s->min);
    buf_adds(&b, "..");
    add_bound(&b, s, s->max);
    int code = reader_fail(r, node->at, "%s must be %s, not %s", s->key, buf_cstr(&b),
                           reader_found(r, node));
    buf_deinit(&b);
    return code;
}

static void store_number(const struct setting *s, void *out, uint64_t n)
{
    char *field = (char *)out + s->offset;
    assert(s->size == 1 || s->size == 4 || s->size == 8);
    if (s->size == 1)
        *(bool *)field = n != 0;
    else if (s->size == 4)
        *(int *)field = (int)n;
    else
        *(uint64_t *)field = n;
}

/* A variable has no type but text: it may stand for a number, or for true or false. */
static bool is_interpolated(const struct toml_node *node)
{
    return node->type == TOML_STRING && node->written.ptr;
}

static int read_int(const struct reader *r, const struct setting *s,
                    const struct toml_node *node, void *out)
{
    uint64_t n = 0;
    bool number = false;
    if (node->type == TOML_INTEGER && node->integer >= 0) {
        n = (uint64_t)node->integer;
        number = true;
    } else if (is_interpolated(node)) {
        number = slice_to_u64(slice_trim(node->string), UINT64_MAX, &n);
    }
    if (!number || n < s->min || n > s->max)
        return fail_type(r, s, node);
    store_number(s, out, n);
    return 0;
}

/* Whether a variable stands for one of these words. */
static bool is_word(const struct toml_node *node, const char *const *words)
{
    for (; is_interpolated(node) && *words; words++)
        if (slice_eq_nocase(slice_trim(node->string), slice_of(*words)))
            return true;
    return false;
}

static int read_bool(const struct reader *r, const struct setting *s,
                     const struct toml_node *node, void *out)
{
    static const char *const truths[] = {"true", "yes", "on", "1", NULL};
    static const char *const lies[] = {"false", "no", "off", "0", NULL};
    bool yes = node->type == TOML_BOOL ? node->boolean : is_word(node, truths);
    if (node->type != TOML_BOOL && !yes && !is_word(node, lies))
        return fail_type(r, s, node);
    store_number(s, out, yes);
    return 0;
}

static int read_duration(const struct reader *r, const struct setting *s,
                         const struct toml_node *node, void *out)
{
    bool fine = s->type == SETTING_DURATION_US;
    uint64_t n = 0;
    enum value_verdict verdict = VALUE_BAD;
    if (node->type == TOML_STRING)
        verdict = value_duration(node->string, fine, &n);
    else if (node->type == TOML_INTEGER && node->integer >= 0)
        verdict = node->integer ? VALUE_BARE : VALUE_GOOD;
    if (verdict == VALUE_BARE)
        return fail_unit(r, s, node);
    if (verdict == VALUE_BAD)
        return fail_type(r, s, node);
    n = fine ? n : n / 1000;
    if (verdict == VALUE_HUGE || n < s->min || n > s->max)
        return fail_range(r, s, node);
    store_number(s, out, n);
    return 0;
}

static int read_size(const struct reader *r, const struct setting *s,
                     const struct toml_node *node, void *out)
{
    uint64_t n = 0;
    enum value_verdict verdict = VALUE_BAD;
    bool off = s->min == 0 || strcmp(s->fallback, "off") == 0;
    if (node->type == TOML_STRING && off && slice_is(node->string, "off"))
        verdict = VALUE_GOOD;
    else if (node->type == TOML_STRING)
        verdict = value_size(node->string, &n);
    else if (node->type == TOML_INTEGER && node->integer >= 0) {
        verdict = VALUE_GOOD;
        n = (uint64_t)node->integer;
    }
    if (verdict == VALUE_BAD)
        return fail_type(r, s, node);
    bool none = off && n == 0;
    if (verdict == VALUE_HUGE || (n < s->min && !none) || n > s->max)
        return fail_range(r, s, node);
    store_number(s, out, n);
    return 0;
}

static int read_choice(const struct reader *r, const struct setting *s,
                       const struct toml_node *node, void *out)
{
    for (size_t i = 0; node->type == TOML_STRING && s->choices[i]; i++) {
        if (slice_is(node->string, s->choices[i])) {
            store_number(s, out, i);
            return 0;
        }
    }
    return fail_type(r, s, node);
}

/*
 * Strings become arguments, environments, paths and lines of the log, where a NUL
 * would cut them short and a line break would forge an entry.  Only arguments and
 * environments may have more than one line.
 */
static int check_text(const struct reader *r, const struct setting *s,
                      const struct toml_node *node)
{
    bool lines = s->type == SETTING_ENV || s->type == SETTING_COMMAND;
    for (size_t i = 0; i < node->string.len; i++) {
        char c = node->string.ptr[i];
        if (value_is_control(c) && !(lines && (c == '\n' || c == '\r' || c == '\t')))
            return reader_fail(r, node->at, "%s must not contain the control character U+%04X",
                               s->key, (unsigned)(unsigned char)c);
    }
    return 0;
}

/* A string that says something. */
static int read_text(const struct reader *r, const struct setting *s,
                     const struct toml_node *node)
{
    if (node->type != TOML_STRING || node->string.len == 0)
        return fail_type(r, s, node);
    return check_text(r, s, node);
}

static int read_string(const struct reader *r, const struct setting *s,
                       const struct toml_node *node, void *out)
{
    if (read_text(r, s, node) < 0)
        return r->err->code;
    const char **field = (const char **)((char *)out + s->offset);
    *field = s->type == SETTING_PATH ? reader_path(r, node->string) : node->string.ptr;
    return 0;
}

static struct string_list list_new(const struct reader *r, size_t count)
{
    struct string_list list = {arena_alloc(r->arena, (count + 1) * sizeof(char *)), 0};
    list.items[count] = NULL;
    return list;
}

static int fail_item(const struct reader *r, const struct setting *s,
                     const struct toml_node *item)
{
    return reader_fail(r, item->at, "%s must hold nothing but strings, not %s", s->key,
                       reader_found(r, item));
}

static int read_list(const struct reader *r, const struct setting *s,
                     const struct toml_node *node, void *out)
{
    struct string_list *field = (struct string_list *)((char *)out + s->offset);
    bool one = node->type == TOML_STRING;
    if (!one && node->type != TOML_ARRAY)
        return fail_type(r, s, node);
    struct string_list list = list_new(r, one ? 1 : node->items.count);
    for (const struct toml_node *item = one ? node : node->items.first; item;
         item = one ? NULL : item->next) {
        /* A program may want an empty argument; nothing else wants an empty item. */
        bool empty_is_fine = s->type == SETTING_COMMAND && list.count > 0;
        if (item->type != TOML_STRING || (item->string.len == 0 && !empty_is_fine))
            return one ? fail_type(r, s, item) : fail_item(r, s, item);
        if (check_text(r, s, item) < 0)
            return r->err->code;
        list.items[list.count++] = s->paths ? reader_path(r, item->string) : item->string.ptr;
    }
    *field = list;
    return 0;
}

static int read_command(const struct reader *r, const struct setting *s,
                        const struct toml_node *node, void *out)
{
    struct string_list *field = (struct string_list *)((char *)out + s->offset);
    if (node->type == TOML_STRING) {
        if (read_text(r, s, node) < 0)
            return r->err->code;
        const char *fault = value_words(node->string, r->arena, field);
        if (fault)
            return reader_fail(r, node->at, "%s %s", s->key, fault);
    } else if (read_list(r, s, node, out) < 0) {
        return r->err->code;
    }
    if (field->count == 0 || field->items[0][0] == '\0')
        return reader_fail(r, node->at, "%s must name a program", s->key);
    return 0;
}

static bool is_env_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0;
}

/* Replaces what has the same name, so that the order stays that of the first mention. */
static void put_entry(struct string_list *list, const char *entry)
{
    size_t name = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->items[i], entry, name) == 0) {
            list->items[i] = entry;
            return;
        }
    list->items[list->count++] = entry;
    list->items[list->count] = NULL;
}

struct string_list reader_merge_env(const struct reader *r, struct string_list below,
                                    struct string_list above)
{
    struct string_list list = list_new(r, below.count + above.count);
    for (size_t i = 0; i < below.count; i++)
        list.items[list.count++] = below.items[i];
    list.items[list.count] = NULL;
    for (size_t i = 0; i < above.count; i++)
        put_entry(&list, above.items[i]);
    return list;
}

/* "NAME=value"; numbers, true and false are welcome as what they look like. */
static const char *env_entry(const struct reader *r, const struct toml_node *node)
{
    struct buf b = {0};
    buf_add(&b, node->key);
    buf_addc(&b, '=');
    if (node->type == TOML_STRING)
        buf_add(&b, node->string);
    else if (node->type == TOML_INTEGER)
        buf_addf(&b, "%" PRId64, node->integer);
    else
        buf_adds(&b, node->boolean ? "true" : "false");
    const char *entry = arena_strdup(r->arena, buf_slice(&b));
    buf_deinit(&b);
    return entry;
}

static int read_env(const struct reader *r, const struct setting *s,
                    const struct toml_node *node, void *out)
{
    if (node->type != TOML_TABLE)
        return fail_type(r, s, node);
    struct string_list list = list_new(r, node->items.count);
    for (const struct toml_node *item = node->items.first; item; item = item->next) {
        if (!is_env_name(item->key))
            return reader_fail(r, item->key_at,
                               "%s is no name for a variable: use letters, digits and \"_\"",
                               value_quote(r->arena, item->key));
        bool text = item->type == TOML_STRING;
        if (!text && item->type != TOML_INTEGER && item->type != TOML_BOOL)
            return reader_fail(r, item->at, "%s.%s must be a string, not %s", s->key,
                               item->key.ptr, reader_found(r, item));
        if (text && check_text(r, s, item) < 0)
            return r->err->code;
        list.items[list.count++] = env_entry(r, item);
    }
    struct string_list *field = (struct string_list *)((char *)out + s->offset);
    list.items[list.count] = NULL;
    *field = reader_merge_env(r, *field, list);
    return 0;
}

static int read_table(const struct reader *r, const struct setting *s,
                      const struct toml_node *node, void *out)
{
    if (node->type != TOML_TABLE)
        return fail_type(r, s, node);
    return reader_section(r, s->inner, node, s->key, (char *)out + s->offset);
}

static int read_setting(const struct reader *r, const struct setting *s,
                        const struct toml_node *node, void *out)
{
    switch (s->type) {
    case SETTING_BOOL:
        return read_bool(r, s, node, out);
    case SETTING_INT:
        return read_int(r, s, node, out);
    case SETTING_DURATION:
    case SETTING_DURATION_US:
        return read_duration(r, s, node, out);
    case SETTING_SIZE:
        return read_size(r, s, node, out);
    case SETTING_CHOICE:
        return read_choice(r, s, node, out);
    case SETTING_STRING:
    case SETTING_PATH:
        return read_string(r, s, node, out);
    case SETTING_LIST:
        return read_list(r, s, node, out);
    case SETTING_ENV:
        return read_env(r, s, node, out);
    case SETTING_COMMAND:
        return read_command(r, s, node, out);
    case SETTING_TABLE:
        return read_table(r, s, node, out);
    case SETTING_SCALE:
    case SETTING_PORT:
    case SETTING_CPUS:
    case SETTING_RESTART:
    case SETTING_SIGNAL:
    case SETTING_DEPENDS:
    case SETTING_TEST:
        return compose_read(r, s, node, out);
    }
    return -EINVAL;
}

static bool is_list(const struct setting *s)
{
    return s->type == SETTING_LIST || s->type == SETTING_ENV || s->type == SETTING_COMMAND ||
           s->type == SETTING_TEST;
}

/* A fallback takes the way of every value, so the table cannot promise nonsense. */
static void read_fallback(const struct reader *r, const struct setting *s, void *out)
{
    struct slice text = slice_of(s->fallback);
    struct toml_node node = {.type = TOML_STRING, .string = text};
    uint64_t n;
    if (s->type == SETTING_BOOL) {
        node.type = TOML_BOOL;
        node.boolean = slice_is(text, "true");
    } else if ((s->type == SETTING_INT || s->type == SETTING_SCALE) &&
               slice_to_u64(text, INT64_MAX, &n)) {
        node.type = TOML_INTEGER;
        node.integer = (int64_t)n;
    }
    int failed = read_setting(r, s, &node, out);
    assert(!failed);
}

void reader_defaults(const struct reader *r, const struct section *section, void *out)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct setting *s = &section->rows[i];
        char *field = (char *)out + s->offset;
        if (s->type == SETTING_TABLE)
            reader_defaults(r, s->inner, field);
        else if (s->fallback[0] != '(')
            read_fallback(r, s, out);
        else if (is_list(s))
            *(struct string_list *)field = string_list_none(r->arena);
        else
            memset(field, 0, s->size);
    }
}

const struct setting *section_habit(const struct section *section, struct slice word)
{
    const struct habit *habit = section->habits;
    while (habit && habit->word && !slice_eq_nocase(word, slice_of(habit->word)))
        habit++;
    for (size_t i = 0; habit && habit->word && i < section->count; i++)
        if (strcmp(section->rows[i].key, habit->key) == 0)
            return &section->rows[i];
    return NULL;
}

/* Of a compose file, and without a meaning where there are no containers. */
static bool is_of_images(struct slice key)
{
    static const char *const names[] = {"image",    "build",          "volumes", "dockerfile",
                                        "networks", "container_name", "links"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_is(key, names[i]))
            return true;
    return false;
}

static int fail_unknown(const struct reader *r, const struct section *section,
                        const struct toml_node *node, const char *title)
{
    const struct setting *meant = section_habit(section, node->key);
    if (meant)
        return reader_fail(r, node->key_at, "unknown key %s in %s; it is called %s here: %s",
                           value_quote(r->arena, node->key), title, meant->key, meant->example);
    if (is_of_images(node->key))
        return reader_fail(r, node->key_at,
                           "unknown key %s in %s: nodey runs commands of this machine, and no "
                           "images: nodey import makes a nodey.toml of a compose file",
                           value_quote(r->arena, node->key), title);
    struct nearest nearest = nearest_init(node->key);
    for (size_t i = 0; i < section->count; i++)
        nearest_offer(&nearest, section->rows[i].key);
    const char *key = value_quote(r->arena, node->key);
    if (nearest.best)
        return reader_fail(r, node->key_at, "unknown key %s in %s; did you mean \"%s\"?", key,
                           title, nearest.best);
    return reader_fail(r, node->key_at, "unknown key %s in %s", key, title);
}

int reader_section(const struct reader *r, const struct section *section,
                   const struct toml_node *table, const char *title, void *out)
{
    for (const struct toml_node *node = table->items.first; node; node = node->next) {
        const struct setting *row = section->rows, *end = row + section->count;
        while (row < end && !slice_is(node->key, row->key))
            row++;
        if (row == end)
            return fail_unknown(r, section, node, title);
        if (read_setting(r, row, node, out) < 0)
            return r->err->code;
    }
    return 0;
}
