#include "http/request.h"

#include <stdio.h>

#include "http/field.h"
#include "http/path.h"

enum { FORWARDED_MAX = 16, CONNECTION_MAX = 32, ID_MAX = 128, LENGTH_TEXT = 24 };

static const struct slice content_length = {"content-length", 14};

static bool refuse(struct refusal *why, const char *detail)
{
    *why = (struct refusal){400, detail};
    return false;
}

/* ---------------------------------------------------------------- authority */

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~%!$&'()*+;=", c));
}

static bool port_valid(struct slice port)
{
    uint64_t number;
    return port.len == 0 || slice_to_u64(port, 65535, &number);
}

/* host [ ":" port ], without user information (RFC 9110, 4.2.4 and 7.2). */
static bool authority_valid(struct slice s)
{
    size_t len = 0;
    if (s.len && s.ptr[0] == '[') {
        const char *end = memchr(s.ptr, ']', s.len);
        struct ip ip;
        if (!end || !ip_parse((struct slice){s.ptr + 1, (size_t)(end - s.ptr) - 1}, &ip))
            return false;
        len = (size_t)(end - s.ptr) + 1;
    } else {
        while (len < s.len && is_host_char(s.ptr[len]))
            len++;
    }
    if (len == 0)
        return false;
    return len == s.len || (s.ptr[len] == ':' && port_valid(slice_from(s, len + 1)));
}

/* ------------------------------------------------------------------- target */

/* Cuts "?query" off. */
static void cut_query(struct slice *target, struct http_request *request)
{
    const char *mark = target->len ? memchr(target->ptr, '?', target->len) : NULL;
    if (!mark)
        return;
    size_t at = (size_t)(mark - target->ptr);
    request->has_query = true;
    request->query = slice_from(*target, at + 1);
    target->len = at;
}

static struct slice cut_scheme(struct slice target)
{
    struct slice plain = SLICE("http://");
    struct slice secure = SLICE("https://");
    if (target.len > plain.len && slice_eq_nocase((struct slice){target.ptr, plain.len}, plain))
        return slice_from(target, plain.len);
    if (target.len > secure.len &&
        slice_eq_nocase((struct slice){target.ptr, secure.len}, secure))
        return slice_from(target, secure.len);
    return SLICE("");
}

/* "http://host/path": leaves the path and sets the host. */
static bool cut_authority(struct slice *target, struct http_request *request)
{
    struct slice rest = cut_scheme(*target);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?')
        len++;
    request->host = (struct slice){rest.ptr, len};
    *target = slice_from(rest, len);
    return authority_valid(request->host);
}

static bool read_target(struct http_request *request, struct slice target, struct arena *arena,
                        struct refusal *why)
{
    bool is_options = slice_is(request->method, "OPTIONS");
    if (is_options && slice_is(target, "*")) {
        request->asterisk = true;
        request->path = target;
        return true;
    }
    if (target.ptr[0] != '/' && !cut_authority(&target, request))
        return refuse(why, "The request target is no path and no http URL.");
    cut_query(&target, request);
    if (target.len == 0) { /* "http://host" */
        request->asterisk = is_options && !request->has_query;
        request->path = request->asterisk ? SLICE("*") : SLICE("/");
        return true;
    }
    const char *fault = path_resolve(target, arena, &request->path);
    return fault ? refuse(why, fault) : true;
}

/*
 * Exactly one Host in HTTP/1.1, at most one in HTTP/1.0.  When the target names the
 * host as well, that is the one (RFC 9112, 3.2.2), also for whoever reads the field.
 */
static bool read_host(struct http_request *request, struct head *head, struct refusal *why)
{
    struct field *host = NULL;
    for (size_t i = 0; i < head->field_count; i++) {
        if (head->ids[i] != FIELD_HOST)
            continue;
        if (host)
            return refuse(why, "The request has more than one Host field.");
        host = &head->fields[i];
    }
    if (!host)
        return head->minor == 0 || refuse(why, "The request has no Host field.");
    if (!authority_valid(host->value))
        return refuse(why, "The Host field does not hold a host name.");
    if (request->host.len)
        host->value = request->host;
    else
        request->host = host->value;
    return true;
}

/* ------------------------------------------------------------------- fields */

/* Connection may name any field, but not take away what others rely on. */
static bool may_be_named(enum field_id id)
{
    return id != FIELD_HOST && id != FIELD_CONTENT_LENGTH && !field_is_forwarding(id);
}

static void mark_named(struct head *head, struct slice name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (may_be_named(head->ids[i]) && !field_is_hop(head->ids[i]) &&
            slice_eq_nocase(head->fields[i].name, name))
            head->ids[i] = FIELD_NAMED;
}

