/* What is to be found out about the services of a stack before anything is written. */
#include <errno.h>

#include "import/stack.h"
#include "import/webfiles.h"

const char *stack_mounted(struct stack *s, const struct service *v, const char *path)
{
    struct arena *a = &s->draft->arena;
    const struct tree *volumes = tree_get(v->node, "volumes");
    for (const struct tree *at = volumes ? volumes->first : NULL; at; at = at->next) {
        const struct tree *from = tree_get(at, "source"), *to = tree_get(at, "target");
        const char *parts[3] = {0}, *rest;
        size_t count = at->type == TREE_TEXT ? stack_split(a, at->text, parts, 3) : 0;
        const char *source = count > 1 ? parts[0] : tree_is_text(from) ? from->text.ptr : NULL;
        const char *target = count > 1 ? parts[1] : tree_is_text(to) ? to->text.ptr : NULL;
        bool is_path = source && (source[0] == '.' || source[0] == '/');
        if (is_path && target && (rest = path_below(path_join(a, "/", target), path)))
            return path_join(a, path_join(a, at->source->dir, source), rest);
    }
    return NULL;
}

const char *service_path(struct stack *s, const struct service *v, const char *path)
{
    struct arena *a = &s->draft->arena;
    const char *found = stack_mounted(s, v, path), *rest;
    if (found || !v->run || !v->context)
        return found;
    for (size_t i = v->run->copy_count; i-- > 0;) {
        const struct docker_copy *copy = &v->run->copies[i];
        const char *source =
            path_join(a, v->context, copy->source[0] == '/' ? copy->source + 1 : copy->source);
        rest = path_below(copy->target, path);
        if (rest && !copy->from && copy->is_folder_copy && path_is_folder(source))
            return path_join(a, source, rest);
    }
    rest = path_below(v->run->workdir, path);
    return rest && strcmp(v->run->workdir, "/") != 0 ? path_join(a, v->context, rest) : NULL;
}

/* -------------------------------------------------------------------------- build */

static void add_args(struct arena *a, const struct tree *build, struct string_list *args)
{
    const struct tree *map = composefile_map(a, tree_get(build, "args"));
    for (const struct tree *at = map ? map->first : NULL; at; at = at->next)
        if (tree_is_text(at))
            text_list_add(a, args,
                          text_format(a, "%s=" SLICE_FMT, at->key.ptr, SLICE_ARG(at->text)));
}

static int survey_build(struct stack *s, struct service *v, const struct tree *build)
{
    struct draft *d = s->draft;
    struct string_list args = {0};
    struct err err;
    const struct tree *context = build->type == TREE_MAP ? tree_get(build, "context") : build;
    const struct tree *name = tree_get(build, "dockerfile"),
                      *target = tree_get(build, "target");
    const char *where = tree_is_text(context) ? context->text.ptr : ".";
    if (strstr(where, "://") || strncmp(where, "git@", 4) == 0)
        return 0;
    v->context = path_join(&d->arena, (context ? context : build)->source->dir, where);
    const char *path =
        path_join(&d->arena, v->context, tree_is_text(name) ? name->text.ptr : "Dockerfile");
    struct dockerfile *file = arena_alloc(&d->arena, sizeof(*file));
    add_args(&d->arena, build, &args);
    int code = dockerfile_read(&d->arena, path, path_from(&d->arena, d->dir, path), &args,
                               tree_is_text(target) ? target->text.ptr : NULL, file, &err);
    if (code == -ENOENT || code == -ENOTDIR)
        return 0;
    if (code < 0)
        return tree_fail(build, d->err, "%s", err.text);
    v->file = file;
    v->run = file->last;
    return 0;
}

/* -------------------------------------------------------------------------- roles */

static bool has_command(const struct service *v)
{
    return !tree_is_null(tree_get(v->node, "command")) ||
           !tree_is_null(tree_get(v->node, "entrypoint")) ||
           (v->run && (v->run->command.count || v->run->entrypoint.count));
}

static void survey_role(struct stack *s, struct service *v)
{
    enum image_kind kind = v->image ? v->image->kind : IMAGE_UNKNOWN;
    bool own = v->context != NULL;
    if (kind == IMAGE_REPLACED && !own)
        v->role = ROLE_REPLACED;
    else if (kind == IMAGE_WEB) {
        webfiles_find(s, v);
        v->role = v->root ? ROLE_FILES : ROLE_REPLACED;
    } else if (kind == IMAGE_SERVER)
        v->role = ROLE_SERVER; /* built on it, it is one still */
    else if ((own || kind == IMAGE_RUNTIME) && has_command(v))
        v->role = ROLE_PROGRAM;
    else
        v->role = ROLE_LOST;
}

