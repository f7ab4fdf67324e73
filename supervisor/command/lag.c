/*
 * `nodey lag` and `nodey jobs`: what waits to be handled, and how it goes.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "client/human.h"
#include "client/options.h"
#include "client/screen.h"
#include "client/show.h"
#include "client/table.h"
#include "command/busview.h"
#include "command/command.h"

enum { PERIOD_MS = 1000, FIRST_MS = 500 };

const char command_lag_help[] =
    "Lists the groups that handle events and jobs: how much each has not handled yet.\n"
    "\n"
    "  nodey lag [GROUP...]\n"
    "\n"
    "  LAG                   messages that are not handled, those under way included\n"
    "  OLDEST                how long the oldest of them has been waiting\n"
    "  IN-FLIGHT             with workers at this moment\n"
    "  RETRYING              failed, and waiting for their next attempt\n"
    "  DEAD                  dead letters of this group: nodey dead list --group GROUP\n"
    "  P50, P99              milliseconds that a handler took, of half and of 99 in 100\n"
    "\n"
    "  -w, --watch           again each second, until Ctrl-C\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         what the control socket says, see GET /v1/bus\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when there is no such group, 3 when no nodey is up.\n";

const char command_jobs_help[] =
    "Lists the queues of jobs.\n"
    "\n"
    "  nodey jobs [QUEUE...]\n"
    "\n"
    "  WAITING               nobody has begun them\n"
    "  DELAYED               their time has not come: --delay, --at\n"
    "  RUNNING               with workers at this moment\n"
    "  RETRYING              failed, and waiting for their next attempt\n"
    "  DEAD                  dead letters: nodey dead list --group QUEUE\n"
    "  RATE                  handled per second, measured while you wait\n"
    "  OLDEST                how long the oldest has been waiting\n"
    "\n"
    "  -w, --watch           again each second, until Ctrl-C\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         an array of objects\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when there is no such queue, 3 when no nodey is up.\n";

struct lag_words {
    const char *verb, *file, *format;
    bool jobs, watch, no_color, as_json;
    struct word_list names;
};

static bool is_shown(const struct lag_words *w, const struct group_view *g)
{
    if (w->jobs ? !g->is_queue : g->is_unknown)
        return false;
    bool shown = w->names.count == 0;
    for (size_t i = 0; i < w->names.count && !shown; i++)
        shown = strcmp(w->names.items[i], g->name) == 0;
    return shown;
}

static int check_names(const struct lag_words *w, const struct bus_view *v)
{
    for (size_t i = 0; i < w->names.count; i++) {
        bool found = false;
        for (size_t j = 0; j < v->group_count && !found; j++)
            found = strcmp(v->groups[j].name, w->names.items[i]) == 0 &&
                    (w->jobs ? v->groups[j].is_queue : !v->groups[j].is_unknown);
        if (found)
            continue;
        fprintf(stderr, "nodey: there is no %s \"%s\"; nodey %s lists them\n",
                w->jobs ? "queue" : "group", w->names.items[i], w->verb);
        return EXIT_REFUSED;
    }
    return 0;
}

/* -------------------------------------------------------------------------- tables */

static void add_count(struct table *t, enum tint tint, uint64_t n)
{
    table_addf(t, n ? tint : TINT_NONE, "%llu", (unsigned long long)n);
}

static void add_oldest(struct table *t, const struct group_view *g)
{
    char text[HUMAN_MAX];
    table_add(t, TINT_NONE, g->lag && !g->is_unknown ? human_age(text, g->oldest_ms) : "");
}

static void add_group(struct table *t, const struct group_view *g)
{
    table_add(t, g->served ? TINT_NONE : TINT_WARN, g->name);
    table_add(t, TINT_NONE, g->streams);
    add_count(t, g->served ? TINT_NONE : TINT_WARN, g->lag);
    add_oldest(t, g);
    add_count(t, TINT_NONE, g->in_flight);
    add_count(t, TINT_WARN, g->retrying);
    add_count(t, TINT_BAD, g->dead);
    table_addf(t, TINT_NONE, g->handled ? "%.1f" : "", g->run_p50);
    table_addf(t, TINT_NONE, g->handled ? "%.1f" : "", g->run_p99);
    table_add(t, TINT_WARN, g->served ? "" : "nobody serves it");
}

