#include "conform/talk.h"

#include <stdarg.h>
#include <stdio.h>

#include "client/members.h"
#include "conform/judge.h"

enum {
    READY_MS = 20000,     /* for a program that must say so */
    SILENT_MS = 2000,     /* for one that need not: pool/spawn.c */
    STRANGERS_MAX = 1000, /* frames that belong to nothing, in one wait */
};

static uint64_t now_ms(void)
{
    return loop_clock_ns() / 1000000;
}

static uint64_t left_until(uint64_t until)
{
    uint64_t now = now_ms();
    return until > now ? until - now : 0;
}

void talk_stop(struct talk *t)
{
    candidate_free(t->peer);
    t->peer = NULL;
    t->spoke = false;
    t->open_count = 0;
    xfree(t->held);
    t->held = NULL;
}

void talk_end_check(struct talk *t)
{
    if (t->report->open && t->report->checks[t->report->count - 1].result == CHECK_FAIL)
        talk_stop(t);
    report_end(t->report);
}

void talk_deinit(struct talk *t)
{
    talk_stop(t);
    if (t->declared)
        ready_deinit(&t->ready);
    t->declared = false;
    arena_deinit(&t->arena);
}

/* --------------------------------------------------------------------- sending */

void talk_send_slice(struct talk *t, struct slice line)
{
    report_sent(t->report, line);
    if (!t->peer)
        return;
    candidate_write(t->peer, line);
    candidate_write(t->peer, SLICE("\n"));
}

void talk_send(struct talk *t, const char *fmt, ...)
{
    struct buf line = {0};
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len > 0) {
        vsnprintf(buf_reserve(&line, (size_t)len + 1), (size_t)len + 1, fmt, args);
        line.len = (size_t)len;
    }
    va_end(args);
    talk_send_slice(t, buf_slice(&line));
    buf_deinit(&line);
}

uint64_t talk_open(struct talk *t, enum talk_kind kind)
{
    uint64_t id = ++t->next_id;
    if (t->open_count < TALK_OPEN_MAX)
        t->open[t->open_count++] = (struct talk_item){.id = id, .kind = kind};
    return id;
}

static struct talk_item *find_open(struct talk *t, uint64_t id)
{
    for (size_t i = 0; i < t->open_count; i++)
        if (t->open[i].id == id)
            return &t->open[i];
    return NULL;
}

void talk_cancel(struct talk *t, uint64_t id, const char *reason)
{
    struct talk_item *item = find_open(t, id);
    if (item)
        item->cancelled = true;
    talk_send(t, "{\"type\":\"cancel\",\"id\":%llu,\"reason\":\"%s\"}", (unsigned long long)id,
              reason);
}

void talk_hello(struct talk *t, uint64_t window)
{
    t->window = window ? window : TALK_WINDOW;
    talk_send(t,
              "{\"type\":\"hello\",\"protocol\":1,\"server\":\"nodey/" NODEY_VERSION
              "\",\"worker\":\"check\",\"instance\":0,\"limits\":{\"max_line\":%d,"
              "\"window\":%llu,\"chunk\":%d}}",
              CANDIDATE_MAX_LINE, (unsigned long long)t->window, FRAME_CHUNK_MAX);
}

void talk_credit(struct talk *t, uint64_t id, uint64_t bytes)
{
    struct talk_item *item = find_open(t, id);
    if (item)
        item->credit += bytes;
    talk_send(t, "{\"type\":\"credit\",\"id\":%llu,\"bytes\":%llu}", (unsigned long long)id,
              (unsigned long long)bytes);
}

uint64_t talk_request(struct talk *t, const struct talk_request *request)
{
    uint64_t id = talk_open(t, TALK_REQUEST);
    talk_send(t, "{\"id\":%llu,%s\"timeout\":30000,\"method\":\"%s\",\"path\":\"%s\"%s}",
              (unsigned long long)id, request->before ? request->before : "",
              request->method ? request->method : t->method,
              request->path ? request->path : t->path, request->after ? request->after : "");
    return id;
}

/* --------------------------------------------------------------------- hearing */

static const char *name_of(enum frame_kind kind)
{
    return kind == FRAME_ANSWER ? "an answer frame"
           : kind == FRAME_ACK  ? "an ack"
           : kind == FRAME_NACK ? "a nack"
                                : "a response";
}

