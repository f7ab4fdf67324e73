#include "import/dockerfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "config/file.h"
#include "config/value.h"
#include "import/yaml.h"

struct reading {
    struct arena *arena;
    struct dockerfile *file;
    struct docker_stage *stage; /* NULL: before the first FROM */
    struct string_list vars;    /* ARG and ENV so far */
    const struct string_list *args;
};

static const char *keep(struct reading *r, struct slice text)
{
    return arena_strdup(r->arena, text);
}

static const char *expand(struct reading *r, struct slice text)
{
    return text_expand(r->arena, text, &r->vars).ptr;
}

/* All that ends a word, not blanks and tabs alone: else one would never get past the rest. */
static void skip_blanks(struct slice *text)
{
    while (text->len && isspace((unsigned char)text->ptr[0]))
        *text = slice_from(*text, 1);
}

/* Takes the next word off, without quotes. */
static struct slice take_word(struct slice *text)
{
    skip_blanks(text);
    size_t len = 0;
    while (len < text->len && !isspace((unsigned char)text->ptr[len]))
        len++;
    struct slice word = {text->ptr, len};
    *text = slice_from(*text, len);
    skip_blanks(text);
    return word;
}

/* "--from=build --chown=app", taken off the front. */
static const char *take_flags(struct reading *r, struct slice *text, struct string_list *flags)
{
    const char *from = NULL;
    while (slice_starts(*text, SLICE("--"))) {
        struct slice flag = take_word(text);
        if (slice_starts(flag, SLICE("--from=")))
            from = expand(r, slice_from(flag, strlen("--from=")));
        else if (flags)
            text_list_add(r->arena, flags, keep(r, slice_from(flag, 2)));
    }
    return from;
}

/* ["a", "b"]; false: it is no list of JSON. */
static bool read_exec(struct reading *r, struct slice text, struct string_list *out)
{
    struct err ignored;
    const struct source source = {"", "", true};
    struct string_list list = {0};
    if (text.len == 0 || text.ptr[0] != '[')
        return false;
    const struct tree *tree = tree_parse(r->arena, text, &source, NULL, &ignored);
    if (!tree || tree->type != TREE_LIST)
        return false;
    for (const struct tree *at = tree->first; at; at = at->next) {
        if (at->type != TREE_TEXT || at->plain)
            return false;
        text_list_add(r->arena, &list, at->text.ptr);
    }
    *out = list;
    return true;
}

static void read_command(struct reading *r, struct slice text, struct string_list *out)
{
    if (read_exec(r, text, out))
        return;
    *out = (struct string_list){0};
    text_list_add(r->arena, out, "/bin/sh");
    text_list_add(r->arena, out, "-c");
    text_list_add(r->arena, out, keep(r, text));
}

static void read_from(struct reading *r, struct slice text)
{
    struct dockerfile *file = r->file;
    take_flags(r, &text, NULL);
    const char *base = expand(r, take_word(&text));
    bool named = slice_eq_nocase(take_word(&text), SLICE("AS"));
    if (file->count == DOCKERFILE_MAX_STAGES)
        return;
    const struct docker_stage *parent = dockerfile_stage(file, base);
    r->stage = &file->stages[file->count++];
    *r->stage = parent ? *parent : (struct docker_stage){.workdir = "/", .base = base};
    r->stage->name = named ? keep(r, take_word(&text)) : "";
    for (size_t i = 0; parent && i < parent->env.count; i++)
        text_list_add(r->arena, &r->vars, parent->env.items[i]);
}

/* NAME=value NAME="a b", or NAME and all that follows. */
static void read_env(struct reading *r, struct slice text)
{
    struct string_list words;
    struct slice all = text, name = take_word(&text);
    if (!memchr(name.ptr, '=', name.len)) {
        const char *entry =
            text_format(r->arena, SLICE_FMT "=%s", SLICE_ARG(name), expand(r, text));
        text_list_add(r->arena, &r->stage->env, entry);
        text_list_add(r->arena, &r->vars, entry);
        return;
    }
    if (value_words(all, r->arena, &words))
        return;
    for (size_t i = 0; i < words.count; i++)
        if (strchr(words.items[i], '=')) {
            const char *entry = expand(r, slice_of(words.items[i]));
            text_list_add(r->arena, &r->stage->env, entry);
            text_list_add(r->arena, &r->vars, entry);
        }
}

