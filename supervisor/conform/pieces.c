/*
 * The steps of a golden transcript that look at bodies in pieces, however the program cuts
 * them (protocol/vectors/README.md, steps).
 */
#include <inttypes.h>

#include "client/members.h"
#include "conform/golden.h"

/* What a step `receive` waits for. */
struct wanted {
    const struct json_value *step;
    bool has_size;
    uint64_t size;
    bool has_end;
    struct json_value end;
    struct buf text; /* when has_text */
    bool has_text;
};

static bool fault(struct golden *g, const char *why)
{
    report_fail(g->talk->report, NULL, "%s", why);
    return false;
}

static struct golden_answer *answer_of(struct golden *g, uint64_t id)
{
    for (size_t i = 0; i < g->answer_count; i++)
        if (g->answers[i].id == id)
            return &g->answers[i];
    if (g->answer_count == GOLDEN_ANSWERS)
        return NULL;
    struct golden_answer *answer = &g->answers[g->answer_count++];
    *answer = (struct golden_answer){.id = id};
    return answer;
}

/* ---------------------------------------------------------------------- receive */

static bool check_status(struct golden *g, const struct wanted *w, const struct frame *frame)
{
    struct json_value status;
    uint64_t wanted, is = frame->status;
    if (!members_get(w->step, "status", &status) || !json_to_u64(&status, 599, &wanted))
        return true;
    if (!is && frame->kind == FRAME_ERROR)
        is = frame_code_status(json_inner(&frame->code));
    if (!is)
        is = 200;
    if (is != wanted)
        report_fail(g->talk->report, NULL, "the status is %" PRIu64 ", expected was %" PRIu64,
                    is, wanted);
    return is == wanted;
}

static bool check_head(struct golden *g, const struct wanted *w, const struct frame *frame)
{
    struct json_value headers;
    if (!check_status(g, w, frame))
        return false;
    if (!members_get(w->step, "headers", &headers))
        return true;
    if (!frame->headers.raw.len || !match_has(&headers, &frame->headers, &g->bindings))
        return fault(g, "a header of the answer is not as expected");
    return true;
}

/* The frame ended the answer: was it to be, and in this way? */
static bool check_end(struct golden *g, const struct wanted *w, const struct frame *frame)
{
    struct json_value member;
    if (!w->has_end)
        return fault(g, "the answer ended, and expected was more of it");
    if (json_string_is(&w->end, "any"))
        return true;
    if (members_get(&w->end, "error", &member)) {
        struct buf code = {0};
        json_unescape(&member, &code);
        bool same = frame->kind == FRAME_ERROR && frame->code.raw.len &&
                    json_string_is(&frame->code, buf_cstr(&code));
        buf_deinit(&code);
        return same || fault(g, "expected was an error with another code, or an error at all");
    }
    if (frame->kind == FRAME_ERROR)
        return fault(g, "expected was an end, and not an error");
    if (!members_get(&w->end, "trailers", &member))
        return true;
    if (frame->kind != FRAME_END || !frame->headers.raw.len ||
        !match_frame(&member, &frame->headers, &g->bindings))
        return fault(g, "the trailers are not as expected");
    return true;
}

static bool take_frame(struct golden *g, const struct wanted *w, struct golden_answer *answer,
                       const struct frame *frame, struct buf *body)
{
    switch (frame->kind) {
    case FRAME_RESPONSE:
        if (answer->begun)
            return fault(g, "a second response for one id");
        if (!check_head(g, w, frame))
            return false;
        answer->begun = true;
        answer->over = !frame->more;
        break;
    case FRAME_CHUNK:
    case FRAME_END:
        if (!answer->begun)
            return fault(g, "a piece of an answer that has not begun");
        answer->over = frame->kind == FRAME_END;
        break;
    case FRAME_ERROR:
        if (!answer->begun && !check_status(g, w, frame))
            return false;
        answer->begun = answer->over = true;
        break;
    default:
        return fault(g, "this is no piece of an answer");
    }
    frame_body_decode(frame, body);
    return !answer->over || check_end(g, w, frame);
}

static bool is_complete(const struct wanted *w, const struct golden_answer *answer,
                        const struct buf *body)
{
    return answer->begun && (!w->has_end || answer->over) &&
           (!w->has_size || body->len >= w->size);
}

static bool check_body(struct golden *g, const struct wanted *w, const struct buf *body)
{
    if (w->has_size && body->len != w->size) {
        report_fail(g->talk->report, NULL, "%zu bytes of the body came, expected were %" PRIu64,
                    body->len, w->size);
        return false;
    }
    if (w->has_text && !slice_eq(buf_slice(body), buf_slice(&w->text)))
        return fault(g, "the body is not the text that was expected");
    return true;
}

