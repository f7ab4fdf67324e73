#include "import/import.h"

#include <errno.h>
#include <stdlib.h>

#include "import/compose.h"
#include "import/pm2.h"
#include "import/procfile.h"
#include "import/routes.h"

/* In the order in which a folder is searched. */
static const struct format {
    const char *name; /* of the file */
    int (*read)(struct draft *, const char *path, const char *shown);
} formats[] = {
    {"compose.yaml", compose_import},        {"compose.yml", compose_import},
    {"docker-compose.yaml", compose_import}, {"docker-compose.yml", compose_import},
    {"Procfile", procfile_import},           {"ecosystem.config.js", pm2_import},
    {"ecosystem.config.cjs", pm2_import},    {"ecosystem.config.mjs", pm2_import},
    {"ecosystem.json", pm2_import},          {"ecosystem.config.json", pm2_import},
    {"routes.json", routes_import},          {"load-balancer/routes.json", routes_import},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), tail = strlen(end);
    return len >= tail && strcmp(text + len - tail, end) == 0;
}

/* What reads a file of any other name, too. */
static const struct format *format_of(const char *path)
{
    const char *name = base_name(path);
    static const struct format others[] = {
        {"compose", compose_import}, {"Procfile", procfile_import}, {"pm2", pm2_import}};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(name, formats[i].name) == 0)
            return &formats[i];
    if (compose_is_file(name))
        return &others[0];
    if (strncmp(name, "Procfile", 8) == 0)
        return &others[1];
    if (ends_with(name, ".js") || ends_with(name, ".cjs") || ends_with(name, ".json") ||
        ends_with(name, ".mjs"))
        return &others[2];
    return NULL;
}

/* The file of a folder that is read; the others of it are named. */
static const char *find_file(struct draft *d, const char *folder)
{
    const char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        const char *path = text_format(&d->arena, "%s/%s", folder, formats[i].name);
        if (path_exists(path) && !path_is_folder(path)) {
            if (!found)
                found = path;
            else
                draft_comment(d, "%s lies here, too: nodey import %s", formats[i].name, path);
        }
    }
    return found;
}

static void write_title(struct draft *d, const char *shown)
{
    draft_comment(d, "Made from %s by nodey import.", shown);
    draft_comment(d, "nodey up runs it, nodey check says whether it is good, nodey help config "
                     "knows every key.");
}

int import_read(struct draft *d, const char *path, const char *dir, struct err *err)
{
    d->err = err;
    d->dir = dir;
    struct buf others = {0};
    if (path_is_folder(path)) {
        const char *file = find_file(d, path);
        if (!file)
            return err_set(err, -1,
                           "%s holds no compose.yaml, docker-compose.yaml, Procfile, "
                           "ecosystem.config.js or routes.json",
                           path);
        path = strncmp(file, "./", 2) == 0 ? file + 2 : file;
        buf_add(&others, buf_slice(&d->out));
        buf_clear(&d->out);
    }
    const struct format *format = format_of(path);
    int code;
    write_title(d, base_name(path));
    buf_add(&d->out, buf_slice(&others));
    buf_deinit(&others);
    if (!path_exists(path))
        code = err_set(err, -1, "%s: %s", path, strerror(ENOENT));
    else if (!format)
        code = err_set(err, -1,
                       "%s is no file that nodey import knows: it reads compose files (.yaml), "
                       "a Procfile, ecosystem.config.js of PM2 and routes.json",
                       path);
    else
        code = format->read(d, path, path);
    return code < 0 ? -1 : 0;
}
