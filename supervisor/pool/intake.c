#include "pool/intake.h"

#include <stdio.h>

#include "base/logline.h"
#include "pool/ask.h"
#include "pool/event.h"
#include "pool/health.h"
#include "pool/pool.h"

enum {
    SALVAGE_BYTES = 256,
    SHOWN_BYTES = 200,
    LINE_MAX_SHOWN = 8192, /* bytes */
    BAD_MAX = 100,         /* unreadable lines within BAD_SPAN_MS: then it is replaced */
    BAD_SPAN_MS = 10000,
    DROPS_REPORT_MS = 1000,
    LULL_MS = 300, /* a prompt, or a dot for each step: shown though its line is not ended */
};

/* ---------------------------------------------------------------- log lines */

static void on_drops(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, drops);
    pool_tell(w->pool, w, LOG_WARN, "%llu log lines dropped: more than log_rate (%llu/s)",
              (unsigned long long)w->dropped, (unsigned long long)w->pool->config->log_rate);
    w->dropped = 0;
}

/* Within its rate?  Else the line is counted. */
static bool may_write(struct worker *w)
{
    struct loop *loop = w->pool->pools->loop;
    if (bucket_take(&w->chatter, (double)w->pool->config->log_rate, loop_now(loop)))
        return true;
    w->dropped++;
    if (!timer_runs(&w->drops))
        timer_start(loop, &w->drops, DROPS_REPORT_MS, on_drops);
    return false;
}

static void show_line(struct worker *w, const struct worker_line *line)
{
    struct pool_observer *observer = w->pool->pools->observer;
    observer->wrote(observer, line);
}

static void wrote_line(struct worker *w, const struct worker_line *line)
{
    postmortem_note(w, line->stream, line->text);
    if (may_write(w))
        show_line(w, line);
}

/*
 * What a one-at-a-time worker prints belongs to what it works on.  (Its stderr is another
 * pipe than its answers, so that a line may be read when its request has been answered;
 * then it counts as the next one's, or as nobody's.)
 */
static const struct call *call_at_work(const struct worker *w)
{
    if (w->ready.concurrency != 1 || w->slot_count == 0)
        return NULL;
    const struct slot *slot = worker_newest(w);
    return slot ? slot->call : NULL;
}

static void wrote(struct worker *w, enum log_level level, const char *stream, struct slice text)
{
    wrote_line(w, &(struct worker_line){.worker = w,
                                        .call = call_at_work(w),
                                        .level = level,
                                        .stream = stream,
                                        .text = text});
}

/* What it wrote by itself: a JSON object, as structured loggers write them, is taken apart. */
static void wrote_text(struct worker *w, const char *stream, struct slice text, bool cut)
{
    struct logline found;
    struct buf message = {0};
    postmortem_note(w, stream, text);
    if (!may_write(w))
        return;
    struct worker_line line = {.worker = w,
                               .call = call_at_work(w),
                               .level = LOG_INFO,
                               .stream = stream,
                               .text = text,
                               .cut = cut};
    if (!cut && logline_read(text, &found)) {
        line.level = found.level;
        line.fields = found.object;
        if (found.message.raw.len) {
            json_unescape(&found.message, &message);
            line.text = buf_slice(&message);
        }
    }
    show_line(w, &line);
    buf_deinit(&message);
}

/* ---------------------------------------------------------------- bad lines */

/* Tells of it, and replaces a worker that does it all the time. */
static void bad_line(struct worker *w, const char *what, struct slice line)
{
    uint64_t now = loop_now(w->pool->pools->loop);
    struct slice shown = {line.ptr, MIN(line.len, (size_t)SHOWN_BYTES)};
    struct buf text = {0};
    buf_addf(&text, "%s: ", what);
    buf_add(&text, shown);
    if (shown.len < line.len)
        buf_adds(&text, "...");
    wrote(w, LOG_WARN, "stdout", buf_slice(&text));
    buf_deinit(&text);
    if (!window_over(&w->bad, BAD_MAX, BAD_SPAN_MS, now) || !worker_alive(w))
        return;
    w->end = END_PIPE;
    worker_give_up(w, "it keeps writing lines that cannot be read");
}

