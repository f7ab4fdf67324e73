#include "command/takes.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/options.h"

static const struct verb *named(const char *name)
{
    const struct verb *verb;
    for (size_t i = 0; (verb = cli_verb(i)); i++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

const struct verb *takes_verb(const char *name)
{
    const struct verb *verb = named(name), *shown;
    for (size_t i = 0; verb && (shown = cli_verb(i)); i++)
        if (shown->usage && shown->run == verb->run)
            return shown;
    return NULL;
}

static void read_all(int fd, struct buf *out)
{
    ssize_t got;
    if (lseek(fd, 0, SEEK_SET) != 0)
        return;
    while ((got = read(fd, buf_reserve(out, 4096), 4096)) > 0)
        out->len += (size_t)got;
}

/* What it prints goes into memory for that time. */
void takes_options(const struct verb *verb, struct buf *out)
{
    char *argv[] = {(char[]){OPTIONS_LIST}, NULL};
    int fd = memfd_create("options", MFD_CLOEXEC), kept = dup(STDOUT_FILENO);
    fflush(stdout);
    if (fd >= 0 && kept >= 0 && verb->more && dup2(fd, STDOUT_FILENO) >= 0) {
        verb->run(1, argv);
        fflush(stdout);
        dup2(kept, STDOUT_FILENO);
        read_all(fd, out);
    }
    close(fd);
    close(kept);
}
