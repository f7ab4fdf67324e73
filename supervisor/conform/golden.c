/*
 * The golden transcripts: the part of conform_checks.h for a program that claims to be
 * one of the workers of protocol/vectors/README.md.
 */
#include "conform/golden.h"

#include <stdio.h>

#include "app/embedded.h"
#include "client/members.h"
#include "conform/checks.h"

enum { EXPECTED_MAX = 64 }; /* frames of one transcript */

/* ---------------------------------------------------------------------- frames */

static void send_line(struct golden *g, struct slice line, bool with_lf)
{
    report_sent(g->talk->report, line);
    candidate_write(g->worker, line);
    if (with_lf)
        candidate_write(g->worker, SLICE("\n"));
}

/* Text and log frames are nobody's concern; all else must be as expected. */
static bool is_log(const struct candidate_line *line)
{
    struct json_value value, type;
    if (!members_read((struct slice){line->text, line->len}, &value))
        return line->verdict == FRAME_EMPTY || line->verdict == FRAME_STRAY;
    return value.type != JSON_OBJECT ||
           (members_get(&value, "type", &type) && json_string_is(&type, "log"));
}

struct candidate_line *golden_next(struct golden *g, uint64_t wait_ms)
{
    struct candidate_line *line;
    while ((line = candidate_next(g->worker, wait_ms))) {
        bool is_credit = line->verdict == FRAME_OK && line->frame.kind == FRAME_CREDIT;
        if (!is_log(line) && (!is_credit || g->uploading)) {
            report_came(g->talk->report, (struct slice){line->text, line->len});
            return line;
        }
        candidate_line_free(line);
    }
    return NULL;
}

bool golden_read(struct golden *g, struct json_value *frame, struct candidate_line **line)
{
    *line = golden_next(g, g->talk->answer_ms);
    if (!*line) {
        char how[128] = "nothing came in time";
        if (g->worker->ended)
            candidate_describe_end(g->worker, how, sizeof(how));
        report_fail(g->talk->report, NULL, "a frame is missing: %s", how);
        return false;
    }
    if (members_read((struct slice){(*line)->text, (*line)->len}, frame))
        return true;
    report_fail(g->talk->report, NULL, "a line is no JSON: %s",
                (*line)->frame.fault ? (*line)->frame.fault : "");
    return false;
}

static void report_difference(struct golden *g, const struct json_value *expected)
{
    report_fail(g->talk->report, NULL, "expected was " SLICE_FMT,
                (int)MIN(expected->raw.len, (size_t)400), expected->raw.ptr);
}

static bool expect_one(struct golden *g, const struct json_value *expected)
{
    struct json_value frame;
    struct candidate_line *line;
    bool good = golden_read(g, &frame, &line);
    if (good && !match_frame(expected, &frame, &g->bindings)) {
        report_difference(g, expected);
        good = false;
    }
    struct json_value window;
    if (good && line->frame.kind == FRAME_READY && members_get(&frame, "window", &window))
        good = json_to_u64(&window, UINT64_MAX, &g->window);
    candidate_line_free(line);
    return good;
}

/* In any order: each frame takes one of those that are still expected. */
static bool expect_all(struct golden *g, struct json_value *expected, size_t count)
{
    while (count) {
        struct json_value frame;
        struct candidate_line *line;
        size_t at = 0;
        bool read = golden_read(g, &frame, &line);
        while (read && at < count && !match_frame(&expected[at], &frame, &g->bindings))
            at++;
        candidate_line_free(line);
        if (!read)
            return false;
        if (at == count) {
            report_difference(g, &expected[0]);
            return false;
        }
        memmove(&expected[at], &expected[at + 1], (--count - at) * sizeof(*expected));
    }
    return true;
}

/* ---------------------------------------------------------------- conversations */

static void send_text(struct golden *g, const struct json_value *text, bool with_lf)
{
    struct buf line = {0}, filled = {0};
    json_unescape(text, &line);
    match_fill_in(buf_slice(&line), &g->bindings, &filled);
    send_line(g, buf_slice(&filled), with_lf);
    buf_deinit(&line);
    buf_deinit(&filled);
}

static void send_all(struct golden *g)
{
    struct json_value lines, line, next, member;
    bool last_lf = !members_get(&g->transcript, "last_lf", &member) || member.type == JSON_TRUE;
    if (!members_get(&g->transcript, "send", &lines))
        return;
    struct json_scan it = json_iter(&lines);
    bool there = json_next_item(&it, &line);
    while (there) {
        there = json_next_item(&it, &next);
        send_text(g, &line, there || last_lf);
        line = next;
    }
}

