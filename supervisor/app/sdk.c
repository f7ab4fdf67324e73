#include "app/sdk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/datadir.h"
#include "app/embedded.h"
#include "base/buf.h"
#include "config/script.h"

enum { SCRIPT_HEAD = 65536 }; /* where a script's imports stand */

/* At most `max` bytes of a file. */
static bool read_file(const char *path, size_t max, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t n = 1;
    while (n > 0 && out->len < max) {
        n = read(fd, buf_reserve(out, max - out->len), max - out->len);
        out->len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return n >= 0;
}

static bool is_there(const char *path, const struct embedded_file *file)
{
    struct buf have = {0};
    bool same = read_file(path, file->len + 1, &have) && have.len == file->len &&
                (file->len == 0 || memcmp(have.ptr, file->bytes, file->len) == 0);
    buf_deinit(&have);
    return same;
}

/* Beside it first and then renamed: a worker that starts never reads half a file. */
static int write_file(const char *path, const struct embedded_file *file, struct err *err)
{
    char *temporary = xasprintf("%s.%ld", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written = fd >= 0 && write(fd, file->bytes, file->len) == (ssize_t)file->len;
    if (fd >= 0)
        written = close(fd) == 0 && written;
    int rc = 0;
    if (!written || rename(temporary, path)) {
        rc = err_set(err, -1, "cannot write %s: %s", path, strerror(errno));
        unlink(temporary);
    }
    xfree(temporary);
    return rc;
}

static int unpack_one(const char *root, const struct embedded_file *file, struct err *err)
{
    char *path = xasprintf("%s/%s", root, file->path);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    int rc = datadir_make(path, err);
    *slash = '/';
    if (rc == 0 && !is_there(path, file))
        rc = write_file(path, file, err);
    xfree(path);
    return rc;
}

int sdk_unpack(struct sdk *sdk, const char *data_dir, struct err *err)
{
    char *root = xasprintf("%s/sdk/%s", data_dir, embedded_version);
    int rc = 0;
    for (const struct embedded_file *file = embedded_files; rc == 0 && file->path; file++)
        rc = unpack_one(root, file, err);
    if (rc == 0) {
        sdk->python = xasprintf("%s/python", root);
        sdk->node = xasprintf("%s/node", root);
    }
    xfree(root);
    return rc;
}

void sdk_deinit(struct sdk *sdk)
{
    xfree(sdk->python);
    xfree(sdk->node);
    *sdk = (struct sdk){0};
}

/* ------------------------------------------------------------------ runners */

static char *runner(const struct sdk *sdk, const char *word)
{
    if (strcmp(word, SCRIPT_NODE_RUN) == 0)
        return xasprintf("%s/nodey/run.cjs", sdk->node);
    if (strcmp(word, SCRIPT_PYTHON_RUN) == 0)
        return xasprintf("%s/nodey/run.py", sdk->python);
    return NULL;
}

void sdk_resolve_argv(const struct sdk *sdk, struct arena *arena, struct string_list *argv)
{
    for (size_t i = 1; i < argv->count; i++) {
        char *path = runner(sdk, argv->items[i]);
        if (path)
            argv->items[i] = arena_strdup(arena, slice_of(path));
        xfree(path);
    }
}

/* What cannot be opened is told by the worker that cannot read it. */
static int open_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)at;
    if (type == FTW_D || type == FTW_F)
        IGNORE(chmod(path, (st->st_mode & 07777) | (type == FTW_D ? 0755 : 0644)));
    return 0;
}

void sdk_share(const struct sdk *sdk)
{
    enum { FOLDERS_OPEN = 8, LEVELS_ABOVE = 3 }; /* VERSION, sdk, and the data folder */

    struct stat st;
    char *path = xstrdup(sdk->python);
    *strrchr(path, '/') = '\0';
    IGNORE(nftw(path, open_one, FOLDERS_OPEN, FTW_PHYS));
    for (int i = 1; i < LEVELS_ABOVE; i++) {
        *strrchr(path, '/') = '\0';
        if (stat(path, &st) == 0)
            IGNORE(chmod(path, (st.st_mode & 07777) | 0111));
    }
    xfree(path);
}

void sdk_resolve(const struct sdk *sdk, struct config *config)
{
    bool shared = false;
    for (size_t i = 0; i < config->worker_count; i++) {
        const struct worker_config *w = &config->workers[i];
        sdk_resolve_argv(sdk, &config->arena, &config->workers[i].command);
        if (!shared && !w->is_service && (w->user || w->group)) {
            sdk_share(sdk);
            shared = true;
        }
    }
}

/* ------------------------------------------------------------------- import */

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

static bool imports(const char *script)
{
    if (ends_with(script, ".mjs") || ends_with(script, ".mts"))
        return true;
    if (script_kind(script) != SCRIPT_NODE || ends_with(script, ".cjs") ||
        ends_with(script, ".cts"))
        return false;
    struct buf text = {0};
    bool found = read_file(script, SCRIPT_HEAD, &text) && text.len &&
                 memmem(text.ptr, text.len, "import", 6);
    buf_deinit(&text);
    return found;
}

/* As Node looks for it: in each folder from here up. */
static bool resolves(const char *folder)
{
    char *at = xstrdup(folder);
    bool found = false;
    for (char *slash = at; slash && !found; slash = strrchr(at, '/')) {
        char *path = xasprintf("%s/node_modules/nodey/package.json", at);
        found = access(path, F_OK) == 0;
        xfree(path);
        if ((slash = strrchr(at, '/')))
            *slash = '\0';
    }
    xfree(at);
    return found;
}

/* Ours, of another version: as long as that one's folder is there it would still do. */
static bool is_outdated(const struct sdk *sdk, const char *link, const char *target)
{
    char text[4096];
    ssize_t n = readlink(link, text, sizeof(text) - 1);
    size_t root = strlen(sdk->node) - strlen(embedded_version) - strlen("/node");
    text[n > 0 ? n : 0] = '\0';
    return strncmp(text, sdk->node, root) == 0 && strcmp(text, target) != 0;
}

static void link_beside(const struct sdk *sdk, const char *script)
{
    char *folder = xstrndup(script, (size_t)(strrchr(script, '/') - script));
    char *modules = xasprintf("%s/node_modules", folder);
    char *link = xasprintf("%s/nodey", modules);
    char *target = xasprintf("%s/nodey", sdk->node);
    if (is_outdated(sdk, link, target) || !resolves(folder)) {
        IGNORE(mkdir(modules, 0777));  /* symlink() tells */
        unlink(link);                  /* left by another version */
        IGNORE(symlink(target, link)); /* then the script says that it finds no nodey */
    }
    xfree(target);
    xfree(link);
    xfree(modules);
    xfree(folder);
}

void sdk_link_modules(const struct sdk *sdk, const struct config *config)
{
    for (size_t i = 0; i < config->worker_count; i++) {
        const char *script = config->workers[i].script;
        if (script && strrchr(script, '/') && imports(script))
            link_beside(sdk, script);
    }
}
