#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "base/base.h"
#include "command/cli.h"

/* Descriptors 0 to 2 must be taken, or a worker's pipe would become our output. */
static void hold_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/*
 * Buffers of answers come and go with every turn of the loop.  Given back to the kernel each
 * time, their pages would be faulted in and cleared again by the next turn.
 */
static void keep_freed_memory(void)
{
    enum { KEPT_BYTES = 8 << 20, OWN_MAP_BYTES = 2 << 20 };

    IGNORE(!mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)); /* then it is slower */
    IGNORE(!mallopt(M_MMAP_THRESHOLD, OWN_MAP_BYTES));
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    keep_freed_memory();
    /* Writing to a worker that closed its input must be an error, not our end. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* so must be a file that may grow no longer */
    return cli_run(argc, argv);
}
