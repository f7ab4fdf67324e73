/*
 * `nodey import`: compose files, Procfiles, PM2's files and routes.json to a nodey.toml.
 */
#include "command/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/options.h"
#include "config/config.h"
#include "config/file.h"
#include "import/import.h"

enum { EXIT_LOST = 1, EXIT_BAD = 2 };

const char command_import_help[] =
    "Makes a nodey.toml of what another tool is told by its file, and prints it. FOLDER is "
    "one\n"
    "that holds such a file:\n"
    "\n"
    "  compose.yaml, docker-compose.yml ...   with its override file, extends and include, "
    "and\n"
    "                                         the Dockerfiles of what it builds\n"
    "  Procfile                               of foreman, honcho, overmind, Heroku\n"
    "  ecosystem.config.js, .cjs, .json       of PM2; one in JavaScript is run by `node`, for\n"
    "                                         10 s at most, to see what it exports\n"
    "  routes.json                            which nodey reads as it is: what must be\n"
    "                                         beside it\n"
    "\n"
    "  -o, --output FILE     write it to this file; paths are written as seen from its folder\n"
    "  --force               overwrite the file if it is there\n"
    "\n"
    "What could not be carried over, and what you have yet to do, is listed on standard "
    "error,\n"
    "and stands as comments where it stood. The result is checked as `nodey check` would.\n"
    "\n"
    "Exit code: 0 when nothing was lost, 1 when something was (the file is written all the\n"
    "same), 2 for wrong usage or a file that cannot be read.\n";

/* The folder that the nodey.toml is for; NULL after saying why not. */
static const char *target_folder(struct arena *a, const char *from, const char *output)
{
    const char *named = output ? output : from;
    if (!output && path_is_folder(from))
        named = text_format(a, "%s/.", from);
    const char *dir = file_folder(a, named);
    if (!dir)
        fprintf(stderr, "nodey: %s: %s\n", named, strerror(errno));
    return dir;
}

static void print_remarks(const struct buf *list, const char *title)
{
    const struct remark *all = (const struct remark *)list->ptr;
    size_t count = list->len / sizeof(*all);
    if (count == 0)
        return;
    fprintf(stderr, "%s\n", title);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "  %s%s\n", all[i].place, all[i].text);
}

/*
 * Loads the text as the nodey.toml of that folder.  The file that it is put into for that
 * is gone again afterwards.
 */
static bool is_good(const char *dir, struct slice text, struct err *err)
{
    char *path = xasprintf("%s/.nodey-import-XXXXXX", dir);
    int fd = mkstemp(path);
    struct config *config = NULL;
    bool written = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    if (!written)
        err_set(err, -errno, "cannot write to %s: %s", dir, strerror(errno));
    else
        config = config_load(path, err);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    /* The sentence begins with the name of the file, which nobody knows. */
    const char *rest = path_below(path, err->text);
    size_t len = strlen(path);
    if (written && !config && !rest && strncmp(err->text, path, len) == 0)
        memmove(err->text, err->text + len + 1, strlen(err->text + len));
    xfree(path);
    bool good = config != NULL;
    config_release(config);
    return good;
}

static int write_output(const char *output, bool force, struct slice text)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
    int fd = open(output, flags, 0666);
    bool written = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    int why = errno;
    if (fd >= 0)
        written = close(fd) == 0 && written;
    if (written)
        return 0;
    if (why == EEXIST)
        fprintf(stderr, "nodey: %s is there already: --force overwrites it\n", output);
    else
        fprintf(stderr, "nodey: cannot write %s: %s\n", output, strerror(why));
    return EXIT_BAD;
}

/* All that is to be said, and the exit code. */
static int finish(struct draft *d, const char *output, bool force)
{
    struct err err;
    bool good = is_good(d->dir, buf_slice(&d->out), &err);
    if (output && write_output(output, force, buf_slice(&d->out)))
        return EXIT_BAD;
    if (!output)
        fwrite(d->out.ptr, 1, d->out.len, stdout);
    fflush(stdout);
    print_remarks(&d->lost, "Not carried over:");
    print_remarks(&d->to_do, "To do:");
    if (!good)
        fprintf(stderr, "It does not load yet: %s\n", err.text);
    else if (output)
        fprintf(stderr, "%s is written: nodey up%s%s\n", output,
                strcmp(output, "nodey.toml") == 0 ? "" : " -f ",
                strcmp(output, "nodey.toml") == 0 ? "" : output);
    return good && d->lost.len == 0 ? 0 : EXIT_LOST;
}

static int import_one(const char *from, const char *output, bool force)
{
    struct draft draft = {0};
    struct arena arena = {0};
    struct err err;
    const char *dir = target_folder(&arena, from, output);
    int rc = EXIT_BAD;
    if (dir && output && !force && path_exists(output))
        fprintf(stderr, "nodey: %s is there already: --force overwrites it\n", output);
    else if (dir && import_read(&draft, from, dir, &err) < 0)
        fprintf(stderr, "nodey: %s\n", err.text);
    else if (dir)
        rc = finish(&draft, output, force);
    draft_deinit(&draft);
    arena_deinit(&arena);
    return rc;
}

int command_import(int argc, char **argv)
{
    const char *output = NULL;
    bool force = false;
    const struct option table[] = {
        {"-o --output", OPTION_VALUE, &output},
        {"--force", OPTION_FLAG, &force},
    };
    struct options options = {
        .verb = "import", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (rc == 0 && options.words.count == 0)
        rc = usage_error("import", "nodey import needs a file or a folder");
    if (rc == 0)
        rc = import_one(options.words.items[0], output, force);
    word_list_deinit(&options.words);
    return rc;
}
