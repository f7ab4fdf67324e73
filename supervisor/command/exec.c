/*
 * `nodey exec`: a one-off in the environment of a program.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/environment.h"
#include "base/account.h"
#include "client/programs.h"
#include "client/session.h"
#include "command/command.h"
#include "command/program.h"

const char command_exec_help[] =
    "Runs a command as a program would run: in its folder, with its environment (.env,\n"
    "env_file, env), its virtual environment, and as its user. It has this terminal, and its\n"
    "exit code is nodey's. It is a new process beside the program's own, without their\n"
    "limits. Whether nodey is up makes no difference, but to PORT of a service with\n"
    "port = \"auto\": it is that of its first instance, and not set when none is up.\n"
    "\n"
    "  -f, --file FILE       the configuration; ./nodey.toml when nothing is said\n"
    "  -e, --env NAME=VALUE  a further variable; may be said again\n"
    "  -w, --cwd DIR         another folder, relative to the program's\n"
    "  -u, --user USER       another user, \"NAME\" or \"NAME:GROUP\"\n"
    "  -i, -t, -T            change nothing; of docker's habits\n"
    "\n"
    "Exit code: the command's; 126 or 127 when it cannot be run, 1 when there is no such\n"
    "program or the configuration is bad, 2 for wrong usage.\n"
    "\n"
    "  nodey exec shop python3 manage.py migrate\n"
    "  nodey exec api sh -c 'echo $DATABASE_URL'\n"
    "\n"
    "Without a program's environment, with the SDKs alone: nodey run.\n";

struct wish {
    const char *file, *cwd, *user;
    struct word_list env, words;
    bool terminal; /* it has this one anyhow */
};

/* An interpreter that is part of a virtual environment shows where that is. */
static char *venv_of(const struct worker_config *w)
{
    const char *program = w->command.items[0], *slash = strrchr(program, '/');
    if (w->venv)
        return xstrdup(w->venv);
    if (program[0] != '/' || slash - program < 4 || strncmp(slash - 4, "/bin", 4) != 0)
        return NULL;
    char *venv = xstrndup(program, (size_t)(slash - 4 - program));
    char *mark = xasprintf("%s/pyvenv.cfg", venv);
    bool found = access(mark, F_OK) == 0;
    xfree(mark);
    if (found)
        return venv;
    xfree(venv);
    return NULL;
}

static void activate(const char *venv)
{
    const char *path = getenv("PATH");
    char *longer = xasprintf("%s/bin%s%s", venv, path ? ":" : "", path ? path : "");
    IGNORE(setenv("PATH", longer, 1)); /* it fails for lack of memory alone */
    IGNORE(setenv("VIRTUAL_ENV", venv, 1));
    xfree(longer);
}

/* Where its first instance that is up listens; 0: none is up. */
static uint64_t port_in_use(const char *file, const char *name)
{
    struct err err;
    struct session session;
    struct programs_view all;
    uint64_t port = 0;
    if (session_open(&session, file, /* may_start= */ false, &err))
        return 0;
    if (programs_fetch(&session, /* with_usage= */ false, &all) == 0) {
        const struct program_view *p = programs_find(&all, name);
        for (size_t i = 0; p && !port && i < p->count; i++)
            port = p->instances[i].port;
        programs_deinit(&all);
    }
    session_close(&session);
    return port;
}

/* A port of nodey's choice is that of an instance; what is run here is none. */
static void take_port(const struct wish *wish, const struct worker_config *w)
{
    char text[24];
    uint64_t port = w->port == PORT_AUTO ? port_in_use(wish->file, w->name) : w->port;
    if (!w->is_service || !w->port)
        return;
    if (port) {
        snprintf(text, sizeof(text), "%llu", (unsigned long long)port);
        IGNORE(setenv("PORT", text, 1));
        return;
    }
    IGNORE(unsetenv("PORT")); /* this shell's is somebody else's */
    fprintf(stderr,
            "nodey: PORT is not set: %s has port = \"auto\", and no instance of it is up\n",
            w->name);
}

