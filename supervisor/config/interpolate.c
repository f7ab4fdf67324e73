#include "config/interpolate.h"

#include <ctype.h>
#include <errno.h>

#include "config/value.h"

/* One text on its way. */
struct expansion {
    struct interpolation *in;
    struct toml_place at;
    struct buf out;
};

/* What stands in braces. */
struct braced {
    struct slice name;
    bool or_empty; /* the colon: empty counts as not set */
    char operator; /* '-', '?', '+', or 0: the name alone */
    struct slice word;
};

size_t interpolate_name(struct slice text)
{
    size_t len = 0;
    while (len < text.len && (isalpha((unsigned char)text.ptr[len]) || text.ptr[len] == '_' ||
                              (len && isdigit((unsigned char)text.ptr[len]))))
        len++;
    return len;
}

static int fail(const struct expansion *x, const char *what, struct slice text,
                const char *cure)
{
    struct interpolation *in = x->in;
    return err_set(in->err, -EINVAL, "%s:%u:%u: %s %s: %s", in->file, x->at.line, x->at.column,
                   value_quote(in->arena, text), what, cure);
}

static const char *value_of(const struct expansion *x, struct slice name)
{
    return x->in->look_up(x->in->arg, name);
}

static int add(struct expansion *x, struct slice text)
{
    x->in->made += text.len;
    if (x->in->made > INTERPOLATE_MAX_BYTES)
        return err_set(x->in->err, -E2BIG,
                       "%s:%u:%u: with its variables filled in, the text is beyond %d MiB",
                       x->in->file, x->at.line, x->at.column, INTERPOLATE_MAX_BYTES >> 20);
    buf_add(&x->out, text);
    return 0;
}

static int add_variable(struct expansion *x, struct slice name)
{
    const char *value = value_of(x, name);
    if (!value && x->in->journal)
        journal_note(x->in->journal,
                     "%s:%u:%u: the variable %.*s is not set, and empty here: set it, or write "
                     "${%.*s:-default}",
                     x->in->file, x->at.line, x->at.column, (int)MIN(name.len, (size_t)64),
                     name.ptr, (int)MIN(name.len, (size_t)64), name.ptr);
    return add(x, slice_of(value));
}

static int expand(struct expansion *x, struct slice text, unsigned depth);

static int fail_required(struct expansion *x, const struct braced *b, unsigned depth)
{
    struct buf before = x->out;
    x->out = (struct buf){0};
    int code = expand(x, b->word, depth + 1);
    for (size_t i = 0; i < x->out.len; i++)
        if (value_is_control(x->out.ptr[i]))
            x->out.ptr[i] = ' '; /* a sentence is one line of a log */
    if (code == 0)
        code = err_set(x->in->err, -EINVAL, "%s:%u:%u: the variable %.*s is %s: %s",
                       x->in->file, x->at.line, x->at.column, (int)MIN(b->name.len, (size_t)64),
                       b->name.ptr, value_of(x, b->name) ? "empty" : "not set",
                       x->out.len ? buf_cstr(&x->out) : "it is required");
    buf_deinit(&x->out);
    x->out = before;
    return code;
}

static int add_braced(struct expansion *x, const struct braced *b, unsigned depth)
{
    const char *value = value_of(x, b->name);
    bool there = value && (*value || !b->or_empty);
    switch (b->operator) {
    case '-':
        return there ? add(x, slice_of(value)) : expand(x, b->word, depth + 1);
    case '+':
        return there ? expand(x, b->word, depth + 1) : 0;
    case '?':
        return there ? add(x, slice_of(value)) : fail_required(x, b, depth);
    default:
        return add_variable(x, b->name);
    }
}

/* The length of "${...}" with its closing brace, or 0 without one. */
static size_t braced_length(struct slice text)
{
    unsigned open = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '}' && --open == 0)
            return i + 1;
        if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '{') {
            open++;
            i++;
        }
    }
    return 0;
}

