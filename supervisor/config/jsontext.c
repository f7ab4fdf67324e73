#include "config/jsontext.h"

struct toml_place jsontext_place(struct slice text, const char *at)
{
    struct toml_place place = {1, 1};
    for (const char *c = text.ptr; c < at; c++) {
        if (*c == '\n')
            place = (struct toml_place){place.line + 1, 1};
        else if ((*c & 0xc0) != 0x80)
            place.column++;
    }
    return place;
}

/* Behind the string whose quote is at `at`. */
static char *skip_string(char *at, char *end)
{
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at < end ? at + 1 : end;
}

void jsontext_forgive(struct buf *text,
                      void (*told)(void *arg, const char *comma, char bracket), void *arg)
{
    char *end = text->ptr + text->len, *comma = NULL;
    char last = '[';
    for (char *at = text->ptr; at < end;) {
        char c = *at;
        if (comma && (c == ']' || c == '}')) {
            *comma = ' ';
            told(arg, comma, c);
        }
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
            comma = c == ',' && !strchr("[{,", last) ? at : NULL;
            last = c ? c : '?';
        }
        at = c == '"' ? skip_string(at, end) : at + 1;
    }
}
