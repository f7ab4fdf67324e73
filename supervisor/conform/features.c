/*
 * What a program declares in `ready`, and must keep: the part of conform_checks.h that
 * is level 1.
 */
#include <stdio.h>

#include "client/members.h"
#include "conform/checks.h"

enum {
    MANY = 20,       /* requests at once, if it takes that many */
    TOKENS_MAX = 5,  /* of those that it declares */
    GRACE_MS = 5000, /* to drain, to shut down */
    REPLY_MS = 3000,
};

static void begin(struct talk *t, const char *name, const char *section, unsigned feature)
{
    report_begin(t->report, name, section, feature);
}

static void end(struct talk *t)
{
    talk_end_check(t);
}

static bool has(const struct talk *t, unsigned feature)
{
    return (t->ready.features & feature) != 0;
}

/* How many requests may be open at once. */
static unsigned capacity(const struct talk *t)
{
    return (unsigned)MIN(t->ready.concurrency + t->ready.prefetch, (uint64_t)MANY);
}

/* ------------------------------------------------------------------ any feature */

static void check_hello(struct talk *t)
{
    begin(t, "takes hello without an answer", "5", CONFORM_ANY_FEATURE);
    if (talk_ensure(t)) {
        talk_hello(t, 0);
        talk_hear_one_more(t);
    }
    end(t);
}

static void check_unknown_types(struct talk *t)
{
    begin(t, "ignores types that it does not know", "3", CONFORM_ANY_FEATURE);
    if (talk_ensure(t)) {
        talk_send(t, "{\"type\":\"spool\",\"id\":1,\"later\":{\"type\":\"drain\"}}");
        talk_hear_one_more(t);
    }
    end(t);
}

static void check_malformed(struct talk *t)
{
    begin(t, "says so when a line is malformed, and goes on", "15", CONFORM_ANY_FEATURE);
    if (talk_ensure(t)) {
        unsigned told = 0;
        talk_send(t, "{\"id\":");
        talk_send(t, "42");
        uint64_t id = talk_open(t, TALK_REQUEST);
        talk_send(t, "{\"id\":%llu,\"path\":\"/\"}", (unsigned long long)id);
        for (int i = 0; i < 3 && told < 2; i++) {
            struct candidate_line *line = talk_next(t, REPLY_MS);
            told += line && line->frame.kind == FRAME_ERROR;
            candidate_line_free(line);
        }
        talk_hear_all(t);
        if (told < 2)
            report_fail(t->report,
                        "answer {\"type\":\"error\",\"id\":null,\"code\":\"invalid_argument\"}",
                        "of two lines that are no frames, %u got an error with the id null",
                        told);
        else
            talk_hear_one_more(t);
    }
    end(t);
}

static void check_many(struct talk *t)
{
    unsigned count = capacity(t);
    if (count < 2)
        return;
    begin(t, "answers many requests that came at once", "14", 0);
    if (talk_ensure(t)) {
        for (unsigned i = 0; i < count; i++)
            talk_request(t, &(struct talk_request){0});
        if (talk_hear_all(t))
            talk_hear_nothing(t);
    }
    end(t);
}

/* ------------------------------------------------------------------- one feature */

static void check_ping(struct talk *t)
{
    begin(t, "answers ping", "10", FEATURE_PING);
    if (talk_ensure(t)) {
        uint64_t id = ++t->next_id;
        talk_send(t, "{\"type\":\"ping\",\"id\":%llu}", (unsigned long long)id);
        struct candidate_line *line = talk_next(t, REPLY_MS);
        if (!line)
            report_fail(
                t->report, "answer {\"type\":\"pong\",\"id\":...}, or do not declare ping",
                "no pong within %d s: nodey would replace it as frozen", REPLY_MS / 1000);
        else if (line->frame.kind != FRAME_PONG || line->frame.id.number != id)
            report_fail(t->report, "answer {\"type\":\"pong\",\"id\":...} with the ping's id",
                        "what came is no pong with the ping's id");
        candidate_line_free(line);
    }
    end(t);
}

