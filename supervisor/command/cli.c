#include "command/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/keeper.h"
#include "base/buf.h"
#include "bench/bench.h"
#include "client/input.h"
#include "client/session.h"
#include "command/command.h"
#include "command/import.h"
#include "command/storyfile.h"
#include "config/executable.h"
#include "config/value.h"
#include "conform/conform.h"
#include "loop/shim.h"

static const char check_help[] =
    "Without a program: is the configuration good? Names the place of what is wrong in it.\n"
    "\n"
    "  nodey check [-f FILE]\n"
    "\n"
    "With a program in any language: does it speak the worker protocol? Starts it as nodey\n"
    "would, holds conversations with it, and says of each whether it went well, or what was\n"
    "wrong and how to mend it; then which level it reaches. The requests are real ones to its\n"
    "own routes. WORKER is one of the configuration here, and runs with its settings.\n"
    "\n"
    "  nodey check WORKER\n"
    "  nodey check [--as NAME] PROGRAM [ARGS]\n"
    "  nodey check [--as NAME] -- COMMAND [ARGS]\n"
    "\n"
    "  --as NAME             it is this worker of protocol/vectors/README.md (fib, echo,\n"
    "                        shapes, ask, slow, noisy, broken): its golden transcripts are\n"
    "                        run instead\n"
    "  --timeout TIME        how long an answer may take; 10s when left out\n"
    "  --format json         one JSON object instead of text\n"
    "  -v, --verbose         what was sent and what came, also where nothing is wrong\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when something is wrong, 2 for wrong usage.\n";

static struct config *load(const char *file)
{
    struct err err;
    struct config *config = config_load(file, &err);
    if (!config)
        fprintf(stderr, "nodey: %s\n", err.text);
    return config;
}

/* Lets go of a configuration that has nothing to run. */
static bool is_empty(struct config *config)
{
    if (!config->empty)
        return false;
    fprintf(stderr, "nodey: %s\n", config->empty);
    config_release(config);
    return true;
}

/* One instance of each program is enough for one command. */
static int run_private(int argc, char **argv)
{
    struct app_options options = {.private_socket = argc ? argv[0] : NULL,
                                  .no_dev = true,
                                  .no_watch = true,
                                  .file = argc > 2 ? argv[2] : NULL};
    struct config *config = argc ? load(options.file) : NULL;
    if (!config || is_empty(config))
        return EXIT_UNREACHABLE;
    config_leave_services_out(config);
    for (size_t i = 0; i < config->worker_count; i++)
        config->workers[i].instances = config->workers[i].instances_min = 1;
    return app_run(config, &options);
}

static int check_config(const char *file)
{
    struct err err;
    struct config *config = load(file);
    if (!config || is_empty(config))
        return 1;
    if (executable_check(config, /* dormant= */ true, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        config_release(config);
        return 1;
    }
    struct buf summary = {0};
    config_summary(config, &summary);
    fputs(buf_cstr(&summary), stdout);
    buf_deinit(&summary);
    printf("%s is valid\n", config->file ? config->file : "the folder");
    config_release(config);
    return 0;
}

static bool is_config(const char *word)
{
    size_t len = strlen(word);
    return len > 5 && strcmp(word + len - 5, ".toml") == 0;
}

static int check_words(struct conform_options *conform, const char *file)
{
    const struct word_list *words = &conform->words;
    if (words->count == 0 && !conform->as)
        return check_config(file);
    if (words->count == 0)
        return usage_error("check", "--as needs a program");
    if (words->count == 1 && !conform->is_command && !file && is_config(words->items[0]))
        return check_config(words->items[0]);
    if (file)
        return usage_error("check", "-f goes without a program");
    return conform_run(conform);
}

static int run_check(int argc, char **argv)
{
    const char *file = NULL, *timeout = NULL, *format = NULL;
    struct conform_options conform = {0};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &file},
        {"--as", OPTION_VALUE, &conform.as},
        {"--timeout", OPTION_VALUE, &timeout},
        {"--format", OPTION_VALUE, &format},
        {"--no-color", OPTION_FLAG, &conform.no_color},
        {"-v --verbose", OPTION_FLAG, &conform.verbose},
    };
    struct options options = {.verb = "check",
                              .table = table,
                              .count = ARRAY_LEN(table),
                              .words_max = SIZE_MAX,
                              .stop_at_word = true};
    int rc = options_read(&options, argc, argv);
    conform.words = options.words;
    conform.is_command = options.ended;
    conform.as_json = format != NULL;
    if (rc == 0 && format && strcmp(format, "json") != 0)
        rc = usage_error("check", "--format knows json, not \"%s\"", format);
    if (rc == 0)
        rc = input_timeout("check", timeout, &conform.answer_ms);
    if (rc == 0)
        rc = check_words(&conform, file);
    word_list_deinit(&options.words);
    return rc;
}

static int run_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("nodey " NODEY_VERSION);
    return 0;
}

static int run_help(int argc, char **argv);

