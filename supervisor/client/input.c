#include "client/input.h"

#include <errno.h>
#include <stdio.h>

#include "client/options.h"
#include "client/session.h"
#include "config/value.h"

enum { INPUT_MAX = 64 << 20, PIECE = 65536 };

static int read_all(FILE *from, const char *name, struct buf *out)
{
    size_t n = 1;
    while (n && out->len <= INPUT_MAX) {
        n = fread(buf_reserve(out, PIECE), 1, PIECE, from);
        out->len += n;
    }
    if (ferror(from) || out->len > INPUT_MAX) {
        fprintf(stderr, "nodey: %s: %s\n", name,
                ferror(from) ? strerror(errno) : "larger than 64 MiB");
        return EXIT_REFUSED;
    }
    return 0;
}

int input_read(const char *word, struct buf *out)
{
    if (strcmp(word, "-") == 0)
        return read_all(stdin, "stdin", out);
    if (word[0] != '@') {
        buf_adds(out, word);
        return 0;
    }
    FILE *file = fopen(word + 1, "re");
    if (!file) {
        fprintf(stderr, "nodey: %s: %s\n", word + 1, strerror(errno));
        return EXIT_REFUSED;
    }
    int rc = read_all(file, word + 1, out);
    fclose(file);
    return rc;
}

int input_timeout(const char *verb, const char *text, uint64_t *ms)
{
    uint64_t us = 0;
    if (text && (value_duration(slice_of(text), false, &us) != VALUE_GOOD || us == 0))
        return usage_error(verb, "--timeout is a time such as 5s, 500ms or 1m30s, not \"%s\"",
                           text);
    *ms = us / 1000;
    return 0;
}
