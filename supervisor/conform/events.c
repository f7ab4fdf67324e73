/*
 * The feature events: the part of conform_checks.h about events and jobs.
 *
 * What the handlers make of the data is not known here, so that a nack is as good as an ack;
 * they must only end each message once, and the program must live.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "conform/checks.h"

enum {
    TRIED_MAX = 5,      /* of its subscriptions, and of its queues */
    AT_ONCE_MAX = 20,   /* if it takes that many */
    TIMEOUT_MS = 30000, /* as events say that they have */
};

/* A message on its way to a handler; what is not said is usual. */
struct sample {
    const char *data;    /* JSON; NULL: {} */
    const char *members; /* unknown ones that come first, each with its comma behind it */
    unsigned attempt;
    uint64_t seq; /* 0: a new message */
};

static void begin(struct talk *t, const char *name)
{
    report_begin(t->report, name, "20", FEATURE_EVENTS);
}

/* -------------------------------------------------------------------- giving */

/* A topic that the pattern matches. */
static void write_topic(struct slice pattern, struct buf *out)
{
    for (size_t i = 0; i < pattern.len; i++) {
        bool is_wild = pattern.ptr[i] == '*' || pattern.ptr[i] == '>';
        is_wild ? buf_adds(out, "check") : buf_addc(out, pattern.ptr[i]);
    }
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Writes the frame as nodey does, and then what nodey of a later version might. */
static void send_event(struct talk *t, const struct frame_event *event, const char *members)
{
    struct buf line = {0}, all = {0};
    frame_write_event(&line, event);
    buf_addc(&all, '{');
    buf_adds(&all, members ? members : "");
    buf_add(&all, (struct slice){line.ptr + 1, line.len - 2}); /* without { and LF */
    talk_send_slice(t, buf_slice(&all));
    buf_deinit(&line);
    buf_deinit(&all);
}

/*
 * Gives a message to the handlers of a subscription, by its index: a program that is started
 * again declares them anew.  Its id, which is open from then on; 0 of one for each instance.
 */
static uint64_t give(struct talk *t, size_t index, const struct sample *sample)
{
    const struct ready_subscription *s = &t->ready.subscriptions[index];
    struct buf topic = {0}, seq = {0};
    uint64_t id = s->each ? 0 : talk_open(t, TALK_EVENT);
    struct frame_event event = {.id = id,
                                .job = s->job,
                                .group = s->job         ? s->topic
                                         : s->group.len ? s->group
                                                        : SLICE("check"),
                                .seq = sample->seq ? sample->seq : ++t->published,
                                .time_ms = wall_ms(),
                                .attempt = MAX(sample->attempt, 1U),
                                .timeout_ms = s->job ? 0 : TIMEOUT_MS,
                                .data = slice_of(sample->data ? sample->data : "{}")};
    write_topic(s->topic, &topic);
    buf_addf(&seq, "%" PRIu64, event.seq);
    event.topic = buf_slice(&topic);
    event.correlation = buf_slice(&seq);
    event.traceparent = SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    send_event(t, &event, sample->members);
    buf_deinit(&topic);
    buf_deinit(&seq);
    return id;
}

static bool give_and_hear(struct talk *t, size_t index, const struct sample *sample)
{
    give(t, index, sample);
    return talk_hear_all(t);
}

/* ------------------------------------------------------------------- finding */

enum wanted { WANT_EVENTS, WANT_JOBS, WANT_ANY };

/* The next subscription from there on that a message can be given to; SIZE_MAX: none. */
static size_t find(const struct talk *t, size_t from, enum wanted wanted)
{
    for (size_t i = from; i < t->ready.subscription_count; i++) {
        const struct ready_subscription *s = &t->ready.subscriptions[i];
        if (!s->each && (wanted == WANT_ANY || s->job == (wanted == WANT_JOBS)))
            return i;
    }
    return SIZE_MAX;
}

static size_t find_each(const struct talk *t)
{
    for (size_t i = 0; i < t->ready.subscription_count; i++)
        if (t->ready.subscriptions[i].each)
            return i;
    return SIZE_MAX;
}

/* -------------------------------------------------------------------- checks */

/* False when it does not even do that: then nothing else need be tried. */
static bool check_ends(struct talk *t, enum wanted wanted, const char *name)
{
    unsigned tried = 0;
    bool good = true;
    if (find(t, 0, wanted) == SIZE_MAX)
        return true;
    begin(t, name);
    for (size_t i = find(t, 0, wanted); good && i != SIZE_MAX && tried++ < TRIED_MAX;
         i = find(t, i + 1, wanted))
        good =
            talk_ensure(t) && give_and_hear(t, i, &(struct sample){0}) && talk_hear_nothing(t);
    talk_end_check(t);
    return good;
}

/* A handler may fail of what it does not expect; the program may not. */
static void check_data(struct talk *t)
{
    static const char *const data[] = {"null", "7", "\"text\"", "[]",
                                       "{\"later\":[1.50,null,\"\\u00e9 ]}\"]}"};
    unsigned tried = 0;
    begin(t, "goes on when a handler fails, whatever the data are");
    for (size_t i = find(t, 0, WANT_ANY); i != SIZE_MAX && tried++ < TRIED_MAX;
         i = find(t, i + 1, WANT_ANY))
        for (size_t k = 0; k < ARRAY_LEN(data); k++)
            if (!talk_ensure(t) || !give_and_hear(t, i, &(struct sample){.data = data[k]}))
                goto end;
    talk_hear_one_more(t);
end:
    talk_end_check(t);
}

/* Twice, for a handler may fail for reasons of its own. */
static bool is_refused_for_members(struct talk *t, size_t index)
{
    for (int i = 0; i < 2; i++) {
        if (!give_and_hear(t, index, &(struct sample){0}) || !t->acked)
            return false;
        const char *later = "\"later\":{\"id\":11,\"list\":[1,null,\"]}\"]},\"v\":2,";
        if (!give_and_hear(t, index, &(struct sample){.members = later}) || t->acked)
            return false;
    }
    return true;
}

static void check_unknown_members(struct talk *t)
{
    begin(t, "ignores members of an event that it does not know");
    if (talk_ensure(t) && is_refused_for_members(t, find(t, 0, WANT_ANY)))
        report_fail(t->report, "take the members that you know, and no notice of others",
                    "it handles an event, and refuses the same with a member that it does not "
                    "know");
    talk_end_check(t);
}

static void check_at_once(struct talk *t)
{
    size_t index = find(t, 0, WANT_ANY);
    uint64_t most = t->ready.subscriptions[index].max;
    uint64_t count = MIN(most ? most : t->ready.concurrency, t->ready.concurrency);
    count = MIN(count, (uint64_t)AT_ONCE_MAX);
    if (count < 2)
        return;
    begin(t, "ends many events that came at once");
    if (talk_ensure(t)) {
        for (uint64_t i = 0; i < count; i++)
            give(t, index, &(struct sample){0});
        if (talk_hear_all(t))
            talk_hear_nothing(t);
    }
    talk_end_check(t);
}

/* Its time is over: whatever it says then counts for nothing, and the next attempt is another
 * id. */
static void check_timeout(struct talk *t)
{
    size_t index = find(t, 0, WANT_ANY);
    begin(t, "ends an event whose time is over, and its next attempt");
    if (talk_ensure(t)) {
        uint64_t id = give(t, index, &(struct sample){0}), seq = t->published;
        talk_cancel(t, id, "timeout");
        if (talk_hear_all(t) &&
            give_and_hear(t, index, &(struct sample){.seq = seq, .attempt = 2}))
            talk_hear_nothing(t);
    }
    talk_end_check(t);
}

static void check_each(struct talk *t)
{
    size_t index = find_each(t);
    if (index == SIZE_MAX)
        return;
    begin(t, "takes what each instance hears without an answer");
    if (talk_ensure(t)) {
        give(t, index, &(struct sample){0});
        talk_hear_one_more(t);
    }
    talk_end_check(t);
}

static void check_gap(struct talk *t)
{
    begin(t, "takes gap without an answer");
    if (talk_ensure(t)) {
        talk_send(t, "{\"type\":\"gap\",\"group\":\"check\",\"from\":10,\"to\":99}");
        talk_hear_one_more(t);
    }
    talk_end_check(t);
}

void conform_check_subscriptions(struct talk *t)
{
    if (!t->ready.subscription_count)
        return;
    report_begin(t->report, "declares the feature of what it subscribes to", "20",
                 CONFORM_ANY_FEATURE);
    if (!(t->ready.features & FEATURE_EVENTS))
        report_fail(t->report, "declare \"features\":[\"events\"] in ready",
                    "it subscribes without having declared the feature events: nodey would "
                    "give it none");
    talk_end_check(t);
}

void conform_check_events(struct talk *t)
{
    check_each(t);
    check_gap(t);
    if (find(t, 0, WANT_ANY) == SIZE_MAX)
        return;
    bool good = check_ends(t, WANT_EVENTS, "ends an event with one ack or nack");
    if (!check_ends(t, WANT_JOBS, "ends a job with one ack or nack") || !good)
        return;
    check_unknown_members(t);
    check_data(t);
    check_at_once(t);
    if (t->ready.features & FEATURE_CANCEL)
        check_timeout(t);
}
