/*
 * `nodey top`: programs and their instances on a whole terminal, again each second.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/human.h"
#include "client/reach.h"
#include "client/screen.h"
#include "client/show.h"
#include "command/command.h"
#include "command/stats.h"

const char command_top_help[] =
    "Shows all programs and what their instances use on the whole terminal, the busiest\n"
    "first, again each second.\n"
    "\n"
    "  keys: c, m, n         sort by CPU, memory or name\n"
    "        q               leave\n"
    "\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --no-color            no colours\n"
    "\n"
    "Where there is no terminal it prints what nodey stats --no-stream does.\n"
    "Exit code: 0, 3 when no nodey is up.\n";

enum { PERIOD_MS = 1000, FIRST_MS = 300 };

struct top {
    struct session *session;
    struct sample sample;
    struct word_list names; /* none: all */
    bool colour;
    char order; /* 'c', 'm' or 'n' */
};

/* ---------------------------------------------------------------------- order */

static int by_name(const void *a, const void *b)
{
    const struct sample_row *x = a, *y = b;
    int order = strcmp(x->program->name, y->program->name);
    if (order)
        return order;
    return x->instance->instance < y->instance->instance
               ? -1
               : x->instance->instance > y->instance->instance;
}

static int by_cpu(const void *a, const void *b)
{
    const struct sample_row *x = a, *y = b;
    if (x->cpu != y->cpu)
        return x->cpu > y->cpu ? -1 : 1;
    return by_name(a, b);
}

static int by_memory(const void *a, const void *b)
{
    const struct sample_row *x = a, *y = b;
    if (x->instance->memory != y->instance->memory)
        return x->instance->memory > y->instance->memory ? -1 : 1;
    return by_name(a, b);
}

static void sort(struct top *top)
{
    if (top->sample.count)
        qsort(top->sample.rows, top->sample.count, sizeof(*top->sample.rows),
              top->order == 'n'   ? by_name
              : top->order == 'm' ? by_memory
                                  : by_cpu);
}

/* -------------------------------------------------------------------- painting */

static void write_summary(const struct top *top, struct buf *out)
{
    char memory[HUMAN_MAX];
    const struct programs_view *all = &top->sample.now;
    uint64_t bytes = 0;
    size_t well = 0, active = 0;
    double cpu = 0;
    for (size_t i = 0; i < top->sample.count; i++) {
        bytes += top->sample.rows[i].instance->memory;
        cpu += top->sample.rows[i].cpu;
    }
    for (size_t i = 0; i < all->count; i++) {
        active += program_is_active(&all->items[i]);
        well += program_tint(all->items[i].state) == TINT_GOOD;
    }
    buf_addf(out, "nodey  %zu of %zu programs ready, %zu instances   CPU %.1f%%   memory %s\n",
             well, active, top->sample.count, cpu, human_memory(memory, bytes));
    buf_addf(out, "%s   c CPU  m memory  n name  q leave\n\n",
             top->order == 'n'   ? "by name"
             : top->order == 'm' ? "by memory"
                                 : "by CPU");
}

static void add_row(struct table *t, const struct sample_row *row)
{
    char text[HUMAN_MAX];
    const struct instance_view *i = row->instance;
    table_add(t, TINT_NONE, row->name);
    table_add(t, program_tint(i->state), i->state);
    table_addf(t, TINT_NONE, "%llu", (unsigned long long)i->pid);
    table_addf(t, TINT_NONE, "%.1f", row->cpu);
    table_add(t, TINT_NONE, human_memory(text, i->memory));
    table_addf(t, TINT_NONE, "%llu", (unsigned long long)MAX(i->threads, i->processes));
    table_add(t, TINT_NONE, human_age(text, i->uptime_ms));
    table_addf(t, TINT_NONE, "%llu", (unsigned long long)i->served);
    table_addf(t, TINT_NONE, "%llu", (unsigned long long)i->inflight);
    table_addf(t, row->program->restarts ? TINT_WARN : TINT_NONE, "%llu",
               (unsigned long long)row->program->restarts);
}

/* Programs without a process have no row above, and are what one looks for. */
static void write_others(const struct top *top, size_t width, struct buf *out)
{
    static const struct column columns[] = {
        {.title = "NOT RUNNING"}, {.title = "STATE"}, {.title = "WHY", .shrinks = true}};
    struct table table;
    size_t count = 0;
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < top->sample.now.count; i++) {
        const struct program_view *p = &top->sample.now.items[i];
        bool has_process = false;
        for (size_t j = 0; j < p->count; j++)
            has_process = has_process || p->instances[j].measured;
        if (has_process)
            continue;
        table_add(&table, TINT_NONE, p->name);
        table_add(&table, program_tint(p->state), p->state);
        table_add(&table, TINT_NONE, p->why);
        count++;
    }
    if (count) {
        buf_addc(out, '\n');
        table_write(&table, width, top->colour, out);
    }
    table_deinit(&table);
}

static void paint(struct top *top, struct screen *screen)
{
    static const struct column columns[] = {
        {.title = "NAME"},
        {.title = "STATE"},
        {.title = "PID", .right = true, .dropped = 3},
        {.title = "CPU %", .right = true},
        {.title = "MEMORY", .right = true},
        {.title = "PIDS", .right = true, .dropped = 5},
        {.title = "UPTIME", .right = true, .dropped = 4},
        {.title = "SERVED", .right = true, .dropped = 2},
        {.title = "NOW", .right = true, .dropped = 6},
        {.title = "RESTARTS", .right = true, .dropped = 1},
    };
    struct table table;
    struct buf out = {0};
    size_t width = screen_columns(screen);
    sort(top);
    write_summary(top, &out);
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < top->sample.count; i++)
        add_row(&table, &top->sample.rows[i]);
    table_write(&table, width, top->colour, &out);
    table_deinit(&table);
    write_others(top, width, &out);
    screen_paint(screen, buf_slice(&out));
    buf_deinit(&out);
}

static int watch(struct top *top)
{
    struct screen screen;
    int rc = sample_take(&top->sample, top->session, top->names.items, top->names.count);
    if (rc)
        return rc;
    if (screen_open(&screen, /* full= */ true)) {
        fprintf(stderr, "nodey: cannot use the terminal: %s\n", strerror(errno));
        return EXIT_REFUSED;
    }
    paint(top, &screen);
    for (int wait = FIRST_MS; rc == 0;) {
        int key = screen_wait(&screen, wait);
        if (key == SCREEN_LEAVE || key == 'q' || key == 'Q')
            break;
        if (key > 0 && strchr("cmn", key))
            top->order = (char)key;
        else if (key == SCREEN_NOTHING)
            rc = sample_take(&top->sample, top->session, top->names.items, top->names.count);
        wait = PERIOD_MS;
        if (rc == 0)
            paint(top, &screen);
    }
    screen_close(&screen);
    if (rc) /* what was said of it is gone with the screen */
        fputs("nodey: it does not answer any more\n", stderr);
    return rc;
}

int command_top(int argc, char **argv)
{
    struct session session;
    struct stats_order once = {0};
    const char *file = NULL;
    bool no_color = false;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &file},
        {"--no-color", OPTION_FLAG, &no_color},
    };
    struct options options = {
        .verb = "top", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_open(&session, file);
    if (rc == 0) {
        struct top top = {.session = &session,
                          .names = options.words,
                          .order = 'c',
                          .colour = show_colour(stdout, no_color)};
        once.names = options.words;
        once.no_color = no_color;
        bool can = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
        rc = can ? watch(&top) : stats_once(&session, &once);
        sample_deinit(&top.sample);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