/* May a frame of this kind be its last one? */
static bool may_end(const struct talk_item *item, enum frame_kind kind)
{
    bool is_settlement = kind == FRAME_ACK || kind == FRAME_NACK;
    switch (item->kind) {
    case TALK_REQUEST:
        return !is_settlement && kind != FRAME_ANSWER;
    case TALK_ASK:
        return kind == FRAME_ANSWER || kind == FRAME_ERROR;
    case TALK_EVENT:
        return is_settlement || kind == FRAME_ERROR;
    }
    return false;
}

static void judge_kind(struct talk *t, const struct talk_item *item, enum frame_kind kind)
{
    static const char *const names[] = {
        [TALK_REQUEST] = "a request", [TALK_ASK] = "an ask", [TALK_EVENT] = "an event"};
    static const char *const mends[] = {
        [TALK_REQUEST] = "answer a request with {\"id\":...,\"body\":...}",
        [TALK_ASK] = "answer an ask with {\"type\":\"answer\",\"id\":...,\"value\":...}",
        [TALK_EVENT] = "answer an event with {\"type\":\"ack\",\"id\":...} when it is handled, "
                       "and with {\"type\":\"nack\",\"id\":...} when it is not"};
    if (!may_end(item, kind))
        report_fail(t->report, mends[item->kind], "%s was answered with %s", names[item->kind],
                    name_of(kind));
}

/* The frame is the last one of something open.  Reports what is wrong with it. */
static bool close_item(struct talk *t, const struct frame *frame)
{
    struct talk_item *item =
        frame->id.kind == FRAME_ID_NUMBER ? find_open(t, frame->id.number) : NULL;
    if (!item)
        return false;
    size_t at = (size_t)(item - t->open);
    bool excused = item->kind == TALK_ASK || (item->cancelled && frame->kind == FRAME_ERROR);
    if (at > 0 && t->ready.concurrency == 1 && !excused)
        report_fail(t->report, "answer requests in the order in which they came",
                    "%llu was answered before %llu, by a worker that works on one at a time",
                    (unsigned long long)item->id, (unsigned long long)t->open[0].id);
    judge_kind(t, item, frame->kind);
    if (item->kind == TALK_EVENT)
        t->acked = frame->kind == FRAME_ACK;
    memmove(item, item + 1, (--t->open_count - at) * sizeof(*item));
    return true;
}

/* ---------------------------------------------------------------------- pieces */

static bool is_of(const struct talk_item *item, const struct frame *frame)
{
    return item->in_pieces || frame->kind == FRAME_INFO || frame->kind == FRAME_CREDIT;
}

/* Counts the bytes of a head, a chunk or an end against the credit of its answer. */
static void use_credit(struct talk *t, struct talk_item *item, const struct frame *frame)
{
    struct buf body = {0};
    frame_body_decode(frame, &body);
    uint64_t size = body.len;
    buf_deinit(&body);
    if (size > item->credit)
        report_fail(t->report, "send no more than the window, then wait for credit",
                    "%llu bytes of an answer came, and its credit was %llu",
                    (unsigned long long)size, (unsigned long long)item->credit);
    item->credit -= MIN(size, item->credit);
    item->consumed += size;
    if (!t->holds_credit && item->consumed >= t->window / 2 && frame->kind != FRAME_END) {
        talk_credit(t, item->id, item->consumed);
        item->consumed = 0;
    }
}

/* A response with `more`: its answer goes on.  False: nothing of that id is open. */
static bool begin_pieces(struct talk *t, const struct frame *frame)
{
    struct talk_item *item = find_open(t, frame->id.number);
    if (!item || item->kind != TALK_REQUEST || item->in_pieces)
        return false;
    item->in_pieces = t->in_pieces = true;
    item->credit = t->window;
    use_credit(t, item, frame);
    return true;
}

/* What belongs to something open; its end is its last frame.  False: it does not. */
static bool take_piece(struct talk *t, const struct frame *frame)
{
    struct talk_item *item = find_open(t, frame->id.number);
    if (!(t->ready.features & FEATURE_STREAM)) {
        report_fail(t->report, "declare \"features\":[\"stream\"] in ready",
                    "it sends pieces of an answer without having declared the feature stream");
        return true;
    }
    if (!item || item->kind != TALK_REQUEST || !is_of(item, frame))
        return false;
    if (frame->kind == FRAME_CHUNK || frame->kind == FRAME_END)
        use_credit(t, item, frame);
    return frame->kind != FRAME_END || close_item(t, frame);
}