static const struct column group_columns[] = {
    {.title = "GROUP"},
    {.title = "STREAM", .shrinks = true, .dropped = 3},
    {.title = "LAG", .right = true},
    {.title = "OLDEST", .right = true},
    {.title = "IN-FLIGHT", .right = true, .dropped = 4},
    {.title = "RETRYING", .right = true, .dropped = 5},
    {.title = "DEAD", .right = true},
    {.title = "P50", .right = true, .dropped = 2},
    {.title = "P99", .right = true, .dropped = 1},
    {.title = "NOTE", .shrinks = true, .dropped = 6},
};

static uint64_t waiting_of(const struct group_view *g)
{
    uint64_t begun = g->in_flight + g->retrying;
    return g->lag > begun ? g->lag - begun : 0;
}

static double rate_of(const struct group_view *g, const struct bus_view *before, double seconds)
{
    for (size_t i = 0; before && i < before->group_count; i++)
        if (strcmp(before->groups[i].name, g->name) == 0 && before->groups[i].is_queue)
            return g->handled >= before->groups[i].handled
                       ? (double)(g->handled - before->groups[i].handled) / seconds
                       : 0;
    return 0;
}

static void add_queue(struct table *t, const struct group_view *g, double rate)
{
    table_add(t, g->served ? TINT_NONE : TINT_WARN, g->name);
    add_count(t, g->served ? TINT_NONE : TINT_WARN, waiting_of(g));
    add_count(t, TINT_NONE, g->delayed);
    add_count(t, TINT_NONE, g->in_flight);
    add_count(t, TINT_WARN, g->retrying);
    add_count(t, TINT_BAD, g->dead);
    table_addf(t, TINT_NONE, rate > 0 ? "%.1f/s" : "", rate);
    add_oldest(t, g);
    table_add(t, TINT_WARN, g->served ? "" : "nobody serves it");
}

static const struct column queue_columns[] = {
    {.title = "QUEUE"},
    {.title = "WAITING", .right = true},
    {.title = "DELAYED", .right = true, .dropped = 3},
    {.title = "RUNNING", .right = true},
    {.title = "RETRYING", .right = true},
    {.title = "DEAD", .right = true},
    {.title = "RATE", .right = true, .dropped = 1},
    {.title = "OLDEST", .right = true},
    {.title = "NOTE", .shrinks = true, .dropped = 2},
};

static void write_table(const struct lag_words *w, const struct bus_view *v,
                        const struct bus_view *before, double seconds, size_t width,
                        struct buf *out)
{
    struct table table;
    if (w->jobs)
        table_init(&table, queue_columns, ARRAY_LEN(queue_columns));
    else
        table_init(&table, group_columns, ARRAY_LEN(group_columns));
    for (size_t i = 0; i < v->group_count; i++) {
        const struct group_view *g = &v->groups[i];
        if (!is_shown(w, g))
            continue;
        if (w->jobs)
            add_queue(&table, g, rate_of(g, before, seconds));
        else
            add_group(&table, g);
    }
    table_write(&table, width, show_colour(stdout, w->no_color), out);
    if (v->delayed && !w->jobs)
        buf_addf(out, "%llu events and jobs delayed: their time has not come\n",
                 (unsigned long long)v->delayed);
    table_deinit(&table);
}

/* ---------------------------------------------------------------------------- json */

