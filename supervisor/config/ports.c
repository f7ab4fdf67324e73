#include "config/ports.h"

#include <string.h>

static bool is_fixed(const struct worker_config *w)
{
    return w->is_service && w->port && w->port != PORT_AUTO;
}

static bool has_profile(const struct worker_config *w, const char *profile)
{
    for (size_t i = 0; i < w->profiles.count; i++)
        if (strcmp(w->profiles.items[i], profile) == 0)
            return true;
    return false;
}

/* Alternatives, of which one at a time is asked for, may share a port. */
static bool may_meet(const struct worker_config *a, const struct worker_config *b)
{
    if (!a->profiles.count || !b->profiles.count)
        return true;
    for (size_t i = 0; i < a->profiles.count; i++)
        if (has_profile(b, a->profiles.items[i]))
            return true;
    return false;
}

/*
 * The port of a listen address that takes it from programs of this machine, which listen on
 * loopback or everywhere; 0: it takes none.
 */
static uint64_t own_port(const char *listen)
{
    static const char *const hosts[] = {"",          "0.0.0.0", "[::]",
                                        "127.0.0.1", "[::1]",   "localhost"};
    const char *colon = strrchr(listen, ':');
    struct slice host = {listen, colon ? (size_t)(colon - listen) : 0};
    uint64_t port;
    if (!slice_to_u64(slice_of(colon ? colon + 1 : listen), UINT16_MAX, &port))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (slice_is(host, hosts[i]))
            return port;
    return 0;
}

static struct toml_place place_of(const struct port_origin *origin)
{
    return origin->value ? origin->value->at : origin->section;
}

int ports_check(const struct config *c, const struct port_origin *origins)
{
    const char *listen = c->listening ? c->listening : c->server.listen;
    uint64_t own = own_port(listen);
    for (size_t i = 0; i < c->worker_count; i++) {
        const struct worker_config *w = &c->workers[i];
        unsigned long long port = w->port;
        if (!is_fixed(w))
            continue;
        if (port == own)
            return reader_fail(
                origins[i].reader, place_of(&origins[i]),
                "port %llu of service %s is where nodey itself listens (%s \"%s\"): one of "
                "them must have another",
                port, w->name, c->listening ? "--listen" : "listen of [server] is", listen);
        for (size_t n = 0; n < i; n++)
            if (is_fixed(&c->workers[n]) && c->workers[n].port == port &&
                may_meet(w, &c->workers[n]))
                return reader_fail(origins[i].reader, place_of(&origins[i]),
                                   "port %llu is that of service %s already, and only one can "
                                   "listen there: give %s another, or \"auto\"",
                                   port, c->workers[n].name, w->name);
    }
    return 0;
}
