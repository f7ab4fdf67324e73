#include "client/reach.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "client/members.h"
#include "client/options.h"
#include "config/value.h"

enum { CONNECT_MS = 5000 };

int reach_open(struct session *session, const char *file)
{
    struct err err;
    if (session_open(session, file, /* may_start= */ false, &err) == 0)
        return 0;
    fprintf(stderr, "nodey: %s\n", err.text);
    return EXIT_UNREACHABLE;
}

static int tell_problem(const struct client_response *answer)
{
    struct json_value body;
    bool read = members_read(buf_slice(&answer->body), &body);
    char *detail = read ? members_text(&body, "detail") : NULL;
    if (detail)
        fprintf(stderr, "nodey: %s\n", detail);
    else
        fprintf(stderr, "nodey: the answer has the status %u\n", answer->status);
    xfree(detail);
    return EXIT_REFUSED;
}

static int fetch(struct session *session, struct client_request *request,
                 struct client_response *answer, struct json_value *json)
{
    struct err err;
    *answer = (struct client_response){0};
    if (session_fetch(session, request, answer, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_UNREACHABLE;
    }
    int rc = 0;
    if (answer->status != 200)
        rc = tell_problem(answer);
    else if (!members_read(buf_slice(&answer->body), json)) {
        fputs("nodey: the answer is no JSON\n", stderr);
        rc = EXIT_REFUSED;
    }
    if (rc)
        client_response_deinit(answer);
    return rc;
}

int reach_fetch(struct session *session, const char *method, const char *target,
                uint64_t timeout_ms, struct client_response *answer, struct json_value *json)
{
    struct client_request request = {
        .method = method, .target = target, .timeout_ms = timeout_ms};
    return fetch(session, &request, answer, json);
}

int reach_post(struct session *session, const char *target, struct slice body,
               struct client_response *answer, struct json_value *json)
{
    struct client_request request = {.method = "POST", .target = target, .body = body};
    return fetch(session, &request, answer, json);
}

/* ----------------------------------------------------------------------- following */

struct following {
    struct loop loop;
    struct client client;
    struct peer peer;
    struct buf wire;
    struct client_response answer; /* its body: a line that is not whole; or a problem */
    bool (*line)(void *arg, struct slice);
    void *arg;
    int rc;
};

static struct following *following_of(struct client *c)
{
    return container_of(c, struct following, client);
}

static void on_opened(struct client *c)
{
    client_send(c, buf_slice(&following_of(c)->wire), false, 0);
    client_limit(c, 0);
}

static void on_head(struct client *c, const struct answer_head *head)
{
    following_of(c)->answer.status = head->status;
}

static void on_body(struct client *c, struct slice bytes)
{
    struct following *f = following_of(c);
    struct buf *kept = &f->answer.body;
    size_t at = 0;
    buf_add(kept, bytes);
    if (f->answer.status != 200)
        return;
    for (const char *end; (end = memchr(kept->ptr + at, '\n', kept->len - at));) {
        size_t len = (size_t)(end - kept->ptr) - at;
        if (!f->line(f->arg, (struct slice){kept->ptr + at, len})) {
            client_close(c);
            return;
        }
        at += len + 1;
        if (at == kept->len)
            break;
    }
    buf_consume(kept, at);
}

static void on_answered(struct client *c)
{
    struct following *f = following_of(c);
    if (f->answer.status != 200)
        f->rc = tell_problem(&f->answer);
    client_close(c);
}

static void on_failed(struct client *c, enum client_failure failure, int code, const char *why)
{
    (void)failure;
    (void)code;
    fprintf(stderr, "nodey: %s\n", why);
    following_of(c)->rc = EXIT_UNREACHABLE;
    client_close(c);
}

static void on_gone(struct client *c)
{
    (void)c; /* the loop ends with its last handle */
}

static const struct client_ops follow_ops = {.opened = on_opened,
                                             .head = on_head,
                                             .body = on_body,
                                             .answered = on_answered,
                                             .failed = on_failed,
                                             .gone = on_gone};

static int follow(struct following *f, const char *address, const char *target)
{
    struct err err;
    struct client_request request = {.address = address, .host = "nodey", .target = target};
    int rc = peer_resolve(&f->peer, &f->loop, address, &err);
    if (rc == 0)
        rc = client_request_write(&request, &f->wire, &err);
    if (rc) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_UNREACHABLE;
    }
    client_open(&f->client, &f->loop, &f->peer, CONNECT_MS, &follow_ops);
    loop_run(&f->loop);
    return f->rc;
}

int reach_follow(struct session *session, const char *target,
                 bool (*line)(void *arg, struct slice), void *arg)
{
    struct following *f = xcalloc(1, sizeof(*f));
    f->line = line;
    f->arg = arg;
    int rc = loop_init(&f->loop);
    if (rc) {
        fprintf(stderr, "nodey: cannot start an event loop: %s\n", loop_strerror(rc));
        rc = EXIT_UNREACHABLE;
    } else {
        rc = follow(f, session->address, target);
        IGNORE(loop_deinit(&f->loop)); /* every handle is gone: the loop ran to its end */
    }
    buf_deinit(&f->wire);
    client_response_deinit(&f->answer);
    xfree(f);
    return rc;
}

int reach_format(const char *verb, const char *format, bool *as_json)
{
    *as_json = format && strcmp(format, "json") == 0;
    if (!format || *as_json || strcmp(format, "table") == 0)
        return 0;
    return usage_error(verb, "--format knows table and json, not \"%s\"", format);
}

int reach_time(const char *verb, const char *option, const char *text, uint64_t max_ms,
               uint64_t *ms)
{
    uint64_t us = 0;
    if (!text)
        return 0;
    if (value_duration(slice_of(text), false, &us) != VALUE_GOOD || us < 1000)
        return usage_error(verb, "%s is a time such as 5s, 500ms or 1m30s, not \"%s\"", option,
                           text);
    if (us / 1000 > max_ms)
        return usage_error(verb, "%s is at most %llu s", option,
                           (unsigned long long)max_ms / 1000);
    *ms = us / 1000;
    return 0;
}

char *reach_encode(const char *word)
{
    struct buf out = {0};
    for (; *word; word++) {
        unsigned char c = (unsigned char)*word;
        if (isalnum(c) || strchr("-._~", c))
            buf_addc(&out, (char)c);
        else
            buf_addf(&out, "%%%02X", c);
    }
    return out.len ? buf_give(&out) : xstrdup("");
}