static bool hear_answer(struct golden *g, const struct wanted *w, struct golden_answer *answer,
                        struct buf *body)
{
    while (!is_complete(w, answer, body)) {
        struct json_value value;
        struct candidate_line *line;
        bool good = golden_read(g, &value, &line);
        if (good && (line->verdict != FRAME_OK || line->frame.id.kind != FRAME_ID_NUMBER ||
                     line->frame.id.number != answer->id))
            good = fault(g, "this does not belong to the answer");
        else if (good && answer->over)
            good = fault(g, "a frame after the end of its answer");
        good = good && take_frame(g, w, answer, &line->frame, body);
        candidate_line_free(line);
        if (!good)
            return false;
        if (answer->over)
            break;
    }
    return check_body(g, w, body);
}

static bool read_id(struct golden *g, const struct json_value *step, uint64_t *id)
{
    struct json_value member;
    return (members_get(step, "id", &member) && json_to_u64(&member, UINT64_MAX, id)) ||
           fault(g, "the step names no id");
}

static bool receive(struct golden *g, const struct json_value *step)
{
    struct wanted w = {.step = step};
    struct json_value member;
    struct buf body = {0};
    uint64_t id;
    if (!read_id(g, step, &id))
        return false;
    w.has_size = members_get(step, "size", &member) && json_to_u64(&member, SIZE_MAX, &w.size);
    w.has_text = members_get(step, "text", &member);
    if (w.has_text) {
        json_unescape(&member, &w.text);
        w.has_size = true;
        w.size = w.text.len;
    }
    w.has_end = members_get(step, "end", &w.end);
    struct golden_answer *answer = answer_of(g, id);
    bool good = answer ? hear_answer(g, &w, answer, &body) : fault(g, "more ids than expected");
    buf_deinit(&w.text);
    buf_deinit(&body);
    return good;
}

/* ----------------------------------------------------------------------- upload */

/* Waits for credit.  False: something else came, or nothing: reported. */
static bool hear_credit(struct golden *g, uint64_t id, uint64_t *granted)
{
    struct json_value value;
    struct candidate_line *line;
    bool good = golden_read(g, &value, &line);
    if (good && (line->verdict != FRAME_OK || line->frame.kind != FRAME_CREDIT ||
                 line->frame.id.number != id))
        good = fault(g, "while a body is sent, only credit for it was expected");
    if (good)
        *granted += line->frame.bytes;
    candidate_line_free(line);
    return good;
}

static void send_zeros(struct golden *g, uint64_t id, size_t count)
{
    static const char zeros[FRAME_CHUNK_MAX];
    struct buf line = {0};
    frame_write_chunk(&line, id, (struct slice){zeros, count});
    report_sent(g->talk->report, (struct slice){line.ptr, line.len - 1});
    candidate_write(g->worker, buf_slice(&line));
    buf_deinit(&line);
}

static bool send_body(struct golden *g, uint64_t id, uint64_t size)
{
    uint64_t sent = 0, granted = 0;
    while (sent < size) {
        uint64_t room = MIN(size - sent, g->window + granted - sent);
        if (room > 0) {
            room = MIN(room, (uint64_t)FRAME_CHUNK_MAX);
            send_zeros(g, id, (size_t)room);
            sent += room;
        } else if (!hear_credit(g, id, &granted)) {
            return false;
        }
        if (granted > sent)
            return fault(g, "credit was granted for more than was sent");
    }
    struct buf line = {0};
    frame_write_end(&line, id, &(struct frame_end){0});
    report_sent(g->talk->report, (struct slice){line.ptr, line.len - 1});
    candidate_write(g->worker, buf_slice(&line));
    buf_deinit(&line);
    return true;
}

static bool upload(struct golden *g, const struct json_value *step)
{
    struct json_value member;
    uint64_t id, size;
    if (!read_id(g, step, &id))
        return false;
    if (!members_get(step, "size", &member) || !json_to_u64(&member, UINT32_MAX, &size))
        return fault(g, "the step names no size");
    g->uploading = true;
    bool good = send_body(g, id, size);
    g->uploading = false;
    return good;
}

/* ------------------------------------------------------------------------ steps */

static bool quiet(struct golden *g, const struct json_value *ms)
{
    uint64_t wait_ms = 0;
    IGNORE(!json_to_u64(ms, GOLDEN_WAIT_MAX_MS, &wait_ms)); /* our own file: a small number */
    struct candidate_line *line = golden_next(g, wait_ms);
    candidate_line_free(line);
    return !line || fault(g, "nothing was expected for a while");
}

bool golden_step(struct golden *g, const struct json_value *step)
{
    struct json_value member;
    if (members_get(step, "receive", &member))
        return receive(g, &member);
    if (members_get(step, "upload", &member))
        return upload(g, &member);
    if (members_get(step, "quiet", &member))
        return quiet(g, &member);
    return fault(g, "the transcript has a step that this nodey does not know");
}