/* This process's own environment becomes the program's. */
static int take_environment(const struct wish *wish, const struct config *config,
                            const struct worker_config *w, struct err *err)
{
    bool as_another = wish->user || w->user || w->group;
    char **env = command_environment(config, w, as_another, err);
    if (!env)
        return -1;
    IGNORE(clearenv()); /* there is none that could be in use */
    for (char **at = env; *at; at++) {
        size_t name = strcspn(*at, "=");
        (*at)[name] = '\0';
        IGNORE(setenv(*at, *at + name + 1, 1));
    }
    environment_free(env);
    char *venv = venv_of(w);
    if (venv)
        activate(venv);
    xfree(venv);
    take_port(wish, w);
    for (size_t i = 0; i < wish->env.count; i++) {
        const char *entry = wish->env.items[i];
        char *name = xstrndup(entry, strcspn(entry, "="));
        IGNORE(setenv(name, entry + strlen(name) + 1, 1));
        xfree(name);
    }
    return 0;
}

static int take_account(const struct wish *wish, const struct worker_config *w, struct err *err)
{
    struct account account;
    const char *user = wish->user ? wish->user : w->user;
    const char *group = wish->user ? NULL : w->group;
    if (!user && !group)
        return 0;
    if (account_find(&account, user, group, err))
        return -1;
    if (account.uid == geteuid() && account.gid == getegid())
        return 0;
    if (!account_may_become(&account))
        return err_set(err, -1, "only root can run a command as %s", user ? user : group);
    int rc =
        account.name[0] ? initgroups(account.name, account.gid) : setgroups(1, &account.gid);
    if (rc || setgid(account.gid) || setuid(account.uid))
        return err_set(err, -1, "cannot become %s: %s", user ? user : group, strerror(errno));
    if (user) {
        IGNORE(setenv("HOME", account.home, 1));
        IGNORE(setenv("USER", account.name, 1));
        IGNORE(setenv("LOGNAME", account.name, 1));
    }
    return 0;
}

static int enter(const char *folder, struct err *err)
{
    if (!folder || chdir(folder) == 0)
        return 0;
    return err_set(err, -1, "cannot enter %s: %s", folder, strerror(errno));
}

/* 0, and this process stands where the program's would; or EXIT_REFUSED, and why was said. */
static int take_place(const struct wish *wish)
{
    struct err err;
    struct config *config = config_load(wish->file, &err);
    const struct worker_config *w =
        config ? command_program(config, wish->words.items[0]) : NULL;
    int rc = EXIT_REFUSED;
    if (w && take_environment(wish, config, w, &err) == 0 && take_account(wish, w, &err) == 0 &&
        enter(w->cwd, &err) == 0 && enter(wish->cwd, &err) == 0)
        rc = 0;
    else if (!config || w)
        fprintf(stderr, "nodey: %s\n", err.text);
    config_release(config);
    return rc;
}

static int check_words(const struct wish *wish)
{
    if (wish->words.count == 0)
        return command_needs_name("exec", wish->file,
                                  "nodey exec needs a program and a command");
    if (wish->words.count == 1)
        return usage_error("exec", "nodey exec needs a program's name and a command");
    for (size_t i = 0; i < wish->env.count; i++)
        if (strcspn(wish->env.items[i], "=") == 0 || !strchr(wish->env.items[i], '='))
            return usage_error("exec", "-e needs NAME=VALUE, not \"%s\"", wish->env.items[i]);
    return 0;
}

int command_exec(int argc, char **argv)
{
    struct wish wish = {0};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &wish.file},
        {"-e --env", OPTION_LIST, &wish.env},
        {"-w --cwd --workdir", OPTION_VALUE, &wish.cwd},
        {"-u --user", OPTION_VALUE, &wish.user},
        {"-i -t -it -ti -T --interactive --tty", OPTION_FLAG, &wish.terminal},
    };
    struct options options = {.verb = "exec",
                              .table = table,
                              .count = ARRAY_LEN(table),
                              .words_max = SIZE_MAX,
                              .stop_at_word = true};
    int rc = options_read(&options, argc, argv);
    wish.words = options.words;
    if (rc == 0)
        rc = check_words(&wish);
    if (rc == 0)
        rc = take_place(&wish);
    if (rc == 0) {
        bool separated = wish.words.count > 2 && strcmp(wish.words.items[1], "--") == 0;
        size_t first = separated ? 2 : 1;
        rc = command_become(wish.words.items + first, wish.words.count - first);
    }
    word_list_deinit(&wish.words);
    word_list_deinit(&wish.env);
    return rc;
}
