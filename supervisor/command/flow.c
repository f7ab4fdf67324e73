/*
 * `nodey flow`: who publishes what, who handles it, and what looks wrong in that.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/options.h"
#include "client/reach_text.h"
#include "client/show.h"
#include "client/table.h"
#include "command/command.h"
#include "command/flowview.h"

const char command_flow_help[] =
    "Shows how events and jobs flow through the programs of the nodey that is up: who "
    "publishes\n"
    "which topic, which programs handle it, how often and how fast; as it was observed, also "
    "in\n"
    "earlier runs, and merged with what programs subscribe to. Below the table stands what\n"
    "looks wrong: a topic that nobody handles, a subscription that nothing feeds, a circle,\n"
    "messages without a key beside messages with one.\n"
    "\n"
    "  --mermaid             a flowchart for Markdown\n"
    "  --dot                 a graph for Graphviz\n"
    "  --json                all of it, see GET /v1/flow\n"
    "  --shape               only who publishes and handles what, a sentence on each line:\n"
    "                        a file to keep, for --check\n"
    "  --check FILE          compares the shape with a file that --shape or --json wrote, and\n"
    "                        tells the difference\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when --check finds a difference, 2 for wrong usage, 3 when no nodey is "
    "up.\n"
    "\n"
    "  nodey flow --shape > flow.txt && nodey flow --check flow.txt\n";

struct flow_words {
    const char *file, *check;
    bool mermaid, dot, json, shape, no_color;
};

/* ---------------------------------------------------------------------------- the table */

static double number_of(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void add_times(struct table *t, const json_t *counted, const char *name)
{
    const json_t *times = json_object_get(counted, name);
    if (times)
        table_addf(t, TINT_NONE, "%.3g / %.3g ms", number_of(times, "p50"),
                   number_of(times, "p99"));
    else
        table_add(t, TINT_NONE, "");
}

static void add_count(struct table *t, enum tint tint, const json_t *counted, const char *name)
{
    double n = number_of(counted, name);
    if (counted && (n > 0 || tint == TINT_NONE))
        table_addf(t, tint, "%.0f", n);
    else
        table_add(t, TINT_NONE, "");
}

static void add_row(struct table *t, const struct flow_way *way)
{
    bool own = way->program && (way->job || strcmp(way->group, way->program) == 0);
    table_add(t, way->from ? TINT_NONE : TINT_WARN, way->from ? way->from : "nobody");
    table_addf(t, TINT_BOLD, "%s%s", way->job ? "job " : "", way->topic);
    if (!way->program)
        table_add(t, TINT_WARN, "nobody");
    else if (own)
        table_addf(t, TINT_NONE, "%s%s", way->program, way->each ? " (each)" : "");
    else
        table_addf(t, TINT_NONE, "%s (%s%s)", way->program, way->each ? "each, " : "",
                   way->group);
    add_count(t, TINT_NONE, way->counted, "count");
    if (way->counted && number_of(way->counted, "rate") > 0)
        table_addf(t, TINT_NONE, "%.3g/s", number_of(way->counted, "rate"));
    else
        table_add(t, TINT_NONE, "");
    add_times(t, way->counted, "wait_ms");
    add_times(t, way->counted, "run_ms");
    add_count(t, TINT_WARN, way->counted, "retries");
    add_count(t, TINT_BAD, way->counted, "dead");
}

static void print_table(const struct flow_ways *ways, const json_t *flow, bool no_color)
{
    static const struct column columns[] = {
        {.title = "FROM"},
        {.title = "TOPIC"},
        {.title = "TO"},
        {.title = "HANDLED", .right = true},
        {.title = "RATE", .right = true, .dropped = 3},
        {.title = "WAIT P50 / P99", .right = true, .dropped = 2},
        {.title = "RUN P50 / P99", .right = true, .dropped = 1},
        {.title = "RETRIES", .right = true, .dropped = 4},
        {.title = "DEAD", .right = true, .dropped = 5},
    };
    struct table table;
    struct buf out = {0};
    size_t n;
    const json_t *mark;
    bool colour = show_colour(stdout, no_color);
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < ways->count; i++)
        add_row(&table, &ways->items[i]);
    table_write(&table, table_terminal(STDOUT_FILENO), colour, &out);
    json_array_foreach(json_object_get(flow, "marks"), n, mark)
    {
        buf_adds(&out, n ? "" : "\n");
        table_paint(&out, TINT_WARN, colour, slice_of(flow_text(mark, "words")));
        buf_addc(&out, '\n');
    }
    if (ways->count == 0)
        buf_adds(&out, "nothing has been published yet, and nobody subscribes to anything\n");
    show_write(stdout, buf_slice(&out));
    table_deinit(&table);
    buf_deinit(&out);
}

static void print_facts(const json_t *flow)
{
    size_t n;
    const json_t *fact;
    json_t *facts = flow_facts(flow);
    json_array_foreach(facts, n, fact) puts(json_string_value(fact));
    json_decref(facts);
}

/* ------------------------------------------------------------------------------ --check */

static int unreadable(const char *path, const char *why)
{
    fprintf(stderr, "nodey: %s: %s\n", path, why);
    return EXIT_REFUSED;
}

