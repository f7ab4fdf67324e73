/*
 * frame: any bytes as a line of a worker, and as JSON text.
 *
 * The scanner must agree with jansson about what is JSON and what a string says, except
 * where nodey means to differ:
 *
 *   - bytes that are not UTF-8 and lone surrogates are taken, marked and mended, where
 *     jansson refuses: so jansson is given the mended text;
 *   - nesting ends at 64 levels here and at 2048 there;
 *   - numbers too large for a double are text here and an overflow there;
 *   - a NUL escape in a member's name is a character here and refused there;
 *   - a raw NUL is no JSON here, and behind a number it is overlooked there.
 *
 * Of frames it must hold that everything they point to lies inside their line, that
 * mending leaves nothing to mend, and that a value cut out of one line means the same
 * inside another.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/base64.h"
#include "protocol/c/frame.h"
#include "protocol/c/ready.h"
#include "tests/unit/tree.h"

enum { TREE_FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *tree_of(struct slice text)
{
    return json_loadb(text.ptr, text.len, TREE_FLAGS, NULL);
}

static bool scan(struct slice text, struct json_scan *s, struct json_value *value)
{
    json_scan_init(s, text);
    return json_scan_value(s, value) && json_scan_done(s);
}

/* Reads a string, writes it, and reads that again. */
static void check_string(const struct json_value *value, const json_t *tree)
{
    struct buf text = {0}, quoted = {0}, again = {0};
    struct json_scan s;
    struct json_value copy;
    json_unescape(value, &text);
    assert(tree_is(tree, TREE_STRING) && json_string_length(tree) == text.len);
    assert(text.len == 0 || memcmp(json_string_value(tree), text.ptr, text.len) == 0);
    json_write(&quoted, buf_slice(&text));
    assert(scan(buf_slice(&quoted), &s, &copy) && !s.dirty);
    json_unescape(&copy, &again);
    assert(slice_eq(buf_slice(&text), buf_slice(&again)));
    buf_clear(&again);
    if (json_unescape_latin1(&copy, &again)) {
        buf_clear(&quoted);
        json_write_latin1(&quoted, buf_slice(&again));
        assert(scan(buf_slice(&quoted), &s, &copy));
        buf_clear(&again);
        json_unescape(&copy, &again);
        assert(slice_eq(buf_slice(&text), buf_slice(&again)));
    }
    buf_deinit(&text);
    buf_deinit(&quoted);
    buf_deinit(&again);
}