static void write_jobs_json(const struct lag_words *w, const struct bus_view *v,
                            const struct bus_view *before, double seconds, struct buf *out)
{
    const char *comma = "";
    buf_addc(out, '[');
    for (size_t i = 0; i < v->group_count; i++) {
        const struct group_view *g = &v->groups[i];
        if (!is_shown(w, g))
            continue;
        buf_addf(out, "%s{\"queue\":", comma);
        json_write(out, slice_of(g->name));
        buf_addf(out,
                 ",\"waiting\":%llu,\"delayed\":%llu,\"running\":%llu,\"retrying\":%llu,"
                 "\"dead\":%llu,"
                 "\"rate\":%.2f,\"oldest_ms\":%llu,\"served\":%s}",
                 (unsigned long long)waiting_of(g), (unsigned long long)g->delayed,
                 (unsigned long long)g->in_flight, (unsigned long long)g->retrying,
                 (unsigned long long)g->dead, rate_of(g, before, seconds),
                 (unsigned long long)g->oldest_ms, g->served ? "true" : "false");
        comma = ",\n";
    }
    buf_adds(out, "]\n");
}

/* ------------------------------------------------------------------------- running */

static int print_once(struct session *session, const struct lag_words *w)
{
    struct bus_view before = {0}, now;
    struct buf out = {0};
    int rc = w->jobs ? bus_view_fetch(session, &before) : 0;
    if (rc)
        return rc;
    if (w->jobs && before.open)
        usleep(FIRST_MS * 1000);
    rc = bus_view_fetch(session, &now);
    if (rc == 0)
        rc = check_names(w, &now);
    else
        now = (struct bus_view){0};
    if (rc == 0 && w->as_json && w->jobs)
        write_jobs_json(w, &now, &before, (double)FIRST_MS / 1000, &out);
    else if (rc == 0 && w->as_json)
        buf_add(&out, buf_slice(&now.answer.body));
    else if (rc == 0)
        write_table(w, &now, &before, (double)FIRST_MS / 1000, table_terminal(STDOUT_FILENO),
                    &out);
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
    bus_view_deinit(&before);
    bus_view_deinit(&now);
    return rc;
}

static int repaint(struct session *session, const struct lag_words *w, struct screen *screen,
                   struct bus_view *before)
{
    struct bus_view now;
    struct buf out = {0};
    int rc = bus_view_fetch(session, &now);
    if (rc)
        return rc;
    write_table(w, &now, before, (double)PERIOD_MS / 1000, screen_columns(screen), &out);
    screen_paint(screen, buf_slice(&out));
    buf_deinit(&out);
    bus_view_deinit(before);
    *before = now;
    return 0;
}

static int watch(struct session *session, const struct lag_words *w)
{
    struct screen screen;
    struct bus_view before = {0};
    int rc = 0, wait = 0;
    if (screen_open(&screen, /* full= */ false)) {
        fprintf(stderr, "nodey: cannot use the terminal: %s\n", strerror(errno));
        return EXIT_REFUSED;
    }
    while (rc == 0 && screen_wait(&screen, wait) != SCREEN_LEAVE) {
        rc = repaint(session, w, &screen, &before);
        wait = PERIOD_MS;
    }
    screen_close(&screen);
    bus_view_deinit(&before);
    return rc;
}

static int run(struct lag_words *w, int argc, char **argv)
{
    struct session session;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &w->file},
        {"-w --watch", OPTION_FLAG, &w->watch},
        {"--format", OPTION_VALUE, &w->format},
        {"--no-color", OPTION_FLAG, &w->no_color},
    };
    struct options options = {
        .verb = w->verb, .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    w->names = options.words;
    if (rc == 0)
        rc = reach_format(w->verb, w->format, &w->as_json);
    if (rc == 0)
        rc = reach_open(&session, w->file);
    if (rc == 0) {
        bool stays = w->watch && !w->as_json && isatty(STDOUT_FILENO);
        rc = stays ? watch(&session, w) : print_once(&session, w);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}

int command_lag(int argc, char **argv)
{
    return run(&(struct lag_words){.verb = "lag"}, argc, argv);
}

int command_jobs(int argc, char **argv)
{
    return run(&(struct lag_words){.verb = "jobs", .jobs = true}, argc, argv);
}