static struct call *take_call(struct slot *slot)
{
    struct call *call = slot_release(slot);
    slot_close(slot);
    return call;
}

/* The worker has answered this one, unusably. */
static void fail_slot(struct worker *w, struct slot *slot, const char *why)
{
    char text[384];
    struct call *call = take_call(slot);
    snprintf(text, sizeof(text), "worker %s %s", w->pool->config->name, why);
    if (call)
        call_fail(call,
                  &(struct call_failure){.code = "internal", .status = 502, .text = text});
}

/*
 * May this answer be for this slot?  A one-at-a-time worker answers what it works on;
 * anything else is a confused worker that would hand one client another's bytes.  Only
 * a cancelled line may be refused out of order.
 */
static bool plausible(const struct slot *slot, const struct frame *f)
{
    return slot_started(slot) || (slot->cancelled && f->kind == FRAME_ERROR);
}

static struct slot *slot_of(const struct worker *w, const struct frame_id *id)
{
    return id->kind == FRAME_ID_NUMBER ? idmap_get(&w->open, id->number) : NULL;
}

/* Returns how many answers it counts as: 0 or 1. */
static unsigned take_broken(struct worker *w, const struct frame *f, struct slice line,
                            const char *what)
{
    struct frame_id id = f ? f->id : frame_salvage_id(line);
    struct slot *slot = f && !frame_answers(f) ? NULL : slot_of(w, &id);
    bool known = slot && plausible(slot, &(struct frame){.kind = FRAME_RESPONSE});
    if (known) {
        char why[320];
        snprintf(why, sizeof(why), "sent a broken frame: %s", what);
        fail_slot(w, slot, why);
    }
    bool wants_answer =
        f && (f->kind == FRAME_ASK || f->kind == FRAME_PUBLISH || f->kind == FRAME_SEEK);
    if (wants_answer && f->id.kind >= FRAME_ID_NUMBER) /* somebody waits for it */
        frame_write_error(worker_out(w), f->id.raw, "invalid_argument", slice_of(what),
                          (struct slice){0});
    bad_line(w, what, line);
    return known;
}

/* ------------------------------------------------------------------ answers */

/* What does not fit the question, or what it has not declared that it does. */
static const char *unusable(const struct worker *w, const struct call *call,
                            const struct frame *f)
{
    if (f->kind == FRAME_ERROR)
        return NULL;
    bool settles = f->kind == FRAME_ACK || f->kind == FRAME_NACK;
    if (call->kind == CALL_EVENT)
        return settles ? NULL : "answered an event with another kind of frame";
    if (call->kind == CALL_ASK)
        return f->kind == FRAME_ANSWER || (w->level0 && f->kind == FRAME_RESPONSE)
                   ? NULL
                   : "answered an ask with another kind of frame";
    if (f->kind != FRAME_RESPONSE)
        return "answered a request with another kind of frame";
    if (f->file.raw.len && !worker_has(w, FEATURE_SENDFILE))
        return "answered with a file, but did not declare \"sendfile\"";
    return call->answering ? "began its answer twice" : NULL;
}

static unsigned take_answer(struct worker *w, const struct frame *f, struct slice line)
{
    struct slot *slot = slot_of(w, &f->id);
    if (!slot && (f->kind == FRAME_ACK || f->kind == FRAME_NACK))
        return 0; /* to an attempt that is over */
    if (!slot) {
        bad_line(w, "an answer to nothing that is open", line);
        return 0;
    }
    if (!plausible(slot, f)) {
        bad_line(w, "an answer out of order, to what cannot have been started", line);
        return 0;
    }
    const char *why = slot->call ? unusable(w, slot->call, f) : NULL;
    if (why) {
        fail_slot(w, slot, why);
        return 1;
    }
    struct call *call = take_call(slot);
    if (call)
        call_answer(call, f);
    return 1;
}

