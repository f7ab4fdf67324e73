/* The wire of RabbitMQ, AMQP 0-9-1: persistent messages to a durable queue, with confirms. */
#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#include "peer.h"

enum {
    METHOD = 1,
    HEADER = 2,
    BODY = 3,
    HEARTBEAT = 8,
    FRAME_HEAD = 7,
    FRAME_END = 0xCE,
    CONNECTION_TUNE = 10 << 16 | 30,
    CONNECTION_OPEN_OK = 10 << 16 | 41,
    CHANNEL_OPEN_OK = 20 << 16 | 11,
    QUEUE_DECLARE_OK = 50 << 16 | 11,
    CONNECTION_START = 10 << 16 | 10,
    BASIC_ACK = 60 << 16 | 80,
    CONFIRM_SELECT_OK = 85 << 16 | 11,
};

static void put8(struct bytes *b, unsigned value)
{
    uint8_t v = (uint8_t)value;
    bytes_add(b, &v, 1);
}

static void put16(struct bytes *b, unsigned value)
{
    uint16_t v = htons((uint16_t)value);
    bytes_add(b, &v, 2);
}

static void put32(struct bytes *b, uint32_t value)
{
    uint32_t v = htonl(value);
    bytes_add(b, &v, 4);
}

static void put_short(struct bytes *b, const char *text)
{
    put8(b, (unsigned)strlen(text));
    bytes_add(b, text, strlen(text));
}

static void put_long(struct bytes *b, const char *text, size_t size)
{
    put32(b, (uint32_t)size);
    bytes_add(b, text, size);
}

/* Returns where its size is to be written by end_frame(). */
static size_t begin_frame(struct bytes *b, unsigned type, unsigned channel)
{
    put8(b, type);
    put16(b, channel);
    put32(b, 0);
    return b->len;
}

static size_t begin_method(struct bytes *b, unsigned channel, unsigned class, unsigned method)
{
    size_t at = begin_frame(b, METHOD, channel);
    put16(b, class);
    put16(b, method);
    return at;
}

static void end_frame(struct bytes *b, size_t from)
{
    uint32_t size = htonl((uint32_t)(b->len - from));
    memcpy(b->at + from - 4, &size, 4);
    put8(b, FRAME_END);
}

/* The size of the whole frame at `from`; 0 = it is not whole. */
static size_t frame_size(const struct bytes *in, size_t from)
{
    uint32_t size;
    if (in->len - from < FRAME_HEAD)
        return 0;
    memcpy(&size, in->at + from + 3, 4);
    size_t whole = FRAME_HEAD + (size_t)ntohl(size) + 1;
    return in->len - from < whole ? 0 : whole;
}

/* Class and method of the frame, or 0 when it is no method. */
static uint32_t method_of(const struct bytes *in, size_t from)
{
    uint32_t method;
    memcpy(&method, in->at + from + FRAME_HEAD, 4);
    return in->at[from] == METHOD ? ntohl(method) : 0;
}

/* Sends what there is and waits for that method; anything else is an error. */
static void call(struct peer *p, uint32_t wanted)
{
    size_t size;
    peer_flush(p);
    while (!(size = frame_size(&p->in, 0)))
        peer_read(p);
    if (method_of(&p->in, 0) != wanted)
        die("rabbitmq-server answers %.*s", (int)size - FRAME_HEAD - 6,
            p->in.at + FRAME_HEAD + 6);
    bytes_drop(&p->in, size);
}

static void amqp_open(struct peer *p)
{
    struct bytes *out = &p->out;
    bytes_add(out, "AMQP\0\0\11\1", 8);
    call(p, CONNECTION_START);
    size_t at = begin_method(out, 0, 10, 11); /* start-ok */
    put32(out, 0);
    put_short(out, "PLAIN");
    put_long(out, "\0guest\0guest", 12);
    put_short(out, "en_US");
    end_frame(out, at);
    call(p, CONNECTION_TUNE);
    at = begin_method(out, 0, 10, 31); /* tune-ok: no heartbeats */
    put16(out, 16);
    put32(out, 131072);
    put16(out, 0);
    end_frame(out, at);
    at = begin_method(out, 0, 10, 40); /* open */
    put_short(out, "/");
    put_short(out, "");
    put8(out, 0);
    end_frame(out, at);
    call(p, CONNECTION_OPEN_OK);
}

static void amqp_greet(struct peer *p)
{
    struct bytes *out = &p->out;
    amqp_open(p);
    size_t at = begin_method(out, 1, 20, 10); /* channel.open */
    put_short(out, "");
    end_frame(out, at);
    call(p, CHANNEL_OPEN_OK);
    at = begin_method(out, 1, 50, 10); /* queue.declare, named after its type */
    put16(out, 0);
    put_short(out, p->run->queue_type);
    put8(out, 2); /* durable */
    size_t arguments = out->len;
    put32(out, 0);
    put_short(out, "x-queue-type");
    put8(out, 'S');
    put_long(out, p->run->queue_type, strlen(p->run->queue_type));
    uint32_t size = htonl((uint32_t)(out->len - arguments - 4));
    memcpy(out->at + arguments, &size, 4);
    end_frame(out, at);
    call(p, QUEUE_DECLARE_OK);
    at = begin_method(out, 1, 85, 10); /* confirm.select */
    put8(out, 0);
    end_frame(out, at);
    call(p, CONFIRM_SELECT_OK);
}

static void amqp_publish(struct peer *p, const char *data, size_t size)
{
    struct bytes *out = &p->out;
    size_t at = begin_method(out, 1, 60, 40);
    put16(out, 0);
    put_short(out, ""); /* the default exchange: the key is the queue's name */
    put_short(out, p->run->queue_type);
    put8(out, 0);
    end_frame(out, at);
    at = begin_frame(out, HEADER, 1);
    put16(out, 60);
    put16(out, 0);
    put32(out, 0);
    put32(out, (uint32_t)size);
    put16(out, 1 << 12); /* the one property: */
    put8(out, 2);        /* delivery-mode, persistent */
    end_frame(out, at);
    at = begin_frame(out, BODY, 1);
    bytes_add(out, data, size);
    end_frame(out, at);
}

/* Tags begin at 1; with `multiple` it is all up to this one. */
static void on_ack(struct peer *p, const char *body)
{
    uint64_t tag;
    memcpy(&tag, body, 8);
    tag = be64toh(tag);
    if (!body[8]) {
        peer_stored(p, tag - 1);
        return;
    }
    while (p->floor < tag)
        peer_stored(p, p->floor++);
}

static void amqp_answered(struct peer *p)
{
    size_t done = 0, size;
    while ((size = frame_size(&p->in, done))) {
        if (method_of(&p->in, done) == BASIC_ACK)
            on_ack(p, p->in.at + done + FRAME_HEAD + 4);
        else if (p->in.at[done] != HEARTBEAT)
            die("rabbitmq-server answers %.*s", (int)size - FRAME_HEAD - 6,
                p->in.at + done + FRAME_HEAD + 6);
        done += size;
    }
    bytes_drop(&p->in, done);
}

const struct wire wire_amqp = {"amqp", amqp_greet, amqp_publish, amqp_answered};
