/*
 * folder: a temporary folder that a test fills, works in, and leaves clean.
 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* nftw(3) gives its callback no argument; this needs none. */
static inline int folder_remove_entry(const char *path, const struct stat *st, int type,
                                      struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/* Makes one and enters it.  cmocka: as a setup; *state becomes its absolute path. */
static inline int folder_enter(void **state)
{
    char path[] = "/tmp/nodey-test-XXXXXX";
    if (!mkdtemp(path) || chdir(path) < 0)
        return -1;
    *state = realpath(".", NULL);
    return *state ? 0 : -1;
}

/* Removes it with all that is in it. */
static inline int folder_leave(void **state)
{
    int failed =
        chdir("/") < 0 || nftw(*state, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0;
    free(*state);
    return failed ? -1 : 0;
}

/* Writes a file in the current folder, making the folders on its way. */
static inline void folder_write(const char *path, const void *bytes, size_t len, mode_t mode)
{
    char part[256];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        mkdir(part, 0755);
    }
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, len, file) != len || fclose(file) || chmod(path, mode)) {
        perror(path);
        abort();
    }
}

static inline void folder_put(const char *path, const char *text)
{
    folder_write(path, text, strlen(text), 0644);
}