/* A frame of a body in pieces, either way, or of a WebSocket. */
static unsigned take_piece(struct worker *w, const struct frame *f, struct slice line)
{
    struct slot *slot = slot_of(w, &f->id);
    if (!slot || !plausible(slot, f)) {
        if (f->kind != FRAME_CREDIT) /* for an answer that crossed it */
            bad_line(w, "a piece of an answer to nothing that is open", line);
        return 0;
    }
    if (!worker_has(w, FEATURE_STREAM)) {
        fail_slot(w, slot, "sends bodies in pieces, but did not declare \"stream\"");
        return 1;
    }
    return flow_take(w, slot, f);
}

/*
 * A stack that ends in the message says everything.  A message that is not in it was
 * found for people, who do without the stack; that is for the error page.
 */
static void take_start_error(struct worker *w, const struct frame *f)
{
    struct buf text = {0}, stack = {0};
    if (f->message.raw.len)
        json_unescape(&f->message, &text);
    if (f->stack.raw.len)
        json_unescape(&f->stack, &stack);
    const char *lf = text.len ? memchr(text.ptr, '\n', text.len) : NULL;
    snprintf(w->cause, sizeof(w->cause), "%.*s", lf ? (int)(lf - text.ptr) : (int)text.len,
             text.ptr);
    struct worker_line line = {.worker = w,
                               .level = LOG_ERROR,
                               .stream = "error",
                               .text = buf_slice(&text),
                               .stack = buf_slice(&stack)};
    if (!text.len || (stack.len && memmem(stack.ptr, stack.len, text.ptr, text.len))) {
        line.text = line.stack;
        line.stack.len = 0;
    }
    wrote_line(w, &line);
    w->explained = true;
    buf_deinit(&text);
    buf_deinit(&stack);
}

static unsigned take_error(struct worker *w, const struct frame *f, struct slice line)
{
    if (f->id.kind == FRAME_ID_NUMBER || f->id.kind == FRAME_ID_STRING)
        return take_answer(w, f, line);
    take_start_error(w, f);
    return 0;
}

/* -------------------------------------------------------------------- ready */

/* The folders whose files it may have sent, if it can name files. */
static const char *const *roots_of(const struct worker *w)
{
    const struct string_list *roots = &w->pool->config->file_roots;
    return worker_has(w, FEATURE_SENDFILE) && roots->count ? roots->items : NULL;
}

static void say_hello(struct worker *w)
{
    if (!w->ready.features)
        return;
    frame_write_hello(worker_out(w), &(struct frame_hello){
                                         .server = slice_of(w->pool->pools->server),
                                         .worker = slice_of(w->pool->config->name),
                                         .instance = w->instance,
                                         .dev = w->pool->pools->dev,
                                         .max_line = w->pool->config->max_line,
                                         .window = worker_window(w),
                                         .roots = roots_of(w),
                                     });
}

static void take_ready(struct worker *w, struct slice line)
{
    struct ready ready;
    struct err err;
    bool first = w->state == WORKER_STARTING;
    if (!ready_read(line, &ready, &err)) {
        bad_line(w, err.text, line);
        w->end = first ? END_PIPE : w->end;
        if (first)
            worker_kill(w, err.text);
        return;
    }
    if (ready.protocol != 1) {
        ready_deinit(&ready);
        w->end = END_PIPE;
        worker_kill(w, "it speaks a protocol version that this nodey does not");
        return;
    }
    if (!first) /* what it works on was counted by the first declaration */
        ready.concurrency = w->ready.concurrency;
    ready_deinit(&w->ready);
    w->ready = ready;
    w->level0 = ready.features == 0;
    say_hello(w);
    if (first) {
        worker_became_ready(w);
        return;
    }
    struct pools *pools = w->pool->pools;
    pools->observer->ready(pools->observer, w->pool, w);
    ask_tokens_changed(pools);
}

void intake_level0(struct worker *w)
{
    w->level0 = true;
    worker_became_ready(w);
}

/* ------------------------------------------------------------------- frames */

