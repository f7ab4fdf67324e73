#include "protocol/c/frame.h"

#include "base/base64.h"
#include "protocol/c/frame_grammar.h"

enum { SALVAGE_BYTES = 256 };

static const struct frame_id no_id = {.kind = FRAME_ID_NONE, .raw = {"null", 4}};

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
    const char *fault = grammar_check_id(g, f->id.kind, (m->seen & BIT(M_ID)) != 0);
    if (fault)
        f->id = no_id;
    else
        fault = grammar_apply(g, m, f);
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
    return read_by(&grammar_of_response, m, f);
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
        int i = grammar_member(&key);
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
            grammar_read_id(&value, &f->id);
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
        grammar_read_id(&m.at[M_ID], &f->id);
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
    switch (f->kind) {
    case FRAME_RESPONSE:
    case FRAME_CHUNK:
    case FRAME_END:
    case FRAME_CREDIT:
    case FRAME_MESSAGE:
    case FRAME_INFO:
    case FRAME_ANSWER:
    case FRAME_ERROR:
    case FRAME_PONG:
    case FRAME_ACK:
    case FRAME_NACK:
        return f->id.kind == FRAME_ID_NUMBER;
    default:
        return false;
    }
}

const char *frame_read_output(const struct json_value *object, struct frame *f)
{
    struct members m;
    struct json_scan it = json_iter(object);
    frame_init(f);
    f->kind = FRAME_PUBLISH;
    f->text = object->raw;
    if (object->type != JSON_OBJECT)
        return "publish must be an array of objects";
    m.seen = m.twice = 0;
    read_members(&it, &m);
    return grammar_apply(&grammar_of_output, &m, f);
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

struct slice frame_body_bytes(const struct frame *f, struct buf *scratch)
{
    size_t start = scratch->len;
    if (f->body_kind == FRAME_BODY_JSON)
        return f->body.raw;
    if (f->body_kind == FRAME_BODY_TEXT && !f->body.escaped)
        return json_inner(&f->body);
    frame_body_decode(f, scratch);
    return slice_from(buf_slice(scratch), start);
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
