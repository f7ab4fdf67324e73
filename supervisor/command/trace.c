/*
 * `nodey trace`: one story, from what began it to all that it led to.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/printable.h"
#include "client/options.h"
#include "client/reach_text.h"
#include "client/show.h"
#include "client/table.h"
#include "command/command.h"
#include "command/flowview.h"

const char command_trace_help[] =
    "Tells one story: the message that began it, who handled it and how that went, what was\n"
    "published by that, and so on. ID is the seq or the id of any message of it, or its\n"
    "correlation, as nodey events and the logs show them.\n"
    "\n"
    "  --mermaid             a sequence diagram for Markdown\n"
    "  --format json         see GET /v1/trace/ID\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Messages are in the store as long as their stream keeps them; how handlers ended is\n"
    "remembered of the last 16384 attempts of this run of nodey.\n"
    "\n"
    "Exit code: 0, 1 when there is no such story, 2 for wrong usage, 3 when no nodey is up.\n";

enum { DEPTH_MAX = 64, DATA_SHOWN = 100 };

struct trace_words {
    const char *file, *format;
    bool mermaid, no_color, as_json, colour;
};

struct telling {
    const json_t *messages;
    struct buf out;
    bool colour;
};

static long long number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *topic_of(const json_t *m)
{
    const char *queue = json_string_value(json_object_get(m, "queue"));
    return queue ? queue : flow_text(m, "topic");
}

/* ----------------------------------------------------------------------------- the tree */

static void paint(struct telling *t, enum tint tint, const char *text)
{
    table_paint(&t->out, tint, t->colour, slice_of(text));
}

static void add_data(struct telling *t, const json_t *m)
{
    const json_t *data = json_object_get(m, "data");
    struct buf text = {0}, shown = {0};
    if (data && !json_is_null(data)) {
        flow_dump(data, &text);
        buf_addf(&shown, "  %.*s%s", (int)MIN(text.len, (size_t)DATA_SHOWN), text.ptr,
                 text.len > DATA_SHOWN ? "..." : "");
        struct buf safe = {0};
        printable_add(&safe, buf_slice(&shown), &(struct printable){0});
        table_paint(&t->out, TINT_DIM, t->colour, buf_slice(&safe));
        buf_deinit(&safe);
    }
    buf_deinit(&text);
    buf_deinit(&shown);
}

static void add_head(struct telling *t, const json_t *m)
{
    char clock[16] = "";
    long long ms = number_of(m, "time");
    time_t at = (time_t)(ms / 1000);
    struct tm local;
    if (localtime_r(&at, &local))
        strftime(clock, sizeof(clock), "%H:%M:%S", &local);
    buf_addf(&t->out, "%s.%03lld ", clock, ms % 1000);
    if (strcmp(flow_text(m, "stream"), "dead") == 0)
        paint(t, TINT_BAD, "dead letter ");
    else if (json_object_get(m, "queue"))
        buf_adds(&t->out, "job ");
    paint(t, TINT_BOLD, topic_of(m));
    buf_addf(&t->out, " #%lld", number_of(m, "seq"));
    if (*flow_text(m, "from"))
        buf_addf(&t->out, " from %s", flow_text(m, "from"));
    if (*flow_text(m, "key"))
        buf_addf(&t->out, ", key %s", flow_text(m, "key"));
    add_data(t, m);
    buf_addc(&t->out, '\n');
}

static void add_end(struct telling *t, const json_t *end)
{
    bool own = strcmp(flow_text(end, "group"), flow_text(end, "program")) == 0;
    const char *error = json_string_value(json_object_get(end, "error"));
    buf_adds(&t->out, flow_text(end, "program"));
    if (!own)
        buf_addf(&t->out, " (%s)", flow_text(end, "group"));
    if (!error)
        paint(t, TINT_GOOD, " handled it");
    else
        paint(t, TINT_BAD,
              json_is_true(json_object_get(end, "dead")) ? " gave it up" : " failed");
    buf_addf(&t->out, ": waited %lld ms, ran %lld ms", number_of(end, "waited_ms"),
             number_of(end, "ran_ms"));
    if (number_of(end, "attempt") > 1 || error)
        buf_addf(&t->out, ", attempt %lld", number_of(end, "attempt"));
    if (error) {
        struct buf safe = {0};
        printable_add(&safe, slice_of(error), &(struct printable){0});
        buf_addf(&t->out, ": %.*s", (int)strcspn(buf_cstr(&safe), "\n"), buf_cstr(&safe));
        buf_deinit(&safe);
    }
    buf_addc(&t->out, '\n');
}

/* Its cause is not among the messages: it began something. */
static bool is_root(const json_t *messages, const json_t *m)
{
    size_t n;
    const json_t *other;
    const char *cause = flow_text(m, "cause");
    json_array_foreach(messages, n,
                       other) if (*cause && other != m &&
                                  strcmp(flow_text(other, "id"), cause) == 0) return false;
    return true;
}

static void add_branch(struct telling *t, const char *indent, bool last)
{
    buf_adds(&t->out, indent);
    buf_adds(&t->out, last ? "└ " : "├ ");
}

