/*
 * `nodey run`: a command that finds the SDKs which nodey carries, as workers do.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/environment.h"
#include "app/sdk.h"
#include "client/options.h"
#include "client/session.h"
#include "command/command.h"
#include "command/program.h"

enum { SCRIPTS_MAX = 256 };

const char command_run_help[] =
    "Runs any command with `import nodey` and `require('nodey')` at hand, as they are in\n"
    "workers: PYTHONPATH and NODE_PATH show the way. A .venv or venv in this folder is used\n"
    "without activation. Meant for tests of workers; no nodey need be up.\n"
    "\n"
    "`import` of ES modules does not look at NODE_PATH: for node, npm and npx, nodey is "
    "linked\n"
    "as node_modules/nodey beside the scripts of this folder, and of those in it, that "
    "import.\n"
    "\n"
    "  -f, --file FILE       the configuration, whose data_dir the SDKs are put into;\n"
    "                        ./nodey.toml, or else .nodey/ in this folder\n"
    "\n"
    "Exit code: the command's; 126 or 127 when it cannot be run, 2 for wrong usage.\n"
    "\n"
    "  nodey run python3 -m pytest\n"
    "  nodey run node --test\n"
    "\n"
    "In the environment, the folder and as the user of one program: nodey exec.\n";

/* Such as "node" or "/usr/bin/npx". */
static bool is_node(const char *command)
{
    static const char *const names[] = {"node", "nodejs", "npm", "npx"};
    const char *slash = strrchr(command, '/');
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(slash ? slash + 1 : command, names[i]) == 0)
            return true;
    return false;
}

/* Beside the scripts here and one folder down: Node looks in the folders above by itself. */
static void link_modules(const struct sdk *sdk, const char *here)
{
    static const char *const patterns[] = {"*.*js", "*.*ts", "*/*.*js", "*/*.*ts"};
    struct worker_config *scripts = xcalloc(SCRIPTS_MAX, sizeof(*scripts));
    struct arena arena = {0};
    glob_t found = {0};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        IGNORE(glob(patterns[i], i ? GLOB_APPEND : 0, NULL, &found)); /* none need match */
    for (size_t i = 0; i < found.gl_pathc && count < SCRIPTS_MAX; i++) {
        char *path = xasprintf("%s/%s", here, found.gl_pathv[i]);
        if (!strstr(path, "/node_modules/")) /* what others have installed */
            scripts[count++].script = arena_strdup(&arena, slice_of(path));
        xfree(path);
    }
    sdk_link_modules(sdk, &(struct config){.workers = scripts, .worker_count = count});
    globfree(&found);
    arena_deinit(&arena);
    xfree(scripts);
}

/* The environment of this process, which the command is about to become. */
static void set_path(const char *name, const char *first)
{
    char *entry = environment_path(name, first);
    size_t len = strlen(name);
    entry[len] = '\0';
    IGNORE(setenv(name, entry + len + 1, 1)); /* it fails for lack of memory alone */
    xfree(entry);
}

static void use_venv(const char *here)
{
    static const char *const names[] = {".venv", "venv"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *venv = xasprintf("%s/%s", here, names[i]);
        char *bin = xasprintf("%s/bin", venv), *python = xasprintf("%s/python", bin);
        bool found = access(python, X_OK) == 0;
        if (found) {
            set_path("PATH", bin);
            IGNORE(setenv("VIRTUAL_ENV", venv, 1));
        }
        xfree(python);
        xfree(bin);
        xfree(venv);
        if (found)
            return;
    }
}

/* A configuration that is bad, or that is not there, is no reason not to run a test. */
static int unpack(struct sdk *sdk, const char *file, const char *here, struct err *err)
{
    struct config *config = config_load(file, err);
    if (!config && file)
        return -1;
    char *data_dir = config ? xstrdup(config->server.data_dir) : xasprintf("%s/.nodey", here);
    int rc = sdk_unpack(sdk, data_dir, err);
    config_release(config);
    xfree(data_dir);
    return rc;
}

static int set_up(const char *command, const char *file, struct err *err)
{
    struct sdk sdk = {0};
    char *here = realpath(".", NULL);
    int rc = here ? unpack(&sdk, file, here, err)
                  : err_set(err, -1, "cannot tell the current folder: %s", strerror(errno));
    if (rc == 0) {
        set_path("PYTHONPATH", sdk.python);
        set_path("NODE_PATH", sdk.node);
        use_venv(here);
        if (is_node(command))
            link_modules(&sdk, here);
    }
    sdk_deinit(&sdk);
    xfree(here);
    return rc;
}

int command_run(int argc, char **argv)
{
    const char *file = NULL;
    struct err err;
    const struct option table[] = {{"-f --file --config", OPTION_VALUE, &file}};
    struct options options = {.verb = "run",
                              .table = table,
                              .count = ARRAY_LEN(table),
                              .words_max = SIZE_MAX,
                              .stop_at_word = true};
    int rc = options_read(&options, argc, argv);
    if (rc == 0 && options.words.count == 0)
        rc = usage_error("run", "nodey run needs a command");
    if (rc == 0 && set_up(options.words.items[0], file, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        rc = EXIT_REFUSED;
    }
    if (rc == 0)
        rc = command_become(options.words.items, options.words.count);
    word_list_deinit(&options.words);
    return rc;
}
