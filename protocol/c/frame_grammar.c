#include "protocol/c/frame_grammar.h"

#include "base/base64.h"

#define MAX_INT ((UINT64_C(1) << 53) - 1) /* what every JSON library can count to */

enum { TOKEN_MAX = 128 };

static const struct slice member_names[MEMBERS] = {
    [M_ID] = {"id", 2},
    [M_TYPE] = {"type", 4},
    [M_STATUS] = {"status", 6},
    [M_HEADERS] = {"headers", 7},
    [M_BODY] = {"body", 4},
    [M_JSON] = {"json", 4},
    [M_BODY64] = {"body64", 6},
    [M_MORE] = {"more", 4},
    [M_BYTES] = {"bytes", 5},
    [M_VALUE] = {"value", 5},
    [M_TRAILERS] = {"trailers", 8},
    [M_TOKEN] = {"token", 5},
    [M_ARGS] = {"args", 4},
    [M_FOR] = {"for", 3},
    [M_TIMEOUT] = {"timeout", 7},
    [M_REASON] = {"reason", 6},
    [M_FILE] = {"file", 4},
    [M_OFFSET] = {"offset", 6},
    [M_LENGTH] = {"length", 6},
    [M_CODE] = {"code", 4},
    [M_MESSAGE] = {"message", 7},
    [M_STACK] = {"stack", 5},
    [M_DATA] = {"data", 4},
    [M_LEVEL] = {"level", 5},
    [M_FIELDS] = {"fields", 6},
    [M_RSS] = {"rss", 3},
    [M_GRACE] = {"grace", 5},
    [M_INFLIGHT] = {"inflight", 8},
    [M_TOPIC] = {"topic", 5},
    [M_QUEUE] = {"queue", 5},
    [M_KEY] = {"key", 3},
    [M_MSGID] = {"msgid", 5},
    [M_AT] = {"at", 2},
    [M_DELAY] = {"delay", 5},
    [M_PUBLISH] = {"publish", 7},
    [M_DEAD] = {"dead", 4},
    [M_ERROR] = {"error", 5},
    [M_GROUP] = {"group", 5},
    [M_TO] = {"to", 2},
    [M_CAUSE] = {"cause", 5},
    [M_CORRELATION] = {"correlation", 11},
    [M_TRACEPARENT] = {"traceparent", 11},
};

/* How a member is read, and with that the type of what `offset` names in struct frame. */
enum how {
    AS_ANY,     /* struct json_value */
    AS_STRING,  /* struct json_value */
    AS_BASE64,  /* struct json_value */
    AS_TOKEN,   /* struct json_value */
    AS_HEADERS, /* struct json_value */
    AS_PATH,    /* struct json_value */
    AS_STATUS,  /* uint64_t */
    AS_INTERIM, /* uint64_t */
    AS_CLOSE,   /* uint64_t */
    AS_COUNT,   /* uint64_t */
    AS_SOME,    /* uint64_t, not 0 */
    AS_BOOL,    /* bool */
    AS_ID,      /* struct frame_id */
    AS_TEXTS,   /* struct json_value: an object of strings */
    AS_KEY,     /* struct json_value: a string, or null */
    AS_ARRAY,   /* struct json_value */
    AS_OBJECT,  /* struct json_value */
    AS_START,   /* struct frame_start */
};

struct rule {
    enum member member;
    enum how how;
    size_t offset;
    bool needed;
    const char *fault;
};

#define INTO(field) offsetof(struct frame, field)

static const char status_fault[] = "status must be a whole number 100 to 999";
static const char message_fault[] = "message must be a string";
static const char reason_fault[] = "reason must be a string";
static const char headers_fault[] =
    "headers must be an object of strings and arrays of strings";
static const char body_fault[] = "body must be a string; other values go as json";
static const char piece_fault[] = "body must be a string";
static const char base64_fault[] = "body64 must be padded standard base64";