static void take_log(struct worker *w, const struct frame *f)
{
    enum log_level level = json_string_is(&f->level, "error")   ? LOG_ERROR
                           : json_string_is(&f->level, "warn")  ? LOG_WARN
                           : json_string_is(&f->level, "debug") ? LOG_DEBUG
                                                                : LOG_INFO;
    const struct slot *slot = slot_of(w, &f->id);
    struct buf text = {0};
    if (f->message.raw.len)
        json_unescape(&f->message, &text);
    wrote_line(w, &(struct worker_line){
                      .worker = w,
                      .call = slot ? slot->call : call_at_work(w),
                      .level = level,
                      .stream = "log",
                      .text = buf_slice(&text),
                      .fields = f->payload.raw.len > 2 ? f->payload.raw : (struct slice){0},
                  });
    buf_deinit(&text);
}

static unsigned take_frame(struct worker *w, const struct frame *f, struct slice line)
{
    switch (f->kind) {
    case FRAME_RESPONSE:
        return f->more ? take_piece(w, f, line) : take_answer(w, f, line);
    case FRAME_ANSWER:
    case FRAME_ACK:
    case FRAME_NACK:
        return take_answer(w, f, line);
    case FRAME_CHUNK:
    case FRAME_END:
    case FRAME_CREDIT:
    case FRAME_MESSAGE:
    case FRAME_INFO:
        return take_piece(w, f, line);
    case FRAME_ERROR:
        return take_error(w, f, line);
    case FRAME_READY:
        if (w->state < WORKER_DRAINING && !w->ending)
            take_ready(w, f->text);
        break;
    case FRAME_ASK:
        ask_from_worker(w, f);
        break;
    case FRAME_CANCEL:
        ask_cancelled(w, &f->id);
        break;
    case FRAME_PONG:
        health_pong(w, f);
        break;
    case FRAME_LOG:
        take_log(w, f);
        break;
    case FRAME_DRAIN:
        pool_replace_later(w, "it asked to be replaced");
        break;
    case FRAME_PUBLISH:
    case FRAME_PROGRESS:
    case FRAME_SEEK:
        event_from_worker(w, f);
        break;
    case FRAME_UNKNOWN:
        break;
    }
    return 0;
}

static unsigned take_line(struct worker *w, struct slice line)
{
    struct frame f;
    struct buf scratch = {0};
    unsigned answers = 0;
    enum frame_verdict verdict = frame_read(line, &f);
    if (f.dirty) {
        line = frame_line_clean(line, &scratch);
        verdict = frame_read(line, &f);
    }
    switch (verdict) {
    case FRAME_EMPTY:
        break;
    case FRAME_STRAY:
        wrote_text(w, "stdout", line, false);
        break;
    case FRAME_BROKEN:
        answers = take_broken(w, &f, line, f.fault);
        break;
    case FRAME_OK:
        if (f.prefix.len)
            wrote(w, LOG_INFO, "stdout", f.prefix);
        answers = take_frame(w, &f, line);
        break;
    }
    buf_deinit(&scratch);
    return answers;
}

static unsigned take_overlong(struct worker *w, struct slice head)
{
    char what[96];
    snprintf(what, sizeof(what), "response line over %llu bytes (max_line)",
             (unsigned long long)w->pool->config->max_line);
    head.len = MIN(head.len, (size_t)SALVAGE_BYTES);
    return take_broken(w, NULL, head, what);
}

/* What one read brought is judged as one batch: that is how long each answer took. */
static void end_batch(struct worker *w, unsigned answers)
{
    if (!answers)
        return;
    uint64_t now = loop_clock_ns();
    loop_spin(w->pool->pools->loop); /* whoever got them may have more to ask */
    pace_note(&w->pace, (double)(now - w->batch_ns) / 1000 / answers, answers);
    w->batch_ns = now;
    w->served += answers;
    w->stalled = false;
    worker_watch_stuck(w);
    worker_update_load(w);
    worker_check_drained(w);
    if (w->recycle_at && w->served >= w->recycle_at)
        pool_replace_later(w, "it has served max_requests");
    pool_dispatch(w->pool);
}

/* The process has ended, or the last line got it killed: nothing more is taken. */
static bool deaf(const struct worker *w)
{
    return w->state == WORKER_STOPPED;
}

