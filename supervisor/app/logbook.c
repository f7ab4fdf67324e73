#include "app/logbook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/datadir.h"
#include "app/rotate.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"
#include "base/printable.h"

enum {
    FLUSH_BYTES = 256 << 10, /* so much does not wait for more */
    FIELDS_MAX = 64 << 10,   /* longer ones are left out */
    TELL_MS = 1000,          /* between two words about lost lines */
    INSTANCE_MAX = 1 << 20,
};

/*
 * One program's.  While it is in the batch, what stands below `busy` is the thread's.
 */
struct logbook_file {
    struct keymap_node node;
    char *name;
    const char *dir;
    struct buf held;   /* whole lines, for the next batch */
    uint64_t lost;     /* lines, since the file last took some */
    uint64_t retry_ms; /* not before that, because the last write failed */
    int failing;       /* errno of that write; 0 = it went well */
    uint64_t limit;    /* bytes: the file is put aside when it has so many */
    bool to_pack;      /* its NAME.log.1 waits to be packed */
    int pack_error;    /* of the packing that has just ended */
    bool untidy;       /* it has been told that files cannot be put aside */
    bool busy;

    struct buf bytes; /* what is written */
    size_t written;
    unsigned keep;
    bool may_shift; /* no packing of its files is under way */
    bool shifted;
    int error;       /* of writing */
    int shift_error; /* of putting aside */
};

static const char who[] = "nodey";

/* -------------------------------------------------------------------- on the thread */

static bool ends_in_line(int fd, off_t size)
{
    char last = '\n';
    return size == 0 || pread(fd, &last, 1, size - 1) != 1 || last == '\n';
}

static int open_log(const struct logbook_file *f, const char *path, struct stat *st)
{
    enum { FLAGS = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK };
    struct err err;
    int fd = open(path, FLAGS, 0600);
    if (fd < 0 && errno == ENOENT && datadir_make(f->dir, &err) == 0)
        fd = open(path, FLAGS, 0600); /* somebody has removed the folder */
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, st) ? errno : S_ISREG(st->st_mode) ? 0 : EINVAL;
    if (rc == 0 && !ends_in_line(fd, st->st_size) && write(fd, "\n", 1) == 1)
        st->st_size++; /* a life that was cut short left half a line */
    if (rc)
        close(fd);
    return rc ? -rc : fd;
}

/* A line is in the file whole or not at all. */
static void drop_half_line(struct logbook_file *f, int fd, off_t begin)
{
    const char *lf = memrchr(f->bytes.ptr, '\n', f->written);
    f->written = lf ? (size_t)(lf + 1 - f->bytes.ptr) : 0;
    IGNORE(ftruncate(fd, begin + (off_t)f->written)); /* then the next one mends it */
}

static void append(struct logbook_file *f, int fd, off_t begin)
{
    while (f->written < f->bytes.len) {
        ssize_t n = write(fd, f->bytes.ptr + f->written, f->bytes.len - f->written);
        if (n >= 0) {
            f->written += (size_t)n;
        } else if (errno != EINTR) {
            f->error = errno;
            drop_half_line(f, fd, begin);
            return;
        }
    }
}

static void write_file(struct logbook_file *f)
{
    char *path = rotate_path(f->dir, f->name, (struct rotated){0});
    struct stat st;
    int fd = open_log(f, path, &st);
    xfree(path);
    if (fd < 0) {
        f->error = -fd;
        return;
    }
    append(f, fd, st.st_size);
    close(fd);
    if (f->may_shift && (uint64_t)st.st_size + f->written >= f->limit) {
        f->shift_error = rotate_shift(f->dir, f->name, f->keep);
        f->shifted = f->shift_error == 0;
    }
}

static void run_write(struct work *work)
{
    struct logbook *b = container_of(work, struct logbook, write);
    for (size_t i = 0; i < b->batch_count; i++)
        write_file(b->batch[i]);
}

static void run_pack(struct work *work)
{
    struct logbook *b = container_of(work, struct logbook, pack);
    b->packing->pack_error = rotate_pack(b->packing->dir, b->packing->name, &b->stop_packing);
}

/* ------------------------------------------------------------------------- lines */

static uint64_t hash_of(struct slice name)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a: names are the owner's own */
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.ptr[i]) * 0x100000001b3;
    return hash;
}

