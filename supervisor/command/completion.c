/*
 * `nodey completion`: what a shell needs to complete nodey's words, which it asks nodey for.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/options.h"
#include "command/command.h"
#include "command/takes.h"
#include "config/config.h"

const char command_completion_help[] =
    "Prints a script that completes commands, options, programs and signals in this shell.\n"
    "What there is to complete it asks nodey for, so a script need not be renewed.\n"
    "\n"
    "  bash    echo 'source <(nodey completion bash)' >> ~/.bashrc\n"
    "  zsh     nodey completion zsh > \"${fpath[1]}/_nodey\"\n"
    "  fish    nodey completion fish > ~/.config/fish/completions/nodey.fish\n";

/* Answered instead of words: the shell is to complete the names of files. */
static const char files[] = ":files";

static const struct shell {
    const char *name, *script;
} shells[] = {
    {"bash",
     "# nodey's completion for bash.\n"
     "_nodey() {\n"
     "    local cur=${COMP_WORDS[COMP_CWORD]} line\n"
     "    COMPREPLY=()\n"
     "    while IFS= read -r line; do\n"
     "        if [[ $line == :files ]]; then\n"
     "            compopt -o filenames 2>/dev/null\n"
     "            while IFS= read -r line; do COMPREPLY+=(\"$line\"); done \\\n"
     "                < <(compgen -f -- \"$cur\")\n"
     "        else\n"
     "            COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
     "        fi\n"
     "    done < <(\"$1\" __complete \"$COMP_CWORD\" \"${COMP_WORDS[@]}\" 2>/dev/null)\n"
     "}\n"
     "complete -F _nodey nodey\n"},
    {"zsh",
     "#compdef nodey\n"
     "# nodey's completion for zsh.\n"
     "_nodey() {\n"
     "    local line\n"
     "    local -a found\n"
     "    for line in \"${(@f)$(\"$words[1]\" __complete $((CURRENT - 1)) \"${words[@]}\" "
     "2>/dev/null)}\"; do\n"
     "        if [[ $line == :files ]]; then\n"
     "            _files\n"
     "        elif [[ -n $line ]]; then\n"
     "            found+=(\"${${line//:/\\\\:}/$'\\t'/:}\")\n"
     "        fi\n"
     "    done\n"
     "    (( $#found )) && _describe nodey found\n"
     "}\n"
     "if [[ $funcstack[1] == _nodey ]]; then _nodey \"$@\"; else compdef _nodey nodey; fi\n"},
    {"fish",
     "# nodey's completion for fish.\n"
     "function __nodey_complete\n"
     "    set -l words (commandline -opc)\n"
     "    set -l current (commandline -ct)\n"
     "    for line in ($words[1] __complete (count $words) $words $current 2>/dev/null)\n"
     "        if test \"$line\" = :files\n"
     "            __fish_complete_path $current\n"
     "        else\n"
     "            echo $line\n"
     "        end\n"
     "    end\n"
     "end\n"
     "complete -c nodey -f -a '(__nodey_complete)'\n"},
};

int command_completion(int argc, char **argv)
{
    struct options options = {.verb = "completion", .words_max = 1};
    int rc = options_read(&options, argc, argv);
    const char *name = rc == 0 && options.words.count ? options.words.items[0] : NULL;
    word_list_deinit(&options.words);
    if (rc)
        return rc;
    for (size_t i = 0; name && i < ARRAY_LEN(shells); i++)
        if (strcmp(shells[i].name, name) == 0) {
            fputs(shells[i].script, stdout);
            return 0;
        }
    if (name)
        return usage_error("completion", "bash, zsh and fish are known, not \"%s\"", name);
    return usage_error("completion", "nodey completion needs a shell: bash, zsh or fish");
}

/* ------------------------------------------------------------------ what is asked for */

/* A command line that is being typed. */
struct typed {
    const struct verb *verb;
    struct buf options; /* of the verb */
    char **words;       /* behind the verb, before the current one */
    size_t count;
    const char *current;
};

static void offer(const struct typed *t, struct slice word, const char *help)
{
    if (!slice_starts(word, slice_of(t->current)))
        return;
    printf(SLICE_FMT "%s%s\n", SLICE_ARG(word), help ? "\t" : "", help ? help : "");
}

static void offer_verbs(const struct typed *t)
{
    const struct verb *verb;
    for (size_t i = 0; (verb = cli_verb(i)); i++)
        if (verb->usage)
            offer(t, slice_of(verb->name), verb->help);
}

static void offer_signals(const struct typed *t)
{
    for (int sig = 1; sig < NSIG; sig++)
        if (sigabbrev_np(sig))
            offer(t, slice_of(sigabbrev_np(sig)), sigdescr_np(sig));
}

static void offer_words(const struct typed *t, const char *const *words)
{
    for (; *words; words++)
        offer(t, slice_of(*words), NULL);
}

/* The value behind one of these options, if it was typed. */
static const char *typed_file(const struct typed *t)
{
    static const char *const names[] = {"-f", "--file", "--config"};
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < ARRAY_LEN(names); j++) {
            size_t len = strlen(names[j]);
            if (strcmp(t->words[i], names[j]) == 0 && i + 1 < t->count)
                return t->words[i + 1];
            if (len > 2 && strncmp(t->words[i], names[j], len) == 0 && t->words[i][len] == '=')
                return t->words[i] + len + 1;
        }
    return NULL;
}

