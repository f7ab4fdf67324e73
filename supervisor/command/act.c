/*
 * `nodey start`, `stop`, `restart`, `scale`, `kill`: orders to programs.
 */
#include "command/act.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/members.h"
#include "client/options.h"
#include "client/show.h"
#include "command/command.h"
#include "command/program.h"
#include "config/compose.h"

enum { WAIT_USUAL_MS = 60000, WAIT_MAX_MS = 60 * 60 * 1000, ANSWER_MS = 10000 };

#define COMMON_HELP                                                                            \
    "  -f, --file FILE       the configuration that nodey was started with\n"                  \
    "  --wait-timeout TIME   how long it may take; 60s when left out\n"                        \
    "  --no-wait             begin, and do not wait until it is done\n"                        \
    "  --format json         what the control socket answers, one line for each\n"             \
    "\n"                                                                                       \
    "Exit code: 0, 1 when it did not work, 2 for wrong usage, 3 when no nodey is up.\n"

const char command_stop_help[] =
    "Stops programs: each ends after what it works on, with its stop_signal, and is killed\n"
    "after its stop_grace_period. It stays stopped until nodey start NAME, or until nodey\n"
    "itself is started again; with restart = \"unless-stopped\" also then. Requests to it are\n"
    "answered 503.\n"
    "\n"
    "  nodey stop NAME...\n"
    "  nodey stop --all      all programs; nodey itself goes on, see nodey down\n"
    "\n" COMMON_HELP;

const char command_restart_help[] =
    "Stops programs and starts them again, with a gap in which they do not serve; for one\n"
    "without a gap see nodey reload. What was stopped is started.\n"
    "\n"
    "  nodey restart NAME...\n"
    "  nodey restart --all\n"
    "\n" COMMON_HELP;

const char command_scale_help[] =
    "From now on a program has so many instances, until its configuration says another number\n"
    "or nodey is started again. Where that is a range, the load does not decide until then.\n"
    "\n"
    "  nodey scale NAME N\n"
    "  nodey scale NAME=N...\n"
    "\n" COMMON_HELP;

const char command_kill_help[] =
    "Sends a signal to the processes of a program, and to those that they started. What ends "
    "is\n"
    "started again as its restart policy says: to end a program for good, stop it.\n"
    "\n"
    "  nodey kill [-s SIGNAL] NAME...\n"
    "\n"
    "  -s, --signal SIGNAL   a name such as HUP or SIGUSR1, or a number; KILL when left out\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         what the control socket answers, one line for each\n"
    "\n"
    "Exit code: 0, 1 when there was nobody to send it to, 2 for wrong usage, 3 when no\n"
    "nodey is up.\n";

/* -------------------------------------------------------------------- one order */

static uint64_t number_of(const struct json_value *object, const char *name)
{
    struct json_value value;
    uint64_t n = 0;
    if (members_get(object, name, &value))
        IGNORE(!json_to_u64(&value, UINT64_MAX, &n)); /* then it is 0 */
    return n;
}

/* What came of it, as a sentence that begins with the name. */
static void tell(const char *name, const struct act_order *order,
                 const struct json_value *answer)
{
    struct json_value json;
    struct programs_view view = {0};
    if (members_get(answer, "program", &json))
        programs_read(&view, &json);
    const struct program_view *p = view.count ? &view.items[0] : NULL;
    const char *state = p ? p->state : "";
    bool done = members_is_true(answer, "done"), changed = members_is_true(answer, "changed");
    unsigned long long signalled = number_of(answer, "signalled");
    if (strcmp(order->verb, "signal") == 0)
        printf("%s: %llu process%s got the signal\n", name, signalled,
               signalled == 1 ? "" : "es");
    else if (strcmp(order->verb, "scale") == 0 && p)
        printf("%s: %llu of %llu ready%s\n", name, (unsigned long long)p->ready,
               (unsigned long long)p->wanted, changed ? "" : ", as before");
    else if (!changed)
        printf("%s: %s already\n", name, state);
    else if (done)
        printf("%s: %s\n", name, state);
    else
        printf("%s: %s (not waited for)\n", name, state);
    programs_deinit(&view);
}

int act_give(struct session *session, const char *name, const struct act_order *order)
{
    struct client_response answer;
    struct json_value json;
    char *encoded = reach_encode(name);
    char *target = xasprintf("/v1/programs/%s/%s?wait=%llums%s%s", encoded, order->verb,
                             (unsigned long long)order->wait_ms, order->parameter ? "&" : "",
                             order->parameter ? order->parameter : "");
    int rc = reach_fetch(session, "POST", target, order->wait_ms + ANSWER_MS, &answer, &json);
    if (rc == 0) {
        if (order->as_json)
            show_write(stdout, buf_slice(&answer.body));
        else
            tell(name, order, &json);
        fflush(stdout);
        client_response_deinit(&answer);
    }
    xfree(target);
    xfree(encoded);
    return rc;
}

int act_give_all(struct session *session, const char *const *names, size_t count,
                 const struct act_order *order)
{
    int first = 0;
    for (size_t i = 0; i < count; i++) {
        int rc = act_give(session, names[i], order);
        first = first ? first : rc;
        if (rc == EXIT_UNREACHABLE)
            break;
    }
    return first;
}

/* ------------------------------------------------------------------------ words */

