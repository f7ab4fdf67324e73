#include "protocol/c/frame.h"

#include "base/base64.h"

#define BIT(n)  (1u << (n))
#define MAX_INT ((UINT64_C(1) << 53) - 1) /* what every JSON library can count to */

enum { SALVAGE_BYTES = 256, TOKEN_MAX = 128 };

enum member {
    M_ID,
    M_TYPE,
    M_STATUS,
    M_HEADERS,
    M_BODY,
    M_JSON,
    M_BODY64,
    M_VALUE,
    M_TOKEN,
    M_ARGS,
    M_FOR,
    M_TIMEOUT,
    M_REASON,
    M_MORE,
    M_FILE,
    M_CODE,
    M_MESSAGE,
    M_STACK,
    M_DATA,
    M_LEVEL,
    M_FIELDS,
    M_INFLIGHT,
    M_RSS,
    M_GRACE,
    MEMBERS,
};

static const struct slice member_names[MEMBERS] = {
    [M_ID] = {"id", 2},           [M_TYPE] = {"type", 4},       [M_STATUS] = {"status", 6},
    [M_HEADERS] = {"headers", 7}, [M_BODY] = {"body", 4},       [M_JSON] = {"json", 4},
    [M_BODY64] = {"body64", 6},   [M_VALUE] = {"value", 5},     [M_TOKEN] = {"token", 5},
    [M_ARGS] = {"args", 4},       [M_FOR] = {"for", 3},         [M_TIMEOUT] = {"timeout", 7},
    [M_REASON] = {"reason", 6},   [M_MORE] = {"more", 4},       [M_FILE] = {"file", 4},
    [M_CODE] = {"code", 4},       [M_MESSAGE] = {"message", 7}, [M_STACK] = {"stack", 5},
    [M_DATA] = {"data", 4},       [M_LEVEL] = {"level", 5},     [M_FIELDS] = {"fields", 6},
    [M_RSS] = {"rss", 3},         [M_GRACE] = {"grace", 5},     [M_INFLIGHT] = {"inflight", 8},
};

enum {
    BODIES = BIT(M_BODY) | BIT(M_BODY64) | BIT(M_JSON),
    /* An object with an id and any of these is a response, and otherwise a log object. */
    RESPONSE_SIGNS = BODIES | BIT(M_STATUS) | BIT(M_HEADERS) | BIT(M_FILE) | BIT(M_MORE),
};

/* A frame's known members, before it is known what kind of frame it is. */
struct members {
    unsigned seen; /* BIT(enum member); only those of `at` are set */
    unsigned twice;
    struct json_value at[MEMBERS];
};

/* How a member is read, and with that the type of what `offset` names in struct frame. */
enum how {
    AS_ANY,      /* struct json_value */
    AS_STRING,   /* struct json_value */
    AS_BASE64,   /* struct json_value */
    AS_TOKEN,    /* struct json_value */
    AS_HEADERS,  /* struct json_value */
    AS_STATUS,   /* uint64_t */
    AS_COUNT,    /* uint64_t */
    AS_BOOL,     /* bool */
    AS_PRESENCE, /* bool: a string is there */
    AS_ID,       /* struct frame_id */
};

struct rule {
    enum member member;
    enum how how;
    size_t offset;
    bool needed;
    const char *fault;
};

#define INTO(field) offsetof(struct frame, field)

static const char status_fault[] = "status must be a whole number 100 to 599";
static const char message_fault[] = "message must be a string";
static const char reason_fault[] = "reason must be a string";

