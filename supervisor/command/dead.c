/*
 * `nodey dead`: what nobody was able to handle.
 */
#include <stdio.h>
#include <unistd.h>

#include "client/members.h"
#include "client/options.h"
#include "client/reach.h"
#include "client/show.h"
#include "client/table.h"
#include "client/when.h"
#include "command/busview.h"
#include "command/command.h"

enum { LIST_MAX = 1000 };

const char command_dead_help[] =
    "Dead letters: events and jobs that failed at each of their attempts, or of which their\n"
    "handler said that they never will be handled. They are kept until somebody decides.\n"
    "\n"
    "  nodey dead list               the newest, a line each\n"
    "  nodey dead show SEQ           all of one: why it failed, where, and its data\n"
    "  nodey dead retry SEQ          once more, for the group where it failed and no other\n"
    "  nodey dead retry --all        all of them; or those of a --group, of a --topic\n"
    "  nodey dead drop SEQ           forget it; --all, --group, --topic as above\n"
    "\n"
    "  --group GROUP         only those of this group; a queue's name for jobs\n"
    "  --topic TOPIC         only those of this topic\n"
    "  --all                 all there are now\n"
    "  -n, --tail N          list so many; 100 when left out\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         what the control socket says, see GET /v1/dead\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when there is no such letter, 3 when no nodey is up.\n";

struct dead_words {
    const char *file, *format, *group, *topic, *count;
    bool all, no_color, as_json;
    const char *verb;
    struct word_list seqs;
    uint64_t limit;
};

/* --------------------------------------------------------------------------- list */

static const char *error_line(struct arena *arena, const struct json_value *letter)
{
    struct json_value error;
    struct buf text = {0};
    if (members_get(letter, "error", &error)) {
        const char *name = bus_view_text(arena, &error, "name");
        const char *message = bus_view_text(arena, &error, "message");
        buf_addf(&text, "%s%s%.*s", name, *name && *message ? ": " : "",
                 (int)strcspn(message, "\n"), message);
    }
    const char *kept = arena_strdup(arena, buf_slice(&text));
    buf_deinit(&text);
    return kept;
}

static const char *name_of(struct arena *arena, const struct json_value *letter)
{
    const char *topic = bus_view_text(arena, letter, "topic");
    return *topic ? topic : bus_view_text(arena, letter, "queue");
}

static void print_table(const struct json_value *list, bool colour)
{
    static const struct column columns[] = {
        {.title = "SEQ", .right = true},
        {.title = "TOPIC"},
        {.title = "GROUP"},
        {.title = "ATTEMPTS", .right = true, .dropped = 1},
        {.title = "FAILED"},
        {.title = "ERROR", .shrinks = true},
    };
    struct table table;
    struct arena arena = {0};
    struct json_value item;
    struct buf out = {0};
    char when[WHEN_TEXT];
    struct json_scan it = json_iter(list);
    table_init(&table, columns, ARRAY_LEN(columns));
    while (json_next_item(&it, &item)) {
        table_addf(&table, TINT_NONE, "%llu",
                   (unsigned long long)bus_view_number(&item, "seq"));
        table_add(&table, TINT_NONE, name_of(&arena, &item));
        table_add(&table, TINT_NONE, bus_view_text(&arena, &item, "group"));
        table_addf(&table, TINT_NONE, "%llu",
                   (unsigned long long)bus_view_number(&item, "attempts"));
        table_add(&table, TINT_DIM,
                  when_write(when, (int64_t)bus_view_number(&item, "failed")));
        table_add(&table, TINT_BAD, error_line(&arena, &item));
    }
    table_write(&table, table_terminal(STDOUT_FILENO), colour, &out);
    show_write(stdout, buf_slice(&out));
    table_deinit(&table);
    buf_deinit(&out);
    arena_deinit(&arena);
}

static void add_parameter(struct buf *target, const char *name, const char *value)
{
    char *encoded = value ? reach_encode(value) : NULL;
    if (value)
        buf_addf(target, "&%s=%s", name, encoded);
    xfree(encoded);
}

