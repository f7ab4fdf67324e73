/*
 * `nodey config`: the configuration as it will run.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/options.h"
#include "client/session.h"
#include "client/show.h"
#include "command/command.h"
#include "command/program.h"
#include "config/canonical.h"

const char command_config_help[] =
    "Prints the configuration as it will run: every program, also those that were found in\n"
    "workers/, with the defaults filled in, included files joined and ${VARIABLES} replaced.\n"
    "What it prints is a nodey.toml that does the same; names print only those programs.\n"
    "Values of secrets are shown as ***, so what is printed may be passed on.\n"
    "\n"
    "  -f, --file FILE       the configuration; ./nodey.toml when nothing is said\n"
    "  --format toml|json    toml when nothing is said; json says also what each script runs\n"
    "                        as\n"
    "  --show-secrets        with their values\n"
    "  --names               only the programs' names, one a line\n"
    "  --profiles            only the profiles that programs have, one a line\n"
    "  -q, --quiet           print nothing: is it good?\n"
    "  --explain KEY         what a setting means, as nodey help config KEY\n"
    "\n"
    "Exit code: 0, 1 when the configuration is bad, 2 for wrong usage.\n"
    "\n"
    "  nodey config --format json | jq .workers.fib\n"
    "  nodey config --explain healthcheck.interval\n";

struct wish {
    const char *file, *format, *explain;
    bool show_secrets, names, profiles, quiet;
    struct word_list programs;
};

static int explain(const char *key)
{
    struct buf text = {0};
    bool found = config_describe_key(&text, key);
    fprintf(found ? stdout : stderr, "%s%s", found ? "" : "nodey: ", buf_cstr(&text));
    buf_deinit(&text);
    return found ? 0 : 2;
}

static void print_names(const struct config *config)
{
    for (size_t i = 0; i < config->worker_count; i++)
        puts(config->workers[i].name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_profiles(const struct config *config)
{
    struct word_list all = {0};
    for (size_t i = 0; i < config->worker_count; i++)
        for (size_t j = 0; j < config->workers[i].profiles.count; j++)
            word_list_add(&all, config->workers[i].profiles.items[j]);
    if (all.count)
        qsort(all.items, all.count, sizeof(*all.items), by_text);
    for (size_t i = 0; i < all.count; i++)
        if (i == 0 || strcmp(all.items[i], all.items[i - 1]) != 0)
            puts(all.items[i]);
    word_list_deinit(&all);
}

/* Only the programs that are asked for; 0, or 1 when one is not there. */
static int choose(const struct config *config, const struct word_list *names, json_t *tree)
{
    json_t *workers = json_object(), *services = json_object();
    int rc = 0;
    for (size_t i = 0; i < names->count && rc == 0; i++) {
        const struct worker_config *w = command_program(config, names->items[i]);
        const char *kind = w && w->is_service ? "services" : "workers";
        if (!w)
            rc = EXIT_REFUSED;
        else
            json_object_set(w->is_service ? services : workers, w->name,
                            json_object_get(json_object_get(tree, kind), w->name));
    }
    json_object_clear(tree);
    json_object_set_new(tree, "workers", workers);
    json_object_set_new(tree, "services", services);
    return rc;
}

/* As jansson wants it, which can fail here for nothing. */
static int on_text(const char *bytes, size_t len, void *text)
{
    buf_append(text, bytes, len);
    return 0;
}

static int print_tree(const struct config *config, const struct wish *wish)
{
    bool as_json = wish->format && strcmp(wish->format, "json") == 0;
    unsigned flags = (wish->show_secrets ? (unsigned)CANONICAL_SECRETS : 0) |
                     (as_json ? (unsigned)CANONICAL_DERIVED : 0);
    json_t *tree = config_canonical(config, flags);
    int rc = wish->programs.count ? choose(config, &wish->programs, tree) : 0;
    struct buf text = {0};
    if (as_json) {
        IGNORE(
            json_dump_callback(tree, on_text, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(6)));
        buf_addc(&text, '\n');
    } else {
        config_canonical_toml(tree, &text);
    }
    if (rc == 0)
        show_write(stdout, buf_slice(&text));
    buf_deinit(&text);
    json_decref(tree);
    return rc;
}

static int print_config(const struct wish *wish)
{
    struct err err;
    int rc = 0;
    struct config *config = config_load(wish->file, &err);
    if (!config) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_REFUSED;
    }
    if (wish->names)
        print_names(config);
    else if (wish->profiles)
        print_profiles(config);
    else if (!wish->quiet)
        rc = print_tree(config, wish);
    config_release(config);
    return rc;
}

int command_config(int argc, char **argv)
{
    struct wish wish = {0};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &wish.file},
        {"--format", OPTION_VALUE, &wish.format},
        {"--explain", OPTION_VALUE, &wish.explain},
        {"--show-secrets", OPTION_FLAG, &wish.show_secrets},
        {"--names --services", OPTION_FLAG, &wish.names},
        {"--profiles", OPTION_FLAG, &wish.profiles},
        {"-q --quiet", OPTION_FLAG, &wish.quiet},
    };
    struct options options = {
        .verb = "config", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    wish.programs = options.words;
    if (rc == 0 && wish.format && strcmp(wish.format, "json") && strcmp(wish.format, "toml"))
        rc = usage_error("config", "--format is toml or json, not \"%s\"", wish.format);
    if (rc == 0)
        rc = wish.explain ? explain(wish.explain) : print_config(&wish);
    word_list_deinit(&options.words);
    return rc;
}