static const struct rule response_rules[] = {
    {M_STATUS, AS_STATUS, INTO(status), false, status_fault},
    {M_HEADERS, AS_HEADERS, INTO(headers), false,
     "headers must be an object of strings and arrays of strings"},
    {M_BODY, AS_STRING, INTO(body), false, "body must be a string; other values go as json"},
    {M_BODY64, AS_BASE64, INTO(body), false, "body64 must be padded standard base64"},
    {M_JSON, AS_ANY, INTO(body), false, NULL},
    {M_REASON, AS_STRING, INTO(reason), false, reason_fault},
    {M_MORE, AS_BOOL, INTO(more), false, "more must be true or false"},
    {M_FILE, AS_STRING, INTO(file), false, "file must be a string"},
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

/* Whose id a kind of frame carries. */
enum id_space { ID_OURS, ID_OURS_OR_NULL, ID_WORKERS, ID_OPTIONAL };

struct grammar {
    const char *type;
    enum frame_kind kind;
    enum id_space ids;
    const struct rule *rules;
    size_t rule_count;
};

#define RULES(rules) rules, ARRAY_LEN(rules)

static const struct grammar response_grammar = {"", FRAME_RESPONSE, ID_OURS,
                                                RULES(response_rules)};

static const struct grammar unknown_grammar = {"", FRAME_UNKNOWN, ID_OPTIONAL, NULL, 0};

static const struct grammar typed_grammars[] = {
    {"answer", FRAME_ANSWER, ID_OURS, RULES(answer_rules)},
    {"ask", FRAME_ASK, ID_WORKERS, RULES(ask_rules)},
    {"error", FRAME_ERROR, ID_OURS_OR_NULL, RULES(error_rules)},
    {"pong", FRAME_PONG, ID_OURS, RULES(pong_rules)},
    {"log", FRAME_LOG, ID_OPTIONAL, RULES(log_rules)},
    {"ready", FRAME_READY, ID_OPTIONAL, NULL, 0},
    {"cancel", FRAME_CANCEL, ID_WORKERS, RULES(cancel_rules)},
    {"drain", FRAME_DRAIN, ID_OPTIONAL, RULES(drain_rules)},
};

static const struct grammar *grammar_of(const struct json_value *type)
{
    for (size_t i = 0; i < ARRAY_LEN(typed_grammars); i++) {
        if (json_string_is(type, typed_grammars[i].type))
            return &typed_grammars[i];
    }
    return &unknown_grammar;
}

static const struct frame_id no_id = {.kind = FRAME_ID_NONE, .raw = {"null", 4}};

/* ids are echoed as they were written, so their length is counted as written too. */
static bool read_id(const struct json_value *v, struct frame_id *id)
{
    *id = (struct frame_id){FRAME_ID_NONE, 0, v->raw};
    if (json_to_u64(v, MAX_INT, &id->number))
        id->kind = FRAME_ID_NUMBER;
    else if (v->type == JSON_NULL)
        id->kind = FRAME_ID_NULL;
    else if (v->type == JSON_STRING && json_inner(v).len <= FRAME_ID_MAX)
        id->kind = FRAME_ID_STRING;
    else
        *id = no_id;
    return id->kind != FRAME_ID_NONE;
}

static const char *check_id(enum id_space space, enum frame_id_kind kind)
{
    bool number = kind == FRAME_ID_NUMBER;
    switch (space) {
    case ID_OURS:
        return number ? NULL : "id must be the number that came with the request";
    case ID_OURS_OR_NULL:
        return number || kind == FRAME_ID_NULL ? NULL
                                               : "id must be a number that came, or null";
    case ID_WORKERS:
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

static bool is_headers(const struct json_value *v)
{
    if (v->type != JSON_OBJECT)
        return false;
    struct json_scan it = json_iter(v);
    struct json_value name, value;
    while (json_next_member(&it, &name, &value)) {
        if (!is_header_value(&value))
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

static bool is_token(const struct json_value *v)
{
    return v->type == JSON_STRING && json_inner(v).len > 0 && json_inner(v).len <= TOKEN_MAX;
}

static bool apply(const struct rule *rule, const struct json_value *v, struct frame *f)
{
    void *into = (char *)f + rule->offset;
    switch (rule->how) {
    case AS_STATUS:
        return json_to_u64(v, 599, into) && *(uint64_t *)into >= 100;
    case AS_COUNT:
        return json_to_u64(v, MAX_INT, into);
    case AS_BOOL:
        *(bool *)into = v->type == JSON_TRUE;
        return v->type == JSON_TRUE || v->type == JSON_FALSE;
    case AS_PRESENCE:
        *(bool *)into = true;
        return v->type == JSON_STRING;
    case AS_ID:
        return read_id(v, into);
    default:
        *(struct json_value *)into = *v;
    }
    switch (rule->how) {
    case AS_STRING:
        return v->type == JSON_STRING;
    case AS_BASE64:
        return is_base64(v);
    case AS_TOKEN:
        return is_token(v);
    case AS_HEADERS:
        return is_headers(v);
    default:
        return true;
    }
}

static enum frame_body body_kind(unsigned seen)
{
    if (seen & BIT(M_BODY))
        return FRAME_BODY_TEXT;
    if (seen & BIT(M_BODY64))
        return FRAME_BODY_BASE64;
    return seen & BIT(M_JSON) ? FRAME_BODY_JSON : FRAME_BODY_NONE;
}

/* Fills the frame in by its grammar; NULL, or what is wrong. */
static const char *apply_rules(const struct grammar *g, const struct members *m,
                               struct frame *f)
{
    for (size_t i = 0; i < g->rule_count; i++) {
        const struct rule *rule = &g->rules[i];
        bool seen = m->seen & BIT(rule->member);
        if (seen ? !apply(rule, &m->at[rule->member], f) : rule->needed)
            return rule->fault;
    }
    if (g->kind == FRAME_RESPONSE) {
        unsigned bodies = m->seen & BODIES;
        if (bodies & (bodies - 1))
            return "only one of body, body64 and json may be there";
        f->body_kind = body_kind(bodies);
    }
    f->has_timeout = g->kind == FRAME_ASK && (m->seen & BIT(M_TIMEOUT));
    return NULL;
}

/* Keeps of a broken frame what its reader may rely on. */
static enum frame_verdict broken(struct frame *f, const char *fault)
{
    *f = (struct frame){
        .kind = f->kind,
        .text = f->text,
        .type = f->type,
        .dirty = f->dirty,
        .id = f->id,
        .for_id = no_id,
        .fault = fault,
    };
    return FRAME_BROKEN;
}

static enum frame_verdict stray(struct frame *f, const char *fault)
{
    broken(f, fault);
    f->kind = FRAME_UNKNOWN;
    f->id = no_id;
    return FRAME_STRAY;
}

static enum frame_verdict read_by(const struct grammar *g, const struct members *m,
                                  struct frame *f)
{
    f->kind = g->kind;
    if (m->twice & BIT(M_ID))
        return broken(f, "two ids in one frame");
    const char *fault = check_id(g->ids, f->id.kind);
    if (fault)
        f->id = no_id;
    else
        fault = apply_rules(g, m, f);
    return fault ? broken(f, fault) : FRAME_OK;
}

/* An object without `type`, or with one that is not a string. */
static enum frame_verdict read_untyped(const struct members *m, struct frame *f)
{
    if (!(m->seen & RESPONSE_SIGNS) || !(m->seen & BIT(M_ID)))
        return stray(f, "no frame: neither a type, nor an id with a response");
    if (f->id.kind != FRAME_ID_NUMBER && !(m->twice & BIT(M_ID)))
        return stray(f, "no frame: its id is not the number of a request");
    if (m->seen & BIT(M_TYPE)) {
        f->kind = FRAME_RESPONSE;
        return broken(f, "type must be a string");
    }
    return read_by(&response_grammar, m, f);
}

static enum frame_verdict read_typed(const struct members *m, struct frame *f)
{
    const struct json_value *type = &m->at[M_TYPE];
    if (m->twice & BIT(M_TYPE)) {
        f->kind = FRAME_UNKNOWN; /* so nobody can say whose id it is */
        return broken(f, "two types in one frame");
    }
    if (type->type != JSON_STRING)
        return read_untyped(m, f);
    f->type = json_inner(type);
    return read_by(grammar_of(type), m, f);
}

static int member_of(const struct json_value *key)
{
    struct slice name = json_inner(key);
    for (int i = 0; i < MEMBERS; i++) {
        if (key->escaped ? json_string_is(key, member_names[i].ptr)
                         : slice_eq(name, member_names[i]))
            return i;
    }
    return -1;
}

/* Most lines begin {"id":<digits>, and that much need not be taken apart. */
static void read_leading_id(struct json_scan *it, struct members *m)
{
    static const char lead[] = "\"id\":";

    enum { LEAD = sizeof(lead) - 1, DIGITS = 15 };

    if (it->end - it->ptr < LEAD + DIGITS + 1 || memcmp(it->ptr, lead, LEAD) != 0)
        return;
    const char *digits = it->ptr + LEAD, *p = digits;
    while (p < digits + DIGITS && *p >= '0' && *p <= '9')
        p++;
    if (p == digits || *p != ',' || (*digits == '0' && p > digits + 1))
        return;
    m->seen = BIT(M_ID);
    m->at[M_ID] = (struct json_value){JSON_NUMBER, false, {digits, (size_t)(p - digits)}};
    it->ptr = p;
    it->first = false;
}

static void read_members(struct json_scan *it, struct members *m)
{
    struct json_value key, value;
    read_leading_id(it, m);
    while (json_next_member(it, &key, &value)) {
        int i = member_of(&key);
        if (i < 0)
            continue;
        m->twice |= m->seen & BIT(i);
        m->seen |= BIT(i);
        m->at[i] = value;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice skip_space(struct slice s)
{
    size_t n = 0;
    while (n < s.len && is_space(s.ptr[n]))
        n++;
    return slice_from(s, n);
}

/*
 * Reads the value of a key of a line that may be cut anywhere.  A number counts only when
 * what follows shows that it is whole.
 */
static bool salvage_value(struct json_scan *s, struct json_value *value)
{
    struct slice rest = skip_space((struct slice){s->ptr, (size_t)(s->end - s->ptr)});
    if (rest.len == 0 || rest.ptr[0] != ':')
        return false;
    struct json_scan at;
    json_scan_init(&at, slice_from(rest, 1));
    if (!json_scan_value(&at, value))
        return false;
    if (value->type == JSON_NUMBER &&
        (at.ptr == at.end || !(is_space(*at.ptr) || *at.ptr == ',' || *at.ptr == '}')))
        return false;
    s->ptr = at.ptr;
    return true;
}

static void salvage_member(struct json_scan *s, const struct json_value *key, struct frame *f)
{
    struct json_value value;
    if (json_string_is(key, "id")) {
        if (f->id.kind == FRAME_ID_NONE && salvage_value(s, &value))
            read_id(&value, &f->id);
    } else if (json_string_is(key, "type") && !f->type.ptr) {
        if (salvage_value(s, &value) && value.type == JSON_STRING) {
            f->type = json_inner(&value);
            f->kind = grammar_of(&value)->kind;
        }
    }
}

/*
 * Looks for `id` and `type` among the members of a text that is not JSON.  Only strings
 * and brackets are understood, so that a nested object's id, or text that looks like
 * one, is never taken for the frame's.
 */
static void salvage(struct slice text, struct frame *f)
{
    struct json_scan s;
    json_scan_init(&s, (struct slice){text.ptr, MIN(text.len, (size_t)SALVAGE_BYTES)});
    unsigned depth = 0;
    bool key_due = false;
    f->kind = FRAME_RESPONSE;
    while (s.ptr < s.end) {
        char c = *s.ptr;
        if (c == '"') {
            struct json_value string;
            if (!json_scan_value(&s, &string))
                return;
            if (depth == 1 && key_due)
                salvage_member(&s, &string, f);
        } else {
            depth += c == '{' || c == '[';
            depth -= (c == '}' || c == ']') && depth > 0;
            s.ptr++;
        }
        if (!is_space(c))
            key_due = c == '{' || c == ',';
    }
}

static enum frame_verdict read_object(struct slice text, struct frame *f)
{
    const struct json_value object = {.type = JSON_OBJECT, .raw = text};
    struct json_scan it = json_iter(&object);
    struct members m;
    m.seen = m.twice = 0;
    read_members(&it, &m);
    f->text = (struct slice){text.ptr, (size_t)(it.ptr - text.ptr)};
    f->dirty = it.dirty;
    if (it.fault || !json_scan_done(&it)) {
        f->text = text;
        salvage(text, f);
        return broken(f, it.fault ? it.fault : "text after the end of the frame");
    }
    if ((m.seen & BIT(M_ID)) && !(m.twice & BIT(M_ID)))
        read_id(&m.at[M_ID], &f->id);
    return m.seen & BIT(M_TYPE) ? read_typed(&m, f) : read_untyped(&m, f);
}

static void frame_init(struct frame *f)
{
    *f = (struct frame){
        .kind = FRAME_UNKNOWN,
        .id = no_id,
        .for_id = no_id,
    };
}

/*
 * Text that was printed without a line end stands before a frame.  Only a whole frame of
 * a known kind is believed there; everything else is what it looks like, a log line.
 */
static enum frame_verdict read_behind_text(struct slice line, struct frame *f)
{
    const char *brace = memmem(line.ptr, line.len, "{\"", 2);
    if (brace) {
        struct slice prefix = {line.ptr, (size_t)(brace - line.ptr)};
        if (read_object(slice_from(line, prefix.len), f) == FRAME_OK &&
            f->kind != FRAME_UNKNOWN) {
            f->prefix = prefix;
            return FRAME_OK;
        }
    }
    f->text = line;
    f->type = (struct slice){0};
    return stray(f, "no frame: the line does not begin with {");
}

enum frame_verdict frame_read(struct slice line, struct frame *f)
{
    frame_init(f);
    struct slice text = skip_space(line);
    if (text.len == 0)
        return FRAME_EMPTY;
    return text.ptr[0] == '{' ? read_object(text, f) : read_behind_text(line, f);
}

bool frame_answers(const struct frame *f)
{
    bool ours = f->kind == FRAME_RESPONSE || f->kind == FRAME_ANSWER ||
                f->kind == FRAME_ERROR || f->kind == FRAME_PONG;
    return ours && f->id.kind == FRAME_ID_NUMBER;
}

void frame_body_decode(const struct frame *f, struct buf *out)
{
    switch (f->body_kind) {
    case FRAME_BODY_NONE:
        return;
    case FRAME_BODY_TEXT:
        json_unescape(&f->body, out);
        return;
    case FRAME_BODY_JSON:
        buf_add(out, f->body.raw);
        return;
    case FRAME_BODY_BASE64:
        break;
    }
    struct buf text = {0};
    struct slice digits = json_inner(&f->body);
    if (f->body.escaped) {
        json_unescape(&f->body, &text);
        digits = buf_slice(&text);
    }
    IGNORE(base64_decode(out, digits)); /* frame_read() has checked it */
    buf_deinit(&text);
}

bool frame_body_size(const struct frame *f, size_t *size)
{
    switch (f->body_kind) {
    case FRAME_BODY_NONE:
        *size = 0;
        return true;
    case FRAME_BODY_JSON:
        *size = f->body.raw.len;
        return true;
    case FRAME_BODY_TEXT:
    case FRAME_BODY_BASE64:
        break;
    }
    if (f->body.escaped)
        return false;
    struct slice text = json_inner(&f->body);
    *size = f->body_kind == FRAME_BODY_TEXT ? text.len : base64_decoded_size(text);
    return true;
}

struct slice frame_line_clean(struct slice line, struct buf *scratch)
{
    if (json_clean(line))
        return line;
    buf_clear(scratch);
    json_write_clean(scratch, line);
    return buf_slice(scratch);
}

struct frame_id frame_salvage_id(struct slice line)
{
    struct frame f;
    frame_init(&f);
    struct slice text = skip_space(line);
    if (text.len && text.ptr[0] == '{')
        salvage(text, &f);
    return frame_answers(&f) ? f.id : no_id;
}
