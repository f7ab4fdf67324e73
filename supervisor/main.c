#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    /* Writing to a worker that closed its input must be an error, not our end. */
    signal(SIGPIPE, SIG_IGN);
    return cli_run(argc, argv);
}
