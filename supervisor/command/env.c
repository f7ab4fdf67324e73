/*
 * `nodey env`: the environment that a program gets.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/environment.h"
#include "base/secret.h"
#include "client/session.h"
#include "client/show.h"
#include "command/command.h"
#include "command/program.h"

const char command_env_help[] =
    "Prints the environment that a program gets, NAME=value, sorted: what this shell has,\n"
    "under .env, env_file and env, with the folders of the SDKs. With env_clear nothing of\n"
    "this shell is in it. What differs between instances (NODEY_INSTANCE ...) is left out.\n"
    "Values of secrets are shown as ***.\n"
    "\n"
    "  -f, --file FILE       the configuration; ./nodey.toml when nothing is said\n"
    "  --show-secrets        with their values\n"
    "  -0, --null            a NUL behind each instead of a line break\n"
    "\n"
    "Exit code: 0, 1 when there is no such program or the configuration is bad.\n";

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print(char **env, const char *const *patterns, bool show_secrets, char end)
{
    size_t count = 0;
    struct buf text = {0};
    while (env[count])
        count++;
    qsort(env, count, sizeof(*env), by_text);
    for (size_t i = 0; i < count; i++) {
        if (show_secrets)
            buf_adds(&text, env[i]);
        else
            secret_show(&text, env[i], patterns);
        buf_addc(&text, end);
    }
    show_write(stdout, buf_slice(&text));
    buf_deinit(&text);
}

static int run(const char *file, const char *name, bool show_secrets, char end)
{
    struct err err;
    struct config *config = config_load(file, &err);
    const struct worker_config *w = config ? command_program(config, name) : NULL;
    char **env = w ? command_environment(config, w, false, &err) : NULL;
    if (env)
        print(env, config->server.secrets.items, show_secrets, end);
    else if (!config || w)
        fprintf(stderr, "nodey: %s\n", err.text);
    int rc = env ? 0 : EXIT_REFUSED;
    environment_free(env);
    config_release(config);
    return rc;
}

int command_env(int argc, char **argv)
{
    const char *file = NULL;
    bool show_secrets = false, null = false;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &file},
        {"--show-secrets", OPTION_FLAG, &show_secrets},
        {"-0 --null", OPTION_FLAG, &null},
    };
    struct options options = {
        .verb = "env", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (rc == 0 && options.words.count == 0)
        rc = command_needs_name("env", file, "nodey env needs the name of a program");
    if (rc == 0)
        rc = run(file, options.words.items[0], show_secrets, null ? '\0' : '\n');
    word_list_deinit(&options.words);
    return rc;
}
