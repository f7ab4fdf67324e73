#include "command/program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "app/environment.h"
#include "config/value.h"

enum { EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, NAMES_SHOWN = 20 };

const struct worker_config *command_program(const struct config *config, const char *name)
{
    const struct worker_config *found = config_worker(config, name);
    if (found)
        return found;
    struct nearest nearest = nearest_init(slice_of(name));
    for (size_t i = 0; i < config->worker_count; i++)
        nearest_offer(&nearest, config->workers[i].name);
    fprintf(stderr, "nodey: there is no program called \"%s\"", name);
    if (nearest.best)
        fprintf(stderr, "; did you mean \"%s\"?\n", nearest.best);
    else if (config->worker_count)
        fprintf(stderr, "; there is %s%s\n", config->workers[0].name,
                config->worker_count > 1 ? ", and others: see nodey config --names" : "");
    else
        fprintf(stderr, ", and no other\n");
    return NULL;
}

int command_needs_name(const char *verb, const char *file, const char *what)
{
    struct err err;
    struct buf names = {0};
    struct config *config = config_load(file, &err); /* without one there are no names */
    for (size_t i = 0; config && i < MIN(config->worker_count, (size_t)NAMES_SHOWN); i++)
        buf_addf(&names, "%s%s", i ? ", " : ": there is ", config->workers[i].name);
    if (config && config->worker_count > NAMES_SHOWN)
        buf_addf(&names, ", and %zu more", config->worker_count - NAMES_SHOWN);
    int rc = usage_error(verb, "%s" SLICE_FMT, what, SLICE_ARG(buf_slice(&names)));
    buf_deinit(&names);
    config_release(config);
    return rc;
}

char **command_environment(const struct config *config, const struct worker_config *w,
                           bool as_another, struct err *err)
{
    struct sdk sdk = {0};
    bool unpacked = sdk_unpack(&sdk, config->server.data_dir, err) == 0;
    char **env = unpacked ? environment_of(&sdk, w) : NULL;
    if (unpacked && as_another)
        sdk_share(&sdk);
    sdk_deinit(&sdk);
    return env;
}

const char *command_variable(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

int command_become(const char *const *words, size_t count)
{
    char **argv = xcalloc(count + 1, sizeof(*argv));
    for (size_t i = 0; i < count; i++)
        argv[i] = xstrdup(words[i]);
    signal(SIGPIPE, SIG_DFL); /* nodey itself ignores both, and that would be inherited */
    signal(SIGXFSZ, SIG_DFL);
    execvp(argv[0], argv);
    int why = errno;
    if (why == ENOENT)
        fprintf(stderr, "nodey: there is no command \"%s\"%s\n", argv[0],
                strchr(argv[0], '/') ? "" : " on PATH");
    else
        fprintf(stderr, "nodey: cannot run \"%s\": %s\n", argv[0], strerror(why));
    for (size_t i = 0; i < count; i++)
        xfree(argv[i]);
    xfree(argv);
    return why == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
