#include "client/reach_text.h"

#include "client/reach.h"

int reach_text(struct session *session, const char *target, struct slice body,
               struct client_response *answer)
{
    struct json_value json;
    return body.len ? reach_post(session, target, body, answer, &json)
                    : reach_fetch(session, "GET", target, 0, answer, &json);
}