static void offer_programs(const struct typed *t)
{
    struct err err;
    struct config *config = config_load(typed_file(t), &err);
    for (size_t i = 0; config && i < config->worker_count; i++)
        offer(t, slice_of(config->workers[i].name),
              config->workers[i].is_service ? "service" : "worker");
    config_release(config);
}

/* Calls `each` for every name of every option; stops at and returns the first true. */
static bool each_option(const struct typed *t,
                        bool (*each)(const struct typed *, struct slice name, bool has_value,
                                     const char *arg),
                        const char *arg)
{
    struct slice rest = buf_slice(&t->options);
    while (rest.len) {
        const char *tab = memchr(rest.ptr, '\t', rest.len);
        const char *end = memchr(rest.ptr, '\n', rest.len);
        if (!tab || !end || tab > end)
            break;
        struct slice names = {rest.ptr, (size_t)(tab - rest.ptr)};
        bool has_value = tab[1] == 'v';
        while (names.len) {
            const char *blank = memchr(names.ptr, ' ', names.len);
            struct slice name = {names.ptr, blank ? (size_t)(blank - names.ptr) : names.len};
            if (each(t, name, has_value, arg))
                return true;
            names = slice_from(names, name.len + (blank != NULL));
        }
        rest = slice_from(rest, (size_t)(end - rest.ptr) + 1);
    }
    return false;
}

static bool offer_option(const struct typed *t, struct slice name, bool has_value,
                         const char *arg)
{
    (void)has_value;
    (void)arg;
    offer(t, name, NULL);
    return false;
}

static bool takes_value(const struct typed *t, struct slice name, bool has_value,
                        const char *arg)
{
    (void)t;
    return has_value && slice_is(name, arg);
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

/* What stands behind an option that wants something. */
static void offer_value(const struct typed *t, const char *option)
{
    static const char *const of_signals[] = {"-s", "--signal", NULL};
    static const char *const of_formats[] = {"--format", NULL};
    static const char *const of_programs[] = {"--exit-code-from", NULL};
    static const char *const of_files[] = {"-f", "--file",    "--config", "--cwd",
                                           "-w", "--workdir", NULL};
    if (is_one_of(option, of_signals))
        offer_signals(t);
    else if (is_one_of(option, of_formats))
        offer_words(t, (const char *const[]){"json", NULL});
    else if (is_one_of(option, of_programs))
        offer_programs(t);
    else if (is_one_of(option, of_files))
        puts(files);
}

/* How many words there are that are neither options nor their values. */
static size_t plain_words(const struct typed *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (t->words[i][0] != '-')
            count++;
        else if (each_option(t, takes_value, t->words[i]))
            i++;
    }
    return count;
}

/* Of verbs whose first word is what to do.  False: it is another verb. */
static bool offer_parts(const struct typed *t)
{
    static const char *const of_events[] = {"tail", "list", "replay", "drop", NULL};
    static const char *const of_dead[] = {"list", "show", "retry", "drop", NULL};
    static const char *const of_bus[] = {"sql", "backup", "drop", NULL};
    const char *const *words = strcmp(t->verb->name, "events") == 0 ? of_events
                               : strcmp(t->verb->name, "dead") == 0 ? of_dead
                               : strcmp(t->verb->name, "bus") == 0  ? of_bus
                                                                    : NULL;
    if (words)
        offer_words(t, words);
    return words != NULL;
}

/* By what the usage says that the verb takes. */
static void offer_plain(const struct typed *t)
{
    const char *usage = t->verb->usage;
    bool programs = strstr(usage, "NAME") || strstr(usage, "WORKER");
    bool many = strstr(usage, "...");
    if (strcmp(t->verb->name, "help") == 0)
        offer_verbs(t);
    else if (strcmp(t->verb->name, "completion") == 0)
        offer_words(t, (const char *const[]){"bash", "zsh", "fish", NULL});
    else if (strcmp(t->verb->name, "man") == 0)
        offer_words(t, (const char *const[]){"nodey.toml", NULL});
    else if (plain_words(t) == 0 && offer_parts(t))
        return;
    else if (programs && strcmp(t->verb->name, "new") != 0 && (many || plain_words(t) == 0))
        offer_programs(t);
    else if (strstr(usage, "COMMAND") || strstr(usage, "PROGRAM") || strstr(usage, "FILE ") ||
             strcmp(t->verb->name, "import") == 0)
        puts(files);
}

static void complete(const struct typed *t)
{
    const char *before = t->count ? t->words[t->count - 1] : "";
    if (before[0] == '-' && each_option(t, takes_value, before))
        offer_value(t, before);
    else if (t->current[0] == '-')
        each_option(t, offer_option, NULL);
    else
        offer_plain(t);
}

int command_complete(int argc, char **argv)
{
    uint64_t index;
    if (argc < 2 || !slice_to_u64(slice_of(argv[0]), INT32_MAX, &index) || index < 1 ||
        index >= (uint64_t)argc)
        return 2;
    char **words = argv + 1; /* the first is nodey itself */
    struct typed t = {.words = words + 2,
                      .count = index > 2 ? (size_t)index - 2 : 0,
                      .current = index + 1 < (uint64_t)argc ? words[index] : ""};
    if (index == 1) {
        offer_verbs(&t);
        return 0;
    }
    t.verb = takes_verb(words[1]);
    if (!t.verb)
        return 0;
    takes_options(t.verb, &t.options);
    complete(&t);
    buf_deinit(&t.options);
    return 0;
}