static const struct rule response_rules[] = {
    {M_STATUS, AS_STATUS, INTO(status), false, status_fault},
    {M_HEADERS, AS_HEADERS, INTO(headers), false, headers_fault},
    {M_BODY, AS_STRING, INTO(body), false, body_fault},
    {M_BODY64, AS_BASE64, INTO(body), false, base64_fault},
    {M_JSON, AS_ANY, INTO(body), false, NULL},
    {M_REASON, AS_STRING, INTO(reason), false, reason_fault},
    {M_MORE, AS_BOOL, INTO(more), false, "more must be true or false"},
    {M_FILE, AS_PATH, INTO(file), false, "file must be an absolute path"},
    {M_OFFSET, AS_COUNT, INTO(offset), false, "offset must be a whole number of bytes"},
    {M_LENGTH, AS_COUNT, INTO(length), false, "length must be a whole number of bytes"},
};

/* A chunk and a message; grammar_apply() knows that there must be one of the two. */
static const struct rule piece_rules[] = {
    {M_BODY, AS_STRING, INTO(body), false, piece_fault},
    {M_BODY64, AS_BASE64, INTO(body), false, base64_fault},
};

static const struct rule end_rules[] = {
    {M_BODY, AS_STRING, INTO(body), false, piece_fault},
    {M_BODY64, AS_BASE64, INTO(body), false, base64_fault},
    {M_TRAILERS, AS_HEADERS, INTO(headers), false,
     "trailers must be an object of strings and arrays of strings"},
    {M_CODE, AS_CLOSE, INTO(close_code), false, "an end's code must be 1000 to 4999"},
    {M_REASON, AS_STRING, INTO(reason), false, reason_fault},
};

static const struct rule credit_rules[] = {
    {M_BYTES, AS_SOME, INTO(bytes), true, "bytes must be a whole number from 1"},
};

static const struct rule info_rules[] = {
    {M_STATUS, AS_INTERIM, INTO(status), true,
     "an interim status must be a whole number 102 to 199"},
    {M_HEADERS, AS_HEADERS, INTO(headers), false, headers_fault},
};

static const struct rule error_rules[] = {
    {M_CODE, AS_STRING, INTO(code), false, "code must be a string"},
    {M_MESSAGE, AS_STRING, INTO(message), false, message_fault},
    {M_STATUS, AS_STATUS, INTO(status), false, status_fault},
    {M_STACK, AS_STRING, INTO(stack), false, "stack must be a string"},
    {M_DATA, AS_ANY, INTO(data), false, NULL},
};

static const struct rule ask_rules[] = {
    {M_TOKEN, AS_TOKEN, INTO(token), true, "token must be a string of 1 to 128 bytes"},
    {M_TIMEOUT, AS_COUNT, INTO(timeout_ms), false, "timeout must be whole milliseconds"},
    {M_FOR, AS_ID, INTO(for_id), false, "for must be the id of what is being served"},
    {M_ARGS, AS_ANY, INTO(payload), false, NULL},
};

static const struct rule answer_rules[] = {
    {M_VALUE, AS_ANY, INTO(payload), false, NULL},
};

static const struct rule cancel_rules[] = {
    {M_REASON, AS_STRING, INTO(reason), false, reason_fault},
};

static const struct rule pong_rules[] = {
    {M_INFLIGHT, AS_COUNT, INTO(inflight), false, "inflight must be a whole number"},
    {M_RSS, AS_COUNT, INTO(rss), false, "rss must be a whole number of bytes"},
};

static const struct rule log_rules[] = {
    {M_LEVEL, AS_STRING, INTO(level), false, "level must be a string"},
    {M_MESSAGE, AS_STRING, INTO(message), false, message_fault},
    {M_FIELDS, AS_ANY, INTO(payload), false, NULL},
};

static const struct rule drain_rules[] = {
    {M_GRACE, AS_COUNT, INTO(grace_ms), false, "grace must be whole milliseconds"},
};

/* What is published, by itself and with an ack; grammar_apply() knows of topic and queue. */
static const struct rule publish_rules[] = {
    {M_TOPIC, AS_STRING, INTO(topic), false, "topic must be a string"},
    {M_QUEUE, AS_STRING, INTO(queue), false, "queue must be a string"},
    {M_KEY, AS_KEY, INTO(key), false, "key must be a string, or null for none"},
    {M_MSGID, AS_STRING, INTO(msgid), false, "msgid must be a string"},
    {M_AT, AS_COUNT, INTO(at_ms), false, "at must be whole milliseconds since 1970"},
    {M_DELAY, AS_COUNT, INTO(delay_ms), false, "delay must be whole milliseconds from now"},
    {M_HEADERS, AS_TEXTS, INTO(headers), false, "headers must be an object of strings"},
    {M_FOR, AS_ID, INTO(for_id), false, "for must be the id of what is being served"},
    {M_CAUSE, AS_STRING, INTO(cause), false, "cause must be a string, the id of an event"},
    {M_CORRELATION, AS_STRING, INTO(correlation), false, "correlation must be a string"},
    {M_TRACEPARENT, AS_STRING, INTO(traceparent), false, "traceparent must be a string"},
    {M_DATA, AS_ANY, INTO(data), false, NULL},
};

