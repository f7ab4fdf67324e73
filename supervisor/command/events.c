/*
 * `nodey events`: what was published and what is being published, and handling it again.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/printable.h"
#include "client/members.h"
#include "client/options.h"
#include "client/reach.h"
#include "client/show.h"
#include "client/table.h"
#include "client/when.h"
#include "command/busview.h"
#include "command/command.h"

enum { COUNT_MAX = 100000, SHOWN = 20 };

const char command_events_help[] =
    "Shows events, and has groups handle them again.\n"
    "\n"
    "  nodey events tail [PATTERN]       those that come, until Ctrl-C\n"
    "  nodey events list [PATTERN]       the last 20\n"
    "  nodey events replay GROUP --from WHERE\n"
    "                                    the group begins there anew: what it has handled\n"
    "                                    since then it handles once more\n"
    "\n"
    "PATTERN is a topic, in which * stands for one word and a last > for the rest. WHERE is\n"
    "first, new, the number of an event, or a time: 10m (ago), 18:40, 2026-11-21T10:00:00Z.\n"
    "\n"
    "  --from WHERE          begin there\n"
    "  -n, --tail N          the last N, and with tail what comes then; with --from the first "
    "N\n"
    "  --queue QUEUE         jobs of this queue that are not done instead of events\n"
    "  --stream STREAM       only of this stream; dead: the dead letters\n"
    "  --yes                 replay: do not ask\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         a JSON object on each line\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when there is no such group, 3 when no nodey is up, or it goes.\n";

struct events_words {
    const char *file, *format, *from, *count, *queue, *stream;
    bool yes, no_color, as_json, colour;
    const char *verb;
    const char *word; /* PATTERN or GROUP */
    uint64_t n;
};

/* -------------------------------------------------------------------------- showing */

static void write_event(const struct json_value *event, bool colour, struct buf *out)
{
    struct arena arena = {0};
    struct json_value data;
    char when[WHEN_TEXT], number[32];
    const char *topic = bus_view_text(&arena, event, "topic");
    const char *key = bus_view_text(&arena, event, "key");
    if (!*topic)
        topic = bus_view_text(&arena, event, "queue");
    table_paint(out, TINT_DIM, colour,
                slice_of(when_write(when, (int64_t)bus_view_number(event, "time"))));
    snprintf(number, sizeof(number), " #%llu ",
             (unsigned long long)bus_view_number(event, "seq"));
    buf_adds(out, number);
    table_paint(out, TINT_BOLD, colour, slice_of(topic));
    if (*key) {
        buf_adds(out, " key=");
        printable_add(out, slice_of(key), &(struct printable){0});
    }
    if (members_get(event, "data", &data)) {
        buf_addc(out, ' ');
        printable_add(out, data.raw, &(struct printable){0});
    }
    buf_addc(out, '\n');
    arena_deinit(&arena);
}

static bool on_line(void *arg, struct slice line)
{
    const struct events_words *w = arg;
    struct buf out = {0};
    struct json_value event;
    if (!w->as_json && members_read(line, &event)) {
        write_event(&event, w->colour, &out);
    } else {
        buf_add(&out, line);
        buf_addc(&out, '\n');
    }
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
    return !ferror(stdout);
}

/* "from=first", "from=12", "time=1795301369726"; 0, or 2 after saying what is wrong. */
static int add_from(const struct events_words *w, struct buf *target)
{
    uint64_t seq;
    int64_t ms;
    struct err err;
    if (strcmp(w->from, "first") == 0 || strcmp(w->from, "new") == 0 ||
        slice_to_u64(slice_of(w->from), INT64_MAX - 1, &seq))
        buf_addf(target, "&from=%s", w->from);
    else if (when_read(w->from, &ms, &err))
        return usage_error(
            "events", "--from is first, new, the number of an event or a time: %s", err.text);
    else
        buf_addf(target, "&time=%lld", (long long)ms);
    return 0;
}

static void add_parameter(struct buf *target, const char *name, const char *prefix,
                          const char *value)
{
    char *encoded = reach_encode(value);
    buf_addf(target, "&%s=%s%s", name, prefix, encoded);
    xfree(encoded);
}

static int write_target(const struct events_words *w, bool follows, struct buf *target)
{
    buf_addf(target, "/v1/events?follow=%d", follows);
    if (w->word)
        add_parameter(target, "topic", "", w->word);
    if (w->queue)
        add_parameter(target, "stream", "queue.", w->queue);
    else if (w->stream)
        add_parameter(target, "stream", "", w->stream);
    if (w->from && w->n)
        buf_addf(target, "&limit=%llu", (unsigned long long)w->n);
    else if (w->n)
        buf_addf(target, "&last=%llu", (unsigned long long)w->n);
    return w->from ? add_from(w, target) : 0;
}

