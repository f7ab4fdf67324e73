/*
 * fuzz_dotenv: any bytes as a .env.
 *
 * What is read has names that a program's environment can hold, and reads the same when
 * it is written out again between single quotes.
 */
#include <assert.h>

#include "base/buf.h"
#include "config/dotenv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(struct arena *arena, struct slice text, struct dotenv *env)
{
    struct err err = {0};
    struct journal journal = {.arena = arena};
    int code = dotenv_parse(arena, text, "x.env", true, &journal, env, &err);
    assert(code == 0 || (code < 0 && strncmp(err.text, "x.env:", 6) == 0));
    for (const char *at = err.text; *at; at++)
        assert((unsigned char)*at >= 0x20 && *at != 0x7f);
    journal_deinit(&journal);
    return code;
}

/* A carriage return at a line's end would be taken for part of the end. */
static bool can_be_quoted(const struct variable *v)
{
    return !strpbrk(v->value, "'\\\r");
}

static void check_again(struct arena *arena, const struct dotenv *env)
{
    struct buf text = {0};
    struct dotenv again = {0};
    size_t count = 0;
    for (size_t i = 0; i < env->count; i++) {
        const struct variable *v = &env->items[i];
        size_t len = strlen(v->entry);
        assert(v->name.len > 0 && v->name.ptr == v->entry && v->entry[v->name.len] == '=');
        assert(v->value == v->entry + v->name.len + 1 && len <= DOTENV_MAX_ENTRY);
        assert(strcspn(v->entry, "= \t\n\"'") == v->name.len);
        if (can_be_quoted(v))
            buf_addf(&text, SLICE_FMT "='%s'\n", SLICE_ARG(v->name), v->value);
    }
    assert(parse(arena, buf_slice(&text), &again) == 0);
    for (size_t i = 0; i < env->count; i++)
        if (can_be_quoted(&env->items[i]))
            assert(strcmp(again.items[count++].entry, env->items[i].entry) == 0);
    assert(again.count == count);
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct dotenv env = {0};
    if (parse(&arena, (struct slice){(const char *)data, size}, &env) == 0)
        check_again(&arena, &env);
    arena_deinit(&arena);
    return 0;
}
