#include "conform/judge.h"

#include <stdio.h>

#include "app/reply.h"
#include "base/topic.h"
#include "client/members.h"

enum { OUTPUTS_MAX = 1024 }; /* messages that one ack may publish */

const char judge_flush[] =
    "flush after each line: flush=True in Python, $| = 1 in Perl, $stdout.sync = true in Ruby, "
    "io.stdout:setvbuf('no') in Lua, fflush(stdout) in C";
const char judge_go_on[] =
    "go on reading after each line, whatever it was, until the end of the input";
const char judge_nack[] = "when a handler fails, answer "
                          "{\"type\":\"nack\",\"id\":...,\"error\":{\"message\":...}}, and go "
                          "on reading";

const char *judge_last_line(struct buf *text)
{
    while (text->len && (text->ptr[text->len - 1] == '\n'))
        text->len--;
    const char *words = buf_cstr(text);
    const char *lf = strrchr(words, '\n');
    return lf ? lf + 1 : words;
}

void judge_end(struct talk *t, const char *instead, const char *mend)
{
    char how[128];
    const char *words = judge_last_line(&t->peer->last_words);
    candidate_describe_end(t->peer, how, sizeof(how));
    report_fail(t->report, mend, "it %s %s%s%.200s", how, instead,
                *words ? "; its last words: " : "", words);
}

void judge_silence(struct talk *t)
{
    if (t->peer->unfinished.len) {
        report_came(t->report, buf_slice(&t->peer->unfinished));
        report_fail(t->report, "end each answer with a line feed, and flush",
                    "what it wrote is no whole line: the LF at its end is missing");
        return;
    }
    candidate_end_input(t->peer);
    struct candidate_line *line = t->spoke ? NULL : candidate_next(t->peer, JUDGE_FLUSH_MS);
    if (line && line->verdict == FRAME_OK) {
        report_came(t->report, (struct slice){line->text, line->len});
        report_fail(t->report, judge_flush,
                    "the answer came only when its input had ended: it waits in a buffer");
    } else {
        bool is_event = t->open_count && t->open[0].kind == TALK_EVENT;
        report_fail(t->report,
                    is_event ? "end each event that has an id with one ack or nack"
                             : "answer each line that has an id with one line",
                    "nothing came within %llu ms", (unsigned long long)t->answer_ms);
    }
    candidate_line_free(line);
}

void judge_broken(struct talk *t, const struct candidate_line *line)
{
    struct json_value value;
    bool is_json = members_read((struct slice){line->text, line->len}, &value);
    const char *fault =
        line->overlong ? "it is longer than max_line (1 MiB)" : line->frame.fault;
    const char *mend = line->overlong ? "send less, or configure max_line"
                       : is_json
                           ? NULL
                           : "write each frame as JSON on one line, not indented; quotes, "
                             "backslashes and line breaks in texts must be escaped";
    report_fail(t->report, mend, "a line that is no frame: %s",
                fault ? fault : "it cannot be read");
}

void judge_complaint(struct talk *t, const struct frame *frame)
{
    struct buf text = {0};
    json_unescape(&frame->message, &text);
    report_fail(t->report, "read whole lines, of any length up to NODEY_MAX_LINE",
                "it could not read the line: %.300s", buf_cstr(&text));
    buf_deinit(&text);
}

void judge_foreign_id(struct talk *t, const struct frame_id *id)
{
    if (id->kind == FRAME_ID_STRING)
        report_fail(t->report, "write the number without quotes",
                    "the id came back as a string; it is echoed exactly as it was written");
    else if (id->kind == FRAME_ID_NUMBER)
        report_fail(t->report, "answer once, with the id of the line that is answered",
                    "an answer with the id %llu, which is not open: it never was, or it has "
                    "got its last frame already",
                    (unsigned long long)id->number);
    else
        report_fail(t->report, "take the id from the line and put it into the answer",
                    "an answer without a usable id");
}

void judge_response(struct talk *t, const struct frame *frame)
{
    struct arena arena = {0};
    struct buf body = {0};
    struct http_answer answer;
    struct err err;
    if (frame->more && !(t->ready.features & FEATURE_STREAM))
        report_fail(t->report, "declare \"features\":[\"stream\"] in ready",
                    "\"more\" without having declared the feature stream");
    else if (frame->file.raw.len)
        report_fail(t->report, "name only files under the roots of hello",
                    "it answers with a file, and no roots were given");
    else if (!reply_read(frame, &arena, &body, &answer, &err) || !response_check(&answer, &err))
        report_fail(t->report, NULL, "the answer cannot be sent: %s", err.text);
    buf_deinit(&body);
    arena_deinit(&arena);
}

void judge_message(struct talk *t, const struct frame *frame)
{
    bool is_job = frame->queue.raw.len > 0;
    struct buf name = {0};
    json_unescape(is_job ? &frame->queue : &frame->topic, &name);
    const char *fault = topic_check(buf_slice(&name));
    if (fault)
        report_fail(t->report, "use letters, digits, - and _, with dots between the words",
                    "nodey would refuse what it publishes: %s \"%.80s\": %s",
                    is_job ? "queue" : "topic", buf_cstr(&name), fault);
    buf_deinit(&name);
}

void judge_outputs(struct talk *t, const struct frame *ack)
{
    struct json_value item;
    struct frame output;
    size_t count = 0;
    if (!ack->outputs.raw.len)
        return;
    struct json_scan it = json_iter(&ack->outputs);
    while (json_next_item(&it, &item) && ++count <= OUTPUTS_MAX) {
        const char *fault = frame_read_output(&item, &output);
        if (fault) {
            report_fail(t->report,
                        "write each of them like a publish frame, without type and id",
                        "nodey would take the ack for a nack: what it publishes with it cannot "
                        "be read: %s",
                        fault);
            return;
        }
        judge_message(t, &output);
    }
    if (count > OUTPUTS_MAX)
        report_fail(t->report, "publish the rest by frames of their own",
                    "its ack publishes more than %d messages", OUTPUTS_MAX);
}