static int list(struct session *session, const struct dead_words *w)
{
    struct client_response answer;
    struct json_value json;
    struct buf target = {0};
    buf_addf(&target, "/v1/dead?limit=%llu", (unsigned long long)w->limit);
    add_parameter(&target, "group", w->group);
    add_parameter(&target, "topic", w->topic);
    int rc = reach_fetch(session, "GET", buf_cstr(&target), 0, &answer, &json);
    buf_deinit(&target);
    if (rc)
        return rc;
    if (w->as_json)
        show_write(stdout, buf_slice(&answer.body));
    else
        print_table(&json, show_colour(stdout, w->no_color));
    client_response_deinit(&answer);
    return 0;
}

/* --------------------------------------------------------------------------- show */

static void put(struct buf *out, bool colour, const char *name, const char *text)
{
    char label[16];
    if (!*text)
        return;
    snprintf(label, sizeof(label), "%-14s", name);
    table_paint(out, TINT_DIM, colour, slice_of(label));
    buf_addf(out, "%s\n", text);
}

static void print_letter(const struct json_value *letter, bool colour)
{
    struct arena arena = {0};
    struct buf out = {0};
    struct json_value error, data;
    char when[WHEN_TEXT], number[32];
    put(&out, colour, *bus_view_text(&arena, letter, "queue") ? "queue" : "topic",
        name_of(&arena, letter));
    put(&out, colour, "group", bus_view_text(&arena, letter, "group"));
    put(&out, colour, "key", bus_view_text(&arena, letter, "key"));
    put(&out, colour, "id", bus_view_text(&arena, letter, "id"));
    put(&out, colour, "correlation", bus_view_text(&arena, letter, "correlation"));
    put(&out, colour, "published", when_write(when, (int64_t)bus_view_number(letter, "time")));
    put(&out, colour, "failed", when_write(when, (int64_t)bus_view_number(letter, "failed")));
    snprintf(number, sizeof(number), "%llu",
             (unsigned long long)bus_view_number(letter, "attempts"));
    put(&out, colour, "attempts", number);
    put(&out, colour, "error", error_line(&arena, letter));
    if (members_get(letter, "error", &error)) {
        const char *stack = bus_view_text(&arena, &error, "stack");
        buf_addf(&out, "%s%s%s", *stack ? "\n" : "", stack,
                 *stack && stack[strlen(stack) - 1] != '\n' ? "\n" : "");
    }
    put(&out, colour, "data in", bus_view_text(&arena, letter, "file"));
    if (members_get(letter, "data", &data)) {
        buf_addc(&out, '\n');
        if (!show_json(&out, data.raw, colour))
            buf_add(&out, data.raw);
        buf_addc(&out, '\n');
    }
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
    arena_deinit(&arena);
}

static int show(struct session *session, const struct dead_words *w)
{
    struct client_response answer;
    struct json_value json;
    char *target = xasprintf("/v1/dead/%s", w->seqs.items[0]);
    int rc = reach_fetch(session, "GET", target, 0, &answer, &json);
    xfree(target);
    if (rc)
        return rc;
    if (w->as_json)
        show_write(stdout, buf_slice(&answer.body));
    else
        print_letter(&json, show_colour(stdout, w->no_color));
    client_response_deinit(&answer);
    return 0;
}

/* ------------------------------------------------------------------- retry and drop */

static const char *said(const struct dead_words *w)
{
    return strcmp(w->verb, "retry") == 0 ? "to be handled again" : "dropped";
}

static int change_each(struct session *session, const struct dead_words *w)
{
    int rc = 0;
    uint64_t count = 0;
    for (size_t i = 0; i < w->seqs.count && rc == 0; i++) {
        struct client_response answer;
        struct json_value json;
        char *target = xasprintf("/v1/dead/%s/%s", w->seqs.items[i], w->verb);
        rc = reach_fetch(session, "POST", target, 0, &answer, &json);
        xfree(target);
        if (rc)
            break;
        count++;
        client_response_deinit(&answer);
    }
    if (w->as_json)
        printf("{\"done\":%llu}\n", (unsigned long long)count);
    else if (count)
        printf("%llu %s\n", (unsigned long long)count, said(w));
    return rc;
}

