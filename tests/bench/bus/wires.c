/* The wires of Redis (RESP2) and NATS (with JetStream), as far as publishing needs them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

/* The end of the line that begins at `from`, past its CR LF; 0 = it is not whole. */
static size_t line_end(const struct bytes *in, size_t from)
{
    const char *end = from < in->len ? memchr(in->at + from, '\n', in->len - from) : NULL;
    return end ? (size_t)(end - in->at) + 1 : 0;
}

/* The first whole line is the server's word of an error: ends the program with it. */
static void refuse(const struct peer *p, size_t end)
{
    die("the server answers %.*s", (int)end, p->in.at);
}

/* ------------------------------------------------------------------------- Redis */

static void redis_greet(struct peer *p)
{
    (void)p;
}

static void redis_publish(struct peer *p, const char *data, size_t size)
{
    bytes_print(&p->out,
                "*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\ndata\r\n$%zu\r\n", size);
    bytes_add(&p->out, data, size);
    bytes_add(&p->out, "\r\n", 2);
}

/* An answer is the length of an entry's id and the id: two lines. */
static void redis_answered(struct peer *p)
{
    size_t done = 0, first, second;
    while ((first = line_end(&p->in, done)) && (second = line_end(&p->in, first))) {
        if (p->in.at[done] != '$')
            refuse(p, second);
        peer_stored(p, p->stored);
        done = second;
    }
    if (p->in.len && p->in.at[0] == '-')
        refuse(p, p->in.len);
    bytes_drop(&p->in, done);
}

const struct wire wire_redis = {"redis", redis_greet, redis_publish, redis_answered};

/* -------------------------------------------------------------------------- NATS */

static size_t nats_line(struct peer *p)
{
    size_t end;
    while (!(end = line_end(&p->in, 0)))
        peer_read(p);
    return end;
}

/* The stream of all connections: the first one makes it, for the others it is the same. */
static void nats_greet(struct peer *p)
{
    static const char stream[] =
        "{\"name\":\"events\",\"subjects\":[\"events.>\"],\"storage\":\"file\","
        "\"retention\":\"limits\",\"discard\":\"new\",\"max_msgs\":-1,\"max_bytes\":-1,"
        "\"max_consumers\":-1,\"max_age\":0,\"num_replicas\":1}";
    bytes_drop(&p->in, nats_line(p)); /* INFO */
    bytes_print(&p->out,
                "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"
                "SUB _INBOX.%u.* 1\r\n"
                "PUB $JS.API.STREAM.CREATE.events _INBOX.%u.made %zu\r\n%s\r\n",
                p->number, p->number, sizeof(stream) - 1, stream);
    peer_flush(p);
    bytes_drop(&p->in, nats_line(p)); /* MSG */
    size_t end = nats_line(p);
    p->in.at[end - 1] = '\0';
    if (strstr(p->in.at, "\"error\""))
        refuse(p, end);
    bytes_drop(&p->in, end);
}

static void nats_publish(struct peer *p, const char *data, size_t size)
{
    bytes_print(&p->out, "PUB events.a _INBOX.%u.%" PRIu64 " %zu\r\n", p->number, p->sent,
                size);
    bytes_add(&p->out, data, size);
    bytes_add(&p->out, "\r\n", 2);
}

static void nats_take(struct peer *p, char *head, char *body)
{
    if (strncmp(body, "{\"stream\"", 9) != 0)
        die("nats-server answers %s", body);
    char *number = strchr(head + strlen("MSG _INBOX."), '.');
    peer_stored(p, number ? strtoull(number + 1, NULL, 10) : p->stored);
}

/* MSG subject sid size, and the body in a line of its own. */
static void nats_answered(struct peer *p)
{
    size_t done = 0, first, second;
    while ((first = line_end(&p->in, done))) {
        char *head = p->in.at + done;
        if (strncmp(head, "MSG ", 4) == 0) {
            if (!(second = line_end(&p->in, first)))
                break;
            p->in.at[second - 1] = '\0';
            nats_take(p, head, p->in.at + first);
            done = second;
            continue;
        }
        if (strncmp(head, "PING", 4) == 0)
            bytes_print(&p->out, "PONG\r\n");
        else if (*head == '-')
            refuse(p, first);
        done = first;
    }
    bytes_drop(&p->in, done);
}

const struct wire wire_nats = {"nats", nats_greet, nats_publish, nats_answered};
