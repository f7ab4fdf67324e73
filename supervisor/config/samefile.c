#include "config/samefile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"

static bool same_file(const char *a, const char *b)
{
    struct stat left, right;
    return lstat(a, &left) == 0 && lstat(b, &right) == 0 && left.st_dev == right.st_dev &&
           left.st_ino == right.st_ino;
}

/* Of a program that is a folder, a section may name any file. */
static bool is_inside(const char *path, const char *root)
{
    char *folder = root ? realpath(root, NULL) : NULL;
    char *file = folder ? realpath(path, NULL) : NULL;
    size_t len = folder ? strlen(folder) : 0;
    bool inside = file && strncmp(file, folder, len) == 0 && file[len] == '/';
    xfree(folder);
    xfree(file);
    return inside;
}

bool is_program_file(const char *path, const char *known, const char *root)
{
    return strcmp(path, known) == 0 || same_file(path, known) || is_inside(path, root);
}
