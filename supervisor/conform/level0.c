/*
 * What every program must do: the part of conform_checks.h that is level 0.
 */
#include <stdio.h>

#include "conform/checks.h"

enum {
    ROW = 20,          /* requests, one after the other */
    END_MS = 2000,     /* after the end of input, before a supervisor loses patience */
    ROOM = 512,        /* of a line, beside the body */
    EXACT_DIGITS = 53, /* ids go up to 2^53-1 */
};

/* What nodey sends with every request. */
static const char usual[] =
    ",\"headers\":{\"host\":\"127.0.0.1:8000\",\"accept\":\"*/*\",\"user-agent\":\"nodey "
    "check\"},\"ip\":\"127.0.0.1\"";

static void begin(struct talk *t, const char *name, const char *section)
{
    report_begin(t->report, name, section, 0);
}

static void end(struct talk *t)
{
    talk_end_check(t);
}

/* One request, one answer. */
static bool ask_once(struct talk *t, const struct talk_request *request)
{
    if (!talk_ensure(t))
        return false;
    talk_request(t, request);
    return talk_hear_all(t);
}

bool conform_check_start(struct talk *t)
{
    begin(t, "starts, and says that it is ready", "5");
    bool ready = talk_start(t);
    if (ready && t->was_silent)
        report_note(t->report, "write {\"type\":\"ready\"} when you can take requests",
                    "it said nothing for 2 s and counts as ready: each start takes that long");
    end(t);
    return ready;
}

static bool check_once(struct talk *t)
{
    begin(t, "answers it once", "4");
    talk_request(t, &(struct talk_request){.after = usual});
    bool once = talk_hear_all(t) && talk_hear_nothing(t);
    end(t);
    return once;
}

static void check_row(struct talk *t)
{
    begin(t, "goes on to answer, request after request", "1");
    for (int i = 0; i < ROW && ask_once(t, &(struct talk_request){.after = usual}); i++)
        continue;
    end(t);
}

static void check_large_id(struct talk *t)
{
    uint64_t before = t->next_id;
    begin(t, "gives large ids back exactly", "4");
    t->next_id = (UINT64_C(1) << EXACT_DIGITS) - 3;
    ask_once(t, &(struct talk_request){0});
    t->next_id = before;
    end(t);
}

static void check_other_ids(struct talk *t)
{
    begin(t, "takes the request's id for the id, and not another one in the line", "6");
    ask_once(t, &(struct talk_request){
                    .before = "\"params\":{\"id\":\"7\"},",
                    .after = ",\"query\":\"id=8\",\"headers\":{\"id\":\"9\"},"
                             "\"body\":\"{\\\"id\\\":10,\\\"type\\\":\\\"x\\\"}\""});
    end(t);
}

static void check_unknown_members(struct talk *t)
{
    begin(t, "ignores members that it does not know", "3");
    ask_once(t,
             &(struct talk_request){.before = "\"later\":{\"id\":11,\"list\":[1,null,\"]}\"]},",
                                    .after = ",\"scheme\":\"https\",\"more_of_it\":true"});
    end(t);
}

static void check_bodies(struct talk *t)
{
    begin(t, "reads any text as a body", "6");
    ask_once(t,
             &(struct talk_request){
                 .method = "POST",
                 .after =
                     ",\"headers\":{\"content-type\":\"text/plain\"},\"body\":"
                     "\"a \\\"b\\\" \\\\ \\/ \\n\\r\\t\\u0000\\u001f $HOME `id` %s "
                     "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x80\xa8 \\ud83d\\ude00\""});
    end(t);
    begin(t, "reads a body in base64", "6");
    ask_once(t, &(struct talk_request){.method = "PUT",
                                       .after = ",\"body64\":\"AP/+iVBORw0KGgo=\""});
    end(t);
}

static void check_head(struct talk *t)
{
    begin(t, "answers HEAD and an empty query", "6");
    ask_once(t, &(struct talk_request){.method = "HEAD", .after = ",\"query\":\"\""});
    end(t);
}

static void check_long_line(struct talk *t)
{
    struct buf line = {0};
    size_t size = CANDIDATE_MAX_LINE - ROOM;
    begin(t, "reads a line of 1 MiB", "16");
    if (talk_ensure(t)) {
        uint64_t id = talk_open(t, TALK_REQUEST);
        buf_addf(
            &line,
            "{\"id\":%llu,\"timeout\":30000,\"method\":\"POST\",\"path\":\"%s\",\"body\":\"",
            (unsigned long long)id, t->path);
        while (line.len < size)
            buf_adds(&line, "0123456789abcdef");
        buf_adds(&line, "\"}");
        talk_send_slice(t, buf_slice(&line));
        talk_hear_all(t);
    }
    buf_deinit(&line);
    end(t);
}

/* Whatever nobody sends to a level 0 worker is only noted there. */
static void soften(struct talk *t)
{
    struct check *check = &t->report->checks[t->report->count - 1];
    if (check->result == CHECK_FAIL && t->ready.features == 0)
        check->result = CHECK_NOTE;
}

static void check_line_ends(struct talk *t)
{
    begin(t, "passes over empty lines, and a CR before the LF", "2");
    if (talk_ensure(t)) {
        talk_send(t, "%s", "");
        talk_send(t, "\r");
        uint64_t id = talk_open(t, TALK_REQUEST);
        talk_send(t, "{\"id\":%llu,\"method\":\"GET\",\"path\":\"%s\"}\r",
                  (unsigned long long)id, t->path);
        if (talk_hear_all(t))
            talk_hear_nothing(t);
    }
    soften(t);
    end(t);
}

static void check_end(struct talk *t)
{
    begin(t, "answers what is open at the end of its input, then ends", "2");
    if (talk_start(t)) {
        talk_request(t, &(struct talk_request){0});
        candidate_end_input(t->peer);
        if (talk_hear_all(t) && !candidate_wait_end(t->peer, END_MS))
            report_fail(t->report, "leave the reading loop when there is no further line",
                        "its input ended, and it still ran %d ms later", END_MS);
        else if (t->peer && (t->peer->exit.code || t->peer->exit.signal)) {
            char how[128];
            candidate_describe_end(t->peer, how, sizeof(how));
            report_fail(t->report, "exit with status 0 when the input ends", "it %s", how);
            soften(t);
        }
        talk_stop(t);
    }
    end(t);
}

bool conform_check_level0(struct talk *t)
{
    begin(t, "answers a request", "7");
    bool answers = ask_once(t, &(struct talk_request){.after = usual});
    end(t);
    if (!answers || !check_once(t))
        return false;
    check_row(t);
    check_large_id(t);
    check_other_ids(t);
    check_unknown_members(t);
    check_head(t);
    check_bodies(t);
    check_long_line(t);
    check_line_ends(t);
    check_end(t);
    return true;
}