/* Each name is looked for in all fields, so their number is bounded. */
static bool read_connection(struct head *head, bool *upgrades, struct refusal *why)
{
    unsigned names = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (head->ids[i] != FIELD_CONNECTION)
            continue;
        struct slice rest = head->fields[i].value;
        struct slice item;
        while (list_take(&rest, &item)) {
            if (++names > CONNECTION_MAX)
                return refuse(why, "The Connection field names too many others.");
            if (slice_eq_nocase(item, SLICE("upgrade")))
                *upgrades = true;
            else if (!slice_eq_nocase(item, SLICE("keep-alive")) &&
                     !slice_eq_nocase(item, SLICE("close")))
                mark_named(head, item);
        }
    }
    return true;
}

/* The protocol that the client likes best.  Its field is not handed on, so it is ours. */
static struct slice read_upgrade(const struct head *head)
{
    struct slice first = {0};
    for (size_t i = 0; i < head->field_count && !first.len; i++) {
        struct slice rest = head->fields[i].value;
        if (head->ids[i] == FIELD_UPGRADE)
            IGNORE(!list_take(&rest, &first)); /* an empty list names none */
    }
    char *name = (char *)first.ptr;
    for (size_t i = 0; i < first.len; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] |= 0x20;
    return first;
}

static bool is_kept(const struct field *field, enum field_id id, bool trusted)
{
    if (field_is_hop(id) || id == FIELD_EXPECT || (field_is_forwarding(id) && !trusted))
        return false;
    return !memchr(field->name.ptr, '_', field->name.len);
}

static void filter_fields(struct http_request *request, struct head *head, bool trusted)
{
    size_t kept = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        struct field field = head->fields[i];
        enum field_id id = head->ids[i];
        if (id == FIELD_TRANSFER_ENCODING)
            head->fields[kept++] = (struct field){content_length, {0}};
        else if (is_kept(&field, id, trusted))
            head->fields[kept++] = field;
    }
    request->headers = head->fields;
    request->header_count = kept;
}

/* --------------------------------------------------------------- forwarding */

/* What may be believed in a log line and in a header field. */
static bool id_valid(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= ' ' || id.ptr[i] >= 0x7f || id.ptr[i] == '"' || id.ptr[i] == '\\')
            return false;
    return id.len > 0 && id.len <= ID_MAX;
}

/* The word of the nearest proxy: the last item. */
static bool says_https(struct slice value)
{
    struct slice last = {0};
    struct slice item;
    while (list_take(&value, &item))
        last = item;
    return slice_eq_nocase(last, SLICE("https"));
}

static void read_forwarding(struct http_request *request, const struct head *head,
                            const struct trust *trust, struct slice peer)
{
    struct slice chain[FORWARDED_MAX];
    size_t count = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice value = head->fields[i].value;
        switch (head->ids[i]) {
        case FIELD_X_FORWARDED_FOR:
            if (count == FORWARDED_MAX) { /* the last ones count */
                memmove(chain, chain + 1, sizeof(chain) - sizeof(chain[0]));
                count--;
            }
            chain[count++] = value;
            break;
        case FIELD_X_FORWARDED_PROTO:
            request->https = says_https(value);
            break;
        case FIELD_X_REQUEST_ID:
            if (id_valid(value))
                request->id = value;
            break;
        default:
            break;
        }
    }
    request->ip = forwarded_client(trust, peer, chain, count);
}

bool request_read(struct http_request *request, struct head *head, const struct peer *peer,
                  const struct trust *trust, struct slice id, struct arena *arena,
                  struct refusal *why)
{
    *request = (struct http_request){
        .method = head->method,
        .ip = peer->ip,
        .id = id,
        .version_minor = head->minor,
        .has_length = head->has_length,
        .length = head->length,
    };
    bool upgrades = false;
    if (!read_target(request, head->target, arena, why) || !read_host(request, head, why) ||
        !read_connection(head, &upgrades, why))
        return false;
    if (upgrades && head->minor > 0 && !head->chunked && head->length == 0)
        request->upgrade = read_upgrade(head);
    if (peer->trusted)
        read_forwarding(request, head, trust, peer->ip);
    filter_fields(request, head, peer->trusted);
    return true;
}

void request_set_length(struct http_request *request, struct arena *arena)
{
    char *text = arena_alloc(arena, LENGTH_TEXT);
    int len = snprintf(text, LENGTH_TEXT, "%zu", request->body.len);
    request->has_length = true;
    request->length = request->body.len;
    for (size_t i = 0; i < request->header_count; i++)
        if (slice_eq(request->headers[i].name, content_length))
            ((struct field *)request->headers)[i].value = (struct slice){text, (size_t)len};
}

void request_drop_length(struct http_request *request)
{
    struct field *fields = (struct field *)request->headers; /* ours: from the arena */
    size_t kept = 0;
    for (size_t i = 0; i < request->header_count; i++)
        if (!slice_eq(fields[i].name, content_length))
            fields[kept++] = fields[i];
    request->header_count = kept;
}
