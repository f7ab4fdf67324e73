#include "app/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/keeper.h"
#include "base/buf.h"
#include "loop/shim.h"


static int usage_error(const char *fmt, const char *what)
{
    fputs("nodey: ", stderr);
    fprintf(stderr, fmt, what);
    fputs("; see nodey help\n", stderr);
    return 2;
}

/* An option with its value, as "--name value" or "--name=value". */
static const char *value_of(const char *name, int argc, char **argv, int *at)
{
    size_t len = strlen(name);
    if (strncmp(argv[*at], name, len))
        return NULL;
    if (argv[*at][len] == '=')
        return argv[*at] + len + 1;
    if (argv[*at][len] == '\0' && *at + 1 < argc)
        return argv[++*at];
    return NULL;
}

static int parse_options(struct app_options *options, int argc, char **argv)
{
    *options = (struct app_options){0};
    for (int i = 0; i < argc; i++) {
        const char *given = argv[i], *value;
        if ((value = value_of("-f", argc, argv, &i)) ||
            (value = value_of("--file", argc, argv, &i)) ||
            (value = value_of("--config", argc, argv, &i)))
            options->file = value;
        else if ((value = value_of("--listen", argc, argv, &i)))
            options->listen = value;
        else if (strcmp(given, "--dev") == 0)
            options->dev = true;
        else if (strcmp(given, "--no-dev") == 0)
            options->no_dev = true;
        else if (strcmp(given, "-w") == 0 || strcmp(given, "--watch") == 0)
            options->watch = true;
        else if (strcmp(given, "--no-watch") == 0)
            options->no_watch = true;
        else
            return usage_error(given[0] == '-' ? "unknown option or missing value: %s"
                                               : "unexpected argument: %s",
                               given);
    }
    return 0;
}

static struct config *load(const struct app_options *options)
{
    struct err err;
    struct config *config = config_load(options->file, &err);
    if (!config)
        fprintf(stderr, "nodey: %s\n", err.text);
    return config;
}

static int run_up(int argc, char **argv)
{
    struct app_options options;
    if (parse_options(&options, argc, argv))
        return 2;
    struct config *config = load(&options);
    if (!config)
        return 1;
    return app_run(config, &options);
}

static int run_check(int argc, char **argv)
{
    struct app_options options;
    if (parse_options(&options, argc, argv))
        return 2;
    struct config *config = load(&options);
    if (!config)
        return 1;
    for (size_t i = 0; i < config->notes.count; i++)
        printf("%s\n", config->notes.items[i]);
    for (size_t i = 0; i < config->worker_count; i++)
        printf("worker %s: %s, %llu instance%s\n", config->workers[i].name,
               config->workers[i].script ? config->workers[i].script
                                         : config->workers[i].command.items[0],
               (unsigned long long)config->workers[i].instances,
               config->workers[i].instances == 1 ? "" : "s");
    printf("%s is valid\n", config->file ? config->file : "the folder");
    config_release(config);
    return 0;
}

static int run_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("nodey " NODEY_VERSION);
    return 0;
}

static int run_help(int argc, char **argv);

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* what follows the verb */
    const char *usage;
    const char *help;
} verbs[] = {
    {"up", run_up, "up [-f FILE] [--listen ADDR]", "run the workers and serve them"},
    {"start", run_up, NULL, NULL},
    {"serve", run_up, NULL, NULL},
    {"check", run_check, "check [-f FILE]", "say whether the configuration is valid"},
    {"version", run_version, "version", "print the version"},
    {"--version", run_version, NULL, NULL},
    {"help", run_help, "help [config]", "print this, or every setting"},
    {"--help", run_help, NULL, NULL},
    {"-h", run_help, NULL, NULL},
    {SHIM_VERB, shim_main, NULL, NULL},
    {KEEPER_VERB, keeper_main, NULL, NULL},
};

static void print_usage(FILE *to)
{
    fputs("nodey runs a folder of Node and Python programs as a service.\n\n", to);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (verbs[i].usage)
            fprintf(to, "  nodey %-30s %s\n", verbs[i].usage, verbs[i].help);
    fputs("\nWithout a nodey.toml it serves the scripts in workers/.  ADDR is HOST:PORT, PORT\n"
          "or unix:PATH.  Ctrl-C (or SIGTERM) ends it after the requests under way.\n",
          to);
}

static int run_help(int argc, char **argv)
{
    if (argc && strcmp(argv[0], "config") == 0) {
        struct buf text = {0};
        config_describe(&text);
        fwrite(text.ptr, 1, text.len, stdout);
        buf_deinit(&text);
        return 0;
    }
    print_usage(stdout);
    return 0;
}

int cli_run(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 2, argv + 2);
    return usage_error("unknown command: %s", argv[1]);
}
