/*
 * peer: publishes to redis-server, nats-server or rabbitmq-server over plain sockets.
 *
 *   peer redis|nats|amqp PORT CONNECTIONS DEPTH BYTES SECONDS [QUEUE-TYPE]
 *
 * A closed loop: on each connection DEPTH messages are unanswered at any time, and one counts
 * when the server says that it has it.  Prints what nodey's worker does, as a line of JSON.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, READ_BYTES = 1 << 16, PATIENCE_MS = 10000 };

static const struct wire *const wires[] = {&wire_redis, &wire_nats, &wire_amqp};

void peer_flush(struct peer *p)
{
    size_t done = 0;
    while (done < p->out.len) {
        ssize_t n = write(p->fd, p->out.at + done, p->out.len - done);
        if (n < 0 && errno != EINTR)
            die("the server closed the connection");
        done += n > 0 ? (size_t)n : 0;
    }
    p->out.len = 0;
}

void peer_read(struct peer *p)
{
    char piece[READ_BYTES];
    ssize_t n = read(p->fd, piece, sizeof(piece));
    if (n <= 0)
        die("the server closed the connection: %.*s", (int)p->in.len, p->in.at ? p->in.at : "");
    bytes_add(&p->in, piece, (size_t)n);
}

static void connect_to(struct peer *p, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect to port %d: %s", port, strerror(errno));
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void publish(struct peer *p)
{
    static char payload[PAYLOAD_MAX];
    uint64_t now = now_ns();
    payload_write(payload, p->run->size, now, 0);
    p->sent_ns[p->sent % DEPTH_MAX] = now;
    p->run->wire->publish(p, payload, p->run->size);
    p->sent++;
}

void peer_stored(struct peer *p, uint64_t number)
{
    struct run *run = p->run;
    uint64_t *sent_ns = &p->sent_ns[number % DEPTH_MAX];
    if (!*sent_ns)
        return;
    hist_add(&run->latency, now_ns() - *sent_ns);
    *sent_ns = 0;
    run->stored++;
    p->stored++;
    if (now_ns() < run->until_ns)
        publish(p);
}

static bool is_done(const struct run *run, const struct peer *peers)
{
    for (unsigned i = 0; i < run->connections; i++)
        if (peers[i].stored < peers[i].sent)
            return false;
    return true;
}

static void turn(struct run *run, struct peer *peers)
{
    struct pollfd polls[CONNECTIONS_MAX];
    for (unsigned i = 0; i < run->connections; i++)
        polls[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
    if (poll(polls, run->connections, PATIENCE_MS) <= 0)
        die("no answer within %d ms", PATIENCE_MS);
    for (unsigned i = 0; i < run->connections; i++)
        if (polls[i].revents) {
            peer_read(&peers[i]);
            run->wire->answered(&peers[i]);
            peer_flush(&peers[i]);
        }
}

static void publish_all(struct run *run, struct peer *peers, double seconds)
{
    double cpu = own_cpu_seconds();
    uint64_t begun = now_ns();
    run->until_ns = begun + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < run->connections; i++) {
        for (unsigned n = 0; n < run->depth; n++)
            publish(&peers[i]);
        peer_flush(&peers[i]);
    }
    while (!is_done(run, peers))
        turn(run, peers);
    double took = (double)(now_ns() - begun) / 1e9;
    const struct hist *h = &run->latency;
    printf("{\"stored\":%llu,\"seconds\":%.6f,\"per_second\":%.1f,\"p50_us\":%.1f,"
           "\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"client_cpu\":%.3f}\n",
           (unsigned long long)run->stored, took, (double)run->stored / took, hist_us(h, 50),
           hist_us(h, 99), hist_us(h, 99.9), (double)h->max / 1e3,
           (own_cpu_seconds() - cpu) / took);
}

int main(int argc, char **argv)
{
    static struct run run;
    static struct peer peers[CONNECTIONS_MAX];
    if (argc < 7)
        die("peer redis|nats|amqp PORT CONNECTIONS DEPTH BYTES SECONDS [QUEUE-TYPE]");
    for (size_t i = 0; i < sizeof(wires) / sizeof(*wires); i++)
        if (strcmp(wires[i]->name, argv[1]) == 0)
            run.wire = wires[i];
    run.connections = (unsigned)atoi(argv[3]);
    run.depth = (unsigned)atoi(argv[4]);
    run.size = (size_t)atoi(argv[5]);
    run.queue_type = argc > 7 ? argv[7] : "quorum";
    if (!run.wire || !run.connections || run.connections > CONNECTIONS_MAX || !run.depth ||
        run.depth > DEPTH_MAX || run.size < 48 || run.size > PAYLOAD_MAX)
        die("not one of these wires, or a number out of its bounds");
    for (unsigned i = 0; i < run.connections; i++) {
        peers[i].run = &run;
        peers[i].number = i;
        connect_to(&peers[i], atoi(argv[2]));
        run.wire->greet(&peers[i]);
    }
    publish_all(&run, peers, atof(argv[6]));
    return 0;
}
