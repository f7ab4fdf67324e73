/*
 * `nodey publish`: an event or a job, or one for each line of stdin.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "app/busdoor.h"
#include "client/input.h"
#include "client/members.h"
#include "client/options.h"
#include "client/reach.h"
#include "client/show.h"
#include "client/when.h"
#include "command/command.h"

enum { LINES_MAX = 512, BATCH_BYTES = 1 << 20, PIECE = 65536 };

const char command_publish_help[] =
    "Publishes an event, or with --queue gives a job to a queue. Done when it is stored as\n"
    "durably as its stream says; prints its number.\n"
    "\n"
    "  nodey publish comment.created '{\"id\": 7}'\n"
    "  nodey publish --queue thumb '{\"path\": \"a.png\"}' --delay 10m\n"
    "  nodey publish import.row --lines < rows.ndjson\n"
    "\n"
    "  DATA                  JSON; - for stdin, @FILE for a file; null when left out\n"
    "  --queue               the word names a queue: exactly one worker gets the job\n"
    "  --key KEY             events with this key are handled one at a time, in their order\n"
    "  --id ID               published once, however often it is said with this id\n"
    "  --delay TIME          not before this time has gone by: 30s, 10m, 2h\n"
    "  --at TIME             not before then: 18:40, \"2026-11-21 10:00\", "
    "2026-11-21T10:00:00Z\n"
    "  --lines               each line of stdin is the data of one, as they come\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         {\"seq\":12}, with \"duplicate\":true when the id was known\n"
    "\n"
    "Exit code: 0, 1 when it is refused (the stream may be full), 3 when no nodey is up.\n";

struct publish_words {
    const char *file, *format, *key, *id, *delay, *at;
    bool queue, lines, as_json;
    struct word_list words;
    struct buf members; /* of each: all but the data */
};

/* -------------------------------------------------------------------- what to send */

static void add_text(struct buf *out, const char *name, const char *text)
{
    if (!text)
        return;
    buf_addf(out, ",\"%s\":", name);
    json_write(out, slice_of(text));
}

static int add_time(struct publish_words *w)
{
    int64_t at = 0;
    uint64_t delay = 0;
    struct err err;
    if (w->delay && w->at)
        return usage_error("publish", "--delay and --at are two ways to say it: one must go");
    if (w->at && when_read(w->at, &at, &err))
        return usage_error("publish", "--at: %s", err.text);
    int rc = reach_time("publish", "--delay", w->delay, UINT64_C(3650) * 86400000, &delay);
    if (w->at)
        buf_addf(&w->members, ",\"at\":%lld", (long long)at);
    else if (w->delay)
        buf_addf(&w->members, ",\"delay\":%llu", (unsigned long long)delay);
    return rc;
}

static int prepare(struct publish_words *w)
{
    buf_addf(&w->members, "{\"%s\":", w->queue ? "queue" : "topic");
    json_write(&w->members, slice_of(w->words.items[0]));
    add_text(&w->members, "key", w->key);
    add_text(&w->members, "id", w->id);
    return add_time(w);
}

/* Appends the object; where: of the data, for the sentence when it is no JSON. */
static int add_one(const struct publish_words *w, struct slice data, const char *where,
                   struct buf *out)
{
    struct arena arena = {0};
    struct err err;
    struct slice json = SLICE("null");
    bool good = !data.len || busdoor_json(data, &arena, &json, &err);
    if (good) {
        buf_add(out, buf_slice(&w->members));
        buf_adds(out, ",\"data\":");
        buf_add(out, json);
        buf_addc(out, '}');
    } else {
        fprintf(stderr, "nodey: %s: %s\n", where, err.text);
    }
    arena_deinit(&arena);
    return good ? 0 : EXIT_REFUSED;
}

/* ------------------------------------------------------------------------- sending */

static void print_one(const struct publish_words *w, const struct json_value *answer)
{
    struct json_value seq;
    struct buf out = {0};
    buf_addf(&out, "%s", w->words.items[0]);
    if (members_get(answer, "seq", &seq))
        buf_addf(&out, " " SLICE_FMT, SLICE_ARG(seq.raw));
    buf_adds(&out, members_is_true(answer, "duplicate") ? " (it was published before)\n"
                   : members_is_true(answer, "delayed") ? " later\n"
                                                        : "\n");
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
}

static int send_one(struct session *session, const struct publish_words *w)
{
    struct buf data = {0}, body = {0};
    struct client_response answer;
    struct json_value json;
    const char *word = w->words.count > 1 ? w->words.items[1] : NULL;
    const char *where = !word || strcmp(word, "-") == 0 ? "stdin"
                        : word[0] == '@'                ? word + 1
                                                        : "DATA";
    int rc = word ? input_read(word, &data) : 0;
    if (rc == 0)
        rc = add_one(w, buf_slice(&data), where, &body);
    if (rc == 0)
        rc = reach_post(session, "/v1/publish", buf_slice(&body), &answer, &json);
    buf_deinit(&data);
    buf_deinit(&body);
    if (rc)
        return rc;
    if (w->as_json)
        show_write(stdout, buf_slice(&answer.body));
    else
        print_one(w, &json);
    client_response_deinit(&answer);
    return 0;
}

