/* healthcheck: of a service, or of its image. */
#include <stdio.h>

#include "import/measure.h"
#include "import/servicecommand.h"
#include "import/servicekeys.h"

/* What the line asks of the service itself by curl or wget: its path; NULL: it does other
 * things. */
static const char *asked_path(struct stack *s, const struct service *v, const char *line)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "0.0.0.0", "[::1]"};
    const char *url = strstr(line, "http://"), *end, *other = strstr(line, "||");
    if (!url || !v->port || !(strstr(line, "curl") || strstr(line, "wget")))
        return NULL;
    other = other ? other + strspn(other, "| ") : "exit 1";
    size_t pipes = 0;
    for (const char *at = line; *at; at++)
        pipes += *at == '|' || *at == '&' || *at == ';';
    if (pipes > 2 || (pipes && strncmp(other, "exit 1", 6) != 0) || pipes == 1 ||
        strstr(line, "POST") || strstr(line, " -d "))
        return NULL;
    url += strlen("http://");
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(url, hosts[i], len) != 0)
            continue;
        end = url + len;
        size_t port = *end == ':' ? 1 + strcspn(end + 1, "/ \"'") : 0;
        struct slice number = {end + (port > 0), port ? port - 1 : 0};
        bool own =
            port ? stack_number(number) == v->target || number.ptr[0] == '$' : v->target == 80;
        struct slice path = {end + port, strcspn(end + port, " \"'|;")};
        if (own)
            return path.len && path.ptr[0] == '/' ? arena_strdup(&s->draft->arena, path) : "/";
    }
    return NULL;
}

static void add_member(struct buf *out, const char *key)
{
    buf_addf(out, "%s%s = ", out->len ? ", " : "", key);
}

/* The test, in the words of compose. */
static void add_test(struct stack *s, const struct service *v, const struct string_list *test,
                     struct buf *out)
{
    struct buf line = {0};
    struct string_list words = {0};
    for (size_t i = 1; i < test->count; i++)
        buf_addf(&line, "%s%s", i > 1 ? " " : "", test->items[i]);
    const char *path = asked_path(s, v, buf_cstr(&line));
    for (size_t i = 0; i < test->count; i++)
        text_list_add(&s->draft->arena, &words,
                      i ? servicecommand_word(s, v, slice_of(test->items[i])).ptr
                        : test->items[i]);
    add_member(out, path ? "path" : "test");
    if (path)
        text_add_toml(out, slice_of(path));
    else if (test->count == 1)
        text_add_toml(out, slice_of(test->items[0])); /* NONE */
    else
        text_add_list(out, &words);
    buf_deinit(&line);
}

static struct string_list test_of(struct stack *s, const struct tree *node)
{
    struct string_list test = {0};
    struct arena *a = &s->draft->arena;
    if (node->type == TREE_TEXT) {
        text_list_add(a, &test, "CMD-SHELL");
        text_list_add(a, &test, node->text.ptr);
    }
    for (const struct tree *at = node->type == TREE_LIST ? node->first : NULL; at;
         at = at->next)
        if (at->type == TREE_TEXT)
            text_list_add(a, &test, at->text.ptr);
    return test;
}

static const char *const durations[] = {"interval", "timeout", "start_period",
                                        "start_interval"};

static bool is_duration(struct slice key)
{
    for (size_t i = 0; i < ARRAY_LEN(durations); i++)
        if (slice_is(key, durations[i]))
            return true;
    return false;
}

/* One of interval, timeout, retries ...; false: it is none, or not understood. */
static bool add_option(struct slice key, struct slice value, struct buf *out)
{
    struct buf time = {0};
    uint64_t n;
    bool good = true, variable = memchr(value.ptr, '$', value.len);
    char name[32];
    snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(key));
    for (char *at = name; *at; at++)
        *at = *at == '-' ? '_' : *at; /* as Dockerfiles write it */
    if (is_duration(slice_of(name)) && (variable || measure_duration(&time, value))) {
        if (!slice_is(buf_slice(&time), "0")) {
            add_member(out, name);
            text_add_toml(out, variable ? value : buf_slice(&time));
        }
    } else if (strcmp(name, "retries") == 0 && slice_to_u64(value, 1000, &n)) {
        if (n) {
            add_member(out, name);
            buf_addu(out, n);
        }
    } else {
        good = false;
    }
    buf_deinit(&time);
    return good;
}

/* Of compose; what a healthcheck there does not say is said by the image. */
static void add_own(struct stack *s, const struct service *v, const struct tree *check,
                    struct buf *out)
{
    const struct tree *test = tree_get(check, "test");
    if (tree_is_true(tree_get(check, "disable"))) {
        add_member(out, "test");
        text_add_toml(out, SLICE("NONE"));
        return;
    }
    struct string_list words = {0};
    if (!tree_is_null(test))
        words = test_of(s, test);
    else if (v->run)
        words = v->run->health;
    if (words.count)
        add_test(s, v, &words, out);
    for (const struct tree *at = check->first; at; at = at->next)
        if (!slice_is(at->key, "test") && !slice_is(at->key, "disable") &&
            (!tree_is_text(at) || !add_option(at->key, at->text, out)))
            draft_lost(s->draft, at, "healthcheck: %.60s", at->key.ptr);
}

void servicekeys_write_health(struct stack *s, const struct service *v)
{
    const struct tree *check = tree_get(v->node, "healthcheck");
    struct buf out = {0};
    if (!tree_is_null(check)) {
        add_own(s, v, check, &out);
    } else if (v->run && v->run->health.count) {
        add_test(s, v, &v->run->health, &out);
        for (size_t i = 0; i < v->run->health_options.count; i++) {
            const char *option = v->run->health_options.items[i];
            struct slice key = {option, strcspn(option, "=")};
            if (option[key.len])
                add_option(key, slice_of(option + key.len + 1), &out);
        }
    }
    if (out.len)
        draft_line(s->draft, "healthcheck = { %s }", buf_cstr(&out));
    buf_deinit(&out);
}
