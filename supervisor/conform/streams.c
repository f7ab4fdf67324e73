/*
 * The feature stream: the part of conform_checks.h about bodies in pieces.
 */
#include <inttypes.h>

#include "conform/checks.h"
#include "conform/judge.h"

enum {
    SMALL_WINDOW = 1024, /* so that most answers meet its end */
    PLENTY = 1 << 30,    /* of credit */
    STRANGER = 999999,   /* an id that was never open */
    LONGEST_MS = 3000,   /* that is waited for an answer to pause */
};

static void begin(struct talk *t, const char *name)
{
    report_begin(t->report, name, "17", FEATURE_STREAM);
}

/* A new process whose answers may have only a little under way, and one request. */
static uint64_t begin_small(struct talk *t)
{
    if (!talk_start(t))
        return 0;
    talk_hello(t, SMALL_WINDOW);
    t->holds_credit = true;
    return talk_request(t, &(struct talk_request){0});
}

/* Hears what comes until nothing more does.  False: something else came, reported. */
static bool hear_pause(struct talk *t)
{
    uint64_t seen = UINT64_MAX;
    for (int waited = 0; t->open_count && waited < LONGEST_MS; waited += TALK_QUIET_MS) {
        struct candidate_line *line = talk_next(t, TALK_QUIET_MS);
        if (line) {
            judge_foreign_id(t, &line->frame.id);
            candidate_line_free(line);
            return false;
        }
        if (t->open_count && t->open[0].in_pieces && t->open[0].consumed == seen)
            break;
        seen = t->open_count ? t->open[0].consumed : 0;
    }
    return true;
}

static void check_credit(struct talk *t)
{
    begin(t, "stops an answer when its credit is used up, and goes on with more");
    uint64_t id = begin_small(t);
    if (id && hear_pause(t)) {
        uint64_t came = t->open_count ? t->open[0].consumed : 0;
        if (came < SMALL_WINDOW / 2) {
            report_note(t->report, NULL, "not tried: its answer is shorter than %d bytes",
                        SMALL_WINDOW);
        } else {
            talk_credit(t, id, PLENTY);
            if (hear_pause(t) && t->open_count && t->open[0].consumed == came)
                report_fail(t->report, "go on when credit comes",
                            "nothing more came when it was given credit");
        }
    }
    talk_stop(t);
    talk_end_check(t);
}

static void check_cancel(struct talk *t)
{
    begin(t, "ends an answer in pieces that is cancelled");
    uint64_t id = begin_small(t);
    if (id && hear_pause(t) && t->open_count) {
        talk_cancel(t, id, "disconnect");
        talk_hear_all(t);
    }
    talk_stop(t);
    talk_end_check(t);
}

static void check_upload(struct talk *t)
{
    begin(t, "answers a request whose body comes in pieces");
    if (talk_ensure(t)) {
        uint64_t id = talk_request(t, &(struct talk_request){.after = ",\"more\":true"});
        talk_send(t, "{\"type\":\"chunk\",\"id\":%" PRIu64 ",\"body\":\"piece\"}", id);
        talk_send(t, "{\"type\":\"chunk\",\"id\":%" PRIu64 ",\"body64\":\"AP8=\"}", id);
        talk_send(t, "{\"type\":\"end\",\"id\":%" PRIu64 "}", id);
        if (talk_hear_all(t))
            talk_hear_nothing(t);
    }
    talk_end_check(t);
}

static void check_strangers(struct talk *t)
{
    begin(t, "ignores pieces and credit of what is not open");
    if (talk_ensure(t)) {
        talk_send(t, "{\"type\":\"chunk\",\"id\":%d,\"body\":\"late\"}", STRANGER);
        talk_send(t, "{\"type\":\"end\",\"id\":%d}", STRANGER);
        talk_send(t, "{\"type\":\"credit\",\"id\":%d,\"bytes\":1}", STRANGER);
        if (talk_hear_nothing(t)) {
            talk_request(t, &(struct talk_request){0});
            talk_hear_all(t);
        }
    }
    talk_end_check(t);
}

void conform_check_stream(struct talk *t)
{
    check_upload(t);
    check_strangers(t);
    if (!t->in_pieces)
        return; /* no answer of the route that is tried comes in pieces */
    check_credit(t);
    if (t->ready.features & FEATURE_CANCEL)
        check_cancel(t);
}
