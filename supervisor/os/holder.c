#include "os/holder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LISTENING = 0x0A, /* TCP_LISTEN in /proc/net/tcp */
    SOCKETS_MAX = 20000,
    PROCESSES_MAX = 10000,
    DESCRIPTORS_MAX = 4096, /* of one process */
    INODES_MAX = 16,        /* several may share a port */
};

struct inodes {
    unsigned long list[INODES_MAX];
    size_t count;
};

/* The sockets that listen on the port: "sl local:port remote:port state ... uid timeout inode".
 */
static void read_table(const char *table, unsigned port, struct inodes *found)
{
    char line[512];
    FILE *file = fopen(table, "re");
    for (unsigned n = 0; file && n < SOCKETS_MAX && fgets(line, sizeof(line), file); n++) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu",
                   &local, &state, &inode) == 3 &&
            local == port && state == LISTENING && inode && found->count < INODES_MAX)
            found->list[found->count++] = inode;
    }
    if (file)
        fclose(file);
}

/* Is this link of /proc/PID/fd one of the sockets? */
static bool is_one(int folder, const char *fd, const struct inodes *sockets)
{
    char target[64];
    unsigned long inode;
    ssize_t len = readlinkat(folder, fd, target, sizeof(target) - 1);
    target[len > 0 ? len : 0] = '\0';
    if (sscanf(target, "socket:[%lu]", &inode) != 1)
        return false;
    for (size_t i = 0; i < sockets->count; i++)
        if (sockets->list[i] == inode)
            return true;
    return false;
}

static bool holds(const char *pid, const struct inodes *sockets)
{
    char path[300];
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    bool found = false;
    struct dirent *entry;
    for (unsigned n = 0; folder && !found && n < DESCRIPTORS_MAX && (entry = readdir(folder));
         n++)
        found = is_one(dirfd(folder), entry->d_name, sockets);
    if (folder)
        closedir(folder);
    return found;
}

static void describe(const char *pid, char *text, size_t size)
{
    char path[300], name[64] = "";
    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    FILE *file = fopen(path, "re");
    if (file && fgets(name, sizeof(name), file))
        name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
    snprintf(text, size, "%s (process %s)", *name ? name : "a program", pid);
}

bool holder_find(unsigned port, char *text, size_t size)
{
    struct inodes sockets = {.count = 0};
    bool found = false;
    struct dirent *entry;
    read_table("/proc/net/tcp", port, &sockets);
    read_table("/proc/net/tcp6", port, &sockets);
    DIR *all = sockets.count ? opendir("/proc") : NULL;
    for (unsigned n = 0; all && !found && n < PROCESSES_MAX && (entry = readdir(all)); n++) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !holds(entry->d_name, &sockets))
            continue;
        describe(entry->d_name, text, size);
        found = true;
    }
    if (all)
        closedir(all);
    return found;
}
