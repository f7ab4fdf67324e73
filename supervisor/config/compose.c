#include "config/compose.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/value.h"

enum { THOUSANDTHS = 1000 };

static void *field_of(const struct setting *s, void *out)
{
    return (char *)out + s->offset;
}

static int fail(const struct reader *r, const struct setting *s, const struct toml_node *node)
{
    return reader_fail(r, node->at, "%s must be %s, not %s", s->key,
                       compose_wanted(s, r->arena), reader_found(r, node));
}

static bool is_text(const struct toml_node *node, const char *text)
{
    return node->type == TOML_STRING && slice_is(node->string, text);
}

/* Also what a variable stands for, which is text. */
static bool whole_number(const struct toml_node *node, uint64_t *n)
{
    if (node->type == TOML_STRING && node->written.ptr)
        return slice_to_u64(slice_trim(node->string), INT64_MAX, n);
    *n = node->type == TOML_INTEGER ? (uint64_t)node->integer : 0;
    return node->type == TOML_INTEGER && node->integer >= 0;
}

/* -------------------------------------------------------------------- instances */

static int read_scale(const struct reader *r, const struct setting *s,
                      const struct toml_node *node, void *out)
{
    uint64_t *most = field_of(s, out), *least = most + 1, n;
    if (node->type != TOML_TABLE) {
        if (!whole_number(node, &n) || n < s->min || n > s->max)
            return fail(r, s, node);
        *most = *least = n;
        return 0;
    }
    const struct toml_node *min = toml_get(node, "min"), *max = toml_get(node, "max");
    for (const struct toml_node *at = node->items.first; at; at = at->next)
        if (at != min && at != max)
            return reader_fail(r, at->key_at, "unknown key %s in %s: it has min and max",
                               value_quote(r->arena, at->key), s->key);
    if (!max || !whole_number(max, most) || *most < s->min || *most > s->max)
        return fail(r, s, max ? max : node);
    *least = 1;
    if (min && (!whole_number(min, least) || *least < s->min || *least > *most))
        return fail(r, s, min);
    return 0;
}

/* ------------------------------------------------------------ ports, CPUs, signals */

static int read_port(const struct reader *r, const struct setting *s,
                     const struct toml_node *node, void *out)
{
    uint64_t *port = field_of(s, out);
    if (is_text(node, "auto")) {
        *port = PORT_AUTO;
        return 0;
    }
    return whole_number(node, port) && *port > 0 && *port <= UINT16_MAX ? 0 : fail(r, s, node);
}

static int read_cpus(const struct reader *r, const struct setting *s,
                     const struct toml_node *node, void *out)
{
    double cpus = -1;
    char *end = NULL;
    if (node->type == TOML_FLOAT)
        cpus = node->real;
    else if (node->type == TOML_INTEGER)
        cpus = (double)node->integer;
    else if (is_text(node, "off"))
        cpus = 0;
    else if (node->type == TOML_STRING && node->string.len &&
             isdigit((unsigned char)node->string.ptr[0]))
        cpus = strtod(node->string.ptr, &end);
    if (!(cpus >= 0 && cpus * THOUSANDTHS <= (double)s->max) || (end && *end))
        return fail(r, s, node);
    *(uint64_t *)field_of(s, out) = (uint64_t)llround(cpus * THOUSANDTHS);
    return 0;
}

int compose_signal(struct slice name)
{
    uint64_t number;
    if (slice_to_u64(name, SIGRTMAX, &number))
        return (int)number;
    if (name.len > 3 && slice_eq_nocase((struct slice){name.ptr, 3}, SLICE("SIG")))
        name = slice_from(name, 3);
    for (int sig = 1; sig < NSIG; sig++) {
        const char *abbreviation = sigabbrev_np(sig);
        if (abbreviation && slice_eq_nocase(name, slice_of(abbreviation)))
            return sig;
    }
    return 0;
}

