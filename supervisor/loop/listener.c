#include "loop/listener.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, LOOKS_MAX = 50 };

/* ------------------------------------------------------------------ address */

/* Splits "HOST:PORT" and its short forms; false when it is none of them. */
static bool split_address(const char *address, char *host, size_t size, unsigned *port)
{
    const char *colon = strrchr(address, ':');
    struct slice name =
        colon ? (struct slice){address, (size_t)(colon - address)} : SLICE("127.0.0.1");
    uint64_t number;
    if (!slice_to_u64(slice_of(colon ? colon + 1 : address), 65535, &number))
        return false;
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = (struct slice){name.ptr + 1, name.len - 2};
    if (name.len == 0 || slice_is(name, "*"))
        name = SLICE("0.0.0.0");
    if (slice_is(name, "localhost"))
        name = SLICE("127.0.0.1");
    if (name.len >= size)
        return false;
    snprintf(host, size, SLICE_FMT, SLICE_ARG(name));
    *port = (unsigned)number;
    return true;
}

static int resolve(struct listener *l, const char *address, struct sockaddr_storage *out,
                   struct err *err)
{
    char host[256];
    unsigned port;
    if (!split_address(address, host, sizeof(host), &port))
        return err_set(err, UV_EINVAL,
                       "\"%s\" is no address to listen on: write HOST:PORT, PORT or unix:PATH",
                       address);
    if (uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out) == 0 ||
        uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out) == 0)
        return 0;
    uv_getaddrinfo_t req;
    int rc = uv_getaddrinfo(&l->loop->uv, &req, NULL, host, NULL, NULL);
    if (rc)
        return err_set(err, rc, "cannot resolve \"%s\": %s", host, uv_strerror(rc));
    memcpy(out, req.addrinfo->ai_addr, req.addrinfo->ai_addrlen);
    ((struct sockaddr_in *)out)->sin_port = htons((uint16_t)port); /* same place in v6 */
    uv_freeaddrinfo(req.addrinfo);
    return 0;
}

/* ---------------------------------------------------------------- callbacks */

static void on_gone(struct life *life)
{
    struct listener *l = container_of(life, struct listener, life);
    l->ops->gone(l);
}

static void on_connection(uv_stream_t *handle, int status)
{
    struct listener *l = container_of(handle, struct listener, uv.stream);
    if (status == 0)
        l->ops->incoming(l);
}

/* ---------------------------------------------------------------------- open */

static void note_address(struct listener *l)
{
    struct sockaddr_storage bound;
    int len = sizeof(bound);
    char host[64] = "?";
    if (uv_tcp_getsockname(&l->uv.tcp, (struct sockaddr *)&bound, &len))
        return;
    IGNORE(uv_ip_name((struct sockaddr *)&bound, host, sizeof(host))); /* stays "?" */
    l->port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    snprintf(l->address, sizeof(l->address), bound.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u",
             host, l->port);
}

static int open_tcp(struct listener *l, const char *address, struct err *err)
{
    struct sockaddr_storage at;
    int rc = resolve(l, address, &at, err);
    if (rc)
        return rc;
    rc = uv_tcp_init(&l->loop->uv, &l->uv.tcp);
    if (rc)
        return err_set(err, rc, "cannot open a socket: %s", uv_strerror(rc));
    life_adopt(&l->life, &l->uv.handle);
    rc = uv_tcp_bind(&l->uv.tcp, (struct sockaddr *)&at, 0);
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    if (rc)
        return err_set(err, rc, "cannot listen on %s: %s%s", address, uv_strerror(rc),
                       rc == UV_EADDRINUSE ? " (is another nodey running?)" : "");
    note_address(l);
    return 0;
}