static void read_arg(struct reading *r, struct slice text)
{
    struct string_list words;
    if (value_words(text, r->arena, &words))
        return;
    for (size_t i = 0; i < words.count; i++) {
        struct slice name = {words.items[i], strcspn(words.items[i], "=")};
        const char *given = r->args ? text_variable(r->args, name) : NULL;
        if (given)
            text_list_add(r->arena, &r->vars,
                          text_format(r->arena, SLICE_FMT "=%s", SLICE_ARG(name), given));
        else if (words.items[i][name.len])
            text_list_add(r->arena, &r->vars, expand(r, slice_of(words.items[i])));
    }
}

static void add_copy(struct reading *r, const char *from, const char *source,
                     const char *target)
{
    struct docker_stage *s = r->stage;
    struct docker_copy *all = arena_alloc(r->arena, (s->copy_count + 1) * sizeof(*all));
    if (s->copy_count)
        memcpy(all, s->copies, s->copy_count * sizeof(*all));
    all[s->copy_count++] = (struct docker_copy){
        .from = from,
        .source = source,
        .target = path_join(r->arena, s->workdir, target),
        .is_folder_copy = !strpbrk(source, "*?"),
    };
    s->copies = all;
}

static void read_copy(struct reading *r, struct slice text)
{
    struct string_list words = {0};
    const char *from = take_flags(r, &text, NULL);
    if (!read_exec(r, text, &words))
        while (text.len)
            text_list_add(r->arena, &words, keep(r, take_word(&text)));
    for (size_t i = 0; i + 1 < words.count; i++)
        add_copy(r, from, expand(r, slice_of(words.items[i])),
                 expand(r, slice_of(words.items[words.count - 1])));
}

static void read_health(struct reading *r, struct slice text)
{
    struct docker_stage *s = r->stage;
    s->health = s->health_options = (struct string_list){0};
    take_flags(r, &text, &s->health_options);
    struct slice word = take_word(&text);
    struct string_list argv = {0};
    if (slice_eq_nocase(word, SLICE("NONE"))) {
        text_list_add(r->arena, &s->health, "NONE");
    } else if (read_exec(r, text, &argv)) {
        text_list_add(r->arena, &s->health, "CMD");
        for (size_t i = 0; i < argv.count; i++)
            text_list_add(r->arena, &s->health, argv.items[i]);
    } else {
        text_list_add(r->arena, &s->health, "CMD-SHELL");
        text_list_add(r->arena, &s->health, keep(r, text));
    }
}

static void read_expose(struct reading *r, struct slice text)
{
    while (text.len)
        text_list_add(r->arena, &r->stage->expose, expand(r, take_word(&text)));
}

static void read_run(struct reading *r, struct slice text)
{
    take_flags(r, &text, NULL);
    const char *lines =
        slice_starts(text, SLICE("<<")) ? memmem(text.ptr, text.len, "; ", 2) : NULL;
    if (lines)
        text = slice_from(text, (size_t)(lines - text.ptr) + 2);
    text_list_add(r->arena, &r->stage->runs, keep(r, text));
}

static void read_instruction(struct reading *r, struct slice line)
{
    struct slice text = line, word = take_word(&text);
    struct docker_stage *s = r->stage;
    if (slice_eq_nocase(word, SLICE("FROM")))
        read_from(r, text);
    else if (slice_eq_nocase(word, SLICE("ARG")))
        read_arg(r, text);
    else if (!s)
        return;
    else if (slice_eq_nocase(word, SLICE("WORKDIR")))
        s->workdir = path_join(r->arena, s->workdir, expand(r, text));
    else if (slice_eq_nocase(word, SLICE("ENV")))
        read_env(r, text);
    else if (slice_eq_nocase(word, SLICE("CMD")))
        read_command(r, text, &s->command);
    else if (slice_eq_nocase(word, SLICE("ENTRYPOINT"))) {
        read_command(r, text, &s->entrypoint);
        s->command = (struct string_list){0};
    } else if (slice_eq_nocase(word, SLICE("COPY")) || slice_eq_nocase(word, SLICE("ADD")))
        read_copy(r, text);
    else if (slice_eq_nocase(word, SLICE("EXPOSE")))
        read_expose(r, text);
    else if (slice_eq_nocase(word, SLICE("USER")))
        s->user = expand(r, text);
    else if (slice_eq_nocase(word, SLICE("STOPSIGNAL")))
        s->stop_signal = expand(r, text);
    else if (slice_eq_nocase(word, SLICE("HEALTHCHECK")))
        read_health(r, text);
    else if (slice_eq_nocase(word, SLICE("RUN")))
        read_run(r, text);
    else if (!slice_eq_nocase(word, SLICE("LABEL")) &&
             !slice_eq_nocase(word, SLICE("MAINTAINER")) &&
             !slice_eq_nocase(word, SLICE("VOLUME")))
        text_list_add(r->arena, &s->lost, keep(r, line));
}

