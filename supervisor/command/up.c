/*
 * `nodey up`: runs everything, here or in the background; and `nodey start`, which with a name
 * starts that program of the nodey that is up.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/chaos.h"
#include "base/slice.h"
#include "client/options.h"
#include "client/programs.h"
#include "client/reach.h"
#include "command/act.h"
#include "command/background.h"
#include "command/command.h"
#include "config/executable.h"
#include "config/value.h"

const char command_up_help[] =
    "Runs the programs of nodey.toml and of workers/, and serves them until Ctrl-C, SIGTERM "
    "or\n"
    "nodey down. With names only these, and what they depend on.\n"
    "\n"
    "  -f, --file FILE       the configuration; ./nodey.toml when nothing is said\n"
    "  --listen ADDR         HOST:PORT, PORT or unix:PATH, instead of the configured address\n"
    "  --profile NAME        also the programs of this profile; \"*\": of all; may be "
    "repeated\n"
    "  -d, --detach          go on in the background as soon as the port is open; what nodey\n"
    "                        says goes to nodey.log in its data folder\n"
    "  --wait                the same, but as soon as all are ready, or have done their work\n"
    "  --wait-timeout TIME   how long that may take; 10m when left out\n"
    "  --exit-code-from NAME ends all when this program has ended, and as it did; its restart\n"
    "                        must let it end\n"
    "  --dev, --no-dev       error pages with tracebacks, and --watch; on a terminal that is\n"
    "                        the default\n"
    "  -w, --watch           serve changed, new and removed files at once\n"
    "  --no-watch\n"
    "  --scale NAME=N        so many instances of this program; until a reload changes it\n"
    "  --chaos WORDS         what happens to messages now and then happens often, to test\n"
    "                        handlers: dup=5%,delay=0..2s,reorder=unkeyed,kill=1%,nak=5%\n"
    "  --seed N              the same chaos once more: its number, as it was told\n"
    "\n"
    "SIGHUP, or `nodey reload`, loads the configuration again.\n"
    "\n"
    "Exit code: 0 after an orderly end, and with -d when it is up; 1 when it could not start,\n"
    "with --wait also when a program could not; 130 or 143 when it was told twice to end.\n";

const char command_start_help[] =
    "Starts programs of the nodey that is up: those that were stopped, have ended, wait for\n"
    "others or are of another profile; what has failed is tried again at once. Waits until\n"
    "they are ready, or have done their work.\n"
    "\n"
    "  nodey start NAME...\n"
    "  nodey start           another word for nodey up\n"
    "\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --wait-timeout TIME   how long it may take; 60s when left out\n"
    "  --no-wait             begin, and do not wait until it is done\n"
    "\n"
    "Exit code: 0, 1 when it did not work, 2 for wrong usage, 3 when no nodey is up.\n";

enum { INSTANCES_MAX = 1024 };

enum { WAIT_USUAL_MS = 10 * 60 * 1000, WAIT_MAX_MS = 60 * 60 * 1000, START_USUAL_MS = 60000 };

/* What was typed. */
struct up_words {
    struct app_options app;
    const char *timeout;
    const char *chaos_words, *seed;
    struct chaos chaos;
    bool detach, wait;
    bool no_wait;  /* of `start NAME` */
    bool needless; /* where there are no images and containers */
    struct word_list profiles, names, scales;
};

static void words_deinit(struct up_words *w)
{
    word_list_deinit(&w->profiles);
    word_list_deinit(&w->names);
    word_list_deinit(&w->scales);
}

/* As app_options has lists: none is NULL. */
static const char *const *list_of(struct word_list *list)
{
    if (!list->count)
        return NULL;
    word_list_add(list, NULL);
    list->count--;
    return list->items;
}

static int read_words(struct up_words *w, const char *verb, int argc, char **argv)
{
    *w = (struct up_words){0};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &w->app.file},
        {"--listen", OPTION_VALUE, &w->app.listen},
        {"--profile", OPTION_LIST, &w->profiles},
        {"-d --detach", OPTION_FLAG, &w->detach},
        {"--wait", OPTION_FLAG, &w->wait},
        {"--wait-timeout", OPTION_VALUE, &w->timeout},
        {"--exit-code-from", OPTION_VALUE, &w->app.exit_code_from},
        {"--dev", OPTION_FLAG, &w->app.dev},
        {"--no-dev", OPTION_FLAG, &w->app.no_dev},
        {"-w --watch", OPTION_FLAG, &w->app.watch},
        {"--no-watch", OPTION_FLAG, &w->app.no_watch},
        {"--scale", OPTION_LIST, &w->scales},
        {"--chaos", OPTION_VALUE, &w->chaos_words},
        {"--seed", OPTION_VALUE, &w->seed},
        {"--build --force-recreate --remove-orphans", OPTION_FLAG, &w->needless},
        {"--no-wait", OPTION_FLAG, &w->no_wait}, /* of start alone */
    };
    bool is_start = strcmp(verb, "start") == 0;
    struct options options = {.verb = verb,
                              .table = table,
                              .count = ARRAY_LEN(table) - (is_start ? 0 : 1),
                              .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    w->names = options.words;
    if (rc == 0 && w->needless)
        fputs("nodey: --build, --force-recreate and --remove-orphans do nothing here: there "
              "are no images and no containers\n",
              stderr);
    return rc;
}