static int show(struct session *session, struct events_words *w)
{
    struct buf target = {0};
    bool follows = strcmp(w->verb, "tail") == 0;
    if (!follows && !w->n && !w->from)
        w->n = SHOWN;
    int rc = write_target(w, follows, &target);
    w->colour = show_colour(stdout, w->no_color);
    if (rc == 0)
        rc = reach_follow(session, buf_cstr(&target), on_line, w);
    buf_deinit(&target);
    return rc;
}

/* ------------------------------------------------------------------------ replaying */

static bool agrees(const char *group, const char *from)
{
    char answer[16] = "";
    printf("Group %s begins anew at %s: what it has handled since is handled once more.\n"
           "Go on? [y/N] ",
           group, from);
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int write_start(const char *from, struct buf *body)
{
    uint64_t seq;
    int64_t ms;
    struct err err;
    if (strcmp(from, "first") == 0 || strcmp(from, "new") == 0)
        buf_addf(body, "{\"to\":\"%s\"}", from);
    else if (slice_to_u64(slice_of(from), INT64_MAX - 1, &seq))
        buf_addf(body, "{\"to\":{\"seq\":%llu}}", (unsigned long long)seq);
    else if (when_read(from, &ms, &err))
        return usage_error(
            "events", "--from is first, new, the number of an event or a time: %s", err.text);
    else
        buf_addf(body, "{\"to\":{\"time\":%lld}}", (long long)ms);
    return 0;
}

static int replay(struct session *session, const struct events_words *w)
{
    struct client_response answer;
    struct json_value json;
    struct buf body = {0};
    int rc = write_start(w->from, &body);
    if (rc == 0 && !w->yes && isatty(STDIN_FILENO) && !agrees(w->word, w->from)) {
        buf_deinit(&body);
        puts("nothing was changed");
        return EXIT_REFUSED;
    }
    char *encoded = reach_encode(w->word);
    char *target = xasprintf("/v1/groups/%s/seek", encoded);
    if (rc == 0)
        rc = reach_post(session, target, buf_slice(&body), &answer, &json);
    if (rc == 0) {
        if (w->as_json)
            show_write(stdout, buf_slice(&answer.body));
        else
            printf("%s begins anew at %s\n", w->word, w->from);
        client_response_deinit(&answer);
    }
    xfree(encoded);
    xfree(target);
    buf_deinit(&body);
    return rc;
}

/* ---------------------------------------------------------------------------- words */

static int check(struct events_words *w, const struct word_list *words)
{
    bool replays = words->count && strcmp(words->items[0], "replay") == 0;
    if (!words->count || (!replays && strcmp(words->items[0], "tail") != 0 &&
                          strcmp(words->items[0], "list") != 0))
        return usage_error("events", "nodey events takes tail, list or replay%s%s%s",
                           words->count ? ", not \"" : "", words->count ? words->items[0] : "",
                           words->count ? "\"" : "");
    w->verb = words->items[0];
    w->word = words->count > 1 ? words->items[1] : NULL;
    if (replays && !w->word)
        return usage_error("events", "nodey events replay needs a group, see nodey lag");
    if (replays && !w->from)
        return usage_error("events", "nodey events replay needs --from: first, new, the number "
                                     "of an event, or a time");
    if (w->queue && w->stream)
        return usage_error("events", "--queue and --stream are two streams: one must go");
    if (w->count && (!slice_to_u64(slice_of(w->count), COUNT_MAX, &w->n) || !w->n))
        return usage_error("events", "-n is a number from 1 to %d, not \"%s\"", COUNT_MAX,
                           w->count);
    return 0;
}

int command_events(int argc, char **argv)
{
    struct events_words w = {0};
    struct session session;
    const struct option table[] = {
        {"--from", OPTION_VALUE, &w.from},     {"-n --tail", OPTION_VALUE, &w.count},
        {"--queue", OPTION_VALUE, &w.queue},   {"--stream", OPTION_VALUE, &w.stream},
        {"--yes", OPTION_FLAG, &w.yes},        {"-f --file --config", OPTION_VALUE, &w.file},
        {"--format", OPTION_VALUE, &w.format}, {"--no-color", OPTION_FLAG, &w.no_color},
    };
    struct options options = {
        .verb = "events", .table = table, .count = ARRAY_LEN(table), .words_max = 2};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_format("events", w.format, &w.as_json);
    if (rc == 0)
        rc = check(&w, &options.words);
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = strcmp(w.verb, "replay") == 0 ? replay(&session, &w) : show(&session, &w);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
