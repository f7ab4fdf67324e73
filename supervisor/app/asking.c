#include "app/asking.h"

#include <stdio.h>

#include "pool/ask.h"

enum {
    TIMEOUT_MS = 30000,
    LINE_HEAD = 512, /* room in a line for all but the arguments */
    AGAIN_MS = 20,   /* between two looks for who answers a token, while programs start */
};

/* ------------------------------------------------------------------- the end */

static void fail(struct asking *a, const char *code, unsigned status, const char *text)
{
    a->done(a, &(struct asking_reply){.code = code, .status = status, .text = slice_of(text)});
}

static void pass_error(struct asking *a, const struct frame *frame)
{
    struct buf code = {0}, text = {0};
    if (frame->code.raw.len)
        json_unescape(&frame->code, &code);
    if (frame->message.raw.len)
        json_unescape(&frame->message, &text);
    unsigned status = frame_code_status(buf_slice(&code));
    a->done(a, &(struct asking_reply){.code = code.len ? buf_cstr(&code) : "internal",
                                      .status = status,
                                      .text = buf_slice(&text),
                                      .data = frame->data.raw});
    buf_deinit(&code);
    buf_deinit(&text);
}

static void answer(struct asking *a, struct slice value)
{
    a->done(a,
            &(struct asking_reply){.status = 200, .value = value.len ? value : SLICE("null")});
}

/* A level 0 worker answers an ask as it answers a request. */
static void pass_response(struct asking *a, const struct frame *frame)
{
    unsigned status = frame->status ? (unsigned)frame->status : 200;
    if (status >= 200 && status < 300) {
        answer(a, frame->body.raw);
        return;
    }
    char text[64];
    snprintf(text, sizeof(text), "it was answered with status %u", status);
    bool missing = status == 404;
    fail(a, missing ? "not_found" : "internal", missing ? 404 : 500, text);
}

static void on_done(struct call *call, const struct call_reply *reply)
{
    struct asking *a = container_of(call, struct asking, call);
    const struct call_failure *failure = reply->failure;
    if (failure)
        a->done(a, &(struct asking_reply){.code = failure->code,
                                          .status = failure->status,
                                          .retry_after_s = failure->retry_after_s,
                                          .text = slice_of(failure->text)});
    else if (reply->frame->kind == FRAME_ANSWER)
        answer(a, reply->frame->payload.raw);
    else if (reply->frame->kind == FRAME_RESPONSE)
        pass_response(a, reply->frame);
    else
        pass_error(a, reply->frame);
}

/* ------------------------------------------------------------------- the line */

static void write_as_request(const struct asking *a, uint64_t id, uint64_t left_ms,
                             struct buf *out)
{
    struct buf path = {0}, tail = {0};
    buf_addf(&path, "/.nodey/ask/%s", a->question.token);
    frame_write_request_tail(&tail, &(struct frame_request){.method = SLICE("POST"),
                                                            .path = buf_slice(&path),
                                                            .body = a->question.args});
    frame_write_request(out, id, left_ms, buf_slice(&tail));
    buf_deinit(&path);
    buf_deinit(&tail);
}

static void on_write(struct call *call, const struct worker *w, uint64_t id, uint64_t left_ms,
                     bool nested, struct buf *out)
{
    const struct asking *a = container_of(call, struct asking, call);
    if (w->level0) {
        write_as_request(a, id, left_ms, out);
        return;
    }
    frame_write_ask(out, &(struct frame_ask){.id = id,
                                             .token = slice_of(a->question.token),
                                             .from = slice_of(a->question.from),
                                             .timeout_ms = left_ms,
                                             .nested = nested,
                                             .args = a->question.args});
}

static void on_describe(const struct call *call, struct call_about *about)
{
    const struct asking *a = container_of(call, struct asking, call);
    snprintf(about->what, sizeof(about->what), "ask %s", a->question.token);
}

static void on_identify(const struct call *call, struct call_identity *id)
{
    const struct asking *a = container_of(call, struct asking, call);
    *id = (struct call_identity){
        .method = SLICE("ask"), .path = slice_of(a->question.token), .body = a->question.args};
}

static const struct call_ops asking_ops = {
    .write = on_write, .done = on_done, .describe = on_describe, .identify = on_identify};

/* ------------------------------------------------------------------- the start */

static void fail_unknown(struct asking *a)
{
    struct buf text = {0};
    ask_describe_unknown(a->pools, a->question.token, &text);
    fail(a, "unimplemented", 501, buf_cstr(&text));
    buf_deinit(&text);
}

static void try(struct asking *a);

static void on_again(struct timer *timer)
{
    try(container_of(timer, struct asking, again));
}

static void try(struct asking *a)
{
    struct pool *pool = ask_find(a->pools, a->question.token);
    uint64_t now = loop_now(a->pools->loop);
    uint64_t left = a->deadline_ms > now ? a->deadline_ms - now : 0;
    if (pool && a->question.args.len + LINE_HEAD > pool->config->max_line) {
        fail(a, "invalid_argument", 413, "the arguments do not fit one line (max_line)");
    } else if (pool) {
        const struct call_failure *refused = pool_submit(pool, &a->call, left ? left : 1);
        if (refused)
            on_done(&a->call, &(struct call_reply){.failure = refused});
    } else if (a->pools->stopping) {
        fail(a, "unavailable", 503, "nodey is shutting down");
    } else if (pools_settled(a->pools)) {
        fail_unknown(a);
    } else if (!left) {
        fail(a, "unavailable", 503, "no worker that answers this token became ready in time");
    } else {
        timer_start(a->pools->loop, &a->again, MIN(left, (uint64_t)AGAIN_MS), on_again);
    }
}

void asking_start(struct asking *a, struct pools *pools, const struct asking_question *question,
                  asking_done_fn done)
{
    uint64_t timeout = question->timeout_ms ? question->timeout_ms : TIMEOUT_MS;
    *a = (struct asking){.pools = pools, .question = *question, .done = done};
    call_init(&a->call, CALL_ASK, &asking_ops);
    a->call.size = question->args.len;
    a->deadline_ms = loop_now(pools->loop) + timeout;
    try(a);
}

void asking_cancel(struct asking *a)
{
    timer_stop(a->pools->loop, &a->again);
    call_cancel(&a->call, "disconnect");
}