/* ------------------------------------------------------------------------ asks */

void talk_answer_held(struct talk *t, const char *value)
{
    if (t->held)
        talk_send(t, "{\"type\":\"answer\",\"id\":%s,\"value\":%s}", t->held, value);
    xfree(t->held);
    t->held = NULL;
}

/* True when the ask is dealt with. */
static bool take_ask(struct talk *t, const struct frame *frame)
{
    char *id = xstrndup(frame->id.raw.ptr, frame->id.raw.len);
    t->asked++;
    if (!(t->ready.features & FEATURE_ASK))
        report_fail(t->report, "declare \"features\":[\"ask\"] in ready",
                    "it asks without having declared the feature ask");
    else if (frame->for_id.kind == FRAME_ID_NUMBER && !find_open(t, frame->for_id.number))
        report_fail(t->report, "name in \"for\" the request that is being served",
                    "its ask is for %llu, which is not open",
                    (unsigned long long)frame->for_id.number);
    if (t->asks == TALK_HOLD_ASKS && !t->held) {
        t->held = id;
        return false;
    }
    if (t->asks == TALK_ANSWER_ASKS)
        talk_send(t, "{\"type\":\"answer\",\"id\":%s,\"value\":null}", id);
    else
        talk_send(t,
                  "{\"type\":\"error\",\"id\":%s,\"code\":\"unimplemented\","
                  "\"message\":\"no worker answers this token\"}",
                  id);
    xfree(id);
    return true;
}

/* As if it were stored: nothing is, and nobody gets it. */
static bool take_publish(struct talk *t, const struct frame *frame)
{
    if (frame->id.kind >= FRAME_ID_NUMBER)
        talk_send(t, "{\"type\":\"ack\",\"id\":%.*s,\"seq\":%llu}", SLICE_ARG(frame->id.raw),
                  (unsigned long long)++t->published);
    return true;
}

/* True when the frame has been dealt with, and nobody else wants it. */
static bool take_frame(struct talk *t, const struct frame *frame)
{
    switch (frame->kind) {
    case FRAME_LOG:
    case FRAME_UNKNOWN:
    case FRAME_CANCEL: /* of its own asks, which are answered at once */
    case FRAME_READY:  /* again: what is declared was kept from the first */
    case FRAME_DRAIN:
        return true;
    case FRAME_PROGRESS:
        return true;
    case FRAME_PUBLISH:
        judge_message(t, frame);
        return take_publish(t, frame);
    case FRAME_SEEK:
        return take_publish(t, frame);
    case FRAME_ASK:
        return take_ask(t, frame);
    case FRAME_RESPONSE:
        judge_response(t, frame);
        return frame->more ? begin_pieces(t, frame) : close_item(t, frame);
    case FRAME_CHUNK:
    case FRAME_END:
    case FRAME_CREDIT:
    case FRAME_INFO:
        return take_piece(t, frame);
    case FRAME_ACK:
        judge_outputs(t, frame);
        return close_item(t, frame);
    case FRAME_ERROR:
    case FRAME_ANSWER:
    case FRAME_NACK:
        return close_item(t, frame);
    case FRAME_PONG:
    case FRAME_MESSAGE: /* nobody asked for a WebSocket */
        return false;
    }
    return false;
}

/* ---------------------------------------------------------------------- waiting */

/* Is this, which no frame is made of, meant to be an answer?  Then its id is the fault. */
static bool is_lost_answer(struct talk *t, const struct candidate_line *line)
{
    static const char *const members[] = {"body", "json", "body64", "status"};
    struct json_value value, member, id;
    bool answers = false;
    if (!t->open_count || !members_read((struct slice){line->text, line->len}, &value) ||
        members_get(&value, "type", &member))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        answers = answers || members_get(&value, members[i], &member);
    if (!answers)
        return false;
    bool is_text = members_get(&value, "id", &id) && id.type == JSON_STRING;
    judge_foreign_id(
        t, &(struct frame_id){is_text ? FRAME_ID_STRING : FRAME_ID_NONE, 0, (struct slice){0}});
    t->open_count = 0;
    return true;
}