static int read_signal(const struct reader *r, const struct setting *s,
                       const struct toml_node *node, void *out)
{
    int sig = 0;
    if (node->type == TOML_STRING)
        sig = compose_signal(node->string);
    else if (node->type == TOML_INTEGER && node->integer > 0 && node->integer <= SIGRTMAX)
        sig = (int)node->integer;
    if (sig <= 0 || sig == SIGSTOP)
        return fail(r, s, node);
    *(int *)field_of(s, out) = sig;
    return 0;
}

/* ---------------------------------------------------------------------- restart */

static int read_restart(const struct reader *r, const struct setting *s,
                        const struct toml_node *node, void *out)
{
    static const char *const words[] = {[RESTART_ALWAYS] = "always",
                                        [RESTART_NO] = "no",
                                        [RESTART_ON_FAILURE] = "on-failure",
                                        [RESTART_UNLESS_STOPPED] = "unless-stopped"};
    static const struct slice counted = {"on-failure:", 11};
    struct restart_config *restart = field_of(s, out);
    uint64_t most = 0;
    *restart = (struct restart_config){0};
    for (uint32_t i = 0; i < ARRAY_LEN(words); i++)
        if (is_text(node, words[i])) {
            restart->when = i;
            return 0;
        }
    if (node->type == TOML_BOOL) {
        restart->when = node->boolean ? RESTART_ALWAYS : RESTART_NO;
        return 0;
    }
    if (node->type != TOML_STRING || !slice_starts(node->string, counted) ||
        !slice_to_u64(slice_from(node->string, counted.len), 1000000, &most) || most == 0)
        return fail(r, s, node);
    *restart = (struct restart_config){RESTART_ON_FAILURE, (uint32_t)most};
    return 0;
}

/* ----------------------------------------------------------------- dependencies */

static bool condition_of(const struct toml_node *node, int *condition)
{
    static const char *const words[] = {[DEPENDENCY_HEALTHY] = "service_healthy",
                                        [DEPENDENCY_STARTED] = "service_started",
                                        [DEPENDENCY_COMPLETED] =
                                            "service_completed_successfully"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *bare = words[i] + strlen("service_");
        if (is_text(node, words[i]) || is_text(node, bare)) {
            *condition = (int)i;
            return true;
        }
    }
    if (is_text(node, "completed"))
        *condition = DEPENDENCY_COMPLETED;
    return is_text(node, "completed");
}

static int fail_condition(const struct reader *r, const struct toml_node *node)
{
    return reader_fail(r, node->at,
                       "condition must be \"service_healthy\", \"service_started\" or "
                       "\"service_completed_successfully\", not %s",
                       reader_found(r, node));
}

/* { condition = "...", required = true, restart = false }, or only the condition. */
static int read_condition(const struct reader *r, const struct toml_node *node,
                          struct dependency *d)
{
    if (node->type != TOML_TABLE)
        return condition_of(node, &d->condition) ? 0 : fail_condition(r, node);
    for (const struct toml_node *at = node->items.first; at; at = at->next) {
        bool *flag = slice_is(at->key, "required")  ? &d->required
                     : slice_is(at->key, "restart") ? &d->restart
                                                    : NULL;
        if (slice_is(at->key, "condition")) {
            if (!condition_of(at, &d->condition))
                return fail_condition(r, at);
        } else if (!flag) {
            return reader_fail(r, at->key_at,
                               "unknown key %s: a dependency has condition, required and "
                               "restart",
                               value_quote(r->arena, at->key));
        } else if (at->type != TOML_BOOL) {
            return reader_fail(r, at->at, "%s must be true or false, not %s", at->key.ptr,
                               reader_found(r, at));
        } else {
            *flag = at->boolean;
        }
    }
    return 0;
}