/* ------------------------------------------------------------------------- checks */

/* Where nodey listens by itself is nobody's business when the command says where. */
static void drop_listen_notes(struct config *config)
{
    struct string_list *notes = &config->notes;
    size_t kept = 0;
    for (size_t i = 0; i < notes->count; i++)
        if (!slice_starts(slice_of(notes->items[i]), SLICE("listen is ")))
            notes->items[kept++] = notes->items[i];
    notes->count = kept;
    notes->items[kept] = NULL;
}

static int check_name(const struct config *config, const char *name)
{
    struct nearest nearest = nearest_init(slice_of(name));
    if (config_worker(config, name))
        return 0;
    for (size_t i = 0; i < config->worker_count; i++)
        nearest_offer(&nearest, config->workers[i].name);
    fprintf(stderr, "nodey: there is no program \"%s\" in %s", name,
            config->file ? config->file : config->dir);
    if (nearest.best)
        fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
    fputc('\n', stderr);
    return EXIT_REFUSED;
}

static int check_exit_code_from(const struct config *config, const char *name)
{
    int rc = name ? check_name(config, name) : 0;
    if (!name || rc)
        return rc;
    uint32_t when = config_worker(config, name)->restart.when;
    if (when == RESTART_NO || when == RESTART_ON_FAILURE)
        return 0;
    fprintf(
        stderr,
        "nodey: %s is started again whenever it ends, so nodey would never end with it: give "
        "it restart = \"no\" or \"on-failure\"\n",
        name);
    return EXIT_REFUSED;
}

/* One that no program has would change nothing, and nobody would know why. */
static int check_profile(const struct config *config, const char *name)
{
    struct nearest nearest = nearest_init(slice_of(name));
    if (strcmp(name, "*") == 0)
        return 0;
    for (size_t i = 0; i < config->worker_count; i++)
        for (size_t j = 0; j < config->workers[i].profiles.count; j++) {
            if (strcmp(config->workers[i].profiles.items[j], name) == 0)
                return 0;
            nearest_offer(&nearest, config->workers[i].profiles.items[j]);
        }
    fprintf(stderr, "nodey: no program is of the profile \"%s\"", name);
    if (nearest.best)
        fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
    fputc('\n', stderr);
    return EXIT_REFUSED;
}

static int check_names(const struct config *config, const struct up_words *w)
{
    int rc = check_exit_code_from(config, w->app.exit_code_from);
    for (size_t i = 0; rc == 0 && i < w->profiles.count; i++)
        rc = check_profile(config, w->profiles.items[i]);
    for (size_t i = 0; rc == 0 && i < w->names.count; i++)
        rc = check_name(config, w->names.items[i]);
    return rc;
}

/* "NAME=N": so many instances from the beginning. */
static int scale(const struct config *config, const char *words)
{
    size_t len = strcspn(words, "=");
    char *name = xstrndup(words, len);
    uint64_t n = 0;
    int rc = 0;
    if (!words[len] || !slice_to_u64(slice_of(words + len + 1), INSTANCES_MAX, &n) || n == 0)
        rc = usage_error("up", "--scale needs NAME=N, N from 1 to %d, not \"%s\"",
                         INSTANCES_MAX, words);
    else
        rc = check_name(config, name);
    for (size_t i = 0; rc == 0 && i < config->worker_count; i++) {
        struct worker_config *w = &config->workers[i];
        if (strcmp(w->name, name) != 0)
            continue;
        bool one_port = w->is_service && w->port && w->port != PORT_AUTO;
        if (one_port && n > 1)
            rc = usage_error("up",
                             "%s listens on port %llu, and only one of its instances could: "
                             "give it port = \"auto\"",
                             name, (unsigned long long)w->port);
        else
            w->instances = w->instances_min = n;
    }
    xfree(name);
    return rc;
}

