#include "client/options.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/slice.h"
#include "config/value.h"

void word_list_add(struct word_list *list, const char *word)
{
    list->items = xrealloc(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count++] = word;
}

void word_list_deinit(struct word_list *list)
{
    xfree(list->items);
    *list = (struct word_list){0};
}

int usage_error(const char *verb, const char *fmt, ...)
{
    va_list args;
    fputs("nodey: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "; see nodey help%s%s\n", verb ? " " : "", verb ? verb : "");
    return 2;
}

/* Is `given` (up to a "=") one of the names? */
static bool is_named(const struct option *o, struct slice given)
{
    for (const char *at = o->names; *at;) {
        struct slice name = {at, strcspn(at, " ")};
        if (slice_eq(name, given))
            return true;
        at += name.len + (at[name.len] != '\0');
    }
    return false;
}

static const struct option *find(const struct options *options, struct slice given)
{
    for (size_t i = 0; i < options->count; i++)
        if (is_named(&options->table[i], given))
            return &options->table[i];
    return NULL;
}

static void store(const struct option *o, const char *value)
{
    if (o->kind == OPTION_FLAG)
        *(bool *)o->to = true;
    else if (o->kind == OPTION_VALUE)
        *(const char **)o->to = value;
    else
        word_list_add(o->to, value);
}

/* A long one's name without its dashes: they are the same in all. */
static int fail_unknown(const struct options *options, struct slice given)
{
    char best[32] = "", name[sizeof(best)];
    bool is_long = slice_starts(given, SLICE("--"));
    struct nearest nearest = nearest_init(slice_from(given, is_long ? 2 : 1));
    for (size_t i = 0; is_long && i < options->count; i++)
        for (const char *at = strstr(options->table[i].names, "--"); at;
             at = strstr(at, "--")) {
            unsigned before = nearest.distance;
            size_t len = strcspn(at += 2, " ");
            snprintf(name, sizeof(name), "%.*s", (int)len, at);
            nearest_offer(&nearest, name);
            if (nearest.distance < before)
                memcpy(best, name, sizeof(best));
        }
    return usage_error(options->verb, "nodey %s has no option " SLICE_FMT "%s%s%s",
                       options->verb, SLICE_ARG(given), *best ? "; did you mean --" : "", best,
                       *best ? "?" : "");
}

/* Reads the option at *at; 0, or 2 when it is none. */
static int read_option(const struct options *options, int argc, char **argv, int *at)
{
    const char *given = argv[*at];
    struct slice name = {given, given[1] == '-' ? strcspn(given, "=") : strlen(given)};
    const struct option *o = find(options, name);
    bool has_value = given[name.len] == '=';
    if (!o)
        return fail_unknown(options, name);
    if (o->kind == OPTION_FLAG && has_value)
        return usage_error(options->verb, SLICE_FMT " takes no value", SLICE_ARG(name));
    if (o->kind != OPTION_FLAG && !has_value && *at + 1 == argc)
        return usage_error(options->verb, "%s lacks its value", given);
    const char *value = NULL;
    if (has_value)
        value = given + name.len + 1;
    else if (o->kind != OPTION_FLAG)
        value = argv[++*at];
    store(o, value);
    return 0;
}

static int list(const struct options *options)
{
    for (size_t i = 0; i < options->count; i++)
        printf("%s\t%s\n", options->table[i].names,
               options->table[i].kind == OPTION_FLAG ? "flag" : "value");
    return 2;
}

int options_read(struct options *options, int argc, char **argv)
{
    bool ended = false;
    if (argc == 1 && strcmp(argv[0], OPTIONS_LIST) == 0)
        return list(options);
    for (int i = 0; i < argc; i++) {
        const char *given = argv[i];
        if (!ended && strcmp(given, "--") == 0) {
            ended = true;
            options->ended = options->words.count == 0;
            continue;
        }
        if (!ended && given[0] == '-' && given[1]) { /* "-" alone is a word */
            if (read_option(options, argc, argv, &i))
                return 2;
            continue;
        }
        if (options->words.count == options->words_max)
            return usage_error(options->verb, "nodey %s takes no further word: \"%s\"",
                               options->verb, given);
        word_list_add(&options->words, given);
        ended = ended || options->stop_at_word;
    }
    return 0;
}