static const struct rule ack_rules[] = {
    {M_PUBLISH, AS_ARRAY, INTO(outputs), false, "publish must be an array of objects"},
};

static const struct rule nack_rules[] = {
    {M_DELAY, AS_COUNT, INTO(delay_ms), false, "delay must be whole milliseconds"},
    {M_DEAD, AS_BOOL, INTO(dead), false, "dead must be true or false"},
    {M_ERROR, AS_OBJECT, INTO(failure), false,
     "error must be an object with name, message and stack"},
};

static const struct rule seek_rules[] = {
    {M_GROUP, AS_STRING, INTO(group), true, "group must be a string"},
    {M_TO, AS_START, INTO(to), true,
     "to must be \"first\", \"new\", {\"seq\":n} or {\"time\":ms}"},
};

#define RULES(rules) rules, ARRAY_LEN(rules)

const struct grammar grammar_of_output = {"publish", FRAME_PUBLISH, ID_OPTIONAL,
                                          RULES(publish_rules)};

const struct grammar grammar_of_response = {"", FRAME_RESPONSE, ID_OURS, RULES(response_rules)};

static const struct grammar unknown_grammar = {"", FRAME_UNKNOWN, ID_OPTIONAL, NULL, 0};

static const struct grammar typed_grammars[] = {
    {"chunk", FRAME_CHUNK, ID_OURS, RULES(piece_rules)},
    {"end", FRAME_END, ID_OURS, RULES(end_rules)},
    {"credit", FRAME_CREDIT, ID_OURS, RULES(credit_rules)},
    {"message", FRAME_MESSAGE, ID_OURS, RULES(piece_rules)},
    {"info", FRAME_INFO, ID_OURS, RULES(info_rules)},
    {"answer", FRAME_ANSWER, ID_OURS, RULES(answer_rules)},
    {"ask", FRAME_ASK, ID_WORKERS, RULES(ask_rules)},
    {"error", FRAME_ERROR, ID_OURS_OR_NULL, RULES(error_rules)},
    {"pong", FRAME_PONG, ID_OURS, RULES(pong_rules)},
    {"log", FRAME_LOG, ID_OPTIONAL, RULES(log_rules)},
    {"ready", FRAME_READY, ID_OPTIONAL, NULL, 0},
    {"cancel", FRAME_CANCEL, ID_WORKERS, RULES(cancel_rules)},
    {"drain", FRAME_DRAIN, ID_OPTIONAL, RULES(drain_rules)},
    {"publish", FRAME_PUBLISH, ID_WORKERS_OR_NONE, RULES(publish_rules)},
    {"ack", FRAME_ACK, ID_OURS, RULES(ack_rules)},
    {"nack", FRAME_NACK, ID_OURS, RULES(nack_rules)},
    {"progress", FRAME_PROGRESS, ID_OURS, NULL, 0},
    {"seek", FRAME_SEEK, ID_WORKERS, RULES(seek_rules)},
};

bool frame_read_start(const struct json_value *v, struct frame_start *start)
{
    struct json_value name, value, more;
    bool first = json_string_is(v, "first");
    *start = (struct frame_start){.kind = first ? FRAME_START_FIRST : FRAME_START_NEW};
    if (v->type == JSON_STRING)
        return first || json_string_is(v, "new");
    if (v->type != JSON_OBJECT)
        return false;
    struct json_scan it = json_iter(v);
    if (!json_next_member(&it, &name, &value) || json_next_member(&it, &more, &more))
        return false;
    start->kind = json_string_is(&name, "seq") ? FRAME_START_SEQ : FRAME_START_TIME;
    return (start->kind == FRAME_START_SEQ || json_string_is(&name, "time")) &&
           json_to_u64(&value, MAX_INT, &start->number);
}

