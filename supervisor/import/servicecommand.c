#include "import/servicecommand.h"

#include <ctype.h>

#include "config/value.h"

/* "3000" where no digit is beside it. */
static struct slice replace_number(struct stack *s, const struct service *v, struct slice text)
{
    struct buf out = {0};
    char *number = text_format(&s->draft->arena, "%u", v->target);
    size_t len = strlen(number);
    for (size_t i = 0; i < text.len;) {
        bool before = i && (isalnum((unsigned char)text.ptr[i - 1]) || text.ptr[i - 1] == '.');
        bool same = text.len - i >= len && memcmp(text.ptr + i, number, len) == 0;
        bool after = same && i + len < text.len && isalnum((unsigned char)text.ptr[i + len]);
        if (same && !before && !after)
            buf_adds(&out, v->port_text);
        else
            buf_addc(&out, text.ptr[i]);
        i += same && !before && !after ? len : 1;
    }
    struct slice kept = {arena_strdup(&s->draft->arena, buf_slice(&out)), out.len};
    buf_deinit(&out);
    return kept;
}

struct slice servicecommand_word(struct stack *s, const struct service *v, struct slice word)
{
    bool changed = false;
    word = stack_rewrite(s, word, false, &changed);
    if (v->port && v->port != v->target && !changed)
        word = replace_number(s, v, word);
    return word;
}

/* ------------------------------------------------------------------------- pieces */

/* A file that was copied to where programs are looked for. */
static const char *copied_file(struct stack *s, const struct service *v, const char *word)
{
    struct arena *a = &s->draft->arena;
    const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;
    for (size_t i = 0; v->run && v->context && i < v->run->copy_count; i++) {
        const struct docker_copy *copy = &v->run->copies[i];
        const char *last = strrchr(copy->source, '/');
        if (copy->from || strcmp(last ? last + 1 : copy->source, name) != 0)
            continue;
        const char *inside = text_format(a, "%s/%s", copy->target, name);
        bool found = slash ? strcmp(copy->target, word) == 0 || strcmp(inside, word) == 0
                           : strstr(copy->target, "/bin") != NULL;
        const char *path = path_join(a, v->context, copy->source);
        if (found && path_exists(path) && !path_is_folder(path))
            return path;
    }
    return NULL;
}

/* A word that is a path in the container, as it is called here. */
static struct slice local_word(struct stack *s, const struct service *v, struct slice word)
{
    struct arena *a = &s->draft->arena;
    const char *path =
        word.ptr[0] == '/' ? service_path(s, v, path_join(a, "/", word.ptr)) : NULL;
    if (!path || !path_exists(path))
        path = copied_file(s, v, word.ptr);
    if (!path || !v->cwd)
        return word;
    const char *from = path_from(a, v->cwd, path);
    return slice_of(strchr(from, '/') ? from : text_format(a, "./%s", from));
}

static void add_words(struct stack *s, const struct service *v, struct string_list *argv,
                      const struct string_list *words, bool literal)
{
    struct arena *a = &s->draft->arena;
    for (size_t i = 0; i < words->count; i++) {
        struct slice word = slice_of(words->items[i]);
        word = local_word(s, v, word);
        if (literal)
            word = text_literal(a, word);
        text_list_add(a, argv, servicecommand_word(s, v, word).ptr);
    }
}

static struct string_list words_of(struct stack *s, const struct tree *node)
{
    struct string_list list = {0};
    struct arena *a = &s->draft->arena;
    if (node->type == TREE_LIST) {
        for (const struct tree *at = node->first; at; at = at->next)
            if (at->type == TREE_TEXT)
                text_list_add(a, &list, at->text.ptr);
    } else if (node->type == TREE_TEXT && value_words(node->text, a, &list)) {
        list = (struct string_list){0};
        text_list_add(a, &list, node->text.ptr);
    }
    return list;
}

/* As docker puts it together: the entrypoint, and behind it the command. */
static struct string_list whole_command(struct stack *s, const struct service *v)
{
    const struct tree *entrypoint = tree_get(v->node, "entrypoint");
    const struct tree *command = tree_get(v->node, "command");
    struct string_list argv = {0}, words;
    bool own = !tree_is_null(entrypoint), said = !tree_is_null(command);
    if (own) {
        words = words_of(s, entrypoint);
        add_words(s, v, &argv, &words, false);
    } else if (v->run && v->role == ROLE_PROGRAM) {
        add_words(s, v, &argv, &v->run->entrypoint, true);
    }
    if (said) {
        words = words_of(s, command);
        add_words(s, v, &argv, &words, false);
    } else if (v->run && !own) {
        add_words(s, v, &argv, &v->run->command, true);
    }
    return argv;
}

