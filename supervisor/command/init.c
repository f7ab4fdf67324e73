/*
 * `nodey init`: a nodey.toml for what lies in the folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/options.h"
#include "client/session.h"
#include "client/show.h"
#include "command/command.h"
#include "config/config.h"
#include "config/file.h"
#include "config/pyapp.h"
#include "config/webapp.h"

const char command_init_help[] =
    "Writes a nodey.toml for what lies in this folder: programs in workers/, an app of Node\n"
    "(package.json) or Python (app.py, main.py, wsgi.py, manage.py), a folder of built pages\n"
    "(dist, public). It says in comments what else there is to say. A nodey.toml that is "
    "there\n"
    "is never touched; .nodey is added to .gitignore. Of a Procfile, a docker-compose.yaml "
    "and\n"
    "the like it says how nodey import reads them.\n"
    "\n"
    "  --print               print the file instead of writing it\n"
    "\n"
    "Exit code: 0, 1 when there is a nodey.toml, or it cannot be written.\n";

enum { SOURCE_MAX = 1 << 20 };

static const char target[] = "nodey.toml";

struct draft {
    struct buf text;
    struct arena arena;
    bool has_app;    /* something serves "/" */
    bool has_folder; /* workers/ */
    bool has_routes; /* one was written */
};

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Is it the main file of a web app? */
static bool is_webapp(const char *path, enum script_kind kind)
{
    struct buf text = {0};
    bool is =
        file_read(path, SOURCE_MAX, true, &text) == 0 && webapp_in_text(buf_slice(&text), kind);
    buf_deinit(&text);
    return is;
}

/* --------------------------------------------------------------------------- Node */

/* "server.js" of "node server.js", in the arena; NULL: it is another command. */
static const char *script_of_command(struct draft *d, const char *command)
{
    static const char node[] = "node ";
    if (!command || strncmp(command, node, strlen(node)) != 0)
        return NULL;
    command += strlen(node);
    return strcspn(command, " ") == strlen(command) ? arena_strdup(&d->arena, slice_of(command))
                                                    : NULL;
}

static const char *node_script(struct draft *d, const json_t *package, const char *start)
{
    static const char *const names[] = {"server.js", "app.js", "index.js", "server.mjs",
                                        "index.mjs"};
    const char *main = json_string_value(json_object_get(package, "main"));
    const char *script = script_of_command(d, start);
    if (script)
        return is_webapp(script, SCRIPT_NODE) ? script : NULL;
    if (main && !start && is_webapp(main, SCRIPT_NODE))
        return arena_strdup(&d->arena, slice_of(main));
    for (size_t i = 0; !start && i < ARRAY_LEN(names); i++)
        if (is_webapp(names[i], SCRIPT_NODE))
            return names[i];
    return NULL;
}

static void add_script(struct draft *d, const char *script, const char *what)
{
    buf_addf(&d->text,
             "\n# %s\n"
             "[workers.web]\n"
             "script = \"%s\"\n"
             "# instances = 4            # by default as many as there are CPUs, 2 to 8\n"
             "# env_file = \".env.web\"   # .env is read anyhow\n",
             what, script);
    d->has_app = true;
}

/* Whatever `npm start` runs listens on the variable PORT. */
static void add_npm_start(struct draft *d, const char *start)
{
    buf_addf(&d->text,
             "\n# What `npm start` runs (%s) must listen on the variable PORT.\n"
             "[services.web]\n"
             "command = \"npm start\"\n"
             "port = \"auto\"\n"
             "# healthcheck = { path = \"/health\", interval = \"10s\" }\n"
             "\n"
             "[[routes]]\n"
             "path = \"/*\"\n"
             "to = \"web\"\n",
             start);
    d->has_app = d->has_routes = true;
}

static void add_node(struct draft *d)
{
    json_t *package = json_load_file("package.json", 0, NULL);
    const json_t *scripts = json_object_get(package, "scripts");
    const char *start = json_string_value(json_object_get(scripts, "start"));
    const char *script = package && !d->has_app ? node_script(d, package, start) : NULL;
    if (script)
        add_script(d, script,
                   "The app of package.json, as it is; app.listen() gets a port of "
                   "nodey's.");
    else if (start && !d->has_app && !strpbrk(start, "\n\r"))
        add_npm_start(d, start);
    else if (!package && !d->has_app && (script = node_script(d, NULL, NULL)))
        add_script(d, script, "The app in this folder, as it is.");
    json_decref(package);
}

/* ------------------------------------------------------------------------- Python */

static void add_python(struct draft *d)
{
    static const char *const names[] = {"app.py", "main.py", "server.py"};
    const char *django = pyapp_django(&d->arena, ".");
    for (size_t i = 0; i < ARRAY_LEN(names) && !d->has_app && !django; i++)
        if (is_webapp(names[i], SCRIPT_PYTHON))
            add_script(d, names[i], "The app in this folder, as it is.");
    const char *app = django               ? django
                      : is_file("wsgi.py") ? "wsgi"
                      : is_file("asgi.py") ? "asgi"
                                           : NULL;
    if (!app || d->has_app)
        return;
    buf_addf(&d->text,
             "\n# The %s in this folder, as it is.\n"
             "[workers.web]\n"
             "app = \"%s\"\n"
             "# threads = 4              # of each process\n"
             "# instances = 4            # by default as many as there are CPUs, 2 to 8\n",
             django ? "Django project" : "application", app);
    d->has_app = true;
}

/* -------------------------------------------------------------------- files, workers */

