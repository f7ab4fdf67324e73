#include "http/server.h"

#include <stdio.h>

#include "http/conn.h"

/* One address that is listened on. */
struct door {
    struct list node;
    struct http_server *server;
    struct listener listener;
    char url[sizeof(((struct listener *)0)->address) + sizeof("http://")];
};

struct http_server {
    struct front front;
    struct list doors;
    struct timer report; /* calls `drained`; a timer keeps the loop running until then */
    void (*drained)(void *);
    void *arg;
    bool freed;
};

static void on_report(struct timer *timer)
{
    struct http_server *server = container_of(timer, struct http_server, report);
    void (*drained)(void *) = server->drained;
    server->drained = NULL;
    if (drained)
        drained(server->arg);
}

/* Something has ended: was it the last thing that was waited for? */
static void check_ended(struct http_server *server)
{
    if (server->front.alive || !list_empty(&server->doors))
        return;
    if (server->freed) {
        front_deinit(&server->front);
        xfree(server);
    } else if (server->drained) {
        timer_start(server->front.loop, &server->report, 0, on_report);
    }
}

static void on_left(struct front *front)
{
    check_ended(container_of(front, struct http_server, front));
}

static void on_incoming(struct listener *listener)
{
    struct door *door = container_of(listener, struct door, listener);
    if (!door->server->freed)
        conn_accept(&door->server->front, listener);
}

static void on_listener_gone(struct listener *listener)
{
    struct door *door = container_of(listener, struct door, listener);
    struct http_server *server = door->server;
    list_del(&door->node);
    xfree(door);
    check_ended(server);
}

static const struct listener_ops door_ops = {
    .incoming = on_incoming,
    .gone = on_listener_gone,
};

struct http_server *http_server_new(struct loop *loop, const struct http_options *options)
{
    struct http_server *server = xcalloc(1, sizeof(*server));
    front_init(&server->front, loop, options, on_left);
    list_init(&server->doors);
    return server;
}

static void widen(struct list *conns, size_t head_bytes)
{
    list_each (at, conns)
        conn_widen(container_of(at, struct conn, node), head_bytes);
}

void http_server_configure(struct http_server *server, const struct http_options *options)
{
    struct front *front = &server->front;
    front->limits = options->limits;
    trust_deinit(&front->trust);
    trust_init(&front->trust, options->trusted_proxies);
    widen(&front->idle, options->limits.head_bytes);
    widen(&front->active, options->limits.head_bytes);
}

static struct door *door_new(struct http_server *server)
{
    struct door *door = xcalloc(1, sizeof(*door));
    door->server = server;
    list_add(&server->doors, &door->node);
    return door;
}

/* One that could not be opened goes when its listener has. */
static int note_url(struct door *door, int rc)
{
    if (rc == 0)
        snprintf(door->url, sizeof(door->url), "%s%s", door->listener.is_unix ? "" : "http://",
                 door->listener.address);
    return rc;
}

int http_server_listen(struct http_server *server, const char *address, struct err *err)
{
    struct door *door = door_new(server);
    struct loop *loop = server->front.loop;
    return note_url(door, listener_open(&door->listener, loop, address, &door_ops, err));
}

int http_server_take(struct http_server *server, int fd, struct err *err)
{
    struct door *door = door_new(server);
    struct loop *loop = server->front.loop;
    return note_url(door, listener_take(&door->listener, loop, fd, &door_ops, err));
}

const char *http_server_url(const struct http_server *server, size_t n)
{
    list_each (at, &server->doors) {
        const struct door *door = container_of(at, struct door, node);
        if (door->url[0] && n-- == 0)
            return door->url;
    }
    return NULL;
}

static void close_doors(struct http_server *server)
{
    list_each_safe (at, &server->doors) {
        listener_close(&container_of(at, struct door, node)->listener);
    }
}

void http_server_drain(struct http_server *server, void (*drained)(void *), void *arg)
{
    server->drained = drained;
    server->arg = arg;
    server->front.draining = true;
    close_doors(server);
    list_each (at, &server->front.idle) {
        conn_hurry(container_of(at, struct conn, node));
    }
    check_ended(server);
}

size_t http_server_ending(const struct http_server *server)
{
    size_t count = server->front.open;
    list_each (at, &server->front.active) {
        const struct exchange *x = container_of(at, struct conn, node)->exchange;
        count -= x && x->endless;
    }
    return count;
}

static void drop_all(struct list *conns)
{
    while (!list_empty(conns))
        conn_drop(list_first(conns, struct conn, node));
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    timer_stop(server->front.loop, &server->report);
    server->drained = NULL;
    server->front.draining = true;
    close_doors(server);
    drop_all(&server->front.idle);
    drop_all(&server->front.active);
    server->freed = true;
    check_ended(server);
}

size_t http_server_connections(const struct http_server *server)
{
    return server->front.open;
}
