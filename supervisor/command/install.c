/*
 * `nodey install-service`: a unit for systemd.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/account.h"
#include "client/options.h"
#include "client/session.h"
#include "client/show.h"
#include "command/command.h"
#include "config/config.h"
#include "config/discover.h"

const char command_install_help[] =
    "Writes /etc/systemd/system/NAME.service, with which systemd runs this folder's nodey: at\n"
    "boot, again when it ends, and again when it hangs (watchdog). Says which two commands "
    "make\n"
    "it so; they are not run. Warns of programs whose interpreter systemd would not find, or\n"
    "would find another of (nvm, pyenv). Needs root, unless it only prints.\n"
    "\n"
    "  -f, --file FILE       the configuration; ./nodey.toml when nothing is said\n"
    "  --name NAME           of the unit; the folder's name when nothing is said\n"
    "  -u, --user USER       who nodey runs as; whom the folder belongs to when nothing is\n"
    "                        said\n"
    "  --socket              also NAME.socket: systemd opens the port and keeps it open, so\n"
    "                        that no connection is refused while nodey restarts\n"
    "  --print               print what would be written\n"
    "  --force               write also over a unit that is there\n"
    "\n"
    "Exit code: 0, 1 when it cannot be written or the configuration is bad.\n"
    "\n"
    "  nodey install-service --print\n"
    "  sudo nodey install-service --user www-data\n";

enum { WATCHDOG_S = 30, START_S = 90, STOP_MARGIN_S = 5 };

static const char folder[] = "/etc/systemd/system";

struct wish {
    const char *file, *name, *user;
    bool socket, print, force;
};

struct unit {
    const struct config *config;
    const char *name;
    const char *binary; /* absolute */
    const char *file;   /* absolute; NULL: there is none */
    struct account account;
};

/* A word of a command line, or a path: what systemd would take for something else is escaped.
 */
static void add_word(struct buf *out, const char *word, bool command)
{
    bool plain = !strpbrk(word, " \t\"'\\;");
    buf_adds(out, plain || !command ? "" : "\"");
    for (; *word; word++) {
        if (*word == '%' || (*word == '$' && command))
            buf_addf(out, "%c%c", *word, *word);
        else if ((*word == '"' || *word == '\\') && command)
            buf_addf(out, "\\%c", *word);
        else
            buf_addc(out, *word);
    }
    buf_adds(out, plain || !command ? "" : "\"");
}

static void add_command(struct buf *out, const struct unit *u, const char *key,
                        const char *verb)
{
    buf_addf(out, "%s=", key);
    add_word(out, u->binary, true);
    buf_addf(out, " %s", verb);
    if (u->file) {
        buf_adds(out, " -f ");
        add_word(out, u->file, true);
    }
    buf_addc(out, '\n');
}

/* Programs that become another user, or reach into the machine, must be allowed to. */
static bool changes_user(const struct config *config)
{
    for (size_t i = 0; i < config->worker_count; i++)
        if (config->workers[i].user || config->workers[i].group ||
            !config->workers[i].no_new_privileges)
            return true;
    return false;
}

/* A port below 1024 needs a right that only root has by itself. */
static bool wants_low_port(const struct config *config)
{
    const char *listen = config->server.listen, *colon = strrchr(listen, ':');
    uint64_t port;
    return strncmp(listen, "unix:", 5) != 0 &&
           slice_to_u64(slice_of(colon ? colon + 1 : listen), UINT16_MAX, &port) && port &&
           port < 1024;
}

static void add_rights(struct buf *out, const struct unit *u, bool socket)
{
    bool root = u->account.uid == 0;
    buf_adds(out, "\n# What programs seldom need. Remove a line that one of them does need.\n");
    if (!changes_user(u->config))
        buf_adds(out, "NoNewPrivileges=yes\n");
    if (!root && !changes_user(u->config) && !socket && wants_low_port(u->config))
        buf_adds(out, "AmbientCapabilities=CAP_NET_BIND_SERVICE\n");
    if (strncmp(u->config->dir, "/tmp/", 5) != 0 &&
        strncmp(u->config->dir, "/var/tmp/", 9) != 0)
        buf_adds(out, "PrivateTmp=yes\n");
    buf_adds(out, "ProtectSystem=full\n"
                  "ProtectKernelTunables=yes\n"
                  "ProtectKernelModules=yes\n"
                  "ProtectKernelLogs=yes\n"
                  "ProtectClock=yes\n"
                  "ProtectHostname=yes\n"
                  "RestrictSUIDSGID=yes\n"
                  "RestrictRealtime=yes\n"
                  "LockPersonality=yes\n");
}

/* The port opens when every program is ready, or has had its time for it. */
static unsigned long long start_s(const struct config *config)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < config->worker_count; i++)
        longest = MAX(longest, config->workers[i].start_timeout);
    return MAX((unsigned long long)START_S, longest / 1000 + START_S / 3);
}