static struct logbook_file *find(const struct logbook *b, struct slice name)
{
    struct keymap_node *at = keymap_find(&b->names, hash_of(name));
    for (; at; at = keymap_next(at)) {
        struct logbook_file *f = container_of(at, struct logbook_file, node);
        if (slice_is(name, f->name))
            return f;
    }
    return NULL;
}

/* NULL when there are too many. */
static struct logbook_file *have(struct logbook *b, struct slice name)
{
    struct logbook_file *f = find(b, name);
    if (f || b->count == LOGBOOK_PROGRAMS)
        return f;
    f = xcalloc(1, sizeof(*f));
    f->name = xstrndup(name.ptr, name.len);
    f->dir = b->dir;
    f->limit = b->max_size;
    keymap_add(&b->names, &f->node, hash_of(name));
    b->files = xrealloc(b->files, (b->count + 1) * sizeof(*b->files));
    b->files[b->count++] = f;
    return f;
}

static void add_time(struct logbook *b, struct buf *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != b->second || !b->stamp[0]) {
        struct tm tm;
        b->second = now.tv_sec;
        strftime(b->stamp, sizeof(b->stamp), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
    }
    buf_addf(out, "{\"time\":\"%s.%06ldZ\"", b->stamp, now.tv_nsec / 1000);
}

static void add_member(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, ",\"%s\":", name);
    json_write(out, text);
}

/* Readable, and nothing of it is lost. */
static void add_text(struct buf *out, struct slice text)
{
    struct buf shown = {0};
    if (utf8_valid(text)) {
        add_member(out, "text", text);
        return;
    }
    printable_add(&shown, text, &(struct printable){.colours = true});
    add_member(out, "text", buf_slice(&shown));
    buf_adds(out, ",\"base64\":\"");
    base64_encode(out, text);
    buf_addc(out, '"');
    buf_deinit(&shown);
}

static struct slice without_last_lf(struct slice text)
{
    while (text.len && text.ptr[text.len - 1] == '\n')
        text.len--;
    return text;
}

static void add_record(struct logbook *b, struct buf *out, const char *name,
                       struct slice instance, const struct log_entry *e)
{
    bool too_long = e->fields.len > FIELDS_MAX;
    add_time(b, out);
    add_member(out, "name", slice_of(name));
    if (instance.len)
        buf_addf(out, ",\"instance\":" SLICE_FMT, SLICE_ARG(instance));
    add_member(out, "stream", slice_of(e->stream ? e->stream : who));
    add_member(out, "level", slice_of(log_level_name(e->level)));
    add_text(out, without_last_lf(e->text));
    if (e->fields.len && !too_long) {
        buf_adds(out, ",\"fields\":");
        buf_add(out, e->fields);
    }
    if (e->request.len)
        add_member(out, "request", e->request);
    if (e->request_id.len)
        add_member(out, "request_id", e->request_id);
    buf_adds(out, e->cut || too_long ? ",\"cut\":true}\n" : "}\n");
}

static bool is_full(const struct logbook *b, const struct logbook_file *f, size_t more)
{
    return b->bytes + more > LOGBOOK_BYTES_MAX ||
           f->held.len + f->bytes.len + more > LOGBOOK_PROGRAM_MAX;
}

static void lose(struct logbook *b, struct logbook_file *f)
{
    f->lost++;
    b->lost++;
}

static void plan(struct logbook *b);

static void add(struct logbook *b, struct logbook_file *f, struct slice instance,
                const struct log_entry *e)
{
    size_t before = f->held.len;
    if (is_full(b, f, e->text.len)) {
        lose(b, f);
        return;
    }
    add_record(b, &f->held, f->name, instance, e);
    if (is_full(b, f, f->held.len - before)) {
        f->held.len = before;
        lose(b, f);
        return;
    }
    b->bytes += f->held.len - before;
    plan(b);
}

/* "fib#0" is about one instance, "fib" about all. */
static void keep(void *arg, const struct log_entry *e)
{
    struct logbook *b = arg;
    struct slice name = slice_of(e->who), instance = {0};
    const char *hash = strrchr(e->who, '#');
    uint64_t number;
    if (hash && slice_to_u64(slice_of(hash + 1), INSTANCE_MAX, &number)) {
        name.len = (size_t)(hash - e->who);
        instance = slice_of(hash + 1);
    }
    if (!name.len || name.ptr[0] == '.' || memchr(name.ptr, '/', name.len))
        name = slice_of(who);
    struct logbook_file *f = b->on ? have(b, name) : NULL;
    if (f)
        add(b, f, instance, e);
}

/* -------------------------------------------------------------------- the turns */