static void tell_message(struct telling *t, const json_t *m, const char *indent, unsigned depth)
{
    size_t n, done = 0, count;
    const json_t *end, *child;
    const json_t *ends = json_object_get(m, "ends");
    const char *id = flow_text(m, "id");
    add_head(t, m);
    count = json_array_size(ends);
    json_array_foreach(t->messages, n, child) count +=
        *id && child != m && strcmp(flow_text(child, "cause"), id) == 0;
    json_array_foreach(ends, n, end)
    {
        add_branch(t, indent, ++done == count);
        add_end(t, end);
    }
    json_array_foreach(t->messages, n, child)
    {
        if (!*id || child == m || strcmp(flow_text(child, "cause"), id) != 0)
            continue;
        char *deeper = xasprintf("%s%s", indent, ++done == count ? "  " : "│ ");
        add_branch(t, indent, done == count);
        if (depth < DEPTH_MAX)
            tell_message(t, child, deeper, depth + 1);
        else
            buf_adds(&t->out, "...\n");
        xfree(deeper);
    }
}

static void tell_tree(struct telling *t)
{
    size_t n;
    const json_t *m;
    json_array_foreach(t->messages, n, m) if (is_root(t->messages, m))
        tell_message(t, m, "", 0);
}

/* -------------------------------------------------------------------------- the diagram */

/* What its language would take for its own is left out. */
static void add_words(struct buf *out, const char *text, size_t most)
{
    for (size_t i = 0; text[i] && text[i] != '\n' && i < most; i++)
        buf_addc(out, strchr(";#:%\"<>{}", text[i]) ? ' ' : text[i]);
}

static void draw_end(struct buf *out, const json_t *m, const json_t *end)
{
    enum { ERROR_SHOWN = 60 };

    const char *from = *flow_text(m, "from") ? flow_text(m, "from") : "unknown";
    const char *error = json_string_value(json_object_get(end, "error"));
    buf_adds(out, "  ");
    add_words(out, from, SIZE_MAX);
    buf_adds(out, error ? "--x" : "->>");
    add_words(out, flow_text(end, "program"), SIZE_MAX);
    buf_adds(out, ": ");
    add_words(out, topic_of(m), SIZE_MAX);
    if (number_of(end, "attempt") > 1)
        buf_addf(out, " (attempt %lld)", number_of(end, "attempt"));
    buf_addc(out, '\n');
    if (!error)
        return;
    buf_adds(out, "  Note over ");
    add_words(out, flow_text(end, "program"), SIZE_MAX);
    buf_adds(out, ": ");
    add_words(out, error, ERROR_SHOWN);
    buf_addc(out, '\n');
}

static void draw(struct telling *t)
{
    size_t n, i;
    const json_t *m, *end;
    buf_adds(&t->out, "sequenceDiagram\n");
    json_array_foreach(t->messages, n, m)
    {
        const json_t *ends = json_object_get(m, "ends");
        json_array_foreach(ends, i, end) draw_end(&t->out, m, end);
        if (json_array_size(ends) || strcmp(flow_text(m, "stream"), "dead") == 0)
            continue;
        buf_adds(&t->out, "  Note over ");
        add_words(&t->out, *flow_text(m, "from") ? flow_text(m, "from") : "unknown", SIZE_MAX);
        buf_adds(&t->out, ": ");
        add_words(&t->out, topic_of(m), SIZE_MAX);
        buf_addc(&t->out, '\n');
    }
}

/* -------------------------------------------------------------------------- the command */

static int tell(const struct trace_words *w, const struct client_response *answer)
{
    json_error_t error;
    struct telling t = {.colour = show_colour(stdout, w->no_color)};
    json_t *story = json_loadb(answer->body.ptr, answer->body.len, 0, &error);
    if (!story) {
        fprintf(stderr, "nodey: the answer cannot be read: %s\n", error.text);
        return EXIT_REFUSED;
    }
    t.messages = json_object_get(story, "messages");
    if (w->mermaid)
        draw(&t);
    else
        tell_tree(&t);
    show_write(stdout, buf_slice(&t.out));
    if (!json_is_true(json_object_get(story, "whole")))
        fputs("nodey: the store has more messages than were looked at: some may be missing\n",
              stderr);
    buf_deinit(&t.out);
    json_decref(story);
    return 0;
}

static int trace(struct session *session, const struct trace_words *w, const char *id)
{
    struct client_response answer;
    char *word = reach_encode(id);
    char *target = xasprintf("/v1/trace/%s", word);
    int rc = reach_text(session, target, SLICE(""), &answer);
    if (rc == 0) {
        if (w->as_json)
            show_write(stdout, buf_slice(&answer.body));
        else
            rc = tell(w, &answer);
        client_response_deinit(&answer);
    }
    xfree(target);
    xfree(word);
    return rc;
}

int command_trace(int argc, char **argv)
{
    struct trace_words w = {0};
    struct session session;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &w.file},
        {"--mermaid", OPTION_FLAG, &w.mermaid},
        {"--format", OPTION_VALUE, &w.format},
        {"--no-color", OPTION_FLAG, &w.no_color},
    };
    struct options options = {
        .verb = "trace", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_format("trace", w.format, &w.as_json);
    if (rc == 0 && (options.words.count == 0 || !*options.words.items[0]))
        rc = usage_error("trace", "nodey trace needs an id, a seq or a correlation");
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = trace(&session, &w, options.words.items[0]);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