/* ------------------------------------------------------------------------ lines */

static struct slice take_line(struct slice *text)
{
    const char *end = memchr(text->ptr, '\n', text->len);
    struct slice line = {text->ptr, end ? (size_t)(end - text->ptr) : text->len};
    *text = slice_from(*text, line.len + (end != NULL));
    while (line.len && isspace((unsigned char)line.ptr[line.len - 1]))
        line.len--;
    while (line.len && isspace((unsigned char)line.ptr[0]))
        line = slice_from(line, 1);
    return line;
}

/* The word that ends a text which follows the instruction: RUN <<EOF. */
static struct slice heredoc_end(struct reading *r, struct slice line)
{
    const char *at = memmem(line.ptr, line.len, "<<", 2);
    if (!at || !(slice_starts(line, SLICE("RUN")) || slice_starts(line, SLICE("COPY"))))
        return (struct slice){0};
    struct slice word = slice_from(line, (size_t)(at - line.ptr) + 2);
    while (word.len && strchr("-\"'", word.ptr[0]))
        word = slice_from(word, 1);
    size_t len = 0;
    while (len < word.len && isalnum((unsigned char)word.ptr[len]))
        len++;
    return (struct slice){keep(r, (struct slice){word.ptr, len}), len};
}

static void read_lines(struct reading *r, struct slice text)
{
    struct buf whole = {0};
    while (text.len) {
        struct slice line = take_line(&text);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        bool goes_on = line.ptr[line.len - 1] == '\\';
        buf_append(&whole, line.ptr, line.len - goes_on);
        if (goes_on && text.len) {
            buf_addc(&whole, ' ');
            continue;
        }
        struct slice end = heredoc_end(r, buf_slice(&whole));
        while (end.len && text.len) {
            line = take_line(&text);
            if (slice_eq(line, end))
                break;
            buf_adds(&whole, "; ");
            buf_add(&whole, line);
        }
        read_instruction(r, (struct slice){keep(r, buf_slice(&whole)), whole.len});
        buf_clear(&whole);
    }
    buf_deinit(&whole);
}

const struct docker_stage *dockerfile_stage(const struct dockerfile *file, const char *name)
{
    uint64_t number;
    if (slice_to_u64(slice_of(name), DOCKERFILE_MAX_STAGES, &number))
        return number < file->count ? &file->stages[number] : NULL;
    for (size_t i = file->count; i-- > 0;)
        if (*name && slice_eq_nocase(slice_of(file->stages[i].name), slice_of(name)))
            return &file->stages[i];
    return NULL;
}

int dockerfile_read(struct arena *a, const char *path, const char *shown,
                    const struct string_list *args, const char *target, struct dockerfile *out,
                    struct err *err)
{
    struct buf text = {0};
    struct reading r = {.arena = a, .file = out, .args = args};

    *out = (struct dockerfile){0};
    int code = file_read(path, DOCKERFILE_MAX_FILE, true, &text);
    if (code < 0)
        err_set(err, code, "%s: %s", shown, strerror(-code));
    else if (text.len > DOCKERFILE_MAX_FILE)
        code =
            err_set(err, -E2BIG, "%s: larger than %d KiB", shown, DOCKERFILE_MAX_FILE / 1024);
    else
        read_lines(&r, buf_slice(&text));
    buf_deinit(&text);
    if (code < 0)
        return code;
    if (out->count == 0)
        return err_set(err, -EINVAL, "%s: it has no FROM", shown);
    out->last = target ? dockerfile_stage(out, target) : &out->stages[out->count - 1];
    if (!out->last)
        return err_set(err, -EINVAL, "%s: it has no stage \"%s\"", shown, target);
    return 0;
}
