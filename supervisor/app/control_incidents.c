#include "app/control_incidents.h"

#include "app/control_reply.h"
#include "app/incidents.h"

enum { SHOWN = 20, SHOWN_MAX = 200 };

void control_incidents(struct control *c, struct exchange *x)
{
    const struct http_request *req = exchange_request(x);
    struct slice program = {0}, limit;
    uint64_t max = SHOWN;
    struct buf out = {0};
    if (control_parameter(req, "limit", &limit) && !slice_to_u64(limit, SHOWN_MAX, &max)) {
        control_invalid(x, "limit is a number up to %d", SHOWN_MAX);
        return;
    }
    IGNORE(!control_parameter(req, "program", &program)); /* then of all */
    char *folder = incident_folder(c->host.gateway->data_dir);
    incidents_write_list(folder, program, max, &out);
    control_answer(x, buf_slice(&out));
    buf_deinit(&out);
    xfree(folder);
}

void control_incident(struct control *c, struct exchange *x, struct slice id)
{
    static const struct slice none = {"there is no such report", 23};
    struct buf out = {0};
    struct err err;
    if (!slice_is(exchange_request(x)->method, "GET")) {
        control_refuse_method(x, "GET");
        return;
    }
    char *folder = incident_folder(c->host.gateway->data_dir);
    if (!incident_is_id(id) ||
        incident_read(folder, arena_strdup(exchange_arena(x), id), &out, &err))
        control_refuse(x, 404, "not_found", none, (struct slice){0});
    else
        control_answer(x, buf_slice(&out));
    buf_deinit(&out);
    xfree(folder);
}
