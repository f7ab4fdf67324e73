/*
 * wsload: a load generator for WebSockets that echo.
 *
 *   wsload [-c CONNECTIONS] [-k DEPTH] [-b BYTES] [-d SECONDS] HOST:PORT PATH
 *
 * Closed loop: each connection keeps DEPTH messages of BYTES bytes under way, and sends another
 * one for each that comes back.  One thread, epoll.  Prints one line of JSON; a message that
 * comes back as another one, or a connection that ends, is an error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CONNS = 4096,
    MAX_DEPTH = 256,
    MAX_BYTES = 1 << 20,
    MAX_HEAD = 14,
    MAX_SAMPLES = 4 << 20,
    EVENTS = 256,
};

struct conn {
    int fd;
    size_t at;               /* bytes of the echo under way that have come */
    uint64_t due[MAX_DEPTH]; /* when each message under way was sent, as a ring */
    unsigned first;
    size_t unsent; /* bytes of messages that the kernel did not take */
};

struct load {
    struct conn conns[MAX_CONNS];
    unsigned conn_count;
    unsigned depth;
    size_t bytes;
    double seconds;
    char *frame; /* a message as it is sent; its mask is zero, so that its text is plain */
    size_t frame_size;
    char *echo; /* and as it comes back */
    size_t echo_size;
    uint64_t messages;
    uint64_t errors;
    uint32_t *samples; /* microseconds */
    size_t sample_count;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "wsload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static size_t put_head(char *to, size_t bytes, bool masked)
{
    size_t size = 2;
    unsigned bit = masked ? 0x80 : 0;
    to[0] = (char)0x81;
    if (bytes < 126) {
        to[1] = (char)(bit | bytes);
    } else {
        size_t extra = bytes <= 0xFFFF ? 2 : 8;
        to[1] = (char)(bit | (extra == 2 ? 126 : 127));
        for (size_t i = 0; i < extra; i++)
            to[2 + i] = (char)((uint64_t)bytes >> (8 * (extra - 1 - i)));
        size += extra;
    }
    if (masked) {
        memset(to + size, 0, 4);
        size += 4;
    }
    return size;
}

static void make_frames(struct load *l)
{
    l->frame = malloc(MAX_HEAD + l->bytes);
    l->echo = malloc(MAX_HEAD + l->bytes);
    size_t head = put_head(l->frame, l->bytes, true);
    memset(l->frame + head, 'x', l->bytes);
    l->frame_size = head + l->bytes;
    head = put_head(l->echo, l->bytes, false);
    memset(l->echo + head, 'x', l->bytes);
    l->echo_size = head + l->bytes;
}

/* Blocking; returns a socket on which the handshake is done. */
static int open_socket(const struct sockaddr_in *to, const char *host, const char *path)
{
    char text[1024];
    size_t have = 0;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    int len = snprintf(text, sizeof(text),
                       "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
                       "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                       path, host);
    if (write(fd, text, (size_t)len) != len)
        die("write");
    do {
        ssize_t n = read(fd, text + have, sizeof(text) - 1 - have);
        if (n <= 0)
            die("read");
        have += (size_t)n;
        text[have] = '\0';
    } while (!strstr(text, "\r\n\r\n"));
    if (strncmp(text, "HTTP/1.1 101 ", 13) != 0) {
        fprintf(stderr, "wsload: refused: %.*s\n", (int)strcspn(text, "\r"), text);
        exit(1);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void flush_unsent(struct load *l, struct conn *c)
{
    while (c->unsent) {
        size_t begin = (l->frame_size - c->unsent % l->frame_size) % l->frame_size;
        ssize_t n = write(c->fd, l->frame + begin, l->frame_size - begin);
        if (n <= 0)
            return; /* the next event tries again */
        c->unsent -= (size_t)n;
    }
}

static void answered(struct load *l, struct conn *c, uint64_t now)
{
    uint64_t us = (now - c->due[c->first]) / 1000;
    if (l->sample_count < MAX_SAMPLES)
        l->samples[l->sample_count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    l->messages++;
    c->due[c->first] = now; /* of the one that is sent in its place */
    c->first = (c->first + 1) % l->depth;
    c->unsent += l->frame_size;
}

/* False: the connection is of no more use. */
static bool take(struct load *l, struct conn *c, const char *bytes, size_t len)
{
    uint64_t now = now_ns();
    while (len) {
        size_t step = l->echo_size - c->at < len ? l->echo_size - c->at : len;
        if (memcmp(l->echo + c->at, bytes, step) != 0)
            return false;
        bytes += step;
        len -= step;
        c->at = (c->at + step) % l->echo_size;
        if (c->at == 0)
            answered(l, c, now);
    }
    flush_unsent(l, c);
    return true;
}

static void on_event(struct load *l, struct conn *c)
{
    static char bytes[1 << 18];
    ssize_t n = read(c->fd, bytes, sizeof(bytes));
    if (n < 0 && errno == EAGAIN) {
        flush_unsent(l, c);
    } else if (n <= 0 || !take(l, c, bytes, (size_t)n)) {
        l->errors++;
        close(c->fd);
    }
}

static void run(struct load *l, int epoll)
{
    struct epoll_event events[EVENTS];
    uint64_t end = now_ns() + (uint64_t)(l->seconds * 1e9);
    for (unsigned i = 0; i < l->conn_count; i++) {
        struct conn *c = &l->conns[i];
        for (unsigned k = 0; k < l->depth; k++)
            c->due[k] = now_ns();
        c->unsent = l->depth * l->frame_size;
        flush_unsent(l, c);
    }
    while (now_ns() < end) {
        int n = epoll_wait(epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++)
            on_event(l, events[i].data.ptr);
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void report(struct load *l)
{
    qsort(l->samples, l->sample_count, sizeof(*l->samples), compare);
    size_t n = l->sample_count;
    printf("{\"messages\":%llu,\"errors\":%llu,\"rate\":%.1f,\"p50_us\":%u,\"p99_us\":%u}\n",
           (unsigned long long)l->messages, (unsigned long long)l->errors,
           (double)l->messages / l->seconds, n ? l->samples[n / 2] : 0,
           n ? l->samples[n * 99 / 100] : 0);
}

static void parse(struct load *l, int argc, char **argv)
{
    int option;
    *l = (struct load){.conn_count = 64, .depth = 1, .bytes = 32, .seconds = 3};
    while ((option = getopt(argc, argv, "c:k:b:d:")) != -1) {
        double value = optarg ? atof(optarg) : 0;
        if (option == 'c' && value >= 1 && value <= MAX_CONNS)
            l->conn_count = (unsigned)value;
        else if (option == 'k' && value >= 1 && value <= MAX_DEPTH)
            l->depth = (unsigned)value;
        else if (option == 'b' && value >= 0 && value <= MAX_BYTES)
            l->bytes = (size_t)value;
        else if (option == 'd' && value > 0)
            l->seconds = value;
        else
            exit(2);
    }
    if (argc - optind != 2) {
        fputs("usage: wsload [-c N] [-k DEPTH] [-b BYTES] [-d SECONDS] HOST:PORT PATH\n",
              stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct load l;
    struct sockaddr_in to = {.sin_family = AF_INET};
    char host[64];
    parse(&l, argc, argv);
    snprintf(host, sizeof(host), "%s", argv[optind]);
    char *port = strchr(host, ':');
    if (!port)
        die("no port");
    *port = '\0';
    to.sin_port = htons((uint16_t)atoi(port + 1));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        die("address");
    make_frames(&l);
    l.samples = malloc(MAX_SAMPLES * sizeof(*l.samples));
    int epoll = epoll_create1(0);
    for (unsigned i = 0; i < l.conn_count; i++) {
        struct conn *c = &l.conns[i];
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        c->fd = open_socket(&to, host, argv[optind + 1]);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
            die("epoll_ctl");
    }
    run(&l, epoll);
    report(&l);
    return 0;
}
