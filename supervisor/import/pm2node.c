/* An ecosystem file in JavaScript, run by Node: what it exports, as JSON. */
#include "import/pm2node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* `import` takes what `require` does not, and ES modules. */
static const char program[] =
    "const path = require('path').resolve(process.argv[1]);\n"
    "const print = (m) => process.stdout.write(JSON.stringify(m.default || m));\n"
    "console.log = console.info = console.error;\n"
    "import(require('url').pathToFileURL(path)).then(print).catch((e) => {\n"
    "    process.stderr.write(String(e && e.message || e).split('\\n')[0]);\n"
    "    process.exitCode = 1;\n"
    "});\n";

struct running {
    pid_t pid;
    int out, err;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* In a process group of its own, so that all of it can be ended. */
static int start(struct running *r, const char *path)
{
    char *argv[] = {(char *)"node", (char *)"-e", (char *)program,
                    (char *)"--",   (char *)path, NULL};
    int out[2], err[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    if (pipe2(out, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(err, O_CLOEXEC) < 0) {
        close(out[0]);
        close(out[1]);
        return -EMFILE;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    int code = posix_spawnp(&r->pid, "node", &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    close(out[1]);
    close(err[1]);
    r->out = out[0];
    r->err = err[0];
    if (code) {
        close(out[0]);
        close(err[0]);
    }
    return -code;
}

/* False: time is up, or it prints too much. */
static bool read_both(const struct running *r, unsigned patience_ms, size_t max,
                      struct buf *out, struct buf *err)
{
    enum { STEP = 16384 };

    struct pollfd fds[2] = {{r->out, POLLIN, 0}, {r->err, POLLIN, 0}};
    struct buf *texts[2] = {out, err};
    int64_t end = now_ms() + patience_ms, left;
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if ((left = end - now_ms()) <= 0 || out->len + err->len > max)
            return false;
        if (poll(fds, 2, (int)left) <= 0)
            continue;
        for (size_t i = 0; i < 2; i++) {
            if (!fds[i].revents)
                continue;
            ssize_t n = read(fds[i].fd, buf_reserve(texts[i], STEP), STEP);
            if (n > 0)
                texts[i]->len += (size_t)n;
            else
                fds[i].fd = -1;
        }
    }
    return true;
}

int pm2node_run(const char *path, const char *shown, unsigned patience_ms, size_t max,
                struct buf *json, struct err *err)
{
    struct running r;
    struct buf words = {0};
    int status = 0, code = start(&r, path);
    if (code < 0)
        return err_set(err, code, "%s: it needs Node to be read, and node: %s", shown,
                       strerror(-code));
    bool ended = read_both(&r, patience_ms, max, json, &words);
    kill(-r.pid, SIGKILL); /* and whatever it has begun */
    waitpid(r.pid, &status, 0);
    close(r.out);
    close(r.err);
    if (!ended)
        code = err_set(err, -ETIMEDOUT, "%s: Node did not finish with it within %u s", shown,
                       patience_ms / 1000);
    else if (json->len == 0)
        code = err_set(err, -EINVAL, "%s: Node says: %.300s", shown,
                       words.len ? buf_cstr(&words) : "it exports nothing");
    buf_deinit(&words);
    return code;
}
