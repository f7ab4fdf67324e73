#include "config/language.h"

#include "config/script.h"

const char *language_of(struct slice name)
{
    if (slice_eq_nocase(name, SLICE("node")))
        return "Node";
    return slice_eq_nocase(name, SLICE("python")) ? "Python" : NULL;
}

/* By its script, else by the program of its command. */
static bool speaks(const struct worker_config *w, bool node)
{
    if (w->script)
        return script_kind(w->script) == (node ? SCRIPT_NODE : SCRIPT_PYTHON);
    const char *slash = strrchr(w->command.items[0], '/');
    struct slice program = slice_of(slash ? slash + 1 : w->command.items[0]);
    return slice_starts(program, node ? SLICE("node") : SLICE("python"));
}

/* "workers/node*", a file or a folder. */
static bool lies_in(const struct config *c, const struct worker_config *w, struct slice front)
{
    char *folder = xasprintf("%s/workers/", c->dir);
    struct slice path = slice_of(w->script);
    bool inside = path.len && slice_starts(path, slice_of(folder));
    if (inside)
        path = slice_from(path, strlen(folder));
    xfree(folder);
    return inside && path.len >= front.len && strncasecmp(path.ptr, front.ptr, front.len) == 0;
}

/* The only one that fits; `front` may be empty. */
static const struct worker_config *only_one(const struct config *c, bool node,
                                            struct slice front, struct buf *candidates)
{
    const struct worker_config *found = NULL;
    size_t count = 0;
    buf_clear(candidates);
    for (size_t i = 0; i < c->worker_count; i++) {
        const struct worker_config *w = &c->workers[i];
        if (!speaks(w, node) || (front.len && !lies_in(c, w, front)))
            continue;
        buf_addf(candidates, "%s\"%s\"", count++ ? ", " : "", w->name);
        found = w;
    }
    return count == 1 ? found : NULL;
}

const struct worker_config *language_worker(const struct config *c, struct slice name,
                                            struct buf *candidates)
{
    bool node = slice_eq_nocase(name, SLICE("node"));
    const struct worker_config *found = only_one(c, node, name, candidates);
    return found ? found : only_one(c, node, (struct slice){0}, candidates);
}