static const struct verb verbs[] = {
    {"up", command_up, "up [-d] [NAME...]", "run the programs and serve them", command_up_help},
    {"serve", command_up, NULL, NULL, NULL},
    {"down", command_down, "down [-t TIME]", "end the nodey that is up", command_down_help},
    {"start", command_start, "start NAME...", "start programs that were stopped",
     command_start_help},
    {"stop", command_stop, "stop NAME...", "stop programs, and they stay so",
     command_stop_help},
    {"restart", command_restart, "restart NAME...", "stop programs and start them again",
     command_restart_help},
    {"reload", command_reload, "reload [NAME...]", "apply a changed configuration, or renew",
     command_reload_help},
    {"scale", command_scale, "scale NAME N", "so many instances from now on",
     command_scale_help},
    {"kill", command_kill, "kill [-s SIGNAL] NAME...", "send a signal to a program",
     command_kill_help},
    {"ps", command_ps, "ps [-a] [NAME...]", "what runs, what does not, and why",
     command_ps_help},
    {"stats", command_stats, "stats [--no-stream] [NAME...]", "what they use, each second",
     command_stats_help},
    {"top", command_top, "top", "the same on the whole terminal", command_top_help},
    {"describe", command_describe, "describe NAME", "all about one program",
     command_describe_help},
    {"logs", command_logs, "logs [-f] [-n N] [NAME...]", "what the programs wrote",
     command_logs_help},
    {"why", command_why, "why [NAME] [ID]", "why a program crashed, froze or was killed",
     command_why_help},
    {"publish", command_publish, "publish TOPIC [DATA]", "publish an event, or give a job",
     command_publish_help},
    {"events", command_events, "events tail|list|replay|drop",
     "what is published; handle it again", command_events_help},
    {"jobs", command_jobs, "jobs [QUEUE...]", "queues, and how much waits in them",
     command_jobs_help},
    {"lag", command_lag, "lag [-w] [GROUP...]", "what waits to be handled, and by whom",
     command_lag_help},
    {"dead", command_dead, "dead list|show|retry|drop", "what nobody was able to handle",
     command_dead_help},
    {"bus", command_bus, "bus [sql | backup | drop]", "where events and jobs are kept",
     command_bus_help},
    {"flow", command_flow, "flow [--check FILE]", "who publishes what, and who handles it",
     command_flow_help},
    {"trace", command_trace, "trace ID", "what a message led to, step by step",
     command_trace_help},
    {"record", command_record, "record -o FILE [--for TIME]", "keep what happens as a story",
     command_record_help},
    {"replay", command_replay, "replay FILE [--only NAME]", "play a story in a run of its own",
     command_replay_help},
    {"test", command_test, "test FILE...", "does a story still end as it did?",
     command_test_help},
    {"new", command_new, "new NAME [--lang py|js|ts|sh]", "write a small worker to begin with",
     command_new_help},
    {"init", command_init, "init", "write a nodey.toml for what lies here", command_init_help},
    {"import", command_import, "import FILE | FOLDER",
     "a nodey.toml from a compose file, a Procfile or PM2's", command_import_help},
    {"check", run_check, "check [WORKER | PROGRAM]",
     "is the configuration good? does a program speak the protocol?", check_help},
    {"config", command_config, "config [NAME]", "the configuration as it will run",
     command_config_help},
    {"env", command_env, "env NAME", "the environment that a program gets", command_env_help},
    {"run", command_run, "run COMMAND [ARGS]", "run a command that finds the SDKs, as tests do",
     command_run_help},
    {"exec", command_exec, "exec NAME COMMAND [ARGS]", "run a command as a program would run",
     command_exec_help},
    {"call", command_call, "call NAME 'GET /path?a=1'", "send one request to a worker",
     command_call_help},
    {"ask", command_ask, "ask TOKEN [JSON]", "ask as a worker would", command_ask_help},
    {"repl", command_repl, "repl [NAME]", "requests and asks, line by line", command_repl_help},
    {"bench", command_bench, "bench [URL | NAME]",
     "load a server, or compare a pipe with an HTTP bridge", command_bench_help},
    {"install-service", command_install, "install-service [--print]", "a unit for systemd",
     command_install_help},
    {"completion", command_completion, "completion bash|zsh|fish", "completes what you type",
     command_completion_help},
    {"man", command_man, "man [nodey.toml]", "the manual, for man", command_man_help},
    {COMPLETE_VERB, command_complete, NULL, NULL, NULL},
    {"version", run_version, "version", "print the version", NULL},
    {"--version", run_version, NULL, NULL, NULL},
    {"-v", run_version, NULL, NULL, NULL},
    {"help", run_help, "help [VERB | config [KEY]]", "print this, or more of one thing", NULL},
    {"--help", run_help, NULL, NULL, NULL},
    {"-h", run_help, NULL, NULL, NULL},
    {PRIVATE_VERB, run_private, NULL, NULL, NULL},
    {STORY_VERB, storyfile_run, NULL, NULL, NULL},
    {SHIM_VERB, shim_main, NULL, NULL, NULL},
    {KEEPER_VERB, keeper_main, NULL, NULL, NULL},
};