/* ----------------------------------------------------------------------- line by line */

struct batch {
    struct session *session;
    const struct publish_words *words;
    struct buf body;
    size_t count;
    uint64_t lines, published;
};

static int batch_send(struct batch *b)
{
    struct client_response answer;
    struct json_value json, item;
    if (!b->count)
        return 0;
    buf_addc(&b->body, ']');
    int rc = reach_post(b->session, "/v1/publish", buf_slice(&b->body), &answer, &json);
    buf_clear(&b->body);
    if (rc)
        return rc;
    b->published += b->count;
    b->count = 0;
    struct json_scan it = json_iter(&json);
    while (b->words->as_json && json_next_item(&it, &item))
        printf(SLICE_FMT "\n", SLICE_ARG(item.raw));
    fflush(stdout);
    client_response_deinit(&answer);
    return 0;
}

static int batch_add(struct batch *b, struct slice line)
{
    char where[48];
    b->lines++;
    if (!slice_trim(line).len)
        return 0;
    snprintf(where, sizeof(where), "stdin, record %llu", (unsigned long long)b->lines);
    buf_addc(&b->body, b->count ? ',' : '[');
    int rc = add_one(b->words, line, where, &b->body);
    b->count += rc == 0;
    if (rc == 0 && (b->count == LINES_MAX || b->body.len > BATCH_BYTES))
        rc = batch_send(b);
    return rc;
}

/* What has come is sent before more is waited for. */
static int send_lines(struct session *session, const struct publish_words *w)
{
    struct batch b = {.session = session, .words = w};
    struct buf kept = {0};
    ssize_t got = 1;
    int rc = 0;
    while (rc == 0 && got > 0) {
        got = read(STDIN_FILENO, buf_reserve(&kept, PIECE), PIECE);
        if (got < 0 && errno == EINTR) {
            got = 1;
            continue;
        }
        kept.len += got > 0 ? (size_t)got : 0;
        if (got == 0 && kept.len)
            buf_addc(&kept, '\n'); /* the last may lack its end */
        size_t at = 0;
        for (const char *end;
             rc == 0 && at < kept.len && (end = memchr(kept.ptr + at, '\n', kept.len - at));) {
            size_t len = (size_t)(end - kept.ptr) - at;
            rc = batch_add(&b, (struct slice){kept.ptr + at, len});
            at += len + 1;
        }
        buf_consume(&kept, at);
        if (rc == 0)
            rc = batch_send(&b);
    }
    if (!w->as_json)
        fprintf(rc ? stderr : stdout, "%llu published\n", (unsigned long long)b.published);
    buf_deinit(&kept);
    buf_deinit(&b.body);
    return rc;
}

/* --------------------------------------------------------------------------- words */

static int check(const struct publish_words *w)
{
    if (!w->words.count)
        return usage_error("publish", "nodey publish needs a topic, or --queue and a queue");
    if (w->lines && w->id)
        return usage_error("publish", "--id is of one, and --lines publishes many");
    if (w->lines && w->words.count > 1)
        return usage_error("publish", "--lines reads stdin: what is \"%s\"?",
                           w->words.items[1]);
    return 0;
}

int command_publish(int argc, char **argv)
{
    struct publish_words w = {0};
    struct session session;
    const struct option table[] = {
        {"--queue", OPTION_FLAG, &w.queue},    {"--key", OPTION_VALUE, &w.key},
        {"--id", OPTION_VALUE, &w.id},         {"--delay", OPTION_VALUE, &w.delay},
        {"--at", OPTION_VALUE, &w.at},         {"--lines", OPTION_FLAG, &w.lines},
        {"--format", OPTION_VALUE, &w.format}, {"-f --file --config", OPTION_VALUE, &w.file},
    };
    struct options options = {
        .verb = "publish", .table = table, .count = ARRAY_LEN(table), .words_max = 2};
    int rc = options_read(&options, argc, argv);
    w.words = options.words;
    if (rc == 0)
        rc = reach_format("publish", w.format, &w.as_json);
    if (rc == 0)
        rc = check(&w);
    if (rc == 0)
        rc = prepare(&w);
    if (rc == 0)
        rc = reach_open(&session, w.file);
    if (rc == 0) {
        rc = w.lines ? send_lines(&session, &w) : send_one(&session, &w);
        session_close(&session);
    }
    buf_deinit(&w.members);
    word_list_deinit(&options.words);
    return rc;
}