/* Where it runs here. */
static void survey_folder(struct stack *s, struct service *v)
{
    const struct tree *dir = tree_get(v->node, "working_dir");
    v->inner = tree_is_text(dir) ? dir->text.ptr : v->run ? v->run->workdir : "/";
    if (v->role != ROLE_PROGRAM)
        return;
    v->cwd = service_path(s, v, path_join(&s->draft->arena, "/", v->inner));
    if (!v->cwd)
        v->cwd = v->context;
}

static unsigned first_number(const struct tree *list)
{
    struct published p = {0};
    for (const struct tree *at = list ? list->first : NULL; at; at = at->next)
        if (at->type == TREE_TEXT &&
            (p.target = stack_number((struct slice){at->text.ptr, strcspn(at->text.ptr, "/")})))
            return p.target;
    return 0;
}

/* "traefik.http.services.NAME.loadbalancer.server.port" */
static unsigned label_port(struct arena *a, const struct service *v)
{
    const struct tree *labels = composefile_map(a, tree_get(v->node, "labels"));
    for (const struct tree *at = labels ? labels->first : NULL; at; at = at->next) {
        const char *end = strstr(at->key.ptr, ".loadbalancer.server.port");
        if (strncmp(at->key.ptr, "traefik.http.services.", 22) == 0 && end && tree_is_text(at))
            return stack_number(at->text);
    }
    return 0;
}

static void survey_ports(struct stack *s, struct service *v)
{
    struct arena *a = &s->draft->arena;
    const struct tree *ports = tree_get(v->node, "ports");
    const struct tree *env = composefile_map(a, tree_get(v->node, "environment"));
    const struct tree *said = tree_get(env, "PORT");
    for (const struct tree *at = ports ? ports->first : NULL; at && !v->ports; at = at->next) {
        struct published p = stack_port(a, at);
        bool own = v->role != ROLE_SERVER || p.target == v->image->port;
        if (p.udp || !p.target || !own)
            continue;
        v->ports = at;
        v->target = p.target;
        v->published = p.published;
        v->published_text = p.published_text;
    }
    if (!v->target)
        v->target = label_port(a, v);
    if (!v->target)
        v->target = first_number(tree_get(v->node, "expose"));
    if (!v->target && tree_is_text(said))
        v->target = stack_number(said->text);
    /* What an image exposes is of its own command, and not of another one's. */
    bool other = !tree_is_null(tree_get(v->node, "command"));
    for (size_t i = 0; !other && !v->target && v->run && i < v->run->expose.count; i++) {
        const char *text = v->run->expose.items[i];
        v->target = stack_number((struct slice){text, strcspn(text, "/")});
    }
    if (v->role == ROLE_SERVER && v->image)
        v->target = v->image->port;
    v->is_web = v->role == ROLE_PROGRAM && v->target && v->ports;
}

static void survey_scale(struct service *v)
{
    const struct tree *replicas = tree_path(v->node, "deploy.replicas");
    const struct tree *scale = tree_get(v->node, "scale");
    const struct tree *said = replicas ? replicas : scale;
    v->replicas = tree_is_text(said) && stack_number(said->text) > 1;
}

/* What stood in front tells where nodey listens now. */
static void survey_front(struct stack *s, const struct service *v)
{
    struct arena *a = &s->draft->arena;
    bool front = v->role == ROLE_FILES || v->role == ROLE_REPLACED;
    bool router = v->image && v->role == ROLE_REPLACED &&
                  (v->image->kind == IMAGE_WEB || strcmp(v->image->program, "traefik") == 0 ||
                   strcmp(v->image->program, "haproxy") == 0);
    if (!front || (!router && v->role != ROLE_FILES) || (s->listen && !router))
        return;
    const struct tree *ports = tree_get(v->node, "ports");
    for (const struct tree *at = ports ? ports->first : NULL; at; at = at->next) {
        struct published p = stack_port(a, at);
        if (!p.published || p.udp || p.target == 443 || p.published == 443)
            continue;
        s->listen = text_format(a, "0.0.0.0:%s", p.published_text);
        s->listen_who = v->name;
        return;
    }
}

int stack_survey(struct stack *s)
{
    struct draft *d = s->draft;
    const struct tree *services = tree_get(s->root, "services");
    s->services = arena_alloc(&d->arena, services->count * sizeof(*s->services));
    for (const struct tree *at = services->first; at; at = at->next) {
        struct service *v = &s->services[s->count++];
        const struct tree *build = tree_get(at, "build"), *image = tree_get(at, "image");
        *v = (struct service){.name = draft_name(d, at->key), .node = at, .reference = ""};
        if (tree_is_text(image))
            v->reference = image->text.ptr;
        if (!tree_is_null(build) && survey_build(s, v, build) < 0)
            return -1;
        const char *base = v->run ? v->run->base : !tree_is_null(build) ? "" : v->reference;
        v->image = image_find(base);
        survey_role(s, v);
        survey_folder(s, v);
        survey_ports(s, v);
        survey_scale(v);
        survey_front(s, v);
    }
    return 0;
}