const struct grammar *grammar_of(const struct json_value *type)
{
    for (size_t i = 0; i < ARRAY_LEN(typed_grammars); i++) {
        if (json_string_is(type, typed_grammars[i].type))
            return &typed_grammars[i];
    }
    return &unknown_grammar;
}

int grammar_member(const struct json_value *key)
{
    struct slice name = json_inner(key);
    for (int i = 0; i < MEMBERS; i++) {
        if (key->escaped ? json_string_is(key, member_names[i].ptr)
                         : slice_eq(name, member_names[i]))
            return i;
    }
    return -1;
}

/* ids are echoed as they were written, so their length is counted as written too. */
bool grammar_read_id(const struct json_value *v, struct frame_id *id)
{
    *id = (struct frame_id){FRAME_ID_NONE, 0, v->raw};
    if (json_to_u64(v, MAX_INT, &id->number))
        id->kind = FRAME_ID_NUMBER;
    else if (v->type == JSON_NULL)
        id->kind = FRAME_ID_NULL;
    else if (v->type == JSON_STRING && json_inner(v).len <= FRAME_ID_MAX)
        id->kind = FRAME_ID_STRING;
    else
        id->raw = SLICE("null");
    return id->kind != FRAME_ID_NONE;
}

const char *grammar_check_id(const struct grammar *g, enum frame_id_kind kind, bool said)
{
    bool number = kind == FRAME_ID_NUMBER;
    if (g->ids == ID_WORKERS_OR_NONE && !said)
        return NULL;
    switch (g->ids) {
    case ID_OURS:
        return number ? NULL : "id must be the number that came with the request";
    case ID_OURS_OR_NULL:
        return number || kind == FRAME_ID_NULL ? NULL
                                               : "id must be a number that came, or null";
    case ID_WORKERS:
    case ID_WORKERS_OR_NONE:
        return number || kind == FRAME_ID_STRING
                   ? NULL
                   : "id must be a whole number or a string of at most 64 bytes";
    case ID_OPTIONAL:
        break;
    }
    return NULL;
}

static bool is_header_value(const struct json_value *v)
{
    if (v->type != JSON_ARRAY)
        return v->type == JSON_STRING;
    struct json_scan it = json_iter(v);
    struct json_value item;
    while (json_next_item(&it, &item)) {
        if (item.type != JSON_STRING)
            return false;
    }
    return true;
}

static bool is_string(const struct json_value *v)
{
    return v->type == JSON_STRING;
}

/* An object all of whose members are such values. */
static bool is_object_of(const struct json_value *v, bool (*is)(const struct json_value *))
{
    if (v->type != JSON_OBJECT)
        return false;
    struct json_scan it = json_iter(v);
    struct json_value name, value;
    while (json_next_member(&it, &name, &value)) {
        if (!is(&value))
            return false;
    }
    return true;
}

/* PHP's encoder escapes every slash, so escapes in base64 are no rarity. */
static bool is_base64(const struct json_value *v)
{
    if (v->type != JSON_STRING)
        return false;
    if (!v->escaped)
        return base64_valid(json_inner(v));
    struct buf text = {0};
    json_unescape(v, &text);
    bool valid = base64_valid(buf_slice(&text));
    buf_deinit(&text);
    return valid;
}

/* Absolute, and without the NUL that would end it early for the system. */
static bool is_path(const struct json_value *v)
{
    if (v->type != JSON_STRING)
        return false;
    struct buf text = {0};
    json_unescape(v, &text);
    bool path = text.len > 0 && text.ptr[0] == '/' && !memchr(text.ptr, 0, text.len);
    buf_deinit(&text);
    return path;
}

static bool in_range(const struct json_value *v, uint64_t least, uint64_t most, uint64_t *into)
{
    return json_to_u64(v, most, into) && *into >= least;
}

static bool is_token(const struct json_value *v)
{
    return v->type == JSON_STRING && json_inner(v).len > 0 && json_inner(v).len <= TOKEN_MAX;
}

