/*
 * `nodey bus`: where events and jobs are kept.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/human.h"
#include "client/input.h"
#include "client/members.h"
#include "client/options.h"
#include "client/show.h"
#include "client/table.h"
#include "command/busview.h"
#include "command/command.h"

const char command_bus_help[] =
    "Tells where events and jobs are kept: the store, how durable what it keeps is, how large\n"
    "it is and how it works, and each stream.\n"
    "\n"
    "  nodey bus                     all of that\n"
    "  nodey bus sql 'SELECT ...'    a question to the store, which nobody else may open "
    "while\n"
    "                                nodey is up; what would change something is refused.\n"
    "                                @FILE and - for stdin as with nodey publish\n"
    "  nodey bus backup FILE         a whole copy, made while nodey goes on\n"
    "  nodey bus drop STREAM         forgets a stream, or a queue (queue.NAME), with all that "
    "it\n"
    "                                has: one that nothing of this run uses\n"
    "\n"
    "  -n, --tail N          sql: at most so many rows; 1000 when left out\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         what the control socket says, see GET /v1/bus\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when it is refused, 3 when no nodey is up.\n";

enum { ROWS = 1000, ROWS_MAX = 10000 };

struct bus_words {
    const char *file, *format, *count;
    bool no_color, as_json;
    const char *verb, *word;
    uint64_t rows;
};

/* ------------------------------------------------------------------------------ all */

static void put(struct buf *out, bool colour, const char *name, const char *text)
{
    char label[16];
    snprintf(label, sizeof(label), "%-14s", name);
    table_paint(out, TINT_DIM, colour, slice_of(label));
    buf_addf(out, "%s\n", text);
}

static void write_engine(const struct json_value *engine, bool colour, struct buf *out)
{
    struct arena arena = {0};
    char disk[HUMAN_MAX], wal[HUMAN_MAX], blobs[HUMAN_MAX], text[160];
    put(out, colour, "store", bus_view_text(&arena, engine, "name"));
    snprintf(text, sizeof(text), "%s, %s of log not merged yet, %s of large data",
             human_memory(disk, bus_view_number(engine, "disk_bytes")),
             human_memory(wal, bus_view_number(engine, "wal_bytes")),
             human_memory(blobs, bus_view_number(engine, "blob_bytes")));
    put(out, colour, "size", text);
    snprintf(text, sizeof(text), "%llu, p50 %.1f ms, p99 %.1f ms",
             (unsigned long long)bus_view_number(engine, "commits"),
             (double)bus_view_number(engine, "commit_p50_us") / 1000,
             (double)bus_view_number(engine, "commit_p99_us") / 1000);
    put(out, colour, "commits", text);
    snprintf(text, sizeof(text), "%llu",
             (unsigned long long)bus_view_number(engine, "delayed"));
    put(out, colour, "delayed", text);
    uint64_t failures = bus_view_number(engine, "failures");
    if (failures) {
        snprintf(text, sizeof(text), "%llu writes have failed", (unsigned long long)failures);
        put(out, colour, "trouble", text);
    }
    if (members_is_true(engine, "disk_full"))
        put(out, colour, "trouble", "the disk is full: publishes are refused");
    arena_deinit(&arena);
}

static void write_streams(const struct bus_view *v, bool colour, struct buf *out)
{
    static const struct column columns[] = {
        {.title = "STREAM"},
        {.title = "DURABLE"},
        {.title = "MESSAGES", .right = true},
        {.title = "FIRST", .right = true, .dropped = 2},
        {.title = "LAST", .right = true, .dropped = 1},
        {.title = "SIZE", .right = true},
        {.title = "LIMIT", .right = true, .dropped = 3},
    };
    struct table table;
    char text[HUMAN_MAX];
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < v->stream_count; i++) {
        const struct stream_view *s = &v->streams[i];
        table_add(&table, TINT_NONE, s->name);
        table_add(&table, TINT_NONE, s->durability);
        table_addf(&table, TINT_NONE, "%llu", (unsigned long long)s->messages);
        table_addf(&table, TINT_NONE, s->first ? "%llu" : "", (unsigned long long)s->first);
        table_addf(&table, TINT_NONE, s->last ? "%llu" : "", (unsigned long long)s->last);
        table_add(&table, TINT_NONE, human_memory(text, s->bytes));
        table_add(&table, TINT_NONE, human_memory(text, s->max_bytes));
    }
    buf_addc(out, '\n');
    table_write(&table, table_terminal(STDOUT_FILENO), colour, out);
    table_deinit(&table);
}

static int show(struct session *session, const struct bus_words *w)
{
    struct bus_view v;
    struct buf out = {0};
    struct json_value engine;
    bool colour = show_colour(stdout, w->no_color);
    int rc = bus_view_fetch(session, &v);
    if (rc)
        return rc;
    if (w->as_json)
        buf_add(&out, buf_slice(&v.answer.body));
    else if (!v.open)
        buf_adds(&out, "nothing was ever published here: there is no store yet\n");
    else if (members_get(&v.json, "engine", &engine)) {
        write_engine(&engine, colour, &out);
        write_streams(&v, colour, &out);
    }
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
    bus_view_deinit(&v);
    return 0;
}

/* ------------------------------------------------------------------------------ sql */