/* True when the line was nothing to wait for.  Reports what is bad about it. */
static bool take_line(struct talk *t, const struct candidate_line *line)
{
    if (line->dirty)
        report_fail(t->report, "write UTF-8",
                    "bytes that are not UTF-8, or half a surrogate pair");
    if (line->overlong || line->verdict == FRAME_BROKEN) {
        judge_broken(t, line);
        t->open_count = 0; /* whichever it was meant for */
        return true;
    }
    if (line->verdict == FRAME_STRAY && !is_lost_answer(t, line) && !t->stray[0])
        snprintf(t->stray, sizeof(t->stray), "%s", line->text);
    return line->verdict != FRAME_OK || take_frame(t, &line->frame);
}

struct candidate_line *talk_next(struct talk *t, uint64_t wait_ms)
{
    uint64_t until = now_ms() + wait_ms;
    struct candidate_line *line;
    for (int i = 0; t->peer && i < STRANGERS_MAX; i++) {
        size_t open = t->open_count;
        line = candidate_next(t->peer, left_until(until));
        if (!line)
            return NULL;
        t->spoke = true;
        if (line->verdict != FRAME_EMPTY)
            report_came(t->report, (struct slice){line->text, line->len});
        if (!take_line(t, line))
            return line;
        candidate_line_free(line);
        if (open && t->open_count == 0)
            return NULL;
    }
    return NULL;
}

static bool failed(const struct talk *t)
{
    const struct report *r = t->report;
    return r->open && r->checks[r->count - 1].result == CHECK_FAIL;
}

bool talk_hear_all(struct talk *t)
{
    uint64_t until = now_ms() + t->answer_ms;
    while (t->peer && t->open_count && now_ms() < until && !t->peer->ended) {
        struct candidate_line *line = talk_next(t, 50);
        if (!line)
            continue;
        bool is_held_ask = line->frame.kind == FRAME_ASK;
        if (line->frame.kind == FRAME_ERROR && line->frame.message.raw.len &&
            line->frame.id.kind != FRAME_ID_NUMBER)
            judge_complaint(t, &line->frame);
        else if (!is_held_ask)
            judge_foreign_id(t, &line->frame.id);
        candidate_line_free(line);
        if (is_held_ask || failed(t))
            return !failed(t);
    }
    struct candidate_line *line; /* what it wrote before it ended */
    while (t->peer && t->peer->ended && t->open_count && (line = talk_next(t, 0))) {
        judge_foreign_id(t, &line->frame.id);
        candidate_line_free(line);
    }
    if (t->open_count && t->peer && !failed(t)) {
        if (t->peer->ended)
            judge_end(t, "before it answered",
                      t->open[0].kind == TALK_EVENT ? judge_nack : judge_go_on);
        else
            judge_silence(t);
        talk_stop(t);
        return false;
    }
    return t->peer && !failed(t);
}

bool talk_hear_nothing(struct talk *t)
{
    struct candidate_line *line = talk_next(t, TALK_QUIET_MS);
    enum frame_kind kind = line ? line->frame.kind : FRAME_UNKNOWN;
    bool is_answer = kind == FRAME_RESPONSE || kind == FRAME_CHUNK || kind == FRAME_END ||
                     kind == FRAME_ACK || kind == FRAME_NACK;
    if (is_answer)
        judge_foreign_id(t, &line->frame.id);
    else if (line)
        report_fail(t->report, "ignore what you do not know, and what asks for no answer",
                    "it answered something that has no answer");
    else if (t->peer && t->peer->ended)
        judge_end(t, "at once", judge_go_on);
    candidate_line_free(line);
    return !failed(t);
}

void talk_hear_one_more(struct talk *t)
{
    if (!talk_hear_nothing(t))
        return;
    talk_request(t, &(struct talk_request){0});
    talk_hear_all(t);
}

bool talk_hear_end(struct talk *t, uint64_t wait_ms)
{
    char how[128];
    if (!candidate_wait_end(t->peer, wait_ms)) {
        report_fail(t->report, "leave the reading loop, finish, and exit",
                    "it still ran %llu ms later", (unsigned long long)wait_ms);
        return false;
    }
    candidate_describe_end(t->peer, how, sizeof(how));
    if (t->peer->exit.signal || t->peer->exit.code)
        report_fail(t->report, "exit with status 0", "it %s instead of 0: %.200s", how,
                    judge_last_line(&t->peer->last_words));
    return !failed(t);
}