static int scale_all(const struct config *config, const struct up_words *w)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->scales.count; i++)
        rc = scale(config, w->scales.items[i]);
    return rc;
}

/* What cannot run here is known before anything starts. */
static int check_commands(const struct config *config)
{
    struct err err;
    if (executable_check(config, /* dormant= */ false, &err) == 0)
        return 0;
    fprintf(stderr, "nodey: %s\n", err.text);
    return EXIT_REFUSED;
}

/* ---------------------------------------------------------------------------- up */

/* Who comes from another tool begins by typing this where its file lies. */
static void say_import(void)
{
    static const char *const names[] = {"compose.yaml", "compose.yml", "docker-compose.yaml",
                                        "docker-compose.yml", "Procfile"};
    if (access("nodey.toml", F_OK) == 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (access(names[i], F_OK) == 0) {
            fprintf(stderr, "there is a %s: nodey import . -o nodey.toml\n", names[i]);
            return;
        }
}

static int up(struct up_words *w)
{
    struct err err;
    struct config *config = config_load_listening(w->app.file, w->app.listen, &err);
    if (!config) {
        fprintf(stderr, "nodey: %s\n", err.text);
        if (!w->app.file)
            say_import();
        return EXIT_REFUSED;
    }
    w->app.profiles = list_of(&w->profiles);
    w->app.only = list_of(&w->names);
    struct background background = {
        .config = config,
        .options = &w->app,
        .names = w->names.items,
        .name_count = w->names.count,
        .wait = w->wait,
        .limit_ms = WAIT_USUAL_MS,
    };
    int rc = reach_time("up", "--wait-timeout", w->timeout, WAIT_MAX_MS, &background.limit_ms);
    if (rc == 0)
        rc = check_names(config, w);
    if (rc == 0)
        rc = scale_all(config, w);
    if (rc == 0)
        rc = check_commands(config);
    if (rc) {
        config_release(config);
        return rc;
    }
    if (w->app.listen)
        drop_listen_notes(config);
    return w->detach || w->wait ? background_run(&background) : app_run(config, &w->app);
}

static int check_use(const struct up_words *w)
{
    bool behind = w->detach || w->wait;
    if (behind && w->app.exit_code_from)
        return usage_error("up", "--exit-code-from goes without --detach and --wait");
    if (!behind && w->timeout)
        return usage_error("up", "--wait-timeout goes with --wait or --detach");
    if (w->no_wait)
        return usage_error("start", "--no-wait goes with the name of a program");
    return 0;
}

/* Without a seed it is another one each time, which is told. */
static int read_chaos(struct up_words *w)
{
    struct err err;
    if (!w->chaos_words)
        return w->seed ? usage_error("up", "--seed goes with --chaos") : 0;
    w->chaos.seed = loop_clock_ns() % 1000000;
    if (w->seed && !slice_to_u64(slice_of(w->seed), INT64_MAX, &w->chaos.seed))
        return usage_error("up", "--seed is a number, not \"%s\"", w->seed);
    if (chaos_parse(w->chaos_words, &w->chaos, &err))
        return usage_error("up", "--chaos %s: %s", w->chaos_words, err.text);
    w->app.chaos = &w->chaos;
    return 0;
}

int command_up(int argc, char **argv)
{
    struct up_words w;
    int rc = read_words(&w, "up", argc, argv);
    if (rc == 0)
        rc = check_use(&w);
    if (rc == 0)
        rc = read_chaos(&w);
    if (rc == 0)
        rc = up(&w);
    words_deinit(&w);
    return rc;
}

/* ------------------------------------------------------------------------- start */

static int start(const struct up_words *w)
{
    struct session session;
    struct act_order order = {.verb = "start", .wait_ms = START_USUAL_MS};
    int rc = reach_time("start", "--wait-timeout", w->timeout, WAIT_MAX_MS, &order.wait_ms);
    if (w->no_wait)
        order.wait_ms = 0;
    if (rc == 0)
        rc = reach_open(&session, w->app.file);
    if (rc == 0) {
        rc = act_give_all(&session, w->names.items, w->names.count, &order);
        session_close(&session);
    }
    return rc;
}

int command_start(int argc, char **argv)
{
    struct up_words w;
    int rc = read_words(&w, "start", argc, argv);
    if (rc == 0 && w.names.count)
        rc = start(&w);
    else if (rc == 0)
        rc = check_use(&w);
    if (rc == 0 && !w.names.count)
        rc = up(&w);
    words_deinit(&w);
    return rc;
}
