#include "http/upstream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>

#include "http/field.h"

enum {
    LOOKUP_MS = 30 * 1000,  /* a name may stand for another address after this */
    MARGIN_MS = 1000,       /* a link goes so long before the other side would close it */
    KEEP_ALIVE_MAX = 86400, /* seconds that are believed */
};

/* ------------------------------------------------------------------- address */

static void on_looked_up(void *owner, int status, const struct peer *found)
{
    struct upstream *u = owner;
    u->lookup = NULL;
    u->looked_up_ms = loop_now(u->loop);
    if (status == 0) {
        u->peer = *found;
        u->trouble[0] = '\0';
        return;
    }
    /* What was known may still be right. */
    snprintf(u->trouble, sizeof(u->trouble), "cannot find the host of %.100s: %s", u->peer.name,
             loop_strerror(status));
}

static void look_up(struct upstream *u)
{
    if (u->named && !u->lookup && !u->closing)
        u->lookup = lookup_start(u->loop, &u->peer, u, on_looked_up);
}

static void prepare(struct upstream *u, struct loop *loop)
{
    *u = (struct upstream){.loop = loop};
    list_init(&u->idle);
}

int upstream_init(struct upstream *u, struct loop *loop, const char *address, struct err *err)
{
    prepare(u, loop);
    int rc = peer_parse(&u->peer, address, err);
    if (rc && rc != UV_EAGAIN)
        return rc;
    u->named = rc != 0;
    look_up(u);
    return 0;
}

void upstream_init_local(struct upstream *u, struct loop *loop, uint16_t port)
{
    prepare(u, loop);
    snprintf(u->peer.name, sizeof(u->peer.name), "127.0.0.1:%u", port);
    *(struct sockaddr_in *)&u->peer.at[0].inet = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    *(struct sockaddr_in6 *)&u->peer.at[1].inet = (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = htons(port),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
    u->peer.count = 2;
}

/* The address that works goes first: who listens on ::1 alone refuses only once. */
static void prefer(struct peer *peer, unsigned nth)
{
    if (nth == 0 || nth >= peer->count)
        return;
    struct sockaddr_storage works = peer->at[nth].inet;
    peer->at[nth].inet = peer->at[0].inet;
    peer->at[0].inet = works;
}

/* ---------------------------------------------------------------------- idle */

static void on_gone(struct client *c)
{
    struct upstream_link *link = container_of(c, struct upstream_link, client);
    link->upstream->links--;
    xfree(link);
}

/* The other side closed it, or said something out of turn: either way it is of no use. */
static void on_idle_failed(struct client *c, enum client_failure failure, int code,
                           const char *why)
{
    (void)failure, (void)code, (void)why;
    upstream_drop(container_of(c, struct upstream_link, client));
}

/* Nobody has it: neither a request nor, if it is closed, the list. */
static const struct client_ops idle_ops = {.failed = on_idle_failed, .gone = on_gone};

static void leave_idle(struct upstream_link *link)
{
    if (list_empty(&link->node))
        return;
    list_del(&link->node);
    link->upstream->idle_count--;
    timer_stop(link->upstream->loop, &link->rest);
}

static void on_rested(struct timer *timer)
{
    upstream_drop(container_of(timer, struct upstream_link, rest));
}

void upstream_drop(struct upstream_link *link)
{
    leave_idle(link);
    link->client.ops = &idle_ops;
    link->owner = NULL;
    client_close(&link->client);
}

static uint64_t rest_ms(const struct upstream_link *link)
{
    uint64_t promised = link->promised_ms;
    if (!promised)
        return UPSTREAM_IDLE_MS;
    uint64_t margin = MIN(promised / 2, (uint64_t)MARGIN_MS);
    return MIN(promised - margin, (uint64_t)UPSTREAM_IDLE_LONG_MS);
}

void upstream_give(struct upstream_link *link)
{
    struct upstream *u = link->upstream;
    if (!client_idle(&link->client) || u->closing || u->idle_count >= UPSTREAM_IDLE_MAX) {
        upstream_drop(link);
        return;
    }
    link->client.ops = &idle_ops;
    link->owner = NULL;
    link->kept = true;
    link->since_ms = loop_now(u->loop);
    list_push(&u->idle, &link->node);
    u->idle_count++;
    client_resume(&link->client);
    timer_start(u->loop, &link->rest, rest_ms(link), on_rested);
}

void upstream_read_keep_alive(struct upstream_link *link, const struct answer_head *head)
{
    static const struct slice timeout = {"timeout=", 8};
    link->promised_ms = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice rest = head->fields[i].value, item;
        uint64_t seconds;
        if (field_lookup(head->fields[i].name) != FIELD_KEEP_ALIVE)
            continue;
        while (list_take(&rest, &item))
            if (slice_starts(item, timeout) &&
                slice_to_u64(slice_from(item, timeout.len), KEEP_ALIVE_MAX, &seconds))
                link->promised_ms = seconds * 1000;
    }
}

/* ---------------------------------------------------------------------- lent */

struct upstream_link *upstream_take(struct upstream *u, uint64_t idle_max_ms,
                                    const struct client_ops *ops, void *owner)
{
    if (list_empty(&u->idle))
        return NULL;
    /* The newest: the others may grow old. */
    struct upstream_link *link = list_first(&u->idle, struct upstream_link, node);
    if (loop_now(u->loop) - link->since_ms > idle_max_ms)
        return NULL;
    leave_idle(link);
    link->client.ops = ops;
    link->owner = owner;
    return link;
}

struct upstream_link *upstream_open(struct upstream *u, uint64_t timeout_ms,
                                    const struct client_ops *ops, void *owner)
{
    assert(upstream_known(u) && !u->closing);
    if (loop_now(u->loop) - u->looked_up_ms > LOOKUP_MS)
        look_up(u);
    struct upstream_link *link = xcalloc(1, sizeof(*link));
    link->upstream = u;
    link->owner = owner;
    list_init(&link->node);
    u->links++;
    client_open(&link->client, u->loop, &u->peer, timeout_ms, ops);
    return link;
}

void upstream_worked(struct upstream_link *link)
{
    prefer(&link->upstream->peer, link->client.nth);
}

void upstream_refused(struct upstream *u)
{
    look_up(u);
}

void upstream_close(struct upstream *u)
{
    u->closing = true;
    if (u->lookup)
        lookup_cancel(u->lookup);
    u->lookup = NULL;
    list_each_safe (at, &u->idle)
        upstream_drop(container_of(at, struct upstream_link, node));
}

void upstream_deinit(struct upstream *u)
{
    assert(u->closing && u->links == 0);
}