/* A socket file that nobody answers on was left by a process that was killed. */
static void remove_stale(const char *path)
{
    struct stat st;
    if (stat(path, &st) || !S_ISSOCK(st.st_mode))
        return;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static int open_unix(struct listener *l, const char *path, struct err *err)
{
    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return err_set(err, UV_ENAMETOOLONG, "cannot listen on unix:%s: the path is too long",
                       path);
    remove_stale(path);
    l->is_unix = true;
    int rc = uv_pipe_init(&l->loop->uv, &l->uv.pipe, 0);
    if (rc)
        return err_set(err, rc, "cannot open a socket: %s", uv_strerror(rc));
    life_adopt(&l->life, &l->uv.handle);
    rc = uv_pipe_bind(&l->uv.pipe, path);
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    if (rc)
        return err_set(err, rc, "cannot listen on unix:%s: %s", path, uv_strerror(rc));
    snprintf(l->address, sizeof(l->address), "unix:%s", path);
    return 0;
}

static void begin(struct listener *l, struct loop *loop, const struct listener_ops *ops)
{
    memset(l, 0, sizeof(*l));
    l->loop = loop;
    l->ops = ops;
    life_init(&l->life, on_gone);
}

/* What was not opened goes at once. */
static int settle(struct listener *l, int rc)
{
    if (rc) {
        l->closed = true;
        if (l->uv.handle.type)
            life_close(&l->uv.handle);
        life_drop(&l->life);
    }
    return rc;
}

int listener_open(struct listener *l, struct loop *loop, const char *address,
                  const struct listener_ops *ops, struct err *err)
{
    begin(l, loop, ops);
    bool is_unix = strncmp(address, "unix:", 5) == 0;
    return settle(l, is_unix ? open_unix(l, address + 5, err) : open_tcp(l, address, err));
}

/* ---------------------------------------------------------------------- take */

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

/* A name in the file system; one without a name has no address that could be told. */
static void note_path(struct listener *l, int fd)
{
    struct sockaddr_un at = {0};
    socklen_t len = sizeof(at);
    if (getsockname(fd, (struct sockaddr *)&at, &len) == 0)
        snprintf(l->address, sizeof(l->address), "unix:%.*s", (int)sizeof(at.sun_path),
                 at.sun_path);
}

/* `fd` is the handle's when this returns 0. */
static int adopt(struct listener *l, int fd, int domain)
{
    int rc;
    l->is_unix = domain == AF_UNIX;
    if (l->is_unix)
        rc = uv_pipe_init(&l->loop->uv, &l->uv.pipe, 0);
    else
        rc = uv_tcp_init(&l->loop->uv, &l->uv.tcp);
    if (rc)
        return rc;
    life_adopt(&l->life, &l->uv.handle);
    return l->is_unix ? uv_pipe_open(&l->uv.pipe, fd) : uv_tcp_open(&l->uv.tcp, fd);
}

static int take(struct listener *l, int fd, struct err *err)
{
    int domain = option_of(fd, SO_DOMAIN);
    bool fits = domain == AF_UNIX || domain == AF_INET || domain == AF_INET6;
    if (!fits || option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1) {
        close(fd);
        return err_set(err, UV_EINVAL,
                       "descriptor %d, which was passed, is no listening stream socket", fd);
    }
    int rc = adopt(l, fd, domain);
    if (rc) {
        close(fd);
        return err_set(err, rc, "cannot use the passed socket: %s", uv_strerror(rc));
    }
    rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    if (rc)
        return err_set(err, rc, "cannot listen on the passed socket: %s", uv_strerror(rc));
    if (l->is_unix)
        note_path(l, fd);
    else
        note_address(l);
    return 0;
}

int listener_take(struct listener *l, struct loop *loop, int fd, const struct listener_ops *ops,
                  struct err *err)
{
    begin(l, loop, ops);
    return settle(l, take(l, fd, err));
}

int listener_accept(struct listener *l, struct stream *s)
{
    int rc = uv_accept(&l->uv.stream, &s->uv.stream);
    if (rc == 0 && !l->is_unix)
        IGNORE(uv_tcp_nodelay(&s->uv.tcp, 1)); /* only slower */
    return rc;
}

bool listener_took_last(const struct stream *s, unsigned spare)
{
    int fd;
    struct rlimit limit;
    if (spare == 0 || uv_fileno(&s->uv.handle, &fd) || getrlimit(RLIMIT_NOFILE, &limit))
        return false;
    return (rlim_t)fd + spare >= limit.rlim_cur;
}

static bool backlog_waits(struct listener *l)
{
    int fd;
    if (uv_fileno(&l->uv.handle, &fd))
        return false;
    struct pollfd ask = {.fd = fd, .events = POLLIN};
    return poll(&ask, 1, 0) > 0;
}

static void close_when_empty(struct timer *timer)
{
    struct listener *l = container_of(timer, struct listener, backlog);
    if (l->looks++ < LOOKS_MAX && backlog_waits(l)) {
        timer_start(l->loop, &l->backlog, 1, close_when_empty);
        return;
    }
    life_close(&l->uv.handle);
    life_drop(&l->life);
}

void listener_close(struct listener *l)
{
    if (l->closed)
        return;
    l->closed = true;
    close_when_empty(&l->backlog);
}
