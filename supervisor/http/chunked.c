#include "http/chunked.h"

#include "http/field.h"
#include "http/response.h"

enum state {
    SIZE_FIRST, /* at least one digit must come */
    SIZE,
    NAME_FIRST, /* of an extension: ;name, ;name=token, ;name="quoted" */
    NAME,
    VALUE_FIRST,
    VALUE,
    QUOTED,
    QUOTED_ESCAPE,
    AFTER_QUOTED,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
};

enum {
    DIGITS_MAX = 15,          /* no overflow, and more than any limit */
    OVERHEAD_PER_CHUNK = 16,  /* what an honest chunk may spend on framing */
    OVERHEAD_MAX = 16 * 1024, /* beyond that, in all: not worth reading on for */
    TRAILER_MAX = 8 * 1024,
};

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A chunk has its size: what it carries pays for what its line cost. */
static void begin_chunk(struct chunked *c)
{
    uint64_t allowed = OVERHEAD_PER_CHUNK + c->left;
    c->overhead -= (uint32_t)MIN(allowed, (uint64_t)c->overhead);
    c->state = c->left ? DATA : TRAILER_START;
    c->digits = 0;
}

static bool is_token(unsigned char byte)
{
    char as_char = (char)byte;
    return token_valid((struct slice){&as_char, 1});
}

static bool is_text(unsigned char byte)
{
    char as_char = (char)byte;
    return value_valid((struct slice){&as_char, 1});
}

/* Moves on to a state when the condition holds; returns the condition. */
static bool move_if(struct chunked *c, bool moves, enum state to)
{
    if (moves)
        c->state = to;
    return moves;
}

static bool size_byte(struct chunked *c, unsigned char byte)
{
    int digit = hex_digit(byte);
    if (digit < 0)
        return c->state == SIZE &&
               (move_if(c, byte == '\r', SIZE_LF) || move_if(c, byte == ';', NAME_FIRST));
    c->state = SIZE;
    c->left = c->left * 16 + (unsigned)digit;
    return ++c->digits <= DIGITS_MAX;
}

/* Between ";" and the end of the size line.  Blanks are allowed nowhere. */
static bool extension_byte(struct chunked *c, unsigned char byte)
{
    switch (c->state) {
    case NAME_FIRST:
        return move_if(c, is_token(byte), NAME);
    case NAME:
        return is_token(byte) || move_if(c, byte == '=', VALUE_FIRST) ||
               move_if(c, byte == ';', NAME_FIRST) || move_if(c, byte == '\r', SIZE_LF);
    case VALUE_FIRST:
        return move_if(c, byte == '"', QUOTED) || move_if(c, is_token(byte), VALUE);
    case QUOTED:
        return move_if(c, byte == '"', AFTER_QUOTED) ||
               move_if(c, byte == '\\', QUOTED_ESCAPE) || is_text(byte);
    case QUOTED_ESCAPE:
        return move_if(c, is_text(byte), QUOTED);
    default: /* VALUE, AFTER_QUOTED */
        return (c->state == VALUE && is_token(byte)) || move_if(c, byte == ';', NAME_FIRST) ||
               move_if(c, byte == '\r', SIZE_LF);
    }
}

static enum chunked_verdict line_byte(struct chunked *c, unsigned char byte, uint64_t room)
{
    bool allowed;
    if (++c->overhead > OVERHEAD_MAX)
        return CHUNKED_BAD;
    if (c->state == SIZE_LF) {
        allowed = byte == '\n';
        begin_chunk(c);
    } else {
        allowed = c->state <= SIZE ? size_byte(c, byte) : extension_byte(c, byte);
    }
    if (!allowed)
        return CHUNKED_BAD;
    return c->left > room ? CHUNKED_TOO_LARGE : CHUNKED_MORE;
}

static enum chunked_verdict trailer_byte(struct chunked *c, unsigned char byte)
{
    bool allowed;
    switch (c->state) {
    case TRAILER_START:
        allowed = move_if(c, byte == '\r', END_LF) || move_if(c, is_token(byte), TRAILER_NAME);
        break;
    case TRAILER_NAME:
        allowed = move_if(c, byte == ':', TRAILER_VALUE) || is_token(byte);
        break;
    case TRAILER_VALUE:
        allowed = move_if(c, byte == '\r', TRAILER_LF) || is_text(byte);
        break;
    case TRAILER_LF:
        allowed = move_if(c, byte == '\n', TRAILER_START);
        break;
    default: /* END_LF */
        return byte == '\n' ? CHUNKED_DONE : CHUNKED_BAD;
    }
    if (!allowed)
        return CHUNKED_BAD;
    if (++c->trailer > (c->trailer_max ? c->trailer_max : TRAILER_MAX))
        return CHUNKED_TRAILER;
    if (c->kept && c->state != END_LF)
        buf_addc(c->kept, (char)byte);
    return CHUNKED_MORE;
}

/* As much of the chunk's data as there is. */
static size_t take_data(struct chunked *c, struct slice bytes, struct buf *body)
{
    size_t len = (size_t)MIN(c->left, (uint64_t)bytes.len);
    buf_append(body, bytes.ptr, len);
    c->left -= len;
    c->total += len;
    IGNORE(move_if(c, c->left == 0, DATA_CR)); /* else more data comes */
    return len;
}

enum chunked_verdict chunked_read(struct chunked *c, struct slice bytes, size_t limit,
                                  struct buf *body, size_t *used)
{
    enum chunked_verdict verdict = CHUNKED_MORE;
    size_t at = 0;
    while (at < bytes.len && verdict == CHUNKED_MORE) {
        if (c->state == DATA) {
            at += take_data(c, slice_from(bytes, at), body);
            continue;
        }
        unsigned char byte = (unsigned char)bytes.ptr[at++];
        if (c->state < DATA)
            verdict = line_byte(c, byte, limit - c->total);
        else if (c->state == DATA_CR)
            verdict = move_if(c, byte == '\r', DATA_LF) ? CHUNKED_MORE : CHUNKED_BAD;
        else if (c->state == DATA_LF)
            verdict = move_if(c, byte == '\n', SIZE_FIRST) ? CHUNKED_MORE : CHUNKED_BAD;
        else
            verdict = trailer_byte(c, byte);
    }
    *used = at;
    return verdict;
}

const struct field *chunked_trailers(struct slice kept, struct arena *arena, size_t *count)
{
    struct slice rest = arena_copy(arena, kept);
    size_t lines = 0;
    for (size_t i = 0; i < rest.len; i++)
        lines += rest.ptr[i] == '\n';
    struct field *fields = arena_alloc(arena, lines * sizeof(*fields));
    *count = 0;
    while (rest.len) {
        char *name = (char *)rest.ptr; /* the copy: ours to change */
        const char *colon = memchr(rest.ptr, ':', rest.len);
        const char *lf = memchr(rest.ptr, '\n', rest.len);
        struct field field = {
            .name = {name, (size_t)(colon - name)},
            .value = slice_trim((struct slice){colon + 1, (size_t)(lf - colon) - 2}),
        };
        rest = slice_from(rest, (size_t)(lf - name) + 1);
        for (size_t i = 0; i < field.name.len; i++)
            if (name[i] >= 'A' && name[i] <= 'Z')
                name[i] |= 0x20;
        if (response_trailer_allowed(field.name))
            fields[(*count)++] = field;
    }
    return fields;
}
