#include "base/topic.h"

/* The token before the next dot; what is behind it is left in `rest`, `more` if there is any.
 */
static struct slice next_token(struct slice *rest, bool *more)
{
    const char *dot = rest->len ? memchr(rest->ptr, '.', rest->len) : NULL;
    struct slice token = {rest->ptr, dot ? (size_t)(dot - rest->ptr) : rest->len};
    *more = dot != NULL;
    *rest = slice_from(*rest, token.len + (dot != NULL));
    return token;
}

static bool is_name(struct slice token)
{
    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool is(struct slice token, char wildcard)
{
    return token.len == 1 && token.ptr[0] == wildcard;
}

static const char *check(struct slice text, bool is_pattern)
{
    struct slice rest = text;
    bool more = true;
    if (text.len == 0)
        return "it is empty";
    if (text.len > TOPIC_MAX)
        return "it is longer than 255 bytes";
    while (more) {
        struct slice token = next_token(&rest, &more);
        if (token.len == 0)
            return "it has a dot at its beginning or end, or two in a row";
        if (is_pattern && is(token, '*'))
            continue;
        if (is_pattern && is(token, '>')) {
            if (more)
                return "\">\" stands for the rest, so nothing may follow it";
            continue;
        }
        if (!is_name(token))
            return is_pattern
                       ? "between its dots are letters, digits, \"_\" and \"-\", or \"*\" for "
                         "one word, or a last \">\" for the rest"
                       : "between its dots are letters, digits, \"_\" and \"-\"";
    }
    return NULL;
}

const char *topic_check(struct slice topic)
{
    return check(topic, false);
}

const char *topic_pattern_check(struct slice pattern)
{
    return check(pattern, true);
}

bool topic_matches(struct slice pattern, struct slice topic)
{
    bool more_pattern = true, more_topic = true;
    while (more_pattern && more_topic) {
        struct slice want = next_token(&pattern, &more_pattern);
        struct slice have = next_token(&topic, &more_topic);
        if (is(want, '>'))
            return true;
        if (!is(want, '*') && !slice_eq(want, have))
            return false;
    }
    return !more_pattern && !more_topic;
}

bool topic_patterns_overlap(struct slice a, struct slice b)
{
    bool more_a = true, more_b = true;
    while (more_a && more_b) {
        struct slice x = next_token(&a, &more_a), y = next_token(&b, &more_b);
        if (is(x, '>') || is(y, '>'))
            return true;
        if (!is(x, '*') && !is(y, '*') && !slice_eq(x, y))
            return false;
    }
    return !more_a && !more_b;
}