/* What the verbs here take. */
struct act_words {
    const char *file, *format, *timeout, *signal;
    bool all, no_wait;
    struct act_order order;
    struct word_list words;
};

/* 0, or 2 after saying what is wrong. */
static int read_words(struct act_words *w, const char *verb, int argc, char **argv)
{
    const struct option signal = {"-s --signal", OPTION_VALUE, &w->signal};
    const struct option all = {"--all", OPTION_FLAG, &w->all};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &w->file}, {"--format", OPTION_VALUE, &w->format},
        {"--wait-timeout", OPTION_VALUE, &w->timeout},  {"--no-wait", OPTION_FLAG, &w->no_wait},
        strcmp(verb, "kill") == 0 ? signal : all,
    };
    size_t own = strcmp(verb, "scale") == 0 ? 0 : 1; /* the last one */
    struct options options = {.verb = verb,
                              .table = table,
                              .count = ARRAY_LEN(table) - 1 + own,
                              .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    w->words = options.words;
    w->order.wait_ms = WAIT_USUAL_MS;
    if (rc == 0)
        rc = reach_format(verb, w->format, &w->order.as_json);
    if (rc == 0)
        rc = reach_time(verb, "--wait-timeout", w->timeout, WAIT_MAX_MS, &w->order.wait_ms);
    if (w->no_wait)
        w->order.wait_ms = 0;
    if (rc == 0 && !w->all && w->words.count == 0) {
        char what[80];
        snprintf(what, sizeof(what), "nodey %s needs the name of a program", verb);
        rc = command_needs_name(verb, w->file, what);
    }
    if (rc == 0 && w->all && w->words.count)
        rc = usage_error(verb, "--all goes without names");
    return rc;
}

/* To those that run; what rests is left alone. */
static int give_to_all(struct session *session, const struct act_order *order)
{
    struct programs_view all;
    int rc = programs_fetch(session, /* with_usage= */ false, &all);
    if (rc)
        return rc;
    for (size_t i = 0; i < all.count; i++)
        if (program_is_active(&all.items[i])) {
            int code = act_give(session, all.items[i].name, order);
            rc = rc ? rc : code;
        }
    programs_deinit(&all);
    return rc;
}

static int give(struct act_words *w)
{
    struct session session;
    int rc = reach_open(&session, w->file);
    if (rc)
        return rc;
    rc = w->all ? give_to_all(&session, &w->order)
                : act_give_all(&session, w->words.items, w->words.count, &w->order);
    session_close(&session);
    return rc;
}

static int run(const char *verb, int argc, char **argv)
{
    struct act_words w = {.order = {.verb = verb}};
    int rc = read_words(&w, verb, argc, argv);
    if (rc == 0)
        rc = give(&w);
    word_list_deinit(&w.words);
    return rc;
}

int command_stop(int argc, char **argv)
{
    return run("stop", argc, argv);
}

int command_restart(int argc, char **argv)
{
    return run("restart", argc, argv);
}

int command_kill(int argc, char **argv)
{
    struct act_words w = {.order = {.verb = "signal"}};
    char parameter[40];
    int rc = read_words(&w, "kill", argc, argv);
    int number = w.signal ? compose_signal(slice_of(w.signal)) : SIGKILL;
    if (rc == 0 && number <= 0)
        rc = usage_error("kill", "there is no signal \"%s\"", w.signal);
    if (rc == 0) {
        snprintf(parameter, sizeof(parameter), "signal=%d", number);
        w.order.parameter = parameter;
        rc = give(&w);
    }
    word_list_deinit(&w.words);
    return rc;
}

/* ------------------------------------------------------------------------ scale */

static int scale_one(struct session *session, const struct act_words *w, const char *name,
                     const char *number)
{
    uint64_t count;
    char parameter[40];
    struct act_order order = w->order;
    if (!slice_to_u64(slice_of(number), 1000000, &count))
        return usage_error("scale", "\"%s\" is no number of instances", number);
    snprintf(parameter, sizeof(parameter), "instances=%llu", (unsigned long long)count);
    order.parameter = parameter;
    return session ? act_give(session, name, &order) : 0;
}

/* Without a session: are the words right? */
static int scale_words(struct session *session, const struct act_words *w)
{
    const struct word_list *words = &w->words;
    int rc = 0;
    if (words->count == 2 && !strchr(words->items[0], '=') && !strchr(words->items[1], '='))
        return scale_one(session, w, words->items[0], words->items[1]);
    for (size_t i = 0; rc == 0 && i < words->count; i++) {
        const char *equals = strchr(words->items[i], '=');
        if (!equals)
            return usage_error("scale", "nodey scale NAME N, or NAME=N; not \"%s\"",
                               words->items[i]);
        char *name = xstrndup(words->items[i], (size_t)(equals - words->items[i]));
        rc = scale_one(session, w, name, equals + 1);
        xfree(name);
    }
    return rc;
}

int command_scale(int argc, char **argv)
{
    struct act_words w = {.order = {.verb = "scale"}};
    struct session session;
    int rc = read_words(&w, "scale", argc, argv);
    if (rc == 0)
        rc = scale_words(NULL, &w);
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = scale_words(&session, &w);
        session_close(&session);
    }
    word_list_deinit(&w.words);
    return rc;
}