/* Can something of it be written now? */
static bool is_due(const struct logbook *b, const struct logbook_file *f)
{
    return f->held.len && (b->closing || f->retry_ms <= loop_now(b->loop));
}

static void begin_batch(struct logbook *b)
{
    b->batch = xrealloc(b->batch, (b->count + 1) * sizeof(*b->batch));
    b->batch_count = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct logbook_file *f = b->files[i];
        if (!is_due(b, f))
            continue;
        f->bytes = f->held;
        f->held = (struct buf){0};
        f->written = 0;
        f->keep = (unsigned)b->max_files;
        f->may_shift = !f->to_pack;
        f->shifted = false;
        f->error = f->shift_error = 0;
        f->busy = true;
        b->batch[b->batch_count++] = f;
    }
}

static const char *reason(int error)
{
    return error ? strerror(error) : "they came faster than the disk takes them";
}

/* In the file itself, where they are missing. */
static void note_lost(struct logbook *b, struct logbook_file *f)
{
    char *text = xasprintf("%llu log lines were lost here: %s", (unsigned long long)f->lost,
                           reason(f->failing));
    f->lost = 0;
    add(b, f, (struct slice){0},
        &(struct log_entry){.level = LOG_WARN, .text = slice_of(text)});
    xfree(text);
}

static void note_failure(struct logbook *b, struct logbook_file *f)
{
    f->retry_ms = loop_now(b->loop) + LOGBOOK_RETRY_MS;
    b->failing += f->failing == 0;
    if (b->failing == 1 && f->failing == 0) {
        b->why = f->error;
        log_line(LOG_WARN, who,
                 "%s/%s.log cannot be written: %s; up to %d MiB of log lines are kept until it "
                 "can, more are counted",
                 b->dir, f->name, strerror(f->error), LOGBOOK_BYTES_MAX >> 20);
    }
    f->failing = f->error;
}

static void note_success(struct logbook *b, struct logbook_file *f)
{
    if (f->lost)
        note_lost(b, f);
    if (!f->failing)
        return;
    f->failing = 0;
    f->retry_ms = 0;
    if (--b->failing || b->lost)
        return;
    b->why = 0;
    log_line(LOG_INFO, who, "log files can be written again: no line was lost");
}

static void note_shift(struct logbook *b, struct logbook_file *f)
{
    if (f->shifted) {
        f->limit = b->max_size;
        f->to_pack = b->compress && f->keep > 1;
        f->untidy = false;
    }
    if (!f->shift_error)
        return;
    f->limit += b->max_size; /* not with every line */
    if (!f->untidy)
        log_line(LOG_WARN, who, "%s/%s.log is too long, but cannot be put aside: %s", b->dir,
                 f->name, strerror(f->shift_error));
    f->untidy = true;
}

/* What was not written goes back in front of what has come meanwhile. */
static void end_write(struct logbook *b, struct logbook_file *f)
{
    b->bytes -= f->written;
    buf_consume(&f->bytes, f->written);
    if (f->bytes.len) {
        buf_add(&f->bytes, buf_slice(&f->held));
        buf_deinit(&f->held);
        f->held = f->bytes;
    } else {
        buf_deinit(&f->bytes);
    }
    f->bytes = (struct buf){0};
    f->busy = false;
}

static void end_batch(struct logbook *b)
{
    for (size_t i = 0; i < b->batch_count; i++)
        end_write(b, b->batch[i]);
    for (size_t i = 0; i < b->batch_count; i++) {
        struct logbook_file *f = b->batch[i];
        note_shift(b, f);
        if (f->error)
            note_failure(b, f);
        else
            note_success(b, f);
    }
    b->batch_count = 0;
}

/* Once for a second of them, or when what hindered is over. */
static void tell_lost(struct logbook *b)
{
    uint64_t now = loop_now(b->loop);
    if (!b->lost || b->failing || now < b->told_ms + TELL_MS)
        return;
    log_line(LOG_WARN, who, "%llu log lines were lost: %s", (unsigned long long)b->lost,
             reason(b->why));
    b->lost = 0;
    b->why = 0;
    b->told_ms = now;
}

static void on_packed(struct work *work);

static void pack_next(struct logbook *b)
{
    if (work_busy(&b->pack) || b->closing)
        return;
    for (size_t i = 0; i < b->count; i++)
        if (b->files[i]->to_pack && !b->files[i]->busy) {
            b->packing = b->files[i];
            work_start(&b->pack, b->loop, run_pack, on_packed);
            return;
        }
}