static void check_cancel(struct talk *t)
{
    begin(t, "ignores a cancel of what is not open", "9", FEATURE_CANCEL);
    if (talk_ensure(t)) {
        talk_send(t, "{\"type\":\"cancel\",\"id\":999999,\"reason\":\"timeout\"}");
        talk_hear_one_more(t);
    }
    end(t);
    begin(t, "sends one last frame for what was cancelled", "9", FEATURE_CANCEL);
    if (talk_ensure(t)) {
        unsigned count = MAX(capacity(t), 1U);
        uint64_t id = 0;
        for (unsigned i = 0; i < count; i++)
            id = talk_request(t, &(struct talk_request){0});
        talk_cancel(t, id, "disconnect");
        if (talk_hear_all(t))
            talk_hear_one_more(t);
    }
    end(t);
}

/* Sends a request and this frame at once; the program answers and ends by itself. */
static void check_stop(struct talk *t, const char *name, const char *frame)
{
    begin(t, name, "11", FEATURE_DRAIN);
    if (talk_start(t)) {
        talk_request(t, &(struct talk_request){0});
        talk_send(t, "%s", frame);
        if (talk_hear_all(t))
            talk_hear_end(t, GRACE_MS);
        talk_stop(t);
    }
    end(t);
}

static void check_drain(struct talk *t)
{
    check_stop(t, "drain: answers what is open, and exits with its input still open",
               "{\"type\":\"drain\",\"grace\":5000}");
    check_stop(t, "shutdown: ends what is open, and exits",
               "{\"type\":\"shutdown\",\"grace\":5000}");
}

/* -------------------------------------------------------------------------- asks */

static void send_ask(struct talk *t, struct slice token, const char *members)
{
    struct buf name = {0};
    json_write(&name, token);
    talk_send(
        t,
        "{\"type\":\"ask\",\"id\":%llu,\"token\":%s,\"from\":\"check#0\",\"timeout\":5000,"
        "\"depth\":1%s}",
        (unsigned long long)talk_open(t, TALK_ASK), buf_cstr(&name), members);
    buf_deinit(&name);
}

static void check_tokens(struct talk *t)
{
    if (!t->ready.token_count)
        return;
    begin(t, "answers the asks for its tokens", "8", CONFORM_ANY_FEATURE);
    for (size_t i = 0; i < MIN(t->ready.token_count, (size_t)TOKENS_MAX); i++) {
        if (!talk_ensure(t))
            break;
        send_ask(t, t->ready.tokens[i], "");
        if (!talk_hear_all(t))
            break;
        send_ask(t, t->ready.tokens[i], ",\"args\":{\"later\":[1.50,null]}");
        if (!talk_hear_all(t))
            break;
    }
    end(t);
}

static void check_unknown_token(struct talk *t)
{
    begin(t, "refuses an ask for a token that it does not have", "8", CONFORM_ANY_FEATURE);
    if (talk_ensure(t)) {
        send_ask(t, SLICE("No.Such.Token"), ",\"args\":null");
        talk_hear_all(t);
    }
    end(t);
}

/* With its ask held back, it is asked itself; it must not need the answer first. */
static void check_nested(struct talk *t)
{
    if (!has(t, FEATURE_NESTED) || !t->ready.token_count || !t->asked)
        return;
    begin(t, "answers a nested ask and a ping while it waits in an ask", "8", FEATURE_NESTED);
    t->asks = TALK_HOLD_ASKS;
    if (talk_ensure(t)) {
        talk_request(t, &(struct talk_request){0});
        talk_hear_all(t); /* up to its ask */
        if (t->held) {
            struct talk_item waits = t->open[0];
            t->open_count = 0;
            send_ask(t, t->ready.tokens[0], ",\"nested\":true,\"args\":null");
            if (talk_hear_all(t)) {
                t->open[t->open_count++] = waits;
                talk_answer_held(t, "null");
                t->asks = TALK_ANSWER_ASKS;
                talk_hear_all(t);
            }
        }
    }
    t->asks = TALK_REFUSE_ASKS;
    end(t);
}

