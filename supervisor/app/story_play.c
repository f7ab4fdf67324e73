/*
 * What a story gives, one message at a time, in a run that is there for stories only: a part
 * of story.h.  Answered when all that it led to has been handled.
 */
#include "app/app.h"
#include "app/control_bus_parts.h"
#include "app/events_parts.h"
#include "app/story.h"

enum {
    LOOK_MS = 2,
    STILL_LOOKS = 3,       /* so often nothing must have happened */
    HEARD_LOOKS = 50,      /* where an `each` may have something to say yet */
    WAIT_USUAL_MS = 10000, /* for what it leads to */
    WAIT_MAX_MS = 600000,
};

struct playing {
    struct bus_job job;
    struct publication publication;
    struct story *story;
    struct timer look;
    uint64_t until_ms;
    uint64_t moves; /* as of the last look */
    unsigned still;
    bool stored;
};

/* Messages that are with handlers, or wait for them. */
static uint64_t backlog(const struct events *e)
{
    uint64_t n = 0;
    list_each (at, &e->listeners)
        n += group_backlog(container_of(at, struct listener, node)->group);
    return n;
}

static void answer(struct playing *p, bool idle)
{
    struct exchange *x = bus_job_end(&p->job);
    struct story *s = p->story;
    struct buf out = {0};
    if (x) {
        buf_addf(&out, "{\"idle\":%s,\"unhandled\":%lld,", idle ? "true" : "false",
                 (long long)MAX(s->unsettled, 0));
        story_take(s, 0, &out);
        buf_adds(&out, "}\n");
        control_answer(x, buf_slice(&out));
    }
    buf_deinit(&out);
    timer_stop(s->events->host.loop, &p->look);
    s->is_heard = false;
    xfree(p);
}

static void on_look(struct timer *timer)
{
    struct playing *p = container_of(timer, struct playing, look);
    struct story *s = p->story;
    struct loop *loop = s->events->host.loop;
    bool idle = p->stored && s->unsettled <= 0 && backlog(s->events) == 0;
    p->still = idle && s->moves == p->moves ? p->still + 1 : 0;
    p->moves = s->moves;
    bool late = loop_now(loop) >= p->until_ms || s->events->closing;
    bool done = p->still >= (s->is_heard ? HEARD_LOOKS : STILL_LOOKS);
    if (done || (p->stored && late))
        answer(p, done);
    else
        timer_start(loop, timer, LOOK_MS, on_look);
}

static void on_stored(struct publication *publication, enum publish_fault fault,
                      const char *why)
{
    struct playing *p = container_of(publication, struct playing, publication);
    p->stored = true;
    if (!fault)
        return;
    struct exchange *x = bus_job_end(&p->job);
    if (x)
        control_refuse(x, 503, "unavailable", slice_of(why), (struct slice){0});
    answer(p, /* idle= */ false);
}

static struct message *read_message(struct bus *bus, struct exchange *x,
                                    const struct json_value *body, struct err *err)
{
    struct json_value value;
    struct publish_request r = {
        .topic = control_bus_text(x, body, "topic"),
        .queue = control_bus_text(x, body, "queue"),
        .key = control_bus_text(x, body, "key"),
        .msgid = control_bus_text(x, body, "msgid"),
        .correlation = control_bus_text(x, body, "correlation"),
        .origin = control_bus_text(x, body, "from"),
        .data = SLICE("null"),
    };
    r.key = r.key.ptr ? r.key : SLICE("");
    if (control_bus_member(body, "data", &value))
        r.data = value.raw;
    if (control_bus_member(body, "headers", &value) && value.type == JSON_OBJECT &&
        value.raw.len > 2)
        r.headers = value.raw;
    return bus_compose(bus, &r, err);
}

/* With null nothing is published, and what still happens is waited for. */
void story_play(struct story *s, struct exchange *x)
{
    struct json_value body;
    struct slice wait;
    struct err err = {.text = "this nodey is up for others: stories are played in a run of "
                              "their own"};
    uint64_t wait_ms = WAIT_USUAL_MS;
    const struct http_request *req = exchange_request(x);
    struct bus *bus = s->plays ? events_bus(s->events, &err) : NULL;
    struct message *m = NULL;
    if (control_parameter(req, "wait", &wait) && !slice_to_u64(wait, WAIT_MAX_MS, &wait_ms)) {
        control_invalid(x, "wait is in milliseconds, at most %d", WAIT_MAX_MS);
        return;
    }
    if (!bus) {
        control_refuse(x, 422, "failed_precondition", slice_of(err.text), (struct slice){0});
        return;
    }
    if (!control_bus_body(x, &body))
        return;
    if (body.type != JSON_NULL && !(m = read_message(bus, x, &body, &err))) {
        control_invalid(x, "%s", err.text);
        return;
    }
    struct loop *loop = s->events->host.loop;
    struct playing *p = xcalloc(1, sizeof(*p));
    p->story = s;
    p->stored = m == NULL;
    p->until_ms = loop_now(loop) + wait_ms;
    p->publication.done = on_stored;
    bus_job_begin(&p->job, x);
    timer_start(loop, &p->look, LOOK_MS, on_look);
    if (m)
        bus_publish(bus, &p->publication, &m, 1);
}

void app_prepare_story(struct config *config, const char *dir)
{
    config->bus.dir = dir;
    config->bus.durability = DURABILITY_OS;
    config->schedule_count = 0;
    for (size_t i = 0; i < config->stream_count; i++)
        config->streams[i].durability = DURABILITY_OS;
    for (size_t i = 0; i < config->queue_count; i++)
        config->queues[i].durability = DURABILITY_OS;
    config_leave_services_out(config);
    for (size_t i = 0; i < config->worker_count; i++)
        config->workers[i].instances = config->workers[i].instances_min = 1;
}
