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

struct listener {
    unsigned port;
    unsigned long inode;
};

/* "sl local:port remote:port state ... uid timeout inode"; false: it does not listen. */
static bool read_line(const char *line, struct listener *at)
{
    unsigned state;
    return sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu",
                  &at->port, &state, &at->inode) == 3 &&
           state == LISTENING && at->inode;
}

/* The sockets that listen on the port. */
static void read_table(const char *table, unsigned port, struct inodes *found)
{
    struct listener at;
    char line[512];
    FILE *file = fopen(table, "re");
    for (unsigned n = 0; file && n < SOCKETS_MAX && fgets(line, sizeof(line), file); n++)
        if (read_line(line, &at) && at.port == port && found->count < INODES_MAX)
            found->list[found->count++] = at.inode;
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

/* ---------------------------------------------------------------- ports of a group */

struct sockets {
    unsigned long list[DESCRIPTORS_MAX];
    size_t count;
};

/* "pid (comm) state ppid pgrp ...", where comm may hold anything. */
static pid_t group_of(const char *pid)
{
    char path[300], text[512];
    int group = 0;
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = '\0';
    const char *end = strrchr(text, ')');
    return end && sscanf(end + 1, " %*c %*d %d", &group) == 1 ? group : 0;
}

static void collect(const char *pid, struct sockets *found)
{
    char path[300], target[64];
    struct dirent *entry;
    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    for (unsigned n = 0; folder && n < DESCRIPTORS_MAX && (entry = readdir(folder)); n++) {
        ssize_t len = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
        target[len > 0 ? len : 0] = '\0';
        if (found->count < DESCRIPTORS_MAX &&
            sscanf(target, "socket:[%lu]", &found->list[found->count]) == 1)
            found->count++;
    }
    if (folder)
        closedir(folder);
}

static bool has(const struct sockets *all, unsigned long inode)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->list[i] == inode)
            return true;
    return false;
}

static void add_port(unsigned port, unsigned *ports, size_t *count, size_t max)
{
    size_t at = 0;
    while (at < *count && ports[at] < port)
        at++;
    if (*count == max || (at < *count && ports[at] == port)) /* IPv4 and IPv6 */
        return;
    memmove(ports + at + 1, ports + at, (*count - at) * sizeof(*ports));
    ports[at] = port;
    ++*count;
}

static void read_ports(const char *table, const struct sockets *mine, unsigned *ports,
                       size_t *count, size_t max)
{
    struct listener at;
    char line[512];
    FILE *file = fopen(table, "re");
    for (unsigned n = 0; file && n < SOCKETS_MAX && fgets(line, sizeof(line), file); n++)
        if (read_line(line, &at) && has(mine, at.inode))
            add_port(at.port, ports, count, max);
    if (file)
        fclose(file);
}

size_t holder_ports(pid_t group, unsigned *ports, size_t max)
{
    struct sockets *mine = xcalloc(1, sizeof(*mine));
    struct dirent *entry;
    size_t count = 0;
    DIR *all = opendir("/proc");
    for (unsigned n = 0; all && n < PROCESSES_MAX && (entry = readdir(all)); n++)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            group_of(entry->d_name) == group)
            collect(entry->d_name, mine);
    if (all)
        closedir(all);
    if (mine->count) {
        read_ports("/proc/net/tcp", mine, ports, &count, max);
        read_ports("/proc/net/tcp6", mine, ports, &count, max);
    }
    xfree(mine);
    return count;
}