const struct verb *cli_verb(size_t n)
{
    return n < ARRAY_LEN(verbs) ? &verbs[n] : NULL;
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    return NULL;
}

/* What people are used to say to docker, systemd, PM2, and what nodey has for it. */
static const char *habit_of(const char *name)
{
    static const struct {
        const char *words, *instead;
    } habits[] = {
        {"status list ls port info", "nodey ps"},
        {"inspect show", "nodey describe NAME"},
        {"log tail journal attach", "nodey logs"},
        {"emit send enqueue produce", "nodey publish TOPIC, or nodey publish --queue QUEUE"},
        {"queues queue", "nodey jobs"},
        {"pull update upgrade build",
         "nodey reload, which runs what is new: there are no images"},
        {"rm remove delete destroy", "nodey stop NAME, or nodey down"},
        {"validate lint", "nodey check"},
        {"sh shell", "nodey exec NAME sh"},
        {"monit monitor", "nodey top"},
        {"startup enable", "nodey install-service"},
        {"dev watch", "nodey up --dev"},
    };

    for (size_t i = 0; i < ARRAY_LEN(habits); i++)
        for (const char *at = habits[i].words; *at;) {
            struct slice word = {at, strcspn(at, " ")};
            if (slice_is(word, name))
                return habits[i].instead;
            at += word.len + (at[word.len] != '\0');
        }
    return NULL;
}

static int unknown_verb(const char *name)
{
    const char *instead = habit_of(name);
    if (instead)
        return usage_error(NULL, "there is no command \"%s\": here it is %s", name, instead);
    struct nearest nearest = nearest_init(slice_of(name));
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (verbs[i].usage)
            nearest_offer(&nearest, verbs[i].name);
    if (nearest.best)
        return usage_error(NULL, "there is no command \"%s\"; did you mean \"%s\"?", name,
                           nearest.best);
    return usage_error(NULL, "there is no command \"%s\"", name);
}

static int help_verb(const struct verb *verb)
{
    const struct verb *at = verb;
    while (!at->usage && at > verbs && at[-1].run == at->run)
        at--;
    if (!at->usage)
        return unknown_verb(verb->name);
    printf("nodey %s: %s\n", at->usage, at->help);
    if (at->more)
        printf("\n%s", at->more);
    return 0;
}

static void print_usage(FILE *to)
{
    fputs("nodey runs a folder of Node and Python programs, and what they need, as a "
          "service.\n\n",
          to);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (verbs[i].usage)
            fprintf(to, "  nodey %-30s %s\n", verbs[i].usage, verbs[i].help);
    fputs("\n`nodey help VERB` says more of one, `nodey help config` what can be configured.  "
          "Without\n"
          "a nodey.toml, up serves the scripts in workers/.\n"
          "\n"
          "Exit codes, unless a verb says more: 0, it worked; 1, it did not; 2, wrong usage;\n"
          "3, no nodey is up, or it does not answer.\n",
          to);
}

/* Every setting, or what the words name: "instances", "workers.instances", "[server] listen".
 */
static int help_config(int argc, char **argv)
{
    struct buf text = {0}, key = {0};
    for (int i = 0; i < argc; i++)
        buf_addf(&key, "%s%s", i ? " " : "", argv[i]);
    bool found = true;
    if (argc == 0)
        config_describe(&text);
    else if (strcmp(argv[0], "--markdown") == 0)
        config_describe_markdown(&text);
    else
        found = config_describe_key(&text, buf_cstr(&key));
    fprintf(found ? stdout : stderr, "%s%s", found ? "" : "nodey: ", buf_cstr(&text));
    buf_deinit(&text);
    buf_deinit(&key);
    return found ? 0 : 2;
}

static int run_help(int argc, char **argv)
{
    if (argc && strcmp(argv[0], "config") == 0)
        return help_config(argc - 1, argv + 1);
    if (argc) {
        const struct verb *verb = find_verb(argv[0]);
        return verb ? help_verb(verb) : unknown_verb(argv[0]);
    }
    print_usage(stdout);
    return 0;
}

/* Among the words of the verb itself, that is before "--" and before a program. */
static bool wants_help(const struct verb *verb, int argc, char **argv)
{
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || (i == 2 && strcmp(argv[i], "-h") == 0))
            return true;
        bool becomes = verb->run == command_run || verb->run == command_exec;
        if ((verb->run == run_check || becomes) && argv[i][0] != '-')
            return false;
    }
    return false;
}

int cli_run(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    const struct verb *verb = find_verb(argv[1]);
    if (!verb)
        return unknown_verb(argv[1]);
    bool hidden = strncmp(argv[1], "__", 2) == 0;
    if (!hidden && wants_help(verb, argc, argv))
        return help_verb(verb);
    return verb->run(argc - 2, argv + 2);
}
