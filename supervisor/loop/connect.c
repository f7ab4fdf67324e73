#include "loop/connect.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>

enum { HOST_MAX = 256 };

/* ------------------------------------------------------------------ resolve */

/* Splits "HOST:PORT" and its short forms; false when it is none of them. */
static bool split(const char *address, char *host, size_t size, uint64_t *port)
{
    const char *colon = strrchr(address, ':');
    struct slice name = {address, colon ? (size_t)(colon - address) : 0};
    if (!slice_to_u64(slice_of(colon ? colon + 1 : address), 65535, port) || *port == 0)
        return false;
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = (struct slice){name.ptr + 1, name.len - 2};
    if (name.len == 0 || slice_is(name, "*"))
        name = SLICE("127.0.0.1");
    if (name.len >= size)
        return false;
    snprintf(host, size, SLICE_FMT, SLICE_ARG(name));
    return true;
}

static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};

static void fill(struct peer *peer, const struct addrinfo *found, uint64_t port)
{
    peer->count = 0;
    for (const struct addrinfo *at = found; at && peer->count < PEER_MAX; at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        memcpy(&peer->at[peer->count].inet, at->ai_addr, at->ai_addrlen);
        /* The port's place is the same in v6. */
        ((struct sockaddr_in *)&peer->at[peer->count++].inet)->sin_port = htons((uint16_t)port);
    }
}

static int look_up(struct peer *peer, struct loop *loop, const char *host, uint64_t port,
                   struct err *err)
{
    uv_getaddrinfo_t req;
    int rc = uv_getaddrinfo(&loop->uv, &req, NULL, host, NULL, &hints);
    if (rc)
        return err_set(err, rc, "cannot find the host \"%s\": %s", host, uv_strerror(rc));
    fill(peer, req.addrinfo, port);
    uv_freeaddrinfo(req.addrinfo);
    return peer->count ? 0 : err_set(err, UV_EAI_NONAME, "\"%s\" has no address", host);
}

/* UV_EAGAIN: there is a name to be looked up. */
static int parse_inet(struct peer *peer, const char *address, char *host, size_t size,
                      uint64_t *port, struct err *err)
{
    if (!split(address, host, size, port))
        return err_set(err, UV_EINVAL,
                       "\"%s\" is no address to connect to: write HOST:PORT or unix:PATH",
                       address);
    struct sockaddr_storage *first = &peer->at[0].inet;
    if (uv_ip4_addr(host, (int)*port, (struct sockaddr_in *)first) &&
        uv_ip6_addr(host, (int)*port, (struct sockaddr_in6 *)first))
        return UV_EAGAIN;
    peer->count = 1;
    return 0;
}

static int resolve_unix(struct peer *peer, const char *path, struct err *err)
{
    struct sockaddr_un *at = &peer->at[0].local;
    if (path[0] == '\0' || strlen(path) >= sizeof(at->sun_path))
        return err_set(err, path[0] ? UV_ENAMETOOLONG : UV_EINVAL,
                       "cannot connect to unix:%s: the path is %s", path,
                       path[0] ? "too long" : "empty");
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path, path, strlen(path) + 1);
    peer->count = 1;
    return 0;
}

static int parse(struct peer *peer, const char *address, char *host, size_t size,
                 uint64_t *port, struct err *err)
{
    memset(peer, 0, sizeof(*peer));
    snprintf(peer->name, sizeof(peer->name), "%s", address);
    if (strncmp(address, "unix:", 5) == 0)
        return resolve_unix(peer, address + 5, err);
    return parse_inet(peer, address, host, size, port, err);
}

int peer_parse(struct peer *peer, const char *address, struct err *err)
{
    char host[HOST_MAX];
    uint64_t port;
    return parse(peer, address, host, sizeof(host), &port, err);
}

int peer_resolve(struct peer *peer, struct loop *loop, const char *address, struct err *err)
{
    char host[HOST_MAX];
    uint64_t port;
    int rc = parse(peer, address, host, sizeof(host), &port, err);
    return rc == UV_EAGAIN ? look_up(peer, loop, host, port, err) : rc;
}

/* ------------------------------------------------------------------- lookup */

struct lookup {
    uv_getaddrinfo_t req;
    struct task at_once; /* tells what needed no lookup */
    int status;
    bool under_way;
    struct peer peer;
    uint64_t port;
    void *owner; /* NULL: cancelled */
    void (*done)(void *owner, int status, const struct peer *);
};

static void finish_lookup(struct lookup *l, int status)
{
    if (l->owner)
        l->done(l->owner, status, &l->peer);
    xfree(l);
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lookup *l = container_of(req, struct lookup, req);
    if (status == 0) {
        fill(&l->peer, found, l->port);
        status = l->peer.count ? 0 : UV_EAI_NONAME;
    }
    uv_freeaddrinfo(found);
    finish_lookup(l, status);
}

static void on_known(struct task *task)
{
    struct lookup *l = container_of(task, struct lookup, at_once);
    finish_lookup(l, l->status);
}

struct lookup *lookup_start(struct loop *loop, const struct peer *peer, void *owner,
                            void (*done)(void *owner, int status, const struct peer *))
{
    char host[HOST_MAX];
    struct err err;
    struct lookup *l = xcalloc(1, sizeof(*l));
    l->owner = owner;
    l->done = done;
    l->status = parse(&l->peer, peer->name, host, sizeof(host), &l->port, &err);
    if (l->status == UV_EAGAIN)
        l->status = uv_getaddrinfo(&loop->uv, &l->req, on_looked_up, host, NULL, &hints);
    l->under_way = l->status == 0 && l->peer.count == 0;
    if (!l->under_way) {
        task_init(&l->at_once, on_known);
        loop_defer(loop, &l->at_once);
    }
    return l;
}

void lookup_cancel(struct lookup *l)
{
    l->owner = NULL;
    if (l->under_way)
        IGNORE(uv_cancel((uv_req_t *)&l->req)); /* it is under way: its end is not told */
}

/* ------------------------------------------------------------------ connect */

/* The stream has held on until now, so it is there; it may be closed already. */
static void on_connect(uv_connect_t *req, int status)
{
    struct connect *c = container_of(req, struct connect, req);
    struct stream *s = c->stream;
    if (!s->closed) {
        if (status == 0 && s->uv.handle.type == UV_TCP)
            IGNORE(uv_tcp_nodelay(&s->uv.tcp, 1)); /* only slower */
        c->done(c, status);
    }
    life_drop(&s->life);
}

static void on_refused(struct task *task)
{
    struct connect *c = container_of(task, struct connect, refused);
    struct stream *s = c->stream;
    if (!s->closed)
        c->done(c, c->status);
    life_drop(&s->life);
}

void connect_start(struct connect *c, struct stream *s, struct loop *loop,
                   const struct peer *peer, unsigned nth, const struct stream_ops *ops,
                   void (*done)(struct connect *, int status))
{
    assert(nth < peer->count);
    bool local = peer->at[nth].any.sa_family == AF_UNIX;
    int rc = local ? stream_init_unix(s, loop, ops) : stream_init_tcp(s, loop, ops);
    assert(rc == 0); /* no descriptor is opened yet */
    *c = (struct connect){.stream = s, .done = done};
    life_hold(&s->life);
    if (local)
        uv_pipe_connect(&c->req, &s->uv.pipe, peer->at[nth].local.sun_path, on_connect);
    else
        c->status = uv_tcp_connect(&c->req, &s->uv.tcp, &peer->at[nth].any, on_connect);
    if (c->status) {
        task_init(&c->refused, on_refused);
        loop_defer(loop, &c->refused);
    }
}