/* -------------------------------------------------------------------------- servers */

/* The arguments behind the image's own program, if the command begins with it or has none. */
static struct string_list server_args(const struct service *v, struct string_list argv)
{
    const char *first = argv.count ? argv.items[0] : "";
    const char *slash = strrchr(first, '/');
    if (strcmp(slash ? slash + 1 : first, v->image->program) == 0) {
        argv.items++;
        argv.count--;
    }
    return argv;
}

static void write_server(struct stack *s, const struct service *v)
{
    struct draft *d = s->draft;
    const char *data = text_format(&d->arena, "data/%s", v->name);
    struct string_list args = server_args(v, whole_command(s, v)), argv = {0};
    bool is_shell =
        args.count && (strcmp(args.items[0], "sh") == 0 || strcmp(args.items[0], "bash") == 0 ||
                       strcmp(args.items[0], "/bin/sh") == 0);
    draft_to_do(d, v->node, "%s is the distribution's: apt-get install %s", v->name,
                v->image->packages);
    if (v->image->user)
        draft_to_do(d, v->node,
                    "where nodey runs as root, %s needs user = \"%s\", who must own %s",
                    v->name, v->image->user, data);
    if (is_shell) {
        draft_to_do(d, v->node,
                    "%s is begun by a command of its own: see that its port is %u "
                    "and its folders are of this machine",
                    v->name, v->port);
        draft_list(d, "command", &args);
        return;
    }
    text_list_add(&d->arena, &argv, "/bin/sh");
    text_list_add(&d->arena, &argv, "-c");
    text_list_add(&d->arena, &argv,
                  image_line(&d->arena, v->image->line, v->port_text, data, &args).ptr);
    draft_list(d, "command", &argv);
}

/* ------------------------------------------------------------------------- programs */

static bool installs_by_pip(const struct service *v)
{
    for (size_t i = 0; v->run && i < v->run->runs.count; i++)
        if (strstr(v->run->runs.items[i], "pip install") ||
            strstr(v->run->runs.items[i], "pip3 install"))
            return true;
    return false;
}

static bool is_of_the_machine(struct slice program)
{
    static const char *const names[] = {"sh",   "bash", "env", "exec", "cd", "export",
                                        "node", "npm",  "npx", "make", "set"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_is(program, names[i]))
            return true;
    return false;
}

/*
 * The line with its program as it is called here.  Debian's pip installs into a virtual
 * environment only, whose programs are in no PATH; and it calls its Python python3.
 */
static struct slice local_program(struct stack *s, const struct service *v, struct slice line)
{
    struct arena *a = &s->draft->arena;
    size_t len = 0;
    while (len < line.len &&
           (isalnum((unsigned char)line.ptr[len]) || strchr("_-.", line.ptr[len])))
        len++;
    struct slice program = {line.ptr, len}, rest = slice_from(line, len);
    if (len == 0 || (rest.len && rest.ptr[0] != ' ') || is_of_the_machine(program))
        return line;
    bool is_venv = v->cwd && path_exists(path_join(a, v->cwd, ".venv/bin"));
    if (is_venv || installs_by_pip(v))
        return slice_of(text_format(a, ".venv/bin/" SLICE_FMT, SLICE_ARG(line)));
    if (slice_is(program, "python"))
        return slice_of(text_format(a, "python3" SLICE_FMT, SLICE_ARG(rest)));
    return line;
}

/* A shell's line begins with a program, too. */
static void find_program(struct stack *s, const struct service *v, struct string_list *argv)
{
    const char *first = argv->count ? argv->items[0] : "";
    bool is_shell = argv->count == 3 && strcmp(argv->items[1], "-c") == 0 &&
                    (strcmp(first, "/bin/sh") == 0 || strcmp(first, "sh") == 0);
    size_t which = is_shell ? 2 : 0;
    if (argv->count)
        argv->items[which] = (char *)local_program(s, v, slice_of(argv->items[which])).ptr;
}