static bool is_ready(const struct json_value *frame)
{
    struct json_value type;
    return members_get(frame, "type", &type) && json_string_is(&type, "ready");
}

static bool hold_lines(struct golden *g)
{
    struct json_value list, expected[EXPECTED_MAX];
    size_t count = 0, from = 0;
    if (members_get(&g->transcript, "expect", &list)) {
        struct json_scan it = json_iter(&list);
        while (count < EXPECTED_MAX && json_next_item(&it, &expected[count]))
            count++;
    }
    if (count && is_ready(&expected[0])) {
        if (!expect_one(g, &expected[0]))
            return false;
        from = 1;
    }
    send_all(g);
    if (!members_is_true(&g->transcript, "keep_open"))
        candidate_end_input(g->worker);
    if (members_is_true(&g->transcript, "any_order"))
        return expect_all(g, expected + from, count - from);
    for (size_t i = from; i < count; i++)
        if (!expect_one(g, &expected[i]))
            return false;
    return true;
}

static bool hold_steps(struct golden *g, const struct json_value *steps)
{
    struct json_scan it = json_iter(steps);
    struct json_value step, member;
    while (json_next_item(&it, &step)) {
        bool good = true;
        if (members_get(&step, "send", &member))
            send_text(g, &member, true);
        else if (members_get(&step, "expect", &member))
            good = expect_one(g, &member);
        else
            good = golden_step(g, &step);
        if (!good)
            return false;
    }
    candidate_end_input(g->worker);
    return true;
}

/* No frame is left over, and the exit status is as it should be. */
static void hear_end(struct golden *g)
{
    struct report *r = g->talk->report;
    struct json_value exit;
    uint64_t wanted = 0;
    char how[128];
    struct candidate_line *extra = golden_next(g, g->talk->answer_ms);
    if (extra) {
        report_fail(r, NULL, "a frame too many");
        candidate_line_free(extra);
        return;
    }
    if (!g->worker->ended) {
        report_fail(r, NULL, "it does not end");
        return;
    }
    bool is_given = members_get(&g->transcript, "exit", &exit);
    bool fails = is_given && json_string_is(&exit, "nonzero");
    if (is_given && !fails)
        IGNORE(!json_to_u64(&exit, 255, &wanted)); /* our own file: a small number */
    const struct proc_exit *status = &g->worker->exit;
    bool good = fails ? status->signal || status->code
                      : !status->signal && status->code == (int64_t)wanted;
    candidate_describe_end(g->worker, how, sizeof(how));
    if (!good)
        report_fail(r, NULL, "it %s", how);
}

static void hold(struct talk *t, const struct json_value *transcript,
                 const struct candidate_spec *spec)
{
    struct golden g = {.talk = t, .transcript = *transcript, .window = GOLDEN_WINDOW};
    struct json_value steps;
    int code;
    char *name = members_text(transcript, "name");
    report_begin(t->report, arena_strdup(&t->arena, slice_of(name)), NULL, 0);
    xfree(name);
    g.worker = candidate_start(spec, &code);
    if (!g.worker) {
        report_fail(t->report, NULL, "it cannot be started: %s", loop_strerror(code));
    } else {
        bool good =
            members_get(transcript, "steps", &steps) ? hold_steps(&g, &steps) : hold_lines(&g);
        if (good)
            hear_end(&g);
        candidate_free(g.worker);
    }
    arena_deinit(&g.bindings.arena);
    report_end(t->report);
}

/* The next transcript of this worker; false at the end. */
static bool next_transcript(struct slice *text, const char *worker, struct json_value *out)
{
    while (text->len) {
        const char *lf = memchr(text->ptr, '\n', text->len);
        size_t len = lf ? (size_t)(lf - text->ptr) : text->len;
        struct json_value name;
        bool read = members_read((struct slice){text->ptr, len}, out);
        *text = slice_from(*text, MIN(len + 1, text->len));
        if (read && members_get(out, "worker", &name) && json_string_is(&name, worker))
            return true;
    }
    return false;
}

static struct slice transcripts(void)
{
    const struct embedded_file *file = embedded_transcripts;
    return (struct slice){(const char *)file->bytes, file->len};
}

bool conform_has_golden(const char *worker)
{
    struct slice text = transcripts();
    struct json_value transcript;
    return next_transcript(&text, worker, &transcript);
}

void conform_check_golden(struct talk *t, const char *worker,
                          const struct candidate_spec *by_hand)
{
    struct slice text = transcripts();
    struct json_value transcript, mode;
    while (next_transcript(&text, worker, &transcript)) {
        bool hand = members_get(&transcript, "mode", &mode) && json_string_is(&mode, "hand");
        hold(t, &transcript, hand ? by_hand : t->spec);
    }
}