/* Unpacked it is as good, only longer; the next ones are tried again. */
static void on_packed(struct work *work)
{
    struct logbook *b = container_of(work, struct logbook, pack);
    struct logbook_file *f = b->packing;
    f->to_pack = false;
    b->packing = NULL;
    if (f->pack_error && f->pack_error != ECANCELED)
        log_line(LOG_WARN, who, "%s/%s.log.1 is not compressed: %s", b->dir, f->name,
                 strerror(f->pack_error));
    pack_next(b);
}

static void start_writing(struct logbook *b);

static void on_written(struct work *work)
{
    struct logbook *b = container_of(work, struct logbook, write);
    end_batch(b);
    tell_lost(b);
    pack_next(b);
    if (!b->closing)
        plan(b);
    else if (!b->failing)
        start_writing(b);
}

static void start_writing(struct logbook *b)
{
    if (work_busy(&b->write))
        return;
    begin_batch(b);
    if (b->batch_count)
        work_start(&b->write, b->loop, run_write, on_written);
}

static void on_flush(struct timer *timer)
{
    struct logbook *b = container_of(timer, struct logbook, flush);
    start_writing(b);
    if (!work_busy(&b->write)) /* else its end says what hinders */
        tell_lost(b);
    plan(b);
}

/* When is there something to do?  Sets the timer for it; while a batch is written it waits. */
static void plan(struct logbook *b)
{
    uint64_t now = loop_now(b->loop), due = UINT64_MAX;
    uint64_t soon = now + (b->bytes < FLUSH_BYTES ? LOGBOOK_FLUSH_MS : 0);
    if (work_busy(&b->write) || b->closing ||
        (timer_runs(&b->flush) && b->flush.due_ms <= soon))
        return;
    for (size_t i = 0; i < b->count; i++) {
        struct logbook_file *f = b->files[i];
        if (f->held.len)
            due = MIN(due, MAX(f->retry_ms, soon));
    }
    if (b->lost && !b->failing)
        due = MIN(due, b->told_ms + TELL_MS);
    if (due != UINT64_MAX)
        timer_start(b->loop, &b->flush, due > now ? due - now : 0, on_flush);
}

/* -------------------------------------------------------------------- its life */

void logbook_configure(struct logbook *b, const struct server_config *config)
{
    if (!b->loop)
        return;
    b->on = config->log_files;
    b->max_size = config->log_max_size;
    b->max_files = config->log_max_files;
    b->compress = config->log_compress;
    for (size_t i = 0; i < b->count; i++)
        if (!b->files[i]->busy)
            b->files[i]->limit = b->max_size;
}

void logbook_open(struct logbook *b, struct loop *loop, const struct server_config *config)
{
    *b = (struct logbook){.loop = loop, .dir = xasprintf("%s/logs", config->data_dir)};
    atomic_init(&b->stop_packing, false);
    logbook_configure(b, config);
    log_keep(keep, b);
}

void logbook_close(struct logbook *b)
{
    if (!b->loop)
        return;
    b->closing = true;
    atomic_store(&b->stop_packing, true);
    timer_stop(b->loop, &b->flush);
    start_writing(b);
}

/* At once, because no loop runs any more. */
static void write_rest(struct logbook *b)
{
    begin_batch(b);
    run_write(&b->write);
    for (size_t i = 0; i < b->batch_count; i++)
        end_write(b, b->batch[i]);
}

static uint64_t count_lines(struct slice text)
{
    uint64_t lines = 0;
    for (const char *lf; (lf = memchr(text.ptr, '\n', text.len)); lines++)
        text = slice_from(text, (size_t)(lf + 1 - text.ptr));
    return lines;
}

void logbook_deinit(struct logbook *b)
{
    if (!b->loop)
        return;
    log_keep(NULL, NULL);
    write_rest(b);
    for (size_t i = 0; i < b->count; i++) {
        struct logbook_file *f = b->files[i];
        b->lost += f->held.len ? count_lines(buf_slice(&f->held)) : 0;
        buf_deinit(&f->held);
        xfree(f->name);
        xfree(f);
    }
    if (b->lost)
        log_line(LOG_WARN, who, "%llu log lines were lost: %s", (unsigned long long)b->lost,
                 reason(b->why));
    keymap_deinit(&b->names);
    xfree(b->files);
    xfree(b->batch);
    xfree(b->dir);
    *b = (struct logbook){0};
}
