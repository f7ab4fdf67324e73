#include "config/shellwords.h"

#include <ctype.h>

#include "config/value.h"

/* "2>", "&", ">>"; not "a&b", which may be a part of an address. */
static bool is_for_shell(struct slice word)
{
    size_t digits = 0;
    while (digits < word.len && isdigit((unsigned char)word.ptr[digits]))
        digits++;
    if (digits < word.len && strchr("<>", word.ptr[digits]))
        return true;
    return strchr("&|;", word.ptr[0]) || word.ptr[word.len - 1] == ';' ||
           memmem(word.ptr, word.len, "$(", 2) || memchr(word.ptr, '`', word.len);
}

/* The length of the word that the text begins with; *quoted: a part of it is. */
static size_t measure(struct slice text, bool *quoted)
{
    char quote = 0;
    size_t len = 0;
    for (; len < text.len && (quote || !isspace((unsigned char)text.ptr[len])); len++) {
        char c = text.ptr[len];
        bool escapes = c == '\\' && quote != '\'';
        if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? 0 : c;
        *quoted = *quoted || quote || escapes;
        len += escapes;
    }
    return MIN(len, text.len);
}

struct slice shellwords_find(struct slice text)
{
    while (text.len) {
        bool quoted = false;
        struct slice word = {text.ptr, measure(text, &quoted)};
        if (word.len && !quoted && is_for_shell(word))
            return word;
        text = slice_from(text, MAX(word.len, (size_t)1));
    }
    return text;
}

void shellwords_note(struct journal *journal, const struct document *doc,
                     const struct toml_node *table)
{
    const struct toml_node *command = toml_get(table, "command");
    if (!command || command->type != TOML_STRING)
        return;
    struct slice word = shellwords_find(command->string);
    if (word.len)
        journal_note(journal,
                     "%s: no shell runs this command: %s is a word like any other to the "
                     "program; if a shell is meant, command = [\"sh\", \"-c\", \"...\"]",
                     document_place(doc, command->at), value_quote(doc->reader.arena, word));
}
