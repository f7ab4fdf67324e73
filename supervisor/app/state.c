#include "app/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

enum { FILE_MAX = 1 << 20, NAMES_MAX = 4096, NAME_MAX_LEN = 64 };

static const char who[] = "nodey";

/* ---------------------------------------------------------------------- reading */

static void add(struct state *state, const char *name)
{
    state->stopped = xrealloc(state->stopped, (state->count + 1) * sizeof(*state->stopped));
    state->stopped[state->count++] = xstrdup(name);
}

static void forget(struct state *state, size_t at)
{
    xfree(state->stopped[at]);
    state->stopped[at] = state->stopped[--state->count];
}

/* False when it is not what write_file() writes. */
static bool parse(struct state *state, struct slice text)
{
    struct json_scan scan;
    struct json_value whole, key, value, item;
    bool found = false;
    json_scan_init(&scan, text);
    if (!json_scan_value(&scan, &whole) || !json_scan_done(&scan) || whole.type != JSON_OBJECT)
        return false;
    struct json_scan members = json_iter(&whole);
    while (json_next_member(&members, &key, &value)) {
        if (!json_string_is(&key, "stopped") || value.type != JSON_ARRAY)
            continue;
        found = true;
        struct json_scan it = json_iter(&value);
        while (json_next_item(&it, &item)) {
            struct buf name = {0};
            if (item.type == JSON_STRING)
                json_unescape(&item, &name);
            bool fits = name.len && name.len <= NAME_MAX_LEN && state->count < NAMES_MAX;
            if (fits && !state_is_stopped(state, buf_cstr(&name)))
                add(state, buf_cstr(&name));
            buf_deinit(&name);
        }
    }
    return found;
}

/* 0, or an errno. */
static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno;
    ssize_t n = 0;
    while (out->len < FILE_MAX && (n = read(fd, buf_reserve(out, 4096), 4096)) > 0)
        out->len += (size_t)n;
    int why = n < 0 ? errno : out->len >= FILE_MAX ? EFBIG : 0;
    close(fd);
    return why;
}

void state_open(struct state *state, const char *data_dir)
{
    struct buf text = {0};
    *state = (struct state){.path = xasprintf("%s/state.json", data_dir)};
    int why = read_file(state->path, &text);
    if (why && why != ENOENT)
        log_line(LOG_WARN, who, "%s cannot be read (%s): what was stopped is started",
                 state->path, strerror(why));
    else if (!why && !parse(state, buf_slice(&text)))
        log_line(LOG_WARN, who, "%s is damaged: what was stopped is started", state->path);
    buf_deinit(&text);
}

void state_close(struct state *state)
{
    while (state->count)
        forget(state, 0);
    xfree(state->stopped);
    xfree(state->path);
    *state = (struct state){0};
}

bool state_is_stopped(const struct state *state, const char *name)
{
    for (size_t i = 0; i < state->count; i++)
        if (strcmp(state->stopped[i], name) == 0)
            return true;
    return false;
}

/* ---------------------------------------------------------------------- writing */

static bool write_all(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text = slice_from(text, (size_t)n);
    }
    return true;
}

/* Without this the new name may be gone after a power failure, and the old one too. */
static void sync_folder(const char *path)
{
    char *folder = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        IGNORE(fsync(fd)); /* the file itself is whole in any case */
        close(fd);
    }
    xfree(folder);
}

/* 0, or an errno.  Whoever reads sees the file of before or the new one. */
static int write_file(const char *path, struct slice text)
{
    char *next = xasprintf("%s.new", path);
    int why = 0;
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !write_all(fd, text) || fsync(fd))
        why = errno;
    if (fd >= 0 && close(fd) && !why)
        why = errno;
    if (!why && rename(next, path))
        why = errno;
    if (!why)
        sync_folder(path);
    else if (fd >= 0)
        unlink(next);
    xfree(next);
    return why;
}

static void save(struct state *state)
{
    struct buf text = {0};
    buf_adds(&text, "{\"version\":1,\"stopped\":[");
    for (size_t i = 0; i < state->count; i++) {
        buf_adds(&text, i ? "," : "");
        json_write(&text, slice_of(state->stopped[i]));
    }
    buf_adds(&text, "]}\n");
    int why = write_file(state->path, buf_slice(&text));
    if (why && !state->told)
        log_line(LOG_WARN, who,
                 "%s cannot be written (%s): nodey's next run will not know what was stopped",
                 state->path, strerror(why));
    state->told = why != 0;
    buf_deinit(&text);
}

void state_set_stopped(struct state *state, const char *name, bool stopped,
                       bool (*knows)(void *arg, const char *name), void *arg)
{
    if (state_is_stopped(state, name) == stopped)
        return;
    if (stopped)
        add(state, name);
    for (size_t i = state->count; i-- > 0;)
        if ((!stopped && strcmp(state->stopped[i], name) == 0) ||
            !knows(arg, state->stopped[i]))
            forget(state, i);
    save(state);
}