/* What containers have and nobody else needs stands in such scripts, more often than not. */
static void warn_of_entrypoint(struct draft *d, const struct service *v, const char *first)
{
    const char *slash = strrchr(first, '/'), *name = slash ? slash + 1 : first;
    if (strstr(name, "entrypoint"))
        draft_to_do(d, v->node,
                    "%s is begun by %s, which was written for a container: see that it does "
                    "nothing that only makes sense there, or leave it out",
                    v->name, first);
}

static bool mentions(const struct string_list *argv, const char *text)
{
    for (size_t i = 0; i < argv->count; i++)
        if (strstr(argv->items[i], text))
            return true;
    return false;
}

static void write_program(struct stack *s, const struct service *v)
{
    struct draft *d = s->draft;
    const struct tree *command = tree_get(v->node, "command");
    struct string_list argv = whole_command(s, v);
    bool alone =
        tree_is_null(tree_get(v->node, "entrypoint")) && !(v->run && v->run->entrypoint.count);
    bool moved = v->port && v->port != v->target;
    find_program(s, v, &argv);
    if (tree_is_text(command) && alone)
        draft_string(d, "command",
                     local_program(s, v, servicecommand_word(s, v, command->text)));
    else
        draft_list(d, "command", &argv);
    warn_of_entrypoint(d, v, argv.count ? argv.items[0] : "");
    bool elsewhere = v->cwd && strcmp(v->cwd, d->dir) != 0;
    if (elsewhere && path_is_folder(v->cwd))
        draft_string(d, "cwd", slice_of(path_from(&d->arena, d->dir, v->cwd)));
    else if (elsewhere)
        draft_lost(d, v->node, "its folder %s is not here: set cwd",
                   path_from(&d->arena, d->dir, v->cwd));
    if (moved && !v->replicas && !mentions(&argv, v->port_text))
        draft_to_do(d, v->ports ? v->ports : v->node,
                    "%s listened on %u in its container, and has to listen on %s here: it is "
                    "told so by the variable PORT",
                    v->name, v->target, v->port_text);
}

void servicecommand_write(struct stack *s, const struct service *v)
{
    if (v->role == ROLE_SERVER)
        write_server(s, v);
    else
        write_program(s, v);
}

/* ---------------------------------------------------------------------------- build */

static void write_runs(struct stack *s, const struct service *v,
                       const struct docker_stage *stage)
{
    struct draft *d = s->draft;
    struct buf all = {0};
    for (size_t i = 0; i < stage->runs.count; i++)
        buf_addf(&all, "%s%s", i ? "; " : "", stage->runs.items[i]);
    if (all.len)
        draft_to_do(d, v->node, "once, in %s, what building its image did: %s%s",
                    v->context ? path_from(&d->arena, d->dir, v->context) : ".", buf_cstr(&all),
                    strstr(buf_cstr(&all), "pip install")
                        ? " (first: python3 -m venv .venv; and .venv/bin/pip instead of pip)"
                        : "");
    buf_deinit(&all);
}

void servicecommand_write_build(struct stack *s, const struct service *v)
{
    struct draft *d = s->draft;
    if (!v->run)
        return;
    if (v->role == ROLE_FILES) {
        for (size_t i = 0; i < v->file->count; i++)
            write_runs(s, v, &v->file->stages[i]);
        return;
    }
    write_runs(s, v, v->run);
    for (size_t i = 0; i < v->run->copy_count; i++)
        if (v->run->copies[i].from)
            draft_to_do(d, v->node,
                        "%s comes from the stage %s of its Dockerfile: build it here",
                        v->run->copies[i].source, v->run->copies[i].from);
    for (size_t i = 0; i < v->run->lost.count; i++)
        draft_lost(d, v->node, "its Dockerfile: %s", v->run->lost.items[i]);
    if (v->run->user && tree_is_null(tree_get(v->node, "user")) &&
        strcmp(v->run->user, "root") != 0) {
        draft_to_do(d, v->node,
                    "its image ran it as user %s: where nodey runs as root, make "
                    "sure that user is there, and take the # away",
                    v->run->user);
        buf_adds(&d->out, "# ");
        draft_string(d, "user", (struct slice){v->run->user, strcspn(v->run->user, ":")});
    }
    if (v->run->stop_signal && tree_is_null(tree_get(v->node, "stop_signal")))
        draft_string(d, "stop_signal", slice_of(v->run->stop_signal));
}
