#include "http/farewell.h"

enum { REFUSED_MAX = 256 /* connections that may be told that there are too many */ };

/* Closes the connection that has been idle for longest. */
static bool evict_idle(struct front *f)
{
    list_each (at, &f->idle) {
        struct conn *c = container_of(at, struct conn, node);
        if (stream_queued(&c->stream) == 0) {
            conn_close(c, false);
            return true;
        }
    }
    return false;
}

static bool peer_trusted(const struct conn *c, bool is_unix)
{
    struct ip ip;
    if (is_unix)
        return c->front->trust.unix_peers;
    return ip_parse(slice_of(c->ip), &ip) && trust_has(&c->front->trust, &ip);
}

void conn_accept(struct front *f, struct listener *listener)
{
    bool full = f->open >= f->limits.connections && !evict_idle(f);
    struct conn *c = conn_new(f, listener->is_unix);
    if (!c)
        return;
    if (listener_accept(listener, &c->stream)) {
        conn_close(c, false);
        return;
    }
    bool is_last = listener_took_last(&c->stream, f->limits.spare_files);
    if (is_last || (full && f->open > f->limits.connections + REFUSED_MAX)) {
        conn_close(c, true);
        return;
    }
    stream_peer(&c->stream, c->ip, sizeof(c->ip));
    c->trusted = peer_trusted(c, listener->is_unix);
    conn_start(c);
    if (full)
        farewell_refuse(
            c, &(struct refusal){503, "This server has as many connections as it accepts."},
            false);
}