/* What is kept for programs must be kept for the unit that they are below of. */
static void add_reservation(struct buf *out, const struct config *c)
{
    unsigned long long bytes = 0;
    for (size_t i = 0; i < c->worker_count; i++)
        bytes += c->workers[i].memory_reservation * c->workers[i].instances;
    if (bytes)
        buf_addf(out, "MemoryLow=%llu\n", bytes);
}

static void write_service(struct buf *out, const struct unit *u, bool socket)
{
    unsigned long long stop_s = (u->config->server.shutdown_timeout + 999) / 1000;
    buf_addf(out,
             "# Written by nodey install-service.\n"
             "[Unit]\n"
             "Description=nodey: %s\n"
             "After=network-online.target%s%s%s\n"
             "Wants=network-online.target\n",
             u->name, socket ? " " : "", socket ? u->name : "", socket ? ".socket" : "");
    if (socket)
        buf_addf(out, "Requires=%s.socket\n", u->name);
    buf_addf(out,
             "StartLimitIntervalSec=0\n"
             "\n"
             "[Service]\n"
             "Type=notify\n"
             "NotifyAccess=main\n"
             "User=%s\n"
             "WorkingDirectory=",
             u->account.name);
    add_word(out, u->config->dir, false);
    buf_addc(out, '\n');
    add_command(out, u, "ExecStart", "up --no-dev");
    add_command(out, u, "ExecReload", "reload");
    buf_addf(out,
             "Restart=always\n"
             "RestartSec=1\n"
             "WatchdogSec=%d\n"
             "TimeoutStartSec=%llu\n"
             "# shutdown_timeout, and a little more.\n"
             "TimeoutStopSec=%llu\n"
             "# nodey ends its programs itself; what is left then is killed.\n"
             "KillMode=mixed\n"
             "# Limits of programs (memory, cpus) are cgroups below the unit's own.\n"
             "Delegate=yes\n"
             "LimitNOFILE=65536\n"
             "OOMPolicy=continue\n",
             WATCHDOG_S, start_s(u->config), stop_s + STOP_MARGIN_S);
    add_reservation(out, u->config);
    add_rights(out, u, socket);
    buf_adds(out, "\n[Install]\nWantedBy=multi-user.target\n");
}

static void write_socket(struct buf *out, const struct unit *u)
{
    const char *listen = u->config->server.listen, *colon = strrchr(listen, ':');
    bool local = strncmp(listen, "unix:", 5) == 0;
    buf_addf(out,
             "# Written by nodey install-service.\n"
             "[Unit]\n"
             "Description=nodey: the port of %s\n"
             "\n"
             "[Socket]\n"
             "ListenStream=",
             u->name);
    if (local)
        add_word(out, listen + 5, false);
    else if (colon && strncmp(listen, "localhost:", 10) == 0)
        buf_addf(out, "127.0.0.1%s", colon);
    else if (colon == listen || listen[0] == '*')
        buf_addf(out, "0.0.0.0%s", colon);
    else
        buf_addf(out, "%s%s", colon ? "" : "127.0.0.1:", listen);
    buf_adds(out, "\nFileDescriptorName=nodey\n"
                  "Backlog=4096\n"
                  "\n"
                  "[Install]\n"
                  "WantedBy=sockets.target\n");
}

/* ------------------------------------------------------------------------ writing */

static int save(const char *path, struct slice text, bool force)
{
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);
    int fd = open(path, flags, 0644);
    bool written = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    if (fd >= 0)
        written = close(fd) == 0 && written;
    if (written) {
        printf("wrote %s\n", path);
        return 0;
    }
    if (errno == EEXIST)
        fprintf(stderr, "nodey: there is a %s already: --force writes over it\n", path);
    else
        fprintf(stderr, "nodey: cannot write %s: %s%s\n", path, strerror(errno),
                errno == EACCES || errno == EPERM ? " (sudo? or --print)" : "");
    return EXIT_REFUSED;
}

static int put(const struct unit *u, const struct wish *wish, const char *kind,
               struct buf *text)
{
    char *path = xasprintf("%s/%s.%s", folder, u->name, kind);
    int rc = 0;
    if (wish->print) {
        printf("# %s\n", path);
        show_write(stdout, buf_slice(text));
    } else {
        rc = save(path, buf_slice(text), wish->force);
    }
    xfree(path);
    buf_deinit(text);
    return rc;
}

static int put_all(const struct unit *u, const struct wish *wish)
{
    struct buf service = {0}, socket = {0};
    write_service(&service, u, wish->socket);
    int rc = put(u, wish, "service", &service);
    if (rc == 0 && wish->socket) {
        write_socket(&socket, u);
        rc = put(u, wish, "socket", &socket);
    }
    if (rc == 0 && !wish->print)
        printf("\nnow type:\n  systemctl daemon-reload\n  systemctl enable --now %s%s\n",
               wish->socket ? u->name : "", wish->socket ? ".socket" : u->name);
    return rc;
}

