#include "loop/connect.h"

#include <assert.h>
#include <netdb.h>
#include <stdio.h>

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

static int look_up(struct peer *peer, struct loop *loop, const char *host, uint64_t port,
                   struct err *err)
{
    uv_getaddrinfo_t req;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int rc = uv_getaddrinfo(&loop->uv, &req, NULL, host, NULL, &hints);
    if (rc)
        return err_set(err, rc, "cannot find the host \"%s\": %s", host, uv_strerror(rc));
    for (struct addrinfo *at = req.addrinfo; at && peer->count < PEER_MAX; at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        memcpy(&peer->at[peer->count].inet, at->ai_addr, at->ai_addrlen);
        /* The port's place is the same in v6. */
        ((struct sockaddr_in *)&peer->at[peer->count++].inet)->sin_port = htons((uint16_t)port);
    }
    uv_freeaddrinfo(req.addrinfo);
    return peer->count ? 0 : err_set(err, UV_EAI_NONAME, "\"%s\" has no address", host);
}

static int resolve_inet(struct peer *peer, struct loop *loop, const char *address,
                        struct err *err)
{
    char host[256];
    uint64_t port;
    if (!split(address, host, sizeof(host), &port))
        return err_set(err, UV_EINVAL,
                       "\"%s\" is no address to connect to: write HOST:PORT or unix:PATH",
                       address);
    struct sockaddr_storage *first = &peer->at[0].inet;
    if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)first) &&
        uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)first))
        return look_up(peer, loop, host, port, err);
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

int peer_resolve(struct peer *peer, struct loop *loop, const char *address, struct err *err)
{
    memset(peer, 0, sizeof(*peer));
    snprintf(peer->name, sizeof(peer->name), "%s", address);
    if (strncmp(address, "unix:", 5) == 0)
        return resolve_unix(peer, address + 5, err);
    return resolve_inet(peer, loop, address, err);
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