/* A sentence on each line; those that begin with "#" are a person's. */
static int read_lines(const char *path, const char *text, json_t *facts)
{
    for (size_t line = 1; *text; line++) {
        size_t len = strcspn(text, "\n");
        struct slice words = slice_trim((struct slice){text, len});
        if (words.len && words.ptr[0] != '#') {
            json_t *fact = json_stringn(words.ptr, words.len);
            if (!fact) {
                fprintf(stderr, "nodey: %s:%zu: it is no UTF-8\n", path, line);
                return EXIT_REFUSED;
            }
            json_array_append_new(facts, fact);
        }
        text += len + (text[len] == '\n');
    }
    return 0;
}

static int read_golden(const char *path, json_t **facts)
{
    enum { FILE_MAX = 16 << 20 };

    FILE *file = fopen(path, "re");
    struct buf text = {0};
    json_error_t error;
    size_t got = 1;
    int rc = 0;
    if (!file)
        return unreadable(path, "it cannot be opened; nodey flow --shape writes one");
    while (text.len < FILE_MAX && (got = fread(buf_reserve(&text, 65536), 1, 65536, file)) > 0)
        text.len += got;
    fclose(file);
    const char *words = buf_cstr(&text);
    *facts = json_array();
    if (words[strspn(words, " \t\r\n")] != '{') {
        rc = read_lines(path, words, *facts);
    } else {
        json_t *flow = json_loads(words, 0, &error);
        json_decref(*facts);
        *facts = flow ? flow_facts(flow) : NULL;
        json_decref(flow);
        if (!*facts) {
            fprintf(stderr, "nodey: %s:%d:%d: %s\n", path, error.line, error.column,
                    error.text);
            rc = EXIT_REFUSED;
        }
    }
    buf_deinit(&text);
    return rc;
}

static bool has_fact(const json_t *facts, const char *fact)
{
    size_t n;
    const json_t *item;
    json_array_foreach(facts, n,
                       item) if (strcmp(json_string_value(item), fact) == 0) return true;
    return false;
}

static size_t tell_missing(const json_t *of, const json_t *in, const char *sign,
                           const char *words)
{
    size_t n, count = 0;
    const json_t *item;
    json_array_foreach(of, n, item)
    {
        const char *fact = json_string_value(item);
        if (has_fact(in, fact))
            continue;
        printf("%s %s: %s\n", sign, fact, words);
        count++;
    }
    return count;
}

static int check(const char *path, const json_t *flow)
{
    json_t *golden = NULL, *now = NULL;
    int rc = read_golden(path, &golden);
    if (rc == 0) {
        now = flow_facts(flow);
        size_t differences = tell_missing(golden, now, "-", "it was so, and is not any more");
        differences += tell_missing(now, golden, "+", "it is new");
        if (differences)
            printf(
                "%zu difference%s from %s; when that is as it should be: nodey flow --shape > "
                "%s\n",
                differences, differences == 1 ? "" : "s", path, path);
        rc = differences ? EXIT_REFUSED : 0;
    }
    json_decref(golden);
    json_decref(now);
    return rc;
}

/* --------------------------------------------------------------------------- the command */

static void print(const struct flow_words *w, const json_t *flow)
{
    struct flow_ways ways;
    struct buf out = {0};
    flow_ways_read(&ways, flow);
    if (w->mermaid)
        flow_write_mermaid(&ways, &out);
    else if (w->dot)
        flow_write_dot(&ways, &out);
    else
        print_table(&ways, flow, w->no_color);
    show_write(stdout, buf_slice(&out));
    flow_ways_deinit(&ways);
    buf_deinit(&out);
}

static int show_flow(struct session *session, const struct flow_words *w)
{
    struct client_response answer;
    json_error_t error;
    int rc = reach_text(session, "/v1/flow", SLICE(""), &answer);
    if (rc)
        return rc;
    json_t *flow = json_loadb(answer.body.ptr, answer.body.len, 0, &error);
    if (!flow) {
        fprintf(stderr, "nodey: the answer cannot be read: %s\n", error.text);
        rc = EXIT_REFUSED;
    } else if (w->check) {
        rc = check(w->check, flow);
    } else if (w->json) {
        show_write(stdout, buf_slice(&answer.body));
    } else if (w->shape) {
        print_facts(flow);
    } else {
        print(w, flow);
    }
    json_decref(flow);
    client_response_deinit(&answer);
    return rc;
}

int command_flow(int argc, char **argv)
{
    struct flow_words w = {0};
    struct session session;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &w.file},
        {"--mermaid", OPTION_FLAG, &w.mermaid},
        {"--dot", OPTION_FLAG, &w.dot},
        {"--json", OPTION_FLAG, &w.json},
        {"--shape", OPTION_FLAG, &w.shape},
        {"--check", OPTION_VALUE, &w.check},
        {"--no-color", OPTION_FLAG, &w.no_color},
    };
    struct options options = {.verb = "flow", .table = table, .count = ARRAY_LEN(table)};
    int rc = options_read(&options, argc, argv);
    if (rc == 0 && w.mermaid + w.dot + w.json + w.shape + (w.check != NULL) > 1)
        rc = usage_error("flow", "one of --mermaid, --dot, --json, --shape and --check");
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = show_flow(&session, &w);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
