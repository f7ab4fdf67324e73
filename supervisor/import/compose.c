#include "import/compose.h"

#include "base/utf8.h"
#include "config/dotenv.h"
#include "config/file.h"
#include "config/interpolate.h"
#include "import/measure.h"
#include "import/servicecommand.h"
#include "import/servicekeys.h"
#include "import/traefik.h"
#include "import/webfiles.h"

bool compose_is_file(const char *name)
{
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    return dot && dot > slash && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* ------------------------------------------------------------------- environment */

static bool names_a_host(struct slice key)
{
    static const char *const words[] = {"HOST", "SERVER", "ADDR", "ENDPOINT", "URL", "BROKER"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (memmem(key.ptr, key.len, words[i], strlen(words[i])))
            return true;
    return false;
}

/* DB_PORT beside DB_HOST, which names a service whose port is another one here. */
static struct slice paired_port(struct stack *s, const struct tree *env, const struct tree *at)
{
    struct slice key = at->key;
    if (key.len <= 4 || strcmp(key.ptr + key.len - 4, "PORT") != 0)
        return at->text;
    const struct tree *host =
        tree_get(env, text_format(&s->draft->arena, "%.*sHOST", (int)key.len - 4, key.ptr));
    const struct service *v = tree_is_text(host) ? stack_find(s, host->text) : NULL;
    if (v && v->port && service_runs(v) && stack_number(at->text) == v->target)
        return slice_of(v->port_text);
    return at->text;
}

static void add_entry(struct stack *s, struct string_list *env, const char *name,
                      struct slice value)
{
    text_list_add(&s->draft->arena, env,
                  text_format(&s->draft->arena, "%s=" SLICE_FMT, name, SLICE_ARG(value)));
}

/* What the image said, where the service does not say it. */
static void add_image_env(struct stack *s, const struct service *v, const struct tree *own,
                          struct string_list *env)
{
    struct arena *a = &s->draft->arena;
    for (size_t i = 0; v->run && i < v->run->env.count; i++) {
        const char *entry = v->run->env.items[i], *equals = strchr(entry, '=');
        struct slice name = {entry, (size_t)(equals - entry)};
        if (slice_is(name, "PATH"))
            draft_lost(s->draft, v->node,
                       "PATH of its image: set it, or call programs by their path");
        else if (!tree_find(own, name) && !(slice_is(name, "PORT") && v->port))
            add_entry(s, env, arena_strdup(a, name), text_literal(a, slice_of(equals + 1)));
    }
}

/* "NAME={port} ...", for an image's own checks. */
static void add_server_env(struct stack *s, const struct service *v, const struct tree *own,
                           struct string_list *env)
{
    struct string_list none = {0};
    const char *at = v->role == ROLE_SERVER && v->image->env ? v->image->env : "";
    while (*at) {
        struct slice word = {at, strcspn(at, " ")};
        size_t len = strcspn(at, "=");
        struct slice name = {at, len};
        const char *value = arena_strdup(&s->draft->arena, slice_from(word, len + 1));
        if (!tree_find(own, name))
            add_entry(s, env, arena_strdup(&s->draft->arena, name),
                      image_line(&s->draft->arena, value, v->port_text, "", &none));
        at += word.len + (at[word.len] != '\0');
    }
}

/* What an env_file says of containers by their names, said anew over it. */
static void add_from_file(struct stack *s, const struct tree *path, const struct tree *own,
                          struct string_list *env, bool *changed)
{
    struct arena *a = &s->draft->arena;
    struct buf text = {0};
    const char *name = path_join(a, path->source->dir, path->text.ptr);
    struct slice rest = {0};
    if (file_read(name, DOTENV_MAX_FILE, true, &text) == 0)
        rest = buf_slice(&text);
    while (rest.len) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        struct slice line = {rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len};
        rest = slice_from(rest, line.len + (end != NULL));
        line = slice_trim(line);
        const char *equals = line.len ? memchr(line.ptr, '=', line.len) : NULL;
        struct slice key = {line.ptr, equals ? (size_t)(equals - line.ptr) : 0};
        bool here = false;
        if (key.len == 0 || interpolate_name(key) != key.len || tree_find(own, key))
            continue;
        struct slice value = slice_trim(slice_from(line, key.len + 1));
        if (value.len > 1 && strchr("\"'", value.ptr[0]) &&
            value.ptr[value.len - 1] == value.ptr[0])
            value = (struct slice){value.ptr + 1, value.len - 2};
        value = stack_rewrite(s, value, names_a_host(key), &here);
        if (here && utf8_valid(value))
            add_entry(s, env, arena_strdup(a, key), value);
        *changed = *changed || here;
    }
    buf_deinit(&text);
}

static void add_from_files(struct stack *s, const struct service *v, const struct tree *own,
                           struct string_list *env, bool *changed)
{
    const struct tree *files = tree_get(v->node, "env_file");
    if (tree_is_text(files))
        add_from_file(s, files, own, env, changed);
    for (const struct tree *at = files && files->type == TREE_LIST ? files->first : NULL; at;
         at = at->next) {
        const struct tree *path = at->type == TREE_MAP ? tree_get(at, "path") : at;
        if (tree_is_text(path))
            add_from_file(s, path, own, env, changed);
    }
}

static void write_env(struct stack *s, const struct service *v)
{
    struct draft *d = s->draft;
    const struct tree *own = composefile_map(&d->arena, tree_get(v->node, "environment"));
    struct string_list env = {0};
    bool changed = false;
    bool moved = v->role == ROLE_PROGRAM && v->port && !v->replicas && v->port != v->target;
    add_image_env(s, v, own, &env);
    add_server_env(s, v, own, &env);
    add_from_files(s, v, own, &env, &changed);
    for (const struct tree *at = own ? own->first : NULL; at; at = at->next) {
        if (at->type != TREE_TEXT)
            draft_lost(d, at, "environment: %s is no text", at->key.ptr);
        else if (slice_is(at->key, "PORT") && v->role == ROLE_PROGRAM && v->port &&
                 stack_number(at->text) == v->target)
            moved = !v->replicas; /* the one below, or nodey's */
        else if (tree_is_null(at))
            draft_comment(d, "%s is what nodey's own environment has.", at->key.ptr);
        else
            add_entry(
                s, &env, at->key.ptr,
                stack_rewrite(s, paired_port(s, own, at), names_a_host(at->key), &changed));
    }
    if (moved)
        add_entry(s, &env, "PORT", slice_of(v->port_text));
    if (changed)
        draft_comment(d, "Names of containers became 127.0.0.1 in what follows.");
    draft_env(d, v->name, &env);
}

/* ----------------------------------------------------------------------- services */

static void write_port(struct stack *s, const struct service *v)
{
    struct draft *d = s->draft;
    const struct tree *replicas = tree_path(v->node, "deploy.replicas");
    const struct tree *scale = tree_get(v->node, "scale");
    const struct tree *said = replicas ? replicas : scale;
    if (v->replicas && v->port) {
        draft_line(d, "port = \"auto\"");
        draft_to_do(d, said,
                    "each of the instances of %s has a port of its own, and has to "
                    "listen on the variable PORT; who called it %s:%u has to ask "
                    "nodey, which shares out the requests",
                    v->name, v->name, v->target);
    } else if (v->port && stack_number(slice_of(v->port_text)) && v->port_text[0] != '$') {
        draft_line(d, "port = %u", v->port);
    } else if (v->port) {
        draft_string(d, "port", slice_of(v->port_text));
    }
    if (v->replicas)
        draft_line(d, "instances = %u", stack_number(said->text));
}

static void write_service(struct stack *s, const struct service *v)
{
    draft_section(s->draft, v->name);
    servicecommand_write(s, v);
    write_port(s, v);
    servicecommand_write_build(s, v);
    servicekeys_write_health(s, v);
    servicekeys_write(s, v);
    write_env(s, v);
}

/* Words of traefik's command that mean nothing here, or stand elsewhere now. */
static void write_front_command(struct stack *s, const struct service *v)
{
    static const char *const known[] = {"--providers.docker", "--api",     "--log",
                                        "--accesslog",        "--ping",    "--entrypoints.",
                                        "--entryPoints.",     "--global.", "--metrics"};
    const struct tree *command = tree_get(v->node, "command");
    if (!v->image || strcmp(v->image->program, "traefik") != 0 || !command ||
        command->type != TREE_LIST)
        return;
    for (const struct tree *at = command->first; at; at = at->next) {
        size_t n = 0;
        while (n < ARRAY_LEN(known) && !slice_starts(at->text, slice_of(known[n])))
            n++;
        if (n == ARRAY_LEN(known) || strstr(at->text.ptr, ".tls") ||
            strstr(at->text.ptr, "redirections"))
            draft_lost(s->draft, at, "traefik's %s%s", at->text.ptr,
                       strstr(at->text.ptr, "cert") || strstr(at->text.ptr, "tls")
                           ? " (nodey speaks HTTP only: keep something before it for TLS)"
                           : "");
    }
}

static const char *why_lost(struct draft *d, const struct service *v)
{
    if (v->context && !v->file)
        return text_format(&d->arena, "%s has no Dockerfile to read",
                           path_from(&d->arena, d->dir, v->context));
    if (v->context)
        return "its Dockerfile says no command";
    if (*v->reference)
        return text_format(&d->arena,
                           "the image %s is not known: install what is in it, and write "
                           "[services.%s] with its command",
                           v->reference, v->name);
    return "it has neither an image nor a build that could be read";
}

static void write_absent(struct stack *s, const struct service *v)
{
    struct draft *d = s->draft;
    buf_adds(&d->out, "\n");
    if (v->role == ROLE_LOST) {
        draft_lost(d, v->node, "the service %s: %s", v->name, why_lost(d, v));
    } else if (v->role == ROLE_FILES) {
        draft_comment(d, "%s: nodey serves its files itself, from %s, by a route below.",
                      v->name, path_from(&d->arena, d->dir, v->root));
        servicecommand_write_build(s, v);
        webfiles_write_lost(s, v);
    } else if (v->image->kind == IMAGE_WEB) {
        draft_comment(d, "%s (%s) is gone: nodey balances, routes and serves files by itself.",
                      v->name, v->reference);
        webfiles_write_lost(s, v);
    } else {
        draft_comment(d, "%s (%s) is gone: %s.", v->name, v->reference, v->image->packages);
    }
    write_front_command(s, v);
}

/* ------------------------------------------------------------------------- routes */

/* Which paths are its own is said nowhere, or in a file that is not understood. */
static void write_guess(struct stack *s, const struct service *v, const char *prefix,
                        const struct service *front)
{
    struct draft *d = s->draft;
    size_t begin = d->out.len;
    if (front) {
        buf_addc(&d->out, '\n');
        draft_to_do(d, v->node,
                    "write the routes to %s: which paths are its own, the configuration of %s "
                    "said",
                    v->name, front->name);
    }
    traefik_write_route(s, v, text_format(&d->arena, "%s/*", prefix),
                        v->role == ROLE_FILES || !*prefix ? NULL : prefix, NULL);
    if (front)
        draft_hide(d, begin);
}

static void write_plain_routes(struct stack *s)
{
    struct arena *a = &s->draft->arena;
    size_t webs = 0, files = 0;
    const struct service *front = NULL; /* whose own file says which paths are whose */
    for (size_t i = 0; i < s->count; i++) {
        struct service *v = &s->services[i];
        v->has_routes = traefik_routes_to(a, v);
        webs += v->is_web && !v->has_routes;
        files += v->role == ROLE_FILES && !v->has_routes;
        if (v->image && v->image->kind == IMAGE_WEB && webfiles_is_configured(s, v))
            front = v;
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct service *v = &s->services[i];
        const char *prefix = webs + files > 1 ? text_format(a, "/%s", v->name) : "";
        if (v->has_routes)
            continue;
        if (v->role == ROLE_FILES && files == 1)
            traefik_write_route(s, v, "/*", NULL, NULL);
        else if (v->role == ROLE_FILES || v->is_web)
            write_guess(s, v, prefix, front);
    }
}

/* --------------------------------------------------------------------------- head */

/* One that no program listens on. */
static unsigned free_port(const struct stack *s)
{
    unsigned port = 8000;
    for (size_t i = 0; i < s->count; i++)
        if (service_runs(&s->services[i]) && s->services[i].port == port) {
            port += 80;
            i = (size_t)-1;
        }
    return port;
}

static void write_log_sizes(struct stack *s)
{
    struct draft *d = s->draft;
    uint64_t most = 0, files = 0, n;
    for (size_t i = 0; i < s->count; i++) {
        const struct tree *options = tree_path(s->services[i].node, "logging.options");
        const struct tree *size = tree_get(options, "max-size");
        const struct tree *count = tree_get(options, "max-file");
        struct buf ignored = {0};
        if (tree_is_text(size) && measure_size(&ignored, size->text, &n))
            most = MAX(most, n);
        if (tree_is_text(count) && slice_to_u64(count->text, 1000, &n))
            files = MAX(files, n);
        buf_deinit(&ignored);
    }
    struct buf text = {0};
    if (most) {
        measure_size(
            &text,
            slice_of(text_format(&d->arena, "%llu", (unsigned long long)MAX(most, 64 << 10))),
            &n);
        draft_string(d, "log_max_size", buf_slice(&text));
    }
    if (files)
        draft_line(d, "log_max_files = %llu", (unsigned long long)files);
    buf_deinit(&text);
}

static void write_head(struct stack *s)
{
    struct draft *d = s->draft;
    const struct tree *name = tree_get(s->root, "name");
    if (tree_is_text(name))
        draft_comment(d, "The project was called %s.", name->text.ptr);
    buf_adds(&d->out, "\n[server]\n");
    if (s->listen) {
        draft_comment(d, "Where %s listened.", s->listen_who);
        draft_string(d, "listen", slice_of(s->listen));
    } else {
        draft_line(d, "listen = \"127.0.0.1:%u\"", free_port(s));
    }
    draft_comment(d,
                  "Only what stands here runs; without this line, what lies in workers/, too.");
    draft_line(d, "discover = false");
    write_log_sizes(s);
}

static void write_top_level(struct stack *s)
{
    static const char *const known[] = {"services", "version", "name", "include"};
    struct draft *d = s->draft;
    for (const struct tree *at = s->root->first; at; at = at->next) {
        size_t n = 0;
        while (n < ARRAY_LEN(known) && !slice_is(at->key, known[n]))
            n++;
        if (n < ARRAY_LEN(known) || slice_starts(at->key, SLICE("x-")))
            continue;
        if (slice_is(at->key, "secrets") || slice_is(at->key, "configs"))
            draft_comment(d, "%s: see the services that use them.", at->key.ptr);
        else if (slice_is(at->key, "networks") || slice_is(at->key, "volumes"))
            draft_comment(d,
                          "%s: all programs are on this machine and see its network and its "
                          "folders.",
                          at->key.ptr);
        else
            draft_lost(d, at, "%.60s: not known to nodey import", at->key.ptr);
    }
}

int compose_import(struct draft *d, const char *path, const char *shown)
{
    struct stack s = {.draft = d, .root = composefile_load(d, path, shown)};
    if (!s.root || stack_survey(&s) < 0)
        return -1;
    stack_assign_ports(&s);
    write_head(&s);
    write_top_level(&s);
    for (size_t i = 0; i < s.count; i++)
        if (service_runs(&s.services[i]))
            write_service(&s, &s.services[i]);
        else
            write_absent(&s, &s.services[i]);
    traefik_write(&s);
    write_plain_routes(&s);
    return 0;
}
