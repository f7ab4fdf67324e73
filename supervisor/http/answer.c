#include "http/answer.h"

#include "http/field.h"

/* A head's line, and what follows it; false when there is no whole one. */
static bool take_line(struct slice *rest, struct slice *line)
{
    const char *lf = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (!lf)
        return false;
    *line = (struct slice){rest->ptr, (size_t)(lf - rest->ptr)};
    *rest = slice_from(*rest, line->len + 1);
    if (line->len && line->ptr[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* "HTTP/1.1 200 OK"; many servers leave out the last word, and some the blank too. */
static const char *read_status(struct slice line, struct answer_head *head)
{
    uint64_t status;
    if (!slice_starts(line, SLICE("HTTP/")))
        return "it does not begin with HTTP/1.1 and a status";
    if (line.len < 12 || !slice_starts(line, SLICE("HTTP/1.")) || line.ptr[8] != ' ' ||
        (line.ptr[7] != '0' && line.ptr[7] != '1'))
        return "it is of another version than HTTP/1.1 and HTTP/1.0";
    if (!slice_to_u64((struct slice){line.ptr + 9, 3}, 999, &status) || status < 100 ||
        (line.len > 12 && line.ptr[12] != ' '))
        return "its status is no number of three digits";
    head->minor = (unsigned)(line.ptr[7] - '0');
    head->status = (unsigned)status;
    head->reason = slice_from(line, MIN(line.len, (size_t)13));
    return NULL;
}

static const char *read_field(struct slice line, struct answer_head *head)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct slice name = {line.ptr, colon ? (size_t)(colon - line.ptr) : 0};
    if (!token_valid(name))
        return "a line of its header is no field";
    struct slice value = slice_trim(slice_from(line, name.len + 1));
    if (!value_valid(value))
        return "a header field's value holds a control character";
    if (head->field_count == ANSWER_FIELDS)
        return "it has too many header fields";
    char *lower = (char *)name.ptr; /* the received bytes: ours to change */
    for (size_t i = 0; i < name.len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] |= 0x20;
    head->fields[head->field_count++] = (struct field){name, value};
    return NULL;
}

static void read_connection(struct slice value, bool *close, bool *keep)
{
    struct slice item;
    while (list_take(&value, &item)) {
        *close = *close || slice_eq_nocase(item, SLICE("close"));
        *keep = *keep || slice_eq_nocase(item, SLICE("keep-alive"));
    }
}

/* Where the body ends (RFC 9112, 6.3), but for what depends on the request. */
static const char *read_framing(struct answer_head *head)
{
    bool close = false, keep = false, length = false, coding = false;
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice value = head->fields[i].value;
        uint64_t n = 0;
        switch (field_lookup(head->fields[i].name)) {
        case FIELD_CONNECTION:
            read_connection(value, &close, &keep);
            break;
        case FIELD_CONTENT_LENGTH:
            if (!slice_to_u64(value, INT64_MAX, &n) || (length && n != head->length))
                return "its Content-Length is not one decimal number";
            head->length = n;
            length = true;
            break;
        case FIELD_TRANSFER_ENCODING:
            if (coding || !slice_eq_nocase(value, SLICE("chunked")))
                return "it has a transfer coding other than chunked";
            coding = true;
            break;
        default:
            break;
        }
    }
    if (length && coding)
        return "it has both a Content-Length and a Transfer-Encoding";
    head->chunked = coding;
    head->until_close = !length && !coding;
    head->keep_alive = !close && (keep || head->minor > 0);
    return NULL;
}

/* `whole`: with its last empty line. */
static const char *read_head(struct slice whole, struct answer_head *head)
{
    struct slice line;
    IGNORE(!take_line(&whole, &line)); /* it was found to be whole */
    const char *why = read_status(line, head);
    while (!why && take_line(&whole, &line) && line.len)
        why = read_field(line, head);
    return why ? why : read_framing(head);
}

/* The length of a head that is whole, or 0.  Each line is looked at once. */
static size_t head_length(struct answer *a, struct slice bytes)
{
    struct slice rest = slice_from(bytes, a->scanned), line;
    while (take_line(&rest, &line)) {
        if (line.len == 0 && a->scanned)
            return bytes.len - rest.len;
        a->scanned = (uint32_t)(bytes.len - rest.len);
    }
    return 0;
}

static enum answer_event bad(struct answer_step *step, const char *why)
{
    step->why = why;
    return ANSWER_GOT_BAD;
}

/* Is this the beginning of an answer, as far as it goes? */
static bool may_be_answer(struct slice bytes)
{
    struct slice magic = SLICE("HTTP/1.");
    size_t len = MIN(bytes.len, magic.len);
    return memcmp(bytes.ptr, magic.ptr, len) == 0;
}

static enum answer_event begin_body(struct answer *a, struct answer_step *step)
{
    struct answer_head *head = &step->head;
    bool none = a->is_head || head->status == 204 || head->status == 304;
    bool switched = head->status == 101;
    if (none || switched) {
        head->chunked = false;
        head->until_close = switched;
        head->length = 0;
    }
    a->is_chunked = head->chunked;
    a->until_close = head->until_close;
    a->left = head->length;
    a->keep_alive = head->keep_alive && !head->until_close;
    a->state = ANSWER_BODY;
    return ANSWER_GOT_HEAD;
}

static enum answer_event read_whole_head(struct answer *a, struct slice bytes,
                                         struct answer_step *step)
{
    for (;;) {
        struct slice rest = slice_from(bytes, step->used);
        if (rest.len && !may_be_answer(rest))
            return bad(step, "it does not begin with HTTP/1.1 and a status");
        size_t len = head_length(a, rest);
        if (len == 0 && rest.len < ANSWER_HEAD_BYTES)
            return ANSWER_GOT_MORE;
        if (len == 0 || len > ANSWER_HEAD_BYTES)
            return bad(step, "its header is larger than 64 KiB");
        step->head = (struct answer_head){.fields = step->fields};
        const char *why = read_head((struct slice){rest.ptr, len}, &step->head);
        bool switches = step->head.status == 101;
        if (!why && switches && !a->may_switch)
            why = "it switches protocols, which nobody asked for";
        if (!why && step->head.status < 200 && ++a->interims > ANSWER_INTERIMS)
            why = "too many interim answers came before it";
        if (why)
            return bad(step, why);
        step->used += len;
        a->scanned = 0;
        if (step->head.status >= 200 || switches)
            return begin_body(a, step);
        if (a->tells_interim)
            return ANSWER_GOT_INTERIM;
    }
}

static enum answer_event read_chunks(struct answer *a, struct slice bytes,
                                     struct answer_step *step)
{
    buf_clear(&a->data);
    a->chunked.kept = &a->trailer;
    enum chunked_verdict verdict =
        chunked_read(&a->chunked, bytes, SIZE_MAX, &a->data, &step->used);
    if (verdict == CHUNKED_DONE)
        a->state = ANSWER_DONE;
    else if (verdict != CHUNKED_MORE)
        return bad(step, "its chunked body is malformed");
    step->body = buf_slice(&a->data);
    if (step->body.len)
        return ANSWER_GOT_BODY;
    return a->state == ANSWER_DONE ? ANSWER_GOT_END : ANSWER_GOT_MORE;
}

static enum answer_event read_body(struct answer *a, struct slice bytes,
                                   struct answer_step *step)
{
    if (a->is_chunked)
        return read_chunks(a, bytes, step);
    if (!a->until_close && a->left == 0) {
        a->state = ANSWER_DONE;
        return ANSWER_GOT_END;
    }
    step->used = a->until_close ? bytes.len : (size_t)MIN(a->left, (uint64_t)bytes.len);
    step->body = (struct slice){bytes.ptr, step->used};
    a->left -= a->until_close ? 0 : step->used;
    return step->used ? ANSWER_GOT_BODY : ANSWER_GOT_MORE;
}

void answer_init(struct answer *a, bool is_head)
{
    struct buf data = a->data, trailer = a->trailer;
    buf_clear(&data);
    buf_clear(&trailer);
    *a = (struct answer){.is_head = is_head, .data = data, .trailer = trailer};
}

void answer_deinit(struct answer *a)
{
    buf_deinit(&a->data);
    buf_deinit(&a->trailer);
}

enum answer_event answer_read(struct answer *a, struct slice bytes, struct answer_step *step)
{
    step->used = 0;
    if (a->state == ANSWER_HEAD)
        return read_whole_head(a, bytes, step);
    if (a->state == ANSWER_BODY)
        return read_body(a, bytes, step);
    return ANSWER_GOT_END;
}

const struct field *answer_trailers(const struct answer *a, struct arena *arena, size_t *count)
{
    return chunked_trailers(buf_slice(&a->trailer), arena, count);
}

bool answer_ends(const struct answer *a)
{
    return a->state == ANSWER_DONE || (a->state == ANSWER_BODY && a->until_close);
}
