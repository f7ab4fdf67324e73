#include "app/passed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"

enum { FIRST = 3, PASSED_MAX = 256 };

/* How well one suits: the best is taken. */
enum fit { FIT_NOT, FIT_LISTENS, FIT_NAMED, FIT_BOUND };

static bool listens(int fd)
{
    int type = 0, accepts = 0;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) == 0 && accepts;
}

/* "unix:PATH", or a port, whatever the host: two sockets of one manager differ in more. */
static bool is_bound_to(int fd, const char *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
        struct sockaddr_storage space;
    } at = {0};

    socklen_t len = sizeof(at) - 1;
    uint64_t port;
    const char *colon = strrchr(address, ':');
    if (getsockname(fd, &at.any, &len))
        return false;
    if (at.any.sa_family == AF_UNIX)
        return strncmp(address, "unix:", 5) == 0 && strcmp(address + 5, at.path.sun_path) == 0;
    if (!slice_to_u64(slice_of(colon ? colon + 1 : address), UINT16_MAX, &port))
        return false;
    return ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port) == port;
}

/* The n-th of "a:b:c". */
static struct slice name_at(const char *names, size_t n)
{
    while (names && n--)
        names = strchr(names, ':') ? strchr(names, ':') + 1 : NULL;
    return (struct slice){names, names ? strcspn(names, ":") : 0};
}

static enum fit judge(int fd, struct slice name, const char *address)
{
    if (!listens(fd))
        return FIT_NOT;
    if (is_bound_to(fd, address))
        return FIT_BOUND;
    return slice_is(name, "nodey") || slice_is(name, "http") ? FIT_NAMED : FIT_LISTENS;
}

static size_t count_of(const char *pid, const char *fds)
{
    uint64_t number, count;
    if (!pid || !slice_to_u64(slice_of(pid), INT32_MAX, &number) ||
        number != (uint64_t)getpid())
        return 0;
    return fds && slice_to_u64(slice_of(fds), PASSED_MAX, &count) ? (size_t)count : 0;
}

static void tell(bool taken, size_t spare)
{
    if (taken)
        log_line(LOG_INFO, "nodey", "serving on a socket that was passed, not on a new one");
    if (spare)
        log_line(LOG_WARN, "nodey", "%zu further descriptors were passed, which are not used",
                 spare);
}

int passed_take(const char *address)
{
    size_t count = count_of(getenv("LISTEN_PID"), getenv("LISTEN_FDS"));
    const char *names = getenv("LISTEN_FDNAMES");
    enum fit best = FIT_NOT;
    int taken = -1;
    for (size_t i = 0; i < count; i++) {
        enum fit fit = judge(FIRST + (int)i, name_at(names, i), address);
        if (fit > best) {
            best = fit;
            taken = FIRST + (int)i;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (FIRST + (int)i != taken)
            close(FIRST + (int)i);
    if (taken >= 0)
        IGNORE(fcntl(taken, F_SETFD, FD_CLOEXEC)); /* fails for no descriptor that is open */
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    tell(taken >= 0, count - (taken >= 0));
    return taken;
}