static int change_many(struct session *session, const struct dead_words *w)
{
    struct client_response answer;
    struct json_value json;
    struct buf body = {0};
    buf_adds(&body, "{\"all\":true");
    if (w->group) {
        buf_adds(&body, ",\"group\":");
        json_write(&body, slice_of(w->group));
    }
    if (w->topic) {
        buf_adds(&body, ",\"topic\":");
        json_write(&body, slice_of(w->topic));
    }
    buf_addc(&body, '}');
    char *target = xasprintf("/v1/dead/%s", w->verb);
    int rc = reach_post(session, target, buf_slice(&body), &answer, &json);
    xfree(target);
    buf_deinit(&body);
    if (rc)
        return rc;
    uint64_t failed = bus_view_number(&json, "failed");
    char *why = members_text(&json, "why");
    if (w->as_json)
        show_write(stdout, buf_slice(&answer.body));
    else
        printf("%llu %s\n", (unsigned long long)bus_view_number(&json, "done"), said(w));
    fflush(stdout);
    if (failed)
        fprintf(stderr, "nodey: %llu could not be: %s\n", (unsigned long long)failed,
                why ? why : "");
    xfree(why);
    client_response_deinit(&answer);
    return failed ? EXIT_REFUSED : 0;
}

/* -------------------------------------------------------------------------- words */

static int check_seqs(const struct dead_words *w)
{
    uint64_t seq;
    for (size_t i = 0; i < w->seqs.count; i++)
        if (!slice_to_u64(slice_of(w->seqs.items[i]), INT64_MAX - 1, &seq))
            return usage_error("dead",
                               "a dead letter has a number, see nodey dead list: what "
                               "is \"%s\"?",
                               w->seqs.items[i]);
    return 0;
}

static int check(struct dead_words *w)
{
    bool changes = strcmp(w->verb, "retry") == 0 || strcmp(w->verb, "drop") == 0;
    bool filtered = w->all || w->group || w->topic;
    if (!changes && strcmp(w->verb, "list") != 0 && strcmp(w->verb, "show") != 0)
        return usage_error("dead", "nodey dead takes list, show, retry or drop, not \"%s\"",
                           w->verb);
    if (strcmp(w->verb, "list") == 0 && w->seqs.count)
        return usage_error("dead", "nodey dead list takes no \"%s\": did you mean show?",
                           w->seqs.items[0]);
    if (strcmp(w->verb, "show") == 0 && w->seqs.count != 1)
        return usage_error("dead", "nodey dead show needs the number of one letter");
    if (changes && !w->seqs.count && !filtered)
        return usage_error("dead", "nodey dead %s needs a number, --group, --topic or --all",
                           w->verb);
    if (changes && w->seqs.count && filtered)
        return usage_error("dead", "either numbers, or --group, --topic, --all");
    w->limit = 100;
    if (w->count && (!slice_to_u64(slice_of(w->count), LIST_MAX, &w->limit) || !w->limit))
        return usage_error("dead", "-n is a number from 1 to %d, not \"%s\"", LIST_MAX,
                           w->count);
    return check_seqs(w);
}

static int act(struct session *session, const struct dead_words *w)
{
    if (strcmp(w->verb, "list") == 0)
        return list(session, w);
    if (strcmp(w->verb, "show") == 0)
        return show(session, w);
    return w->seqs.count ? change_each(session, w) : change_many(session, w);
}

int command_dead(int argc, char **argv)
{
    struct dead_words w = {0};
    struct session session;
    const struct option table[] = {
        {"--group", OPTION_VALUE, &w.group},      {"--topic", OPTION_VALUE, &w.topic},
        {"--all", OPTION_FLAG, &w.all},           {"-n --tail", OPTION_VALUE, &w.count},
        {"--format", OPTION_VALUE, &w.format},    {"-f --file --config", OPTION_VALUE, &w.file},
        {"--no-color", OPTION_FLAG, &w.no_color},
    };
    struct options options = {
        .verb = "dead", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    bool named = options.words.count > 0;
    w.verb = named ? options.words.items[0] : "list";
    w.seqs = (struct word_list){options.words.items + named, options.words.count - named};
    if (rc == 0)
        rc = reach_format("dead", w.format, &w.as_json);
    if (rc == 0)
        rc = check(&w);
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = act(&session, &w);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