static void write_rows(const struct json_value *json, bool colour, struct buf *out)
{
    struct json_value columns, rows, row, cell;
    struct column titles[64];
    struct arena arena = {0};
    size_t width = 0;
    if (!members_get(json, "columns", &columns) || !members_get(json, "rows", &rows))
        return;
    struct json_scan it = json_iter(&columns);
    while (width < ARRAY_LEN(titles) && json_next_item(&it, &cell)) {
        struct buf name = {0};
        json_unescape(&cell, &name);
        titles[width++] =
            (struct column){.title = arena_strdup(&arena, buf_slice(&name)), .shrinks = true};
        buf_deinit(&name);
    }
    struct table table;
    table_init(&table, titles, width);
    it = json_iter(&rows);
    while (json_next_item(&it, &row)) {
        struct json_scan cells = json_iter(&row);
        for (size_t i = 0; json_next_item(&cells, &cell);) {
            struct buf text = {0};
            if (cell.type == JSON_STRING)
                json_unescape(&cell, &text);
            else if (cell.type != JSON_NULL)
                buf_add(&text, cell.raw);
            if (i++ < width)
                table_add(&table, TINT_NONE, buf_cstr(&text));
            buf_deinit(&text);
        }
    }
    table_write(&table, table_terminal(STDOUT_FILENO), colour, out);
    table_deinit(&table);
    arena_deinit(&arena);
}

static int ask(struct session *session, const struct bus_words *w)
{
    struct client_response answer;
    struct json_value json;
    struct buf text = {0}, body = {0}, out = {0};
    int rc = input_read(w->word, &text);
    buf_adds(&body, "{\"sql\":");
    json_write(&body, buf_slice(&text));
    buf_addf(&body, ",\"limit\":%llu}", (unsigned long long)w->rows);
    if (rc == 0)
        rc = reach_post(session, "/v1/bus/sql", buf_slice(&body), &answer, &json);
    buf_deinit(&text);
    buf_deinit(&body);
    if (rc)
        return rc;
    if (w->as_json)
        buf_add(&out, buf_slice(&answer.body));
    else
        write_rows(&json, show_colour(stdout, w->no_color), &out);
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
    client_response_deinit(&answer);
    return 0;
}

/* --------------------------------------------------------------------------- backup */

/* nodey may have another folder. */
static char *absolute(const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/' || !getcwd(folder, sizeof(folder)))
        return xstrdup(path);
    return xasprintf("%s/%s", folder, path);
}

static int back_up(struct session *session, const struct bus_words *w)
{
    struct client_response answer;
    struct json_value json;
    struct buf body = {0};
    char *path = absolute(w->word);
    buf_adds(&body, "{\"path\":");
    json_write(&body, slice_of(path));
    buf_addc(&body, '}');
    int rc = reach_post(session, "/v1/bus/backup", buf_slice(&body), &answer, &json);
    if (rc == 0) {
        if (w->as_json)
            show_write(stdout, buf_slice(&answer.body));
        else
            printf("%s is a whole copy\n", w->word);
        client_response_deinit(&answer);
    }
    xfree(path);
    buf_deinit(&body);
    return rc;
}

/* ----------------------------------------------------------------------------- drop */

static int drop(struct session *session, const struct bus_words *w)
{
    struct client_response answer;
    struct json_value json;
    struct buf body = {0};
    buf_adds(&body, "{\"stream\":");
    json_write(&body, slice_of(w->word));
    buf_addc(&body, '}');
    int rc = reach_post(session, "/v1/bus/drop", buf_slice(&body), &answer, &json);
    if (rc == 0) {
        if (w->as_json)
            show_write(stdout, buf_slice(&answer.body));
        else
            printf("%s is gone, with all that it had\n", w->word);
        client_response_deinit(&answer);
    }
    buf_deinit(&body);
    return rc;
}

/* ---------------------------------------------------------------------------- words */

static int check(struct bus_words *w, const struct word_list *words)
{
    w->verb = words->count ? words->items[0] : "";
    w->word = words->count > 1 ? words->items[1] : NULL;
    bool asks = strcmp(w->verb, "sql") == 0, copies = strcmp(w->verb, "backup") == 0;
    bool drops = strcmp(w->verb, "drop") == 0;
    if (words->count && !asks && !copies && !drops)
        return usage_error("bus", "nodey bus takes sql, backup, drop, or no word, not \"%s\"",
                           w->verb);
    if (asks && !w->word)
        return usage_error("bus", "nodey bus sql needs a question: 'SELECT ...'");
    if (copies && !w->word)
        return usage_error("bus", "nodey bus backup needs the name of a file");
    if (drops && !w->word)
        return usage_error("bus", "nodey bus drop needs the name of a stream; nodey bus lists "
                                  "them");
    w->rows = ROWS;
    if (w->count && (!slice_to_u64(slice_of(w->count), ROWS_MAX, &w->rows) || !w->rows))
        return usage_error("bus", "-n is a number from 1 to %d, not \"%s\"", ROWS_MAX,
                           w->count);
    return 0;
}

int command_bus(int argc, char **argv)
{
    struct bus_words w = {0};
    struct session session;
    const struct option table[] = {
        {"-n --tail", OPTION_VALUE, &w.count},
        {"-f --file --config", OPTION_VALUE, &w.file},
        {"--format", OPTION_VALUE, &w.format},
        {"--no-color", OPTION_FLAG, &w.no_color},
    };
    struct options options = {
        .verb = "bus", .table = table, .count = ARRAY_LEN(table), .words_max = 2};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_format("bus", w.format, &w.as_json);
    if (rc == 0)
        rc = check(&w, &options.words);
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = !*w.verb                      ? show(&session, &w)
             : strcmp(w.verb, "sql") == 0  ? ask(&session, &w)
             : strcmp(w.verb, "drop") == 0 ? drop(&session, &w)
                                           : back_up(&session, &w);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
