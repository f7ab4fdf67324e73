/*
 * Streams that nobody uses any more are dropped: a part of control_bus.h.
 */
#include "app/control_bus_parts.h"

struct dropping {
    struct bus_job job;
};

static void on_dropped(void *arg, const char *error)
{
    struct dropping *d = arg;
    struct exchange *x = bus_job_end(&d->job);
    if (x && error)
        control_refuse(x, 409, "failed_precondition", slice_of(error), (struct slice){0});
    else if (x)
        control_answer(x, SLICE("{\"done\":true}\n"));
    xfree(d);
}

void control_drop_stream(struct control *c, struct exchange *x)
{
    struct json_value body;
    if (!control_bus_body(x, &body))
        return;
    struct slice name = control_bus_text(x, &body, "stream");
    if (!name.len) {
        control_invalid(x, "the body is {\"stream\": NAME}; nodey bus lists them");
        return;
    }
    struct bus *bus = control_bus_open(c, x, /* opens= */ true);
    if (!bus)
        return;
    struct dropping *d = xcalloc(1, sizeof(*d));
    bus_job_begin(&d->job, x);
    bus_drop_stream(bus, name, on_dropped, d);
}