/* Whether the names are anybody's is seen when all programs are known. */
static int read_depends(const struct reader *r, const struct setting *s,
                        const struct toml_node *node, void *out)
{
    struct dependency_list *list = field_of(s, out);
    bool table = node->type == TOML_TABLE, one = node->type == TOML_STRING;
    if (!table && !one && node->type != TOML_ARRAY)
        return fail(r, s, node);
    *list = (struct dependency_list){
        .items = arena_alloc(r->arena, (one ? 1 : node->items.count) * sizeof(*list->items))};
    for (const struct toml_node *at = one ? node : node->items.first; at;
         at = one ? NULL : at->next) {
        struct dependency *d = &list->items[list->count++];
        *d = (struct dependency){.condition = DEPENDENCY_STARTED, .required = true};
        if (!table && (at->type != TOML_STRING || at->string.len == 0))
            return fail(r, s, at);
        d->name = table ? at->key.ptr : at->string.ptr;
        if (table && read_condition(r, at, d) < 0)
            return r->err->code;
    }
    return 0;
}

/* ----------------------------------------------------------------- health checks */

static void set_words(const struct reader *r, struct string_list *list,
                      const char *const *words, size_t count)
{
    *list = string_list_of(r->arena, words, count);
}

/* A string is a line for a shell, as is what follows "CMD-SHELL". */
static int read_test(const struct reader *r, const struct setting *s,
                     const struct toml_node *node, void *out)
{
    struct string_list *test = field_of(s, out);
    const struct toml_node *first = node->type == TOML_ARRAY ? node->items.first : node;
    if (!first || first->type != TOML_STRING || first->string.len == 0)
        return fail(r, s, node);
    bool none = slice_is(first->string, "NONE"), cmd = slice_is(first->string, "CMD");
    bool shell = node == first || slice_is(first->string, "CMD-SHELL");
    size_t count = node == first ? 1 : node->items.count;
    if (none && count == 1) {
        set_words(r, test, (const char *const[]){"NONE"}, 1);
        return 0;
    }
    const struct toml_node *at = node == first ? first : cmd || shell ? first->next : first;
    const char **words = arena_alloc(r->arena, (count + 2) * sizeof(*words));
    size_t n = 0;
    if (shell && node != first && (!at || at->next))
        return fail(r, s, node);
    for (; at; at = node == first ? NULL : at->next) {
        if (at->type != TOML_STRING)
            return fail(r, s, at);
        words[n++] = at->string.ptr;
    }
    if (n == 0)
        return fail(r, s, node);
    if (shell)
        set_words(r, test, (const char *const[]){"/bin/sh", "-c", words[0]}, 3);
    else
        set_words(r, test, words, n);
    return 0;
}

/* -------------------------------------------------------------------------- all */

int compose_read(const struct reader *r, const struct setting *s, const struct toml_node *node,
                 void *out)
{
    switch (s->type) {
    case SETTING_SCALE:
        return read_scale(r, s, node, out);
    case SETTING_PORT:
        return read_port(r, s, node, out);
    case SETTING_CPUS:
        return read_cpus(r, s, node, out);
    case SETTING_RESTART:
        return read_restart(r, s, node, out);
    case SETTING_SIGNAL:
        return read_signal(r, s, node, out);
    case SETTING_DEPENDS:
        return read_depends(r, s, node, out);
    case SETTING_TEST:
        return read_test(r, s, node, out);
    default:
        return err_set(r->err, -EINVAL, "%s is read elsewhere", s->key);
    }
}

const char *compose_wanted(const struct setting *s, struct arena *arena)
{
    char text[128];
    switch (s->type) {
    case SETTING_SCALE:
        snprintf(text, sizeof(text),
                 "a whole number %" PRIu64 "..%" PRIu64 ", or { min = 1, max = 8 }", s->min,
                 s->max);
        return arena_strdup(arena, slice_of(text));
    case SETTING_PORT:
        return "a port 1..65535, or \"auto\"";
    case SETTING_CPUS:
        return "a number of CPUs such as 2 or 0.5";
    case SETTING_RESTART:
        return "\"no\", \"always\", \"on-failure\", \"on-failure:3\" or \"unless-stopped\"";
    case SETTING_SIGNAL:
        return "the name of a signal such as \"SIGINT\"";
    case SETTING_DEPENDS:
        return "a list of names, or a table such as { db = { condition = \"service_healthy\" } "
               "}";
    case SETTING_TEST:
        return "a command for a shell, a list such as [\"CMD\", \"pg_isready\"], or \"NONE\"";
    default:
        return NULL;
    }
}
