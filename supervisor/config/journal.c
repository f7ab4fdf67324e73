#include "config/journal.h"

#include <stdarg.h>
#include <stdio.h>

static size_t count(const struct buf *list)
{
    return list->len / sizeof(const char *);
}

static bool holds(const struct buf *list, const char *text)
{
    for (size_t i = 0; i < count(list); i++)
        if (strcmp(((const char *const *)list->ptr)[i], text) == 0)
            return true;
    return false;
}

static void keep(struct journal *j, struct buf *list, const char *text)
{
    const char *kept = arena_strdup(j->arena, slice_of(text));
    buf_append(list, &kept, sizeof(kept));
}

void journal_note(struct journal *j, const char *fmt, ...)
{
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (holds(&j->notes, text))
        return;
    if (count(&j->notes) < JOURNAL_MAX_NOTES)
        keep(j, &j->notes, text);
    else
        j->dropped++;
}

void journal_file(struct journal *j, const char *path)
{
    if (!holds(&j->files, path))
        keep(j, &j->files, path);
}

static struct string_list list_of(struct arena *a, const struct buf *from)
{
    struct string_list list = {arena_alloc(a, from->len + sizeof(char *)), count(from)};
    if (from->len)
        memcpy(list.items, from->ptr, from->len);
    list.items[list.count] = NULL;
    return list;
}

struct string_list journal_notes(struct journal *j)
{
    if (j->dropped) {
        char text[64];
        snprintf(text, sizeof(text), "and %zu more notes", j->dropped);
        keep(j, &j->notes, text);
        j->dropped = 0;
    }
    return list_of(j->arena, &j->notes);
}

struct string_list journal_files(struct journal *j)
{
    return list_of(j->arena, &j->files);
}

void journal_deinit(struct journal *j)
{
    buf_deinit(&j->notes);
    buf_deinit(&j->files);
}