static void check_ask(struct talk *t)
{
    if (!t->asked) {
        begin(t, "goes on when an ask is answered, and when it fails", "8", FEATURE_ASK);
        report_note(t->report, NULL, "not tried: no request made it ask");
        end(t);
        return;
    }
    begin(t, "goes on when an ask is answered", "8", FEATURE_ASK);
    t->asks = TALK_ANSWER_ASKS;
    if (talk_ensure(t)) {
        talk_request(t, &(struct talk_request){0});
        talk_hear_all(t);
    }
    end(t);
    begin(t, "goes on when an ask fails, and when an answer comes for nothing", "8",
          FEATURE_ASK);
    t->asks = TALK_REFUSE_ASKS;
    if (talk_ensure(t)) {
        talk_send(t, "{\"type\":\"answer\",\"id\":987654,\"value\":1}");
        talk_request(t, &(struct talk_request){0});
        if (talk_hear_all(t))
            talk_hear_nothing(t);
    }
    end(t);
}

void conform_check_features(struct talk *t)
{
    unsigned features = t->ready.features;
    check_many(t);
    conform_check_subscriptions(t);
    if (!features)
        return;
    check_hello(t);
    check_unknown_types(t);
    check_malformed(t);
    check_tokens(t);
    check_unknown_token(t);
    if (features & FEATURE_PING)
        check_ping(t);
    if (features & FEATURE_CANCEL)
        check_cancel(t);
    if (features & FEATURE_STREAM)
        conform_check_stream(t);
    if (features & FEATURE_EVENTS)
        conform_check_events(t);
    if (features & FEATURE_ASK)
        check_ask(t);
    check_nested(t);
    if (features & FEATURE_DRAIN)
        check_drain(t);
}

/* ----------------------------------------------------------------------- by hand */

/* Of those that answer a request. */
static bool is_last(const struct json_value *frame)
{
    struct json_value type;
    if (members_get(frame, "type", &type))
        return json_string_is(&type, "end") || json_string_is(&type, "error");
    return !members_is_true(frame, "more");
}

void conform_check_by_hand(struct talk *t, const struct candidate_spec *by_hand)
{
    int code;
    begin(t, "by hand, without nodey: no ready, one answer, the end", "2", 0);
    struct buf line = {0};
    struct candidate *peer = candidate_start(by_hand, &code);
    if (!peer) {
        report_fail(t->report, NULL, "it cannot be started: %s", loop_strerror(code));
        end(t);
        return;
    }
    buf_addf(&line, "{\"id\":\"a\",\"method\":\"GET\",\"path\":\"%s\"}\n", t->path);
    report_sent(t->report, buf_slice(&line));
    candidate_write(peer, buf_slice(&line));
    candidate_end_input(peer);
    struct json_value frame, id;
    unsigned answers = 0;
    for (struct candidate_line *got; (got = candidate_next(peer, t->answer_ms));) {
        report_came(t->report, (struct slice){got->text, got->len});
        if (got->verdict == FRAME_OK && got->frame.kind == FRAME_READY)
            report_note(t->report, "leave it out when NODEY is not in the environment",
                        "a person who types does not need ready");
        answers += members_read((struct slice){got->text, got->len}, &frame) &&
                   members_get(&frame, "id", &id) && json_string_is(&id, "a") &&
                   is_last(&frame);
        candidate_line_free(got);
    }
    if (!peer->ended)
        report_note(t->report, "exit at the end of the input", "it does not end");
    else if (answers != 1)
        report_note(t->report, "without NODEY in the environment, answer what is typed",
                    "%u answers came with the request's id \"a\"", answers);
    candidate_free(peer);
    buf_deinit(&line);
    end(t);
}