static size_t take_frames(struct worker *w, struct slice bytes)
{
    size_t used = 0, max = w->pool->config->max_line;
    unsigned answers = 0;
    const char *lf;
    while (!deaf(w) && (lf = memchr(bytes.ptr + MAX(used, w->scanned), '\n',
                                    bytes.len - MAX(used, w->scanned)))) {
        struct slice line = {bytes.ptr + used, (size_t)(lf - bytes.ptr) - used};
        used += line.len + 1;
        w->scanned = 0;
        if (w->discarding)
            w->discarding = false;
        else
            answers += line.len > max ? take_overlong(w, line) : take_line(w, line);
    }
    struct slice rest = slice_from(bytes, used);
    if (rest.len > max && !w->discarding) {
        answers += take_overlong(w, rest);
        w->discarding = true;
    }
    if (w->discarding || deaf(w))
        rest.len = 0;
    w->scanned = rest.len;
    end_batch(w, answers);
    return bytes.len - rest.len;
}

/* --------------------------------------------------------- lines for the log */

/* What it died of: a line that names an error says more than what follows it. */
static void keep_words(struct worker *w, struct slice line)
{
    bool names_error = memmem(line.ptr, line.len, "rror", 4) != NULL;
    if (names_error || !strstr(w->last_words, "rror"))
        snprintf(w->last_words, sizeof(w->last_words), SLICE_FMT, SLICE_ARG(line));
}

static const char *name_of(const struct worker *w, const struct plain_text *text)
{
    return text == &w->err_text ? "stderr" : "stdout";
}

static void plain_line(struct worker *w, struct plain_text *text, struct slice line, bool cut)
{
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || (text == &w->err_text && postmortem_takes(w, line)))
        return;
    keep_words(w, line);
    wrote_text(w, name_of(w, text), line, cut);
}

static void on_err_lull(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, err_text.lull);
    w->err_text.lulled = true;
    stream_poke(&w->proc.err);
}

static void on_out_lull(struct timer *timer)
{
    struct worker *w = container_of(timer, struct worker, out_text.lull);
    w->out_text.lulled = true;
    stream_poke(&w->proc.out);
}

/* The rest of what it wrote, which ends no line: shown when nothing follows for a while. */
static size_t plain_rest(struct worker *w, struct plain_text *text, struct slice rest)
{
    struct loop *loop = w->pool->pools->loop;
    bool show = text->lulled && rest.len;
    text->lulled = false;
    timer_stop(loop, &text->lull);
    if (show)
        plain_line(w, text, rest, false);
    else if (rest.len)
        timer_start(loop, &text->lull, LULL_MS,
                    text == &w->err_text ? on_err_lull : on_out_lull);
    return show ? rest.len : 0;
}

/* Of a line that is too long the head is shown; the rest of it is passed over. */
static size_t take_plain(struct worker *w, struct plain_text *text, struct slice bytes)
{
    size_t used = 0;
    for (;;) {
        struct slice rest = slice_from(bytes, used);
        const char *lf = memchr(rest.ptr, '\n', rest.len);
        size_t len = lf ? (size_t)(lf - rest.ptr) : rest.len;
        bool is_long = !text->cutting && len > LINE_MAX_SHOWN;
        if (!lf && !text->cutting && !is_long)
            return used + plain_rest(w, text, rest);
        if (!text->cutting)
            plain_line(w, text, (struct slice){rest.ptr, MIN(len, (size_t)LINE_MAX_SHOWN)},
                       is_long);
        text->cutting = !lf;
        if (!lf)
            return bytes.len;
        used += len + 1;
    }
}

size_t intake_err(struct worker *w, struct slice bytes)
{
    return take_plain(w, &w->err_text, bytes);
}

size_t intake_out(struct worker *w, struct slice bytes)
{
    return w->pool->config->is_service ? take_plain(w, &w->out_text, bytes)
                                       : take_frames(w, bytes);
}

void intake_end(struct worker *w)
{
    struct slice last = buf_slice(&w->proc.err.in);
    if (last.len)
        plain_line(w, &w->err_text, last, false);
    last = buf_slice(&w->proc.out.in);
    if (last.len && w->pool->config->is_service)
        plain_line(w, &w->out_text, last, false);
    else if (last.len && !w->discarding)
        wrote(w, LOG_WARN, "stdout",
              (struct slice){last.ptr, MIN(last.len, (size_t)SHOWN_BYTES)});
}
