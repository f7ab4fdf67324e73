#include "config/executable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As execvp() has it where there is no PATH. */
static const char usual_path[] = "/bin:/usr/bin";

static const char *path_of(const struct worker_config *w)
{
    const char *path = getenv("PATH");
    for (size_t i = 0; i < w->env.count; i++)
        if (strncmp(w->env.items[i], "PATH=", 5) == 0)
            path = w->env.items[i] + 5;
    return path ? path : usual_path;
}

/* 0 when it is a file that may be executed, ENOENT, EISDIR, EACCES or another errno. */
static int look(const struct worker_config *w, const char *path)
{
    struct stat st;
    char *whole = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", w->cwd, path);
    int why = stat(whole, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? EISDIR : 0;
    if (!why && access(whole, X_OK) < 0)
        why = errno;
    xfree(whole);
    return why;
}

/* `found` is the first file of that name that may not be executed; NULL: there is none. */
static bool is_on_path(const struct worker_config *w, const char *name, char **found)
{
    for (const char *at = path_of(w); at;) {
        size_t len = strcspn(at, ":");
        char *path = xasprintf("%.*s/%s", len ? (int)len : 1, len ? at : ".", name);
        int why = look(w, path);
        if (!why) {
            xfree(path);
            return true;
        }
        if (why == EACCES && !*found)
            *found = path;
        else
            xfree(path);
        at = at[len] ? at + len + 1 : NULL;
    }
    return false;
}

static int check_name(const struct worker_config *w, const char *name, struct err *err)
{
    char *found = NULL;
    int code = 0;
    if (!*name)
        code = err_set(err, -ENOENT, "%s: its command is empty", w->command_place);
    else if (!is_on_path(w, name, &found))
        code = found ? err_set(err, -EACCES, "%s: %s may not be executed: chmod +x it",
                               w->command_place, found)
                     : err_set(err, -ENOENT,
                               "%s: there is no program \"%s\" in PATH: is it installed, and "
                               "its name right?",
                               w->command_place, name);
    xfree(found);
    return code;
}

static int check_path(const struct worker_config *w, const char *path, struct err *err)
{
    int why = look(w, path);
    if (why == EACCES)
        return err_set(err, -why, "%s: %s may not be executed: chmod +x it", w->command_place,
                       path);
    if (why == EISDIR)
        return err_set(err, -why, "%s: %s is a folder, not a program", w->command_place, path);
    if (!why)
        return 0;
    return err_set(err, -why, "%s: cannot run \"%s\"%s%s: %s", w->command_place, path,
                   path[0] == '/' ? "" : " in ", path[0] == '/' ? "" : w->cwd, strerror(why));
}

/* A build that it waits for may make it. */
static bool waits_for_a_job(const struct worker_config *w)
{
    for (size_t i = 0; i < w->depends_on.count; i++)
        if (w->depends_on.items[i].condition == DEPENDENCY_COMPLETED)
            return true;
    return false;
}

int executable_check(const struct config *c, bool dormant, struct err *err)
{
    for (size_t i = 0; i < c->worker_count; i++) {
        const struct worker_config *w = &c->workers[i];
        if (!w->command_place || (w->profiles.count && !dormant))
            continue;
        const char *program = w->command.items[0];
        bool is_path = strchr(program, '/') != NULL;
        if (is_path && waits_for_a_job(w))
            continue;
        int code = is_path ? check_path(w, program, err) : check_name(w, program, err);
        if (code < 0)
            return code;
    }
    return 0;
}