static void add_pages(struct draft *d)
{
    static const char *const folders[] = {"dist", "public", "static", "www"};
    for (size_t i = 0; i < ARRAY_LEN(folders) && !d->has_app; i++) {
        char *index = xasprintf("%s/index.html", folders[i]);
        if (is_file(index)) {
            buf_addf(&d->text,
                     "\n[[routes]]\n"
                     "path = \"/*\"\n"
                     "root = \"%s\"\n"
                     "# spa = true              # index.html for paths without a file\n",
                     folders[i]);
            d->has_app = d->has_routes = true;
        }
        xfree(index);
    }
}

static void add_workers(struct draft *d)
{
    d->has_folder = is_folder("workers");
    buf_adds(&d->text,
             d->has_folder
                 ? "\n# The programs in workers/ are served without a word here. What "
                   "one of them needs:\n"
                   "# [workers.NAME]\n# instances = 2\n# timeout = \"5s\"\n"
                 : "\n# A program in workers/ needs no section: nodey new hello.\n");
}

static void add_rest(struct draft *d)
{
    buf_adds(&d->text, "\n# Any other command that belongs to it:\n"
                       "# [services.redis]\n"
                       "# command = \"redis-server --port 6379 --save ''\"\n"
                       "# port = 6379\n"
                       "# restart = \"always\"\n"
                       "# memory = \"256M\"\n");
    if (!d->has_routes)
        buf_adds(&d->text, "\n# [[routes]]\n# path = \"/assets/*\"\n# root = \"assets\"\n");
}

static void write_draft(struct draft *d)
{
    buf_adds(&d->text, "# nodey serves what stands here: nodey up. All settings: nodey help "
                       "config.\n"
                       "[server]\n"
                       "listen = \"127.0.0.1:8000\"   # \":8000\" for every interface\n"
                       "# trusted_proxies = [\"127.0.0.1\"]\n"
                       "\n"
                       "# [defaults]\n"
                       "# memory = \"512M\"           # of each process\n");
    add_python(d);
    add_node(d);
    add_pages(d);
    add_workers(d);
    add_rest(d);
}

/* ------------------------------------------------------------------------ writing */

/* 0, or -1 with errno. */
static int write_new(const char *path, int flags, struct slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (fd < 0)
        return -1;
    bool written = write(fd, text.ptr, text.len) == (ssize_t)text.len;
    return close(fd) == 0 && written ? 0 : -1;
}

static bool has_line(struct slice text, const char *line)
{
    while (text.len) {
        size_t len = 0;
        while (len < text.len && text.ptr[len] != '\n')
            len++;
        struct slice here = slice_trim((struct slice){text.ptr, len});
        if (here.len && here.ptr[0] == '/')
            here = slice_from(here, 1);
        if (here.len && here.ptr[here.len - 1] == '/')
            here.len--;
        if (slice_is(here, line))
            return true;
        text = slice_from(text, MIN(len + 1, text.len));
    }
    return false;
}

/* What nodey keeps is nothing for a repository. */
static void ignore_data(void)
{
    struct buf text = {0}, line = {0};
    bool there = file_read(".gitignore", SOURCE_MAX, true, &text) == 0;
    if ((there || is_folder(".git")) && !has_line(buf_slice(&text), ".nodey")) {
        buf_adds(&line,
                 text.len && text.ptr[text.len - 1] != '\n' ? "\n.nodey/\n" : ".nodey/\n");
        if (write_new(".gitignore", O_APPEND, buf_slice(&line)))
            fprintf(stderr, "nodey: cannot write .gitignore: %s\n", strerror(errno));
        else
            puts("added .nodey/ to .gitignore");
    }
    buf_deinit(&text);
    buf_deinit(&line);
}

static void say_imports(void)
{
    static const char *const files[] = {
        "compose.yaml", "compose.yml",           "docker-compose.yaml", "docker-compose.yml",
        "Procfile",     "ecosystem.config.json", "ecosystem.json",      "ecosystem.config.js"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (is_file(files[i]))
            printf("there is a %s: `nodey import %s` makes a nodey.toml of it\n", files[i],
                   files[i]);
}

static void say_next(const struct draft *d)
{
    bool nothing = !d->has_app && !d->has_folder;
    printf("\nnow type:\n%s  nodey check        is it good?\n  nodey up           serve it\n",
           nothing ? "  nodey new hello    a first program\n" : "");
}

/* What was written must load, or a person is told at once. */
static void check_written(void)
{
    struct err err;
    struct config *config = config_load(target, &err);
    if (!config && (is_folder("workers") || strncmp(err.text, target, strlen(target)) == 0))
        fprintf(stderr, "nodey: as it stands it does not load: %s\n", err.text);
    config_release(config);
}

static int write_file(const struct draft *d)
{
    if (write_new(target, O_EXCL, buf_slice(&d->text))) {
        if (errno == EEXIST)
            fprintf(stderr, "nodey: there is a %s already: nothing was written\n", target);
        else
            fprintf(stderr, "nodey: cannot write %s: %s\n", target, strerror(errno));
        return EXIT_REFUSED;
    }
    printf("wrote %s\n", target);
    ignore_data();
    say_imports();
    if (d->has_app || d->has_folder)
        check_written();
    say_next(d);
    return 0;
}

int command_init(int argc, char **argv)
{
    bool print = false;
    const struct option table[] = {{"--print", OPTION_FLAG, &print}};
    struct options options = {.verb = "init", .table = table, .count = ARRAY_LEN(table)};
    int rc = options_read(&options, argc, argv);
    word_list_deinit(&options.words);
    if (rc)
        return rc;
    struct draft draft = {.has_app = false};
    write_draft(&draft);
    if (print)
        show_write(stdout, buf_slice(&draft.text));
    else
        rc = write_file(&draft);
    buf_deinit(&draft.text);
    arena_deinit(&draft.arena);
    return rc;
}