/* What a clean text is by the scanner, it must be by jansson. */
static void check_json(struct slice text)
{
    struct json_scan s;
    struct json_value value;
    json_error_t error;
    bool good = scan(text, &s, &value);
    json_t *tree = json_loadb(text.ptr, text.len, TREE_FLAGS, &error);
    assert(!good || !s.dirty);
    if (good && !tree) {
        enum json_error_code code = json_error_code(&error);
        assert(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    } else if (!good && tree) {
        bool deep = s.fault && strstr(s.fault, "64 levels");
        assert(deep || memchr(text.ptr, '\0', text.len));
    } else if (good) {
        assert((value.type == JSON_OBJECT) == tree_is(tree, TREE_OBJECT));
        assert((value.type == JSON_ARRAY) == tree_is(tree, TREE_ARRAY));
        if (value.type == JSON_STRING)
            check_string(&value, tree);
    }
    json_decref(tree);
}

static void check_inside(struct slice part, struct slice line)
{
    assert(part.len == 0 ||
           (part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len));
}

static void check_id(const struct frame_id *id, struct slice line)
{
    if (id->kind == FRAME_ID_NONE)
        assert(slice_is(id->raw, "null"));
    else
        check_inside(id->raw, line);
    assert(id->kind != FRAME_ID_NUMBER || id->number < UINT64_C(1) << 53);
    assert(id->raw.len <= FRAME_ID_MAX + 2);
}

/* A value spliced into another document is what it was in its own. */
static void check_splice(const struct json_value *value, const json_t *frame, const char *name)
{
    if (value->raw.len == 0)
        return;
    struct buf document = {0};
    buf_adds(&document, "[0,");
    buf_add(&document, value->raw);
    buf_adds(&document, "]");
    json_t *tree = tree_of(buf_slice(&document));
    assert(json_equal(json_array_get(tree, 1), json_object_get(frame, name)));
    json_decref(tree);
    buf_deinit(&document);
}

static void check_body(const struct frame *f, const json_t *tree)
{
    struct buf bytes = {0}, digits = {0};
    size_t size;
    frame_body_decode(f, &bytes);
    if (frame_body_size(f, &size))
        assert(size == bytes.len);
    if (f->body_kind == FRAME_BODY_TEXT)
        check_string(&f->body, json_object_get(tree, "body"));
    if (f->body_kind == FRAME_BODY_BASE64) {
        const json_t *text = json_object_get(tree, "body64");
        base64_encode(&digits, buf_slice(&bytes));
        assert(json_string_length(text) == digits.len);
        assert(digits.len == 0 || memcmp(json_string_value(text), digits.ptr, digits.len) == 0);
    }
    if (f->body_kind == FRAME_BODY_JSON)
        check_splice(&f->body, tree, "json");
    buf_deinit(&bytes);
    buf_deinit(&digits);
}

static void check_ready(struct slice line)
{
    struct ready ready;
    struct err err = {.text = ""};
    if (ready_read(line, &ready, &err)) {
        assert(ready.protocol == 1 && ready.concurrency >= 1);
        assert(ready.window >= 1 << 10 && ready.window <= 1 << 26);
        ready_deinit(&ready);
    } else {
        assert(strncmp(err.text, "ready: ", 7) == 0);
    }
}

static void check_members(const struct frame *f, struct slice line)
{
    const struct json_value *const values[] = {
        &f->reason, &f->headers, &f->body,    &f->code,    &f->message, &f->stack,
        &f->data,   &f->token,   &f->payload, &f->level,   &f->file,    &f->topic,
        &f->queue,  &f->key,     &f->msgid,   &f->outputs, &f->failure, &f->group,
    };
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        check_inside(values[i]->raw, line);
    check_inside(f->prefix, line);
    check_inside(f->text, line);
    check_inside(f->type, line);
    check_id(&f->id, line);
    check_id(&f->for_id, line);
}

/* What a frame is trusted to keep to. */
static void check_limits(const struct frame *f)
{
    bool piece = f->kind == FRAME_CHUNK || f->kind == FRAME_MESSAGE;
    assert(!piece || f->body_kind == FRAME_BODY_TEXT || f->body_kind == FRAME_BODY_BASE64);
    assert(f->kind != FRAME_CREDIT || (f->bytes >= 1 && f->bytes < UINT64_C(1) << 53));
    assert(f->kind != FRAME_INFO || (f->status >= 102 && f->status <= 199));
    assert(!f->close_code || (f->close_code >= 1000 && f->close_code <= 4999));
    assert(!f->file.raw.len || (f->body_kind == FRAME_BODY_NONE && !f->more));
}

/* Each is good or has a fault, and what it points to lies inside it. */
static void check_outputs(const struct frame *f)
{
    struct json_scan it = json_iter(&f->outputs);
    struct json_value item;
    while (f->outputs.raw.len && json_next_item(&it, &item)) {
        struct frame output;
        const char *fault = frame_read_output(&item, &output);
        assert(output.kind == FRAME_PUBLISH);
        assert(fault || !output.topic.raw.len != !output.queue.raw.len);
        check_members(&output, item.raw);
    }
}

/* A frame whose line is clean: jansson reads the same. */
static void check_meaning(const struct frame *f, struct slice line)
{
    json_t *tree = tree_of(f->text);
    if (!tree)
        return; /* one of the tolerated differences: check_json() has looked */
    check_body(f, tree);
    check_splice(&f->data, tree, "data");
    check_splice(&f->headers, tree, f->kind == FRAME_END ? "trailers" : "headers");
    check_splice(&f->file, tree, "file");
    check_splice(&f->key, tree, "key");
    check_splice(&f->outputs, tree, "publish");
    check_outputs(f);
    check_splice(&f->payload, tree,
                 f->kind == FRAME_ASK      ? "args"
                 : f->kind == FRAME_ANSWER ? "value"
                                           : "fields");
    if (f->kind == FRAME_READY)
        check_ready(line);
    check_limits(f);
    json_decref(tree);
}

static enum frame_verdict check_frame(struct slice line, bool *dirty)
{
    struct frame f;
    enum frame_verdict verdict = frame_read(line, &f);
    check_members(&f, line);
    *dirty = f.dirty;
    assert((verdict == FRAME_STRAY || verdict == FRAME_BROKEN) == (f.fault != NULL));
    if (verdict == FRAME_BROKEN)
        assert(f.body_kind == FRAME_BODY_NONE && f.status == 0 && f.prefix.len == 0);
    if (verdict == FRAME_OK && !f.dirty) {
        check_json(f.text);
        check_meaning(&f, line);
    }
    struct frame_id id = frame_salvage_id(line);
    check_id(&id, line);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice line = {(const char *)data, size};
    struct buf scratch = {0};
    bool dirty;
    check_frame(line, &dirty);
    struct slice clean = frame_line_clean(line, &scratch);
    assert(utf8_valid(clean) && json_clean(clean));
    assert(!dirty || clean.ptr != line.ptr);
    check_frame(clean, &dirty);
    assert(!dirty);
    check_json(clean);

    struct buf chunk = {0};
    frame_write_chunk(&chunk, 1, line);
    assert(check_frame((struct slice){chunk.ptr, chunk.len - 1}, &dirty) == FRAME_OK && !dirty);
    buf_deinit(&chunk);

    struct buf plain = {0}, digits = {0};
    if (base64_decode(&plain, line)) {
        base64_encode(&digits, buf_slice(&plain));
        assert(slice_eq(buf_slice(&digits), line));
    }
    buf_deinit(&plain);
    buf_deinit(&digits);
    buf_deinit(&scratch);
    return 0;
}