static bool apply(const struct rule *rule, const struct json_value *v, struct frame *f)
{
    void *into = (char *)f + rule->offset;
    switch (rule->how) {
    case AS_STATUS:
        return in_range(v, 100, 999, into);
    case AS_INTERIM:
        return in_range(v, 102, 199, into);
    case AS_CLOSE:
        return in_range(v, 1000, 4999, into);
    case AS_SOME:
        return in_range(v, 1, MAX_INT, into);
    case AS_COUNT:
        return json_to_u64(v, MAX_INT, into);
    case AS_BOOL:
        *(bool *)into = v->type == JSON_TRUE;
        return v->type == JSON_TRUE || v->type == JSON_FALSE;
    case AS_ID:
        return grammar_read_id(v, into);
    case AS_START:
        return frame_read_start(v, into);
    default:
        *(struct json_value *)into = *v;
    }
    switch (rule->how) {
    case AS_STRING:
        return v->type == JSON_STRING;
    case AS_BASE64:
        return is_base64(v);
    case AS_PATH:
        return is_path(v);
    case AS_TOKEN:
        return is_token(v);
    case AS_HEADERS:
        return is_object_of(v, is_header_value);
    case AS_TEXTS:
        return is_object_of(v, is_string);
    case AS_KEY:
        return v->type == JSON_STRING || v->type == JSON_NULL;
    case AS_ARRAY:
        return v->type == JSON_ARRAY;
    case AS_OBJECT:
        return v->type == JSON_OBJECT;
    default:
        return true;
    }
}

static enum frame_body body_kind(uint64_t seen)
{
    if (seen & BIT(M_BODY))
        return FRAME_BODY_TEXT;
    if (seen & BIT(M_BODY64))
        return FRAME_BODY_BASE64;
    return seen & BIT(M_JSON) ? FRAME_BODY_JSON : FRAME_BODY_NONE;
}

/* Which bodies a frame may have together, and with what else. */
static const char *check_bodies(enum frame_kind kind, uint64_t seen)
{
    uint64_t bodies = seen & BODIES;
    if (bodies & (bodies - 1))
        return "only one of body, body64 and json may be there";
    if (kind == FRAME_RESPONSE)
        return seen & BIT(M_FILE) && (bodies || seen & BIT(M_MORE))
                   ? "a response with file has no body and no more"
                   : NULL;
    if (bodies & BIT(M_JSON))
        return "a piece of a body goes as body or body64";
    return bodies || kind == FRAME_END ? NULL : "body or body64 must be there";
}

static const char *check_publish(uint64_t seen)
{
    if (!(seen & BIT(M_TOPIC)) == !(seen & BIT(M_QUEUE)))
        return seen & BIT(M_TOPIC) ? "only one of topic and queue may be there"
                                   : "topic or queue must be there";
    return (seen & BIT(M_AT)) && (seen & BIT(M_DELAY)) ? "only one of at and delay may be there"
                                                       : NULL;
}

static bool has_body(enum frame_kind kind)
{
    return kind == FRAME_RESPONSE || kind == FRAME_CHUNK || kind == FRAME_END ||
           kind == FRAME_MESSAGE;
}

const char *grammar_apply(const struct grammar *g, const struct members *m, struct frame *f)
{
    for (size_t i = 0; i < g->rule_count; i++) {
        const struct rule *rule = &g->rules[i];
        bool seen = m->seen & BIT(rule->member);
        if (seen ? !apply(rule, &m->at[rule->member], f) : rule->needed)
            return rule->fault;
    }
    if (has_body(g->kind)) {
        const char *fault = check_bodies(g->kind, m->seen);
        if (fault)
            return fault;
        f->body_kind = body_kind(m->seen);
    }
    if (g->kind == FRAME_PUBLISH) {
        const char *fault = check_publish(m->seen);
        if (fault)
            return fault;
    }
    f->has_at = g->kind == FRAME_PUBLISH && (m->seen & BIT(M_AT));
    f->has_delay =
        (g->kind == FRAME_PUBLISH || g->kind == FRAME_NACK) && (m->seen & BIT(M_DELAY));
    f->has_timeout = g->kind == FRAME_ASK && (m->seen & BIT(M_TIMEOUT));
    f->has_length = g->kind == FRAME_RESPONSE && (m->seen & BIT(M_LENGTH));
    return NULL;
}