/* ----------------------------------------------------------------------- start */

/* What it says when it cannot start. */
static void report_start_error(struct talk *t, const struct frame *frame)
{
    struct buf text = {0};
    if (frame->message.raw.len)
        json_unescape(&frame->message, &text);
    report_fail(t->report, NULL, "it says that it cannot start: %.400s", buf_cstr(&text));
    buf_deinit(&text);
}

static bool take_ready(struct talk *t, const struct frame *frame)
{
    struct ready ready;
    struct err err;
    if (!ready_read(frame->text, &ready, &err)) {
        report_came(t->report, frame->text);
        report_fail(t->report, "see the table of ready's members",
                    "its ready cannot be used: %s", err.text);
        return false;
    }
    if (ready.protocol != 1) {
        report_fail(t->report, "choose a version from NODEY_PROTOCOL",
                    "it chose version %llu, which was not offered",
                    (unsigned long long)ready.protocol);
        ready_deinit(&ready);
        return false;
    }
    if (t->declared)
        ready_deinit(&t->ready);
    t->ready = ready;
    t->declared = true;
    return true;
}

static bool take_first(struct talk *t, const struct candidate_line *line)
{
    if (line->verdict == FRAME_BROKEN || line->overlong)
        judge_broken(t, line);
    else if (line->frame.kind == FRAME_READY)
        return take_ready(t, &line->frame);
    else if (line->frame.kind == FRAME_ERROR)
        report_start_error(t, &line->frame);
    else
        report_fail(t->report, "send {\"type\":\"ready\"} before anything else",
                    "its first frame is no ready");
    return false;
}

/* Nobody has said anything: may it be so? */
static bool may_be_ready(struct talk *t)
{
    if (t->peer->ended) {
        judge_end(t, "before it was ready", NULL);
        return false;
    }
    if (!t->may_be_silent) {
        candidate_end_input(t->peer);
        struct candidate_line *line = candidate_next(t->peer, JUDGE_FLUSH_MS);
        bool kept = line && line->verdict == FRAME_OK && line->frame.kind == FRAME_READY;
        candidate_line_free(line);
        if (kept)
            report_fail(t->report, judge_flush,
                        "its ready came only when its input had ended: it waits in a buffer");
        else
            report_fail(t->report, "write {\"type\":\"ready\"} and a line feed, and flush",
                        "it did not say that it is ready within %d s", READY_MS / 1000);
        return false;
    }
    t->was_silent = true;
    if (!t->declared)
        t->ready = (struct ready){.protocol = 1, .concurrency = 1};
    return true;
}

bool talk_start(struct talk *t)
{
    int code;
    talk_stop(t);
    t->window = TALK_WINDOW;
    t->holds_credit = false;
    t->peer = candidate_start(t->spec, &code);
    if (!t->peer) {
        report_fail(t->report, NULL, "it cannot be started: %s", loop_strerror(code));
        return false;
    }
    uint64_t until = now_ms() + (t->may_be_silent ? SILENT_MS : READY_MS);
    bool ready = false, heard = false;
    while (!heard && now_ms() < until) {
        struct candidate_line *line = candidate_next(t->peer, left_until(until));
        if (!line)
            break;
        bool is_frame = line->overlong || line->verdict == FRAME_BROKEN ||
                        (line->verdict == FRAME_OK && line->frame.kind != FRAME_LOG);
        if (line->verdict != FRAME_EMPTY && line->frame.kind != FRAME_READY)
            report_came(t->report, (struct slice){line->text, line->len});
        if (line->verdict == FRAME_STRAY && !t->stray[0])
            snprintf(t->stray, sizeof(t->stray), "%s", line->text);
        heard = is_frame;
        ready = is_frame && take_first(t, line);
        candidate_line_free(line);
    }
    if (!heard)
        ready = may_be_ready(t);
    if (!ready)
        talk_stop(t);
    return ready;
}

bool talk_ensure(struct talk *t)
{
    if (t->peer && !t->peer->ended)
        return true;
    return talk_start(t);
}
