/*
 * The only C++ of nodey.  toml++ is used in its mode without exceptions, and what
 * the standard library might still throw (memory is out) ends the process at the
 * `noexcept` edge, as everywhere else.
 */
#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#define TOML_EXCEPTIONS        0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 64
#include <toml++/toml.h>

extern "C" {
#include "config/toml.h"
}

static_assert(TOML_MAX_NESTED_VALUES == TOML_MAX_VALUE_DEPTH, "toml.h promises this depth");

namespace
{

slice to_slice(std::string_view s)
{
    return {s.data(), s.size()};
}

toml_place to_place(const toml::source_position &at)
{
    return {at.line, at.column};
}

int fail(err *error, const char *file, toml_place at, std::string_view cause)
{
    return err_set(error, -EINVAL, "%s:%u:%u: %.*s", file, at.line, at.column,
                   static_cast<int>(cause.size()), cause.data());
}

/*
 * Finds keys with too many dots.  toml++ bounds how deep values nest, but not the
 * tables that a dotted key makes, and it frees them by recursion: a header of a
 * million dots would overflow the stack.  This walks the text as TOML's lexer does;
 * where the two could disagree the text is not valid, and the parser stops there.
 */
class key_guard
{
  public:
    explicit key_guard(std::string_view document) : text(document)
    {
    }

    /* True, and `place` is where it happens, when a key is too deep. */
    bool too_deep(toml_place *place)
    {
        while (at < text.size()) {
            char c = text[at];
            if (c == '"' || c == '\'')
                skip_string(c);
            else if (c == '#')
                skip_to_line_end();
            else
                step(c);
            if (dots > TOML_MAX_KEY_DOTS) {
                *place = {line, static_cast<unsigned>(at - line_start)};
                return true;
            }
        }
        return false;
    }

  private:
    void step(char c)
    {
        at++;
        if (c == '.')
            dots++;
        else if (std::string_view("\n,=[]{}").find(c) != std::string_view::npos)
            dots = 0;
        if (c == '\n') {
            line++;
            line_start = at;
        }
    }

    void skip_to_line_end()
    {
        while (at < text.size() && text[at] != '\n')
            at++;
    }

    void skip_string(char quote)
    {
        const char three[] = {quote, quote, quote};
        std::string_view fence(three, 3);
        bool is_long = text.substr(at, 3) == fence;
        for (at += is_long ? 3 : 1; at < text.size(); at++) {
            if (text[at] == '\n') {
                if (!is_long)
                    return; /* not valid; the parser says so */
                line++;
                line_start = at + 1;
            } else if (text[at] == '\\' && quote == '"') {
                at++;
                if (at < text.size() && text[at] == '\n')
                    at--; /* counted by the next turn */
            } else if (!is_long && text[at] == quote) {
                at++;
                return;
            } else if (is_long && text.substr(at, 3) == fence) {
                /* Up to two quotes may stand before the fence, as text. */
                while (at + 3 < text.size() && text[at + 3] == quote)
                    at++;
                at += 3;
                return;
            }
        }
    }

    std::string_view text;
    size_t at = 0;
    size_t line_start = 0;
    unsigned line = 1;
    unsigned dots = 0;
};

class tree_builder
{
  public:
    explicit tree_builder(arena *into) : memory(into)
    {
    }

    toml_node *convert(const toml::node &from)
    {
        toml_node *node = static_cast<toml_node *>(arena_alloc(memory, sizeof(*node)));
        *node = toml_node{};
        node->at = to_place(from.source().begin);
        if (const auto *table = from.as_table())
            convert_table(*table, node);
        else if (const auto *array = from.as_array())
            convert_array(*array, node);
        else
            convert_scalar(from, node);
        return node;
    }

  private:
    void convert_table(const toml::table &from, toml_node *node)
    {
        using member = std::pair<const toml::key *, const toml::node *>;
        std::vector<member> members;
        for (auto &&[key, value] : from)
            members.emplace_back(&key, &value);
        std::stable_sort(members.begin(), members.end(), [](const member &a, const member &b) {
            const auto &left = a.first->source().begin, &right = b.first->source().begin;
            return std::pair(left.line, left.column) < std::pair(right.line, right.column);
        });
        node->type = TOML_TABLE;
        toml_node **tail = &node->items.first;
        for (auto &&[key, value] : members) {
            toml_node *child = convert(*value);
            child->key = arena_copy(memory, to_slice(key->str()));
            child->key_at = to_place(key->source().begin);
            append(node, &tail, child);
        }
    }

    void convert_array(const toml::array &from, toml_node *node)
    {
        node->type = TOML_ARRAY;
        toml_node **tail = &node->items.first;
        for (const toml::node &item : from)
            append(node, &tail, convert(item));
    }

    void convert_scalar(const toml::node &from, toml_node *node)
    {
        if (const auto *string = from.as_string()) {
            node->type = TOML_STRING;
            node->string = arena_copy(memory, to_slice(string->get()));
        } else if (const auto *integer = from.as_integer()) {
            node->type = TOML_INTEGER;
            node->integer = integer->get();
        } else if (const auto *real = from.as_floating_point()) {
            node->type = TOML_FLOAT;
            node->real = real->get();
        } else if (const auto *boolean = from.as_boolean()) {
            node->type = TOML_BOOL;
            node->boolean = boolean->get();
        } else {
            node->type = TOML_DATE;
        }
    }

    static void append(toml_node *parent, toml_node ***tail, toml_node *child)
    {
        **tail = child;
        *tail = &child->next;
        parent->items.count++;
    }

    arena *memory;
};

} // namespace

extern "C" toml_node *toml_parse(arena *memory, slice text, const char *file,
                                 err *error) noexcept
{
    if (text.len > TOML_MAX_FILE) {
        err_set(error, -EFBIG, "%s: larger than %d MiB", file, TOML_MAX_FILE >> 20);
        return nullptr;
    }
    std::string_view document(text.ptr ? text.ptr : "", text.len);
    toml_place place{};
    if (key_guard(document).too_deep(&place)) {
        fail(error, file, place, "a key with too many dots");
        return nullptr;
    }
    toml::parse_result result = toml::parse(document, std::string_view(file));
    if (!result) {
        const toml::parse_error &cause = result.error();
        fail(error, file, to_place(cause.source().begin), cause.description());
        return nullptr;
    }
    return tree_builder(memory).convert(result.table());
}

extern "C" const toml_node *toml_get(const toml_node *table, const char *key) noexcept
{
    for (const toml_node *member = table->items.first; member; member = member->next)
        if (slice_is(member->key, key))
            return member;
    return nullptr;
}
