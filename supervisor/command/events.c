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
    "  nodey events drop GROUP           forgets a group that no program serves any more, and\n"
    "                                    what it has not handled; see nodey lag\n"
    "\n"
    "PATTERN is a topic, in which * stands for one word and a last > for the rest. WHERE is\n"
    "first, new, the number of an event, or a time: 10m (ago), 18:40, 2026-11-21T10:00:00Z.\n"
    "\n"
    "  --from WHERE          begin there\n"
    "  -n, --tail N          the last N, and with tail what comes then; with --from the first "
    "N\n"
    "  --queue QUEUE         jobs of this queue that are not done instead of events\n"
    "  --stream STREAM       only of this stream; dead: the dead letters\n"
    "  --yes                 replay, drop: do not ask\n"
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

/* Beside what is shown, which may go to a file. */
static void tell_gap(const struct json_value *gap)
{
    unsigned long long from = bus_view_number(gap, "from"), to = bus_view_number(gap, "to");
    fflush(stdout);
    fprintf(stderr,
            "nodey: what was stored from #%llu to #%llu is not there any more: it was removed "
            "as too old or for room (max_age, max_bytes)\n",
            from, to);
}

static bool on_line(void *arg, struct slice line)
{
    const struct events_words *w = arg;
    struct buf out = {0};
    struct json_value event, gap;
    bool read = !w->as_json && members_read(line, &event);
    if (read && members_get(&event, "gap", &gap)) {
        tell_gap(&gap);
    } else if (read) {
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

/* What is only to come may have a stream that is not there yet. */
static int check_stream(struct session *session, const struct events_words *w)
{
    struct bus_view v;
    if (!w->queue && !w->stream)
        return 0;
    int rc = bus_view_fetch(session, &v);
    if (rc)
        return rc;
    bool found = !v.open;
    for (size_t i = 0; i < v.stream_count && !found; i++) {
        const char *name = v.streams[i].name;
        found = w->stream ? strcmp(name, w->stream) == 0
                          : strncmp(name, "queue.", 6) == 0 && strcmp(name + 6, w->queue) == 0;
    }
    bus_view_deinit(&v);
    if (found)
        return 0;
    fprintf(stderr, "nodey: there is no %s \"%s\"; nodey bus lists them\n",
            w->queue ? "queue" : "stream", w->queue ? w->queue : w->stream);
    return EXIT_REFUSED;
}

static int show(struct session *session, struct events_words *w)
{
    struct buf target = {0};
    bool follows = strcmp(w->verb, "tail") == 0;
    if (!follows && !w->n && !w->from)
        w->n = SHOWN;
    int rc = follows ? 0 : check_stream(session, w);
    if (rc == 0)
        rc = write_target(w, follows, &target);
    w->colour = show_colour(stdout, w->no_color);
    if (rc == 0)
        rc = reach_follow(session, buf_cstr(&target), on_line, w);
    buf_deinit(&target);
    return rc;
}

/* ------------------------------------------------------------------------ replaying */

/* On a terminal, and when nobody has said --yes: what follows is told before. */
static bool agrees(const struct events_words *w)
{
    char answer[16] = "";
    if (w->yes || !isatty(STDIN_FILENO))
        return true;
    if (w->from)
        printf("Group %s begins anew at %s: what it has handled since is handled once more.\n",
               w->word, w->from);
    else
        printf("Group %s is forgotten: what it has not handled it never will.\n", w->word);
    printf("Go on? [y/N] ");
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
    struct json_value json, gap;
    struct buf body = {0};
    int rc = write_start(w->from, &body);
    if (rc == 0 && !agrees(w)) {
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
        if (!w->as_json && members_get(&json, "gap", &gap))
            tell_gap(&gap);
        client_response_deinit(&answer);
    }
    xfree(encoded);
    xfree(target);
    buf_deinit(&body);
    return rc;
}

static int drop(struct session *session, const struct events_words *w)
{
    struct client_response answer;
    struct json_value json;
    if (!agrees(w)) {
        puts("nothing was changed");
        return EXIT_REFUSED;
    }
    char *encoded = reach_encode(w->word);
    char *target = xasprintf("/v1/groups/%s/drop", encoded);
    int rc = reach_post(session, target, SLICE("{}"), &answer, &json);
    xfree(encoded);
    xfree(target);
    if (rc)
        return rc;
    if (w->as_json)
        show_write(stdout, buf_slice(&answer.body));
    else
        printf("%s is forgotten\n", w->word);
    client_response_deinit(&answer);
    return 0;
}

/* ---------------------------------------------------------------------------- words */

static int check(struct events_words *w, const struct word_list *words)
{
    bool replays = words->count && strcmp(words->items[0], "replay") == 0;
    bool drops = words->count && strcmp(words->items[0], "drop") == 0;
    if (!words->count || (!replays && !drops && strcmp(words->items[0], "tail") != 0 &&
                          strcmp(words->items[0], "list") != 0))
        return usage_error("events", "nodey events takes tail, list, replay or drop%s%s%s",
                           words->count ? ", not \"" : "", words->count ? words->items[0] : "",
                           words->count ? "\"" : "");
    w->verb = words->items[0];
    w->word = words->count > 1 ? words->items[1] : NULL;
    if (replays && !w->word)
        return usage_error("events", "nodey events replay needs a group, see nodey lag");
    if (drops && !w->word)
        return usage_error("events", "nodey events drop needs a group, see nodey lag");
    if (drops && w->from)
        return usage_error("events", "nodey events drop takes no --from: the whole group goes");
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
        rc = strcmp(w.verb, "replay") == 0 ? replay(&session, &w)
             : strcmp(w.verb, "drop") == 0 ? drop(&session, &w)
                                           : show(&session, &w);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
