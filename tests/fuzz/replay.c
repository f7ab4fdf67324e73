/*
 * replay: runs one fuzz target over its corpus without a fuzzer.
 *
 * So `make unit` repeats, under plain gcc and every sanitizer, what fuzzing once
 * found.  The program replay_NAME runs tests/fuzz/corpus/NAME; files or folders may be
 * given as arguments instead.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

#define PREFIX "/replay_"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    exit(1);
}

/* Exactly as large as the input, so that a sanitizer sees a read past its end. */
static void replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path);
    uint8_t *data = xmalloc(size);
    if (fread(data, 1, size, file) != size)
        die(path);
    fclose(file);
    /* Named first: a target that fails ends the program. */
    fprintf(stderr, "replay: %s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    xfree(data);
}

/* Returns how many files there were. */
static unsigned replay(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        die(path);
    if (S_ISREG(info.st_mode)) {
        replay_file(path, (size_t)info.st_size);
        return 1;
    }
    DIR *dir = opendir(path);
    if (!dir)
        die(path);
    unsigned count = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char *inner = xasprintf("%s/%s", path, entry->d_name);
        count += replay(inner);
        xfree(inner);
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    if (argc == 1) {
        const char *name = strstr(argv[0], PREFIX);
        char *corpus =
            xasprintf("tests/fuzz/corpus/%s", name ? name + strlen(PREFIX) : argv[0]);
        count = replay(corpus);
        xfree(corpus);
    }
    if (count == 0) {
        fputs("replay: the corpus is empty\n", stderr);
        return 1;
    }
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    /* In cmocka's words, so that one runner counts both. */
    printf("[  PASSED  ] %u test(s).\n", count + 1);
    return 0;
}