/* The file that a command's name stands for; NULL: it is none, or is a path already. */
static char *path_find(const char *path, const char *name)
{
    while (*name && !strchr(name, '/') && *path) {
        size_t len = strcspn(path, ":");
        char *file = xasprintf("%.*s/%s", (int)len, path, name);
        if (len && access(file, X_OK) == 0)
            return file;
        xfree(file);
        path += len + (path[len] == ':');
    }
    return NULL;
}

static bool has_own_path(const struct worker_config *w)
{
    for (size_t i = 0; i < w->env.count; i++)
        if (strncmp(w->env.items[i], "PATH=", 5) == 0)
            return true;
    return false;
}

/* What this shell finds and systemd does not, or finds another of: nvm, pyenv, a venv. */
static void warn_of_path(const struct unit *u)
{
    static const char usual[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const char *path = getenv("PATH");
    struct buf told = {0}; /* each folder once, as a PATH begins */
    for (size_t i = 0; path && i < u->config->worker_count; i++) {
        const struct worker_config *w = &u->config->workers[i];
        const char *command = w->command.count && !has_own_path(w) ? w->command.items[0] : "";
        char *here = path_find(path, command), *there = path_find(usual, command);
        if (here && (!there || strcmp(here, there) != 0)) {
            size_t folder_len = (size_t)(strrchr(here, '/') - here);
            fprintf(stderr,
                    "nodey: warning: %s runs %s, which is %s here, and %s for systemd\n",
                    w->name, command, here, there ? there : "not to be found");
            if (!told.len || !memmem(told.ptr, told.len, here, folder_len))
                buf_addf(&told, "%.*s:", (int)folder_len, here);
        }
        xfree(here);
        xfree(there);
    }
    if (told.len)
        fprintf(stderr,
                "nodey: give it this shell's:  sudo systemctl edit %s  and there\n"
                "  [Service]\n"
                "  Environment=\"PATH=" SLICE_FMT "%s\"\n",
                u->name, SLICE_ARG(buf_slice(&told)), usual);
    buf_deinit(&told);
}

/* Whom the folder belongs to is who may write .nodey in it. */
static int find_account(struct unit *u, const char *user, struct err *err)
{
    struct stat st;
    char owner[24];
    if (!user && stat(u->config->dir, &st) == 0) {
        snprintf(owner, sizeof(owner), "%u", (unsigned)st.st_uid);
        user = owner;
    }
    if (account_find(&u->account, user, NULL, err))
        return -1;
    if (!u->account.name[0])
        snprintf(u->account.name, sizeof(u->account.name), "%u", (unsigned)u->account.uid);
    return 0;
}

/* The folder's name, as far as it can be a unit's. */
static char *name_of(const struct config *config)
{
    const char *slash = strrchr(config->dir, '/');
    char *name = xasprintf("nodey-%s", slash && slash[1] ? slash + 1 : "root");
    for (char *at = name; *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *at))
            *at = '-';
    return name;
}

static int install(const struct wish *wish, const struct config *config)
{
    struct err err;
    char *binary = realpath("/proc/self/exe", NULL);
    char *name = wish->name ? xstrdup(wish->name) : name_of(config);
    char *file = config->file ? realpath(config->file, NULL) : NULL;
    struct unit unit = {.config = config, .name = name, .binary = binary, .file = file};
    int rc = EXIT_REFUSED;
    if (!binary)
        fprintf(stderr, "nodey: cannot tell where nodey itself lies: %s\n", strerror(errno));
    else if (find_account(&unit, wish->user, &err))
        fprintf(stderr, "nodey: %s\n", err.text);
    else
        rc = put_all(&unit, wish);
    if (rc == 0)
        warn_of_path(&unit);
    xfree(binary);
    xfree(file);
    xfree(name);
    return rc;
}

int command_install(int argc, char **argv)
{
    struct wish wish = {0};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &wish.file},
        {"--name", OPTION_VALUE, &wish.name},
        {"-u --user", OPTION_VALUE, &wish.user},
        {"--socket", OPTION_FLAG, &wish.socket},
        {"--print", OPTION_FLAG, &wish.print},
        {"--force", OPTION_FLAG, &wish.force},
    };
    struct options options = {
        .verb = "install-service", .table = table, .count = ARRAY_LEN(table)};
    int rc = options_read(&options, argc, argv);
    word_list_deinit(&options.words);
    if (rc == 0 && wish.name && !worker_name_valid(slice_of(wish.name)))
        rc = usage_error("install-service",
                         "\"%s\" is no name for a unit: use 1 to 64 letters, "
                         "digits, \"_\", \".\" and \"-\"",
                         wish.name);
    if (rc)
        return rc;
    struct err err;
    struct config *config = config_load(wish.file, &err);
    if (config)
        rc = install(&wish, config);
    else
        fprintf(stderr, "nodey: %s\n", err.text);
    config_release(config);
    return config ? rc : EXIT_REFUSED;
}
