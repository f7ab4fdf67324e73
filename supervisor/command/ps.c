/*
 * `nodey ps`: what runs, what does not, and why.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/human.h"
#include "client/options.h"
#include "client/programs.h"
#include "client/reach.h"
#include "client/show.h"
#include "command/command.h"

const char command_ps_help[] =
    "Lists the programs of the nodey that is up: those that run or try to, with why not if\n"
    "they do not, and those that ended badly. With -a also those that rest: stopped by a\n"
    "person, completed, or of a profile that nobody asked for. With names only these. STATE\n"
    "is one of\n"
    "\n"
    "  ready, busy           serves; busy: all its instances work at their limit\n"
    "  starting, waiting     is not ready yet; waiting: for what it depends on\n"
    "  unhealthy             fails its health checks, gets no new work and is replaced\n"
    "  backoff, failed       crashed and is tried again soon; failed: too often, later\n"
    "  stopping, stopped     by a person: nodey start NAME\n"
    "  completed, exited     has ended and is not started again; exited: not well\n"
    "  dormant               of a profile that was not asked for\n"
    "\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  -a, --all             also what rests\n"
    "  -q, --quiet           names only\n"
    "  --format json         what the control socket says, see GET /v1/programs\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when there is no such program, 3 when no nodey is up.\n";

struct ps_words {
    const char *file, *format;
    bool all, quiet, no_color, as_json;
    struct word_list names;
};

static bool is_shown(const struct ps_words *w, const struct program_view *p)
{
    for (size_t i = 0; i < w->names.count; i++)
        if (strcmp(w->names.items[i], p->name) == 0)
            return true;
    return w->names.count == 0 &&
           (w->all || program_is_active(p) || strcmp(p->state, "exited") == 0);
}

/* NAME and KIND stand beside it, and STATE says what it leads to. */
static const char *why_of(const struct program_view *p)
{
    char opening[200];
    int len = snprintf(opening, sizeof(opening), "%s %s does not start: ", p->kind, p->name);
    return p->why && strncmp(p->why, opening, (size_t)len) == 0 ? p->why + len : p->why;
}

enum { PORTS_SHOWN = 4 };

/* "49471, 49473": of each instance that has one. */
static void add_ports(struct table *t, const struct program_view *p)
{
    struct buf ports = {0};
    size_t count = 0;
    for (size_t i = 0; i < p->count; i++)
        if (p->instances[i].port && count++ < PORTS_SHOWN)
            buf_addf(&ports, "%s%llu", count > 1 ? ", " : "",
                     (unsigned long long)p->instances[i].port);
    if (count > PORTS_SHOWN)
        buf_addf(&ports, " +%zu", count - PORTS_SHOWN);
    table_add(t, TINT_NONE, buf_cstr(&ports));
    buf_deinit(&ports);
}

static void add_row(struct table *t, const struct program_view *p)
{
    char text[HUMAN_MAX];
    uint64_t uptime = 0, memory = 0;
    for (size_t i = 0; i < p->count; i++) {
        uptime = MAX(uptime, p->instances[i].uptime_ms);
        memory += p->instances[i].memory;
    }
    table_add(t, TINT_NONE, p->name);
    table_add(t, TINT_NONE, p->kind);
    table_add(t, program_tint(p->state), p->state);
    if (program_is_active(p))
        table_addf(t, p->ready < p->wanted ? TINT_WARN : TINT_NONE, "%llu/%llu",
                   (unsigned long long)p->ready, (unsigned long long)p->wanted);
    else
        table_add(t, TINT_NONE, "");
    table_add(t, TINT_NONE, uptime ? human_age(text, uptime) : "");
    table_addf(t, p->restarts ? TINT_WARN : TINT_NONE, "%llu", (unsigned long long)p->restarts);
    table_add(t, TINT_NONE, memory ? human_memory(text, memory) : "");
    table_addf(t, p->backlog ? TINT_WARN : TINT_NONE, p->handles ? "%llu" : "",
               (unsigned long long)p->backlog);
    add_ports(t, p);
    table_add(t, TINT_NONE, why_of(p));
}

static void print_table(const struct programs_view *all, const struct ps_words *w)
{
    static const struct column columns[] = {
        {.title = "NAME"},
        {.title = "KIND", .dropped = 5},
        {.title = "STATE"},
        {.title = "READY", .right = true},
        {.title = "UPTIME", .right = true, .dropped = 3},
        {.title = "RESTARTS", .right = true, .dropped = 2},
        {.title = "MEMORY", .right = true, .dropped = 4},
        {.title = "BACKLOG", .right = true, .dropped = 7},
        {.title = "PORT", .right = true, .dropped = 6},
        {.title = "WHY", .shrinks = true, .dropped = 1},
    };
    struct table table;
    struct buf out = {0};
    size_t hidden = 0;
    bool colour = show_colour(stdout, w->no_color);
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < all->count; i++) {
        if (is_shown(w, &all->items[i]))
            add_row(&table, &all->items[i]);
        else
            hidden += w->names.count == 0;
    }
    table_write(&table, table_terminal(STDOUT_FILENO), colour, &out);
    show_write(stdout, buf_slice(&out));
    if (hidden && isatty(STDOUT_FILENO))
        printf("%zu more %s: nodey ps -a\n", hidden, hidden == 1 ? "rests" : "rest");
    table_deinit(&table);
    buf_deinit(&out);
}

static void print_names(const struct programs_view *all, const struct ps_words *w)
{
    for (size_t i = 0; i < all->count; i++)
        if (is_shown(w, &all->items[i]))
            puts(all->items[i].name);
}

static int print_json(struct session *session)
{
    struct client_response answer;
    struct json_value json;
    int rc = reach_fetch(session, "GET", "/v1/programs?usage=1", 0, &answer, &json);
    if (rc)
        return rc;
    show_write(stdout, buf_slice(&answer.body));
    client_response_deinit(&answer);
    return 0;
}

static int print(struct session *session, const struct ps_words *w)
{
    struct programs_view all;
    if (w->as_json)
        return print_json(session);
    int rc = programs_fetch(session, /* with_usage= */ !w->quiet, &all);
    if (rc)
        return rc;
    rc = programs_check(&all, w->names.items, w->names.count);
    if (rc == 0 && w->quiet)
        print_names(&all, w);
    else if (rc == 0)
        print_table(&all, w);
    programs_deinit(&all);
    return rc;
}

int command_ps(int argc, char **argv)
{
    struct ps_words w = {0};
    struct session session;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &w.file}, {"-a --all", OPTION_FLAG, &w.all},
        {"-q --quiet", OPTION_FLAG, &w.quiet},         {"--format", OPTION_VALUE, &w.format},
        {"--no-color", OPTION_FLAG, &w.no_color},
    };
    struct options options = {
        .verb = "ps", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    w.names = options.words;
    if (rc == 0)
        rc = reach_format("ps", w.format, &w.as_json);
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = print(&session, &w);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
