/*
 * `nodey stats`: what each instance uses, in the columns of `docker stats`.
 */
#include "command/stats.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/human.h"
#include "client/options.h"
#include "client/reach.h"
#include "client/screen.h"
#include "client/show.h"
#include "command/command.h"
#include "command/sample.h"

const char command_stats_help[] =
    "Shows what each instance uses now, and on a terminal again each second, until Ctrl-C.\n"
    "The columns are those of docker stats:\n"
    "\n"
    "  CPU %                 of one CPU, since the look before; 200 is two of them\n"
    "  MEM USAGE / LIMIT     with all its children; LIMIT is its memory setting, or the\n"
    "                        machine's\n"
    "  NET I/O               -- : not measured, the kernel counts it for the whole machine\n"
    "  BLOCK I/O             read from disks / written to them\n"
    "  PIDS                  processes and threads\n"
    "\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --no-stream           once\n"
    "  --format json         once, as a JSON array\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when there is no such program, 3 when no nodey is up.\n";

enum {
    PERIOD_MS = 1000,
    FIRST_MS = 500, /* between the two looks of which the first figures are made */
    WARM_PERCENT = 80,
};

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CPU %", .right = true},
    {.title = "MEM USAGE / LIMIT", .right = true},
    {.title = "MEM %", .right = true, .dropped = 2},
    {.title = "NET I/O", .right = true, .dropped = 4},
    {.title = "BLOCK I/O", .right = true, .dropped = 3},
    {.title = "PIDS", .right = true, .dropped = 1},
};

static void add_row(struct table *t, const struct sample_row *row)
{
    char memory[HUMAN_MAX], limit[HUMAN_MAX], in[HUMAN_MAX], out[HUMAN_MAX];
    const struct instance_view *i = row->instance;
    double percent = row->limit ? 100.0 * (double)i->memory / (double)row->limit : 0;
    table_add(t, program_tint(i->state) == TINT_GOOD ? TINT_NONE : program_tint(i->state),
              row->name);
    if (row->has_cpu)
        table_addf(t, TINT_NONE, "%.2f%%", row->cpu);
    else
        table_add(t, TINT_NONE, "--");
    table_addf(t, TINT_NONE, "%s / %s", human_memory(memory, i->memory),
               row->limit ? human_memory(limit, row->limit) : "--");
    table_addf(t, percent >= WARM_PERCENT ? TINT_WARN : TINT_NONE, "%.2f%%", percent);
    table_add(t, TINT_NONE, "--");
    table_addf(t, TINT_NONE, "%s / %s", human_bytes(in, i->read_bytes),
               human_bytes(out, i->written_bytes));
    table_addf(t, TINT_NONE, "%llu", (unsigned long long)MAX(i->threads, i->processes));
}

void stats_write(const struct sample *s, size_t width, bool colour, struct buf *out)
{
    struct table table;
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < s->count; i++)
        add_row(&table, &s->rows[i]);
    table_write(&table, width, colour, out);
    table_deinit(&table);
}

/* Numbers, for programs: `--format json`. */
static void write_json(const struct sample *s, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t n = 0; n < s->count; n++) {
        const struct sample_row *row = &s->rows[n];
        const struct instance_view *i = row->instance;
        buf_adds(out, n ? ",\n{\"name\":" : "{\"name\":");
        json_write(out, slice_of(row->name));
        buf_adds(out, ",\"program\":");
        json_write(out, slice_of(row->program->name));
        buf_addf(out, ",\"instance\":%llu,\"pid\":%llu", (unsigned long long)i->instance,
                 (unsigned long long)i->pid);
        buf_addf(out, row->has_cpu ? ",\"cpu_percent\":%.2f" : ",\"cpu_percent\":null",
                 row->cpu);
        buf_addf(out, ",\"memory\":%llu,\"memory_limit\":%llu", (unsigned long long)i->memory,
                 (unsigned long long)row->limit);
        buf_addf(out, ",\"read_bytes\":%llu,\"written_bytes\":%llu",
                 (unsigned long long)i->read_bytes, (unsigned long long)i->written_bytes);
        buf_addf(out, ",\"threads\":%llu,\"processes\":%llu}", (unsigned long long)i->threads,
                 (unsigned long long)i->processes);
    }
    buf_adds(out, "]\n");
}

int stats_once(struct session *session, const struct stats_order *order)
{
    struct sample sample = {0};
    struct buf out = {0};
    int rc = sample_take(&sample, session, order->names.items, order->names.count);
    if (rc == 0) {
        usleep(FIRST_MS * 1000);
        rc = sample_take(&sample, session, order->names.items, order->names.count);
    }
    if (rc == 0 && order->as_json)
        write_json(&sample, &out);
    else if (rc == 0)
        stats_write(&sample, table_terminal(STDOUT_FILENO),
                    show_colour(stdout, order->no_color), &out);
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
    sample_deinit(&sample);
    return rc;
}

static int repaint(struct session *session, const struct stats_order *order,
                   struct sample *sample, struct screen *screen)
{
    struct buf out = {0};
    int rc = sample_take(sample, session, order->names.items, order->names.count);
    if (rc == 0) {
        stats_write(sample, screen_columns(screen), show_colour(stdout, order->no_color), &out);
        screen_paint(screen, buf_slice(&out));
    }
    buf_deinit(&out);
    return rc;
}

static int stream(struct session *session, const struct stats_order *order)
{
    struct screen screen;
    struct sample sample = {0};
    int rc = sample_take(&sample, session, order->names.items, order->names.count);
    if (rc == 0 && screen_open(&screen, /* full= */ false)) {
        fprintf(stderr, "nodey: cannot use the terminal: %s\n", strerror(errno));
        rc = EXIT_REFUSED;
    } else if (rc == 0) {
        int wait = FIRST_MS;
        while (rc == 0 && screen_wait(&screen, wait) != SCREEN_LEAVE) {
            rc = repaint(session, order, &sample, &screen);
            wait = PERIOD_MS;
        }
        screen_close(&screen);
    }
    sample_deinit(&sample);
    return rc;
}

int command_stats(int argc, char **argv)
{
    struct stats_order order = {0};
    const char *file = NULL, *format = NULL;
    bool once = false;
    struct session session;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &file},
        {"--no-stream", OPTION_FLAG, &once},
        {"--format", OPTION_VALUE, &format},
        {"--no-color", OPTION_FLAG, &order.no_color},
    };
    struct options options = {
        .verb = "stats", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    order.names = options.words;
    if (rc == 0)
        rc = reach_format("stats", format, &order.as_json);
    if (rc == 0)
        rc = reach_open(&session, file);
    if (rc == 0) {
        bool one = once || order.as_json || !isatty(STDOUT_FILENO);
        rc = one ? stats_once(&session, &order) : stream(&session, &order);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
