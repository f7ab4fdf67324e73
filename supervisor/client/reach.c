#include "client/reach.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "client/members.h"
#include "client/options.h"
#include "config/value.h"

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

int reach_fetch(struct session *session, const char *method, const char *target,
                uint64_t timeout_ms, struct client_response *answer, struct json_value *json)
{
    struct err err;
    struct client_request request = {
        .method = method, .target = target, .timeout_ms = timeout_ms};
    *answer = (struct client_response){0};
    if (session_fetch(session, &request, answer, &err)) {
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