static bool split_braced(struct slice inner, struct braced *b)
{
    size_t len = interpolate_name(inner);
    *b = (struct braced){.name = {inner.ptr, len}, .word = slice_from(inner, len)};
    if (len && b->word.len == 0)
        return true;
    b->or_empty = b->word.len && b->word.ptr[0] == ':';
    b->word = slice_from(b->word, b->or_empty);
    if (len == 0 || b->word.len == 0 || !memchr("-?+", b->word.ptr[0], 3))
        return false;
    b->operator= b->word.ptr[0];
    b->word = slice_from(b->word, 1);
    return true;
}

/* What begins with "${"; *used is its length. */
static int expand_braced(struct expansion *x, struct slice text, unsigned depth, size_t *used)
{
    struct braced b;
    *used = braced_length(text);
    if (*used == 0)
        return fail(x, "lacks its }", text, "write \"$$\" for a dollar sign");
    struct slice whole = {text.ptr, *used};
    if (depth > INTERPOLATE_MAX_DEPTH)
        return fail(x, "is too deep", whole, "use fewer defaults inside defaults");
    if (!split_braced((struct slice){text.ptr + 2, *used - 3}, &b))
        return fail(x, "is no variable", whole,
                    "write ${NAME}, ${NAME:-default} or ${NAME:?message}, and \"$$\" for a "
                    "dollar sign");
    return add_braced(x, &b, depth);
}

/* What begins with a dollar sign; *used is how much of it was understood. */
static int expand_dollar(struct expansion *x, struct slice text, unsigned depth, size_t *used)
{
    struct slice rest = slice_from(text, 1);
    size_t name = interpolate_name(rest);
    *used = 1 + name;
    if (name)
        return add_variable(x, (struct slice){rest.ptr, name});
    if (rest.len && rest.ptr[0] == '{')
        return expand_braced(x, text, depth, used);
    if (rest.len && rest.ptr[0] == '$')
        *used = 2;
    else if (!x->in->lenient)
        return fail(x, "begins no variable", text, "write \"$$\" for a dollar sign");
    return add(x, SLICE("$"));
}

static int expand(struct expansion *x, struct slice text, unsigned depth)
{
    int code = 0;
    while (text.len && code == 0) {
        const char *dollar = memchr(text.ptr, '$', text.len);
        size_t plain = dollar ? (size_t)(dollar - text.ptr) : text.len, used = 0;
        code = add(x, (struct slice){text.ptr, plain});
        text = slice_from(text, plain);
        if (dollar && code == 0)
            code = expand_dollar(x, text, depth, &used);
        text = slice_from(text, used);
    }
    return code;
}

int interpolate_text(struct interpolation *in, struct slice text, struct toml_place at,
                     struct slice *out)
{
    if (text.len == 0 || !memchr(text.ptr, '$', text.len)) {
        *out = text;
        return 0;
    }
    struct expansion x = {in, at, {0}};
    int code = expand(&x, text, 0);
    if (code == 0)
        *out = (struct slice){arena_strdup(in->arena, buf_slice(&x.out)), x.out.len};
    buf_deinit(&x.out);
    return code;
}

static int interpolate_string(struct interpolation *in, struct toml_node *node)
{
    struct slice text = node->string;
    if (text.len == 0 || !memchr(text.ptr, '$', text.len))
        return 0;
    node->written = text;
    return interpolate_text(in, text, node->at, &node->string);
}

/* The depth of a tree is bounded: see toml.h. */
int interpolate_tree(struct interpolation *in, struct toml_node *node)
{
    if (node->type == TOML_STRING)
        return interpolate_string(in, node);
    if (node->type != TOML_TABLE && node->type != TOML_ARRAY)
        return 0;
    int code = 0;
    for (struct toml_node *item = node->items.first; item && code == 0; item = item->next)
        code = interpolate_tree(in, item);
    return code;
}
