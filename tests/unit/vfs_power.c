#include "vfs_power.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct handle {
    sqlite3_file base;
    struct power *power;
    unsigned file;
};

uint64_t power_chance(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static void put(struct buf *b, uint64_t offset, const char *bytes, uint64_t len)
{
    if (offset + len > b->len) {
        buf_reserve(b, offset + len - b->len);
        memset(b->ptr + b->len, 0, offset + len - b->len);
        b->len = offset + len;
    }
    memcpy(b->ptr + offset, bytes, len);
}

static void cut(struct buf *b, uint64_t size)
{
    if (size < b->len)
        b->len = size;
}

static void record(struct power *p, struct power_event event)
{
    if (!p->recording)
        return;
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 1024;
        p->events = xrealloc(p->events, p->cap * sizeof(*p->events));
    }
    if (event.bytes) {
        char *copy = xmalloc(event.len);
        memcpy(copy, event.bytes, event.len);
        event.bytes = copy;
    }
    p->events[p->count++] = event;
}

/* ------------------------------------------------------------------- a file */

static int file_close(sqlite3_file *file)
{
    (void)file;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 offset)
{
    struct handle *h = (struct handle *)file;
    const struct buf *b = &h->power->files[h->file].now;
    uint64_t at = (uint64_t)offset;
    uint64_t have = at < b->len ? MIN(b->len - at, (uint64_t)len) : 0;
    if (have)
        memcpy(bytes, b->ptr + at, have);
    if (have == (uint64_t)len)
        return SQLITE_OK;
    memset((char *)bytes + have, 0, (uint64_t)len - have);
    return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    struct handle *h = (struct handle *)file;
    struct power *p = h->power;
    int rc = SQLITE_OK;
    pthread_mutex_lock(&p->mutex);
    if (p->recording && ++p->writes >= p->fail_write && p->fail_write &&
        p->writes < p->fail_write + p->fail_writes) {
        rc = p->write_error;
        len = p->short_writes ? len / 2 : 0;
    }
    if (len) {
        put(&p->files[h->file].now, (uint64_t)offset, bytes, (uint64_t)len);
        record(p, (struct power_event){.kind = POWER_WRITE,
                                       .file = h->file,
                                       .offset = (uint64_t)offset,
                                       .len = (uint64_t)len,
                                       .bytes = (char *)bytes});
    }
    pthread_mutex_unlock(&p->mutex);
    return rc;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct handle *h = (struct handle *)file;
    pthread_mutex_lock(&h->power->mutex);
    cut(&h->power->files[h->file].now, (uint64_t)size);
    record(h->power, (struct power_event){
                         .kind = POWER_TRUNCATE, .file = h->file, .len = (uint64_t)size});
    pthread_mutex_unlock(&h->power->mutex);
    return SQLITE_OK;
}

/* The kernel tells once that it could not write, and calls the pages clean. */
static void lose_unsynced(struct power *p, unsigned file)
{
    for (size_t i = p->count; i-- > 0;) {
        struct power_event *e = &p->events[i];
        if (e->file == file && e->kind == POWER_SYNC)
            return;
        if (e->file == file && e->kind == POWER_WRITE)
            e->lost = true;
    }
}

static int file_sync(sqlite3_file *file, int flags)
{
    struct handle *h = (struct handle *)file;
    struct power *p = h->power;
    int rc = SQLITE_OK;
    (void)flags;
    pthread_mutex_lock(&p->mutex);
    if (p->recording && ++p->syncs >= p->fail_sync && p->fail_sync &&
        p->syncs < p->fail_sync + p->fail_syncs) {
        lose_unsynced(p, h->file);
        rc = SQLITE_IOERR_FSYNC;
    } else
        record(p, (struct power_event){.kind = POWER_SYNC, .file = h->file});
    pthread_mutex_unlock(&p->mutex);
    return rc;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct handle *h = (struct handle *)file;
    *size = (sqlite3_int64)h->power->files[h->file].now.len;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level)
{
    (void)file, (void)level;
    return SQLITE_OK;
}

static int file_reserved(sqlite3_file *file, int *out)
{
    (void)file;
    *out = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
    (void)file, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int file_sector(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int file_traits(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods METHODS = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
};

/* ------------------------------------------------------------------ the disk */

static struct power *power_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

static unsigned slot_of(struct power *p, const char *name)
{
    for (unsigned i = 0; i < POWER_FILES; i++) {
        if (!p->files[i].name)
            p->files[i].name = xstrdup(name);
        if (strcmp(p->files[i].name, name) == 0)
            return i;
    }
    assert(!"a file more than expected");
    return 0;
}

static int power_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                      int *flags_out)
{
    struct power *p = power_of(vfs);
    struct handle *h = (struct handle *)file;
    file->pMethods = NULL;
    if (!name)
        return SQLITE_CANTOPEN;
    pthread_mutex_lock(&p->mutex);
    *h = (struct handle){{NULL}, p, slot_of(p, name)};
    struct power_file *f = &p->files[h->file];
    bool can = f->exists || flags & SQLITE_OPEN_CREATE;
    if (can) {
        f->exists = true;
        h->base.pMethods = &METHODS;
    }
    pthread_mutex_unlock(&p->mutex);
    if (flags_out)
        *flags_out = flags;
    return can ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int power_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    struct power *p = power_of(vfs);
    (void)sync;
    pthread_mutex_lock(&p->mutex);
    unsigned file = slot_of(p, name);
    p->files[file].exists = false;
    buf_clear(&p->files[file].now);
    record(p, (struct power_event){.kind = POWER_DELETE, .file = file});
    pthread_mutex_unlock(&p->mutex);
    return SQLITE_OK;
}

static int power_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    struct power *p = power_of(vfs);
    (void)flags;
    pthread_mutex_lock(&p->mutex);
    *out = p->files[slot_of(p, name)].exists;
    pthread_mutex_unlock(&p->mutex);
    return SQLITE_OK;
}

static int power_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    snprintf(out, (size_t)size, "%s", name);
    return SQLITE_OK;
}

void power_init(struct power *p)
{
    static bool in_use;
    if (in_use)
        abort(); /* a test before this one failed half-way: nothing after it can be trusted */
    in_use = true;
    *p = (struct power){.vfs = *sqlite3_vfs_find("unix"), .in_use = &in_use};
    pthread_mutex_init(&p->mutex, NULL);
    p->vfs.zName = "power";
    p->vfs.pNext = NULL;
    p->vfs.pAppData = p;
    p->vfs.szOsFile = sizeof(struct handle);
    p->vfs.xOpen = power_open;
    p->vfs.xDelete = power_delete;
    p->vfs.xAccess = power_access;
    p->vfs.xFullPathname = power_path;
    sqlite3_vfs_register(&p->vfs, 1);
}

void power_deinit(struct power *p)
{
    sqlite3_vfs_unregister(&p->vfs);
    sqlite3_vfs_register(sqlite3_vfs_find("unix"), 1);
    power_clear(p);
    xfree(p->events);
    for (unsigned i = 0; i < POWER_FILES; i++)
        xfree(p->files[i].name);
    pthread_mutex_destroy(&p->mutex);
    *p->in_use = false;
}

void power_clear(struct power *p)
{
    for (size_t i = 0; i < p->count; i++)
        xfree(p->events[i].bytes);
    p->count = 0;
    for (unsigned i = 0; i < POWER_FILES; i++) {
        buf_deinit(&p->files[i].now);
        p->files[i].exists = false;
    }
    p->writes = p->syncs = p->fail_write = p->fail_sync = 0;
}

void power_mark(struct power *p, uint64_t what)
{
    pthread_mutex_lock(&p->mutex);
    record(p, (struct power_event){.kind = POWER_MARK, .len = what});
    pthread_mutex_unlock(&p->mutex);
}

struct buf *power_file(struct power *p, const char *ending)
{
    size_t want = strlen(ending);
    for (unsigned i = 0; i < POWER_FILES; i++) {
        const char *name = p->files[i].name;
        if (name && p->files[i].exists && strlen(name) >= want &&
            strcmp(name + strlen(name) - want, ending) == 0)
            return &p->files[i].now;
    }
    return NULL;
}

/* ------------------------------------------------------------- loss of power */

static void apply(struct power_image *image, const struct power_event *e, uint64_t from,
                  uint64_t to)
{
    struct buf *b = &image->files[e->file];
    if (e->kind == POWER_WRITE) {
        put(b, e->offset + from, e->bytes + from, to - from);
        image->exists[e->file] = true;
    } else if (e->kind == POWER_TRUNCATE)
        cut(b, e->len);
    else if (e->kind == POWER_DELETE) {
        buf_clear(b);
        image->exists[e->file] = false;
    }
}

void power_walk_init(struct power_walk *w, struct power *p)
{
    *w = (struct power_walk){.power = p};
}

void power_walk_deinit(struct power_walk *w)
{
    power_image_deinit(&w->sure);
    xfree(w->waiting);
}

/* A sync makes durable what its file has waiting, and the names of the folder. */
static void settle(struct power_walk *w, unsigned file)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->waiting_count; i++) {
        const struct power_event *e = &w->power->events[w->waiting[i]];
        if (e->file == file || e->kind == POWER_DELETE)
            apply(&w->sure, e, 0, e->len);
        else
            w->waiting[kept++] = w->waiting[i];
    }
    w->waiting_count = kept;
}

void power_walk_step(struct power_walk *w)
{
    const struct power_event *e = &w->power->events[w->at];
    if (e->kind == POWER_SYNC)
        settle(w, e->file);
    else if (e->kind != POWER_MARK && !e->lost) {
        if (w->waiting_count == w->waiting_cap) {
            w->waiting_cap = w->waiting_cap ? 2 * w->waiting_cap : 256;
            w->waiting = xrealloc(w->waiting, w->waiting_cap * sizeof(*w->waiting));
        }
        w->waiting[w->waiting_count++] = w->at;
    }
    w->at++;
}

void power_walk_image(const struct power_walk *w, uint64_t seed, struct power_image *image)
{
    uint64_t chance = seed;
    *image = (struct power_image){0};
    for (unsigned i = 0; i < POWER_FILES; i++) {
        buf_add(&image->files[i], buf_slice(&w->sure.files[i]));
        image->exists[i] = w->sure.exists[i];
    }
    unsigned mode = (unsigned)(power_chance(&chance) % 3); /* nearly none, half, nearly all */
    for (size_t i = 0; seed && i < w->waiting_count; i++) {
        const struct power_event *e = &w->power->events[w->waiting[i]];
        unsigned luck = (unsigned)(power_chance(&chance) % 8);
        if (luck >= 1 + 3 * mode)
            continue;
        uint64_t sectors = e->len / 512, to = e->len, from = 0;
        if (e->kind == POWER_WRITE && sectors > 1 && power_chance(&chance) % 4 == 0) {
            if (power_chance(&chance) % 2)
                to = power_chance(&chance) % sectors * 512;
            else
                from = power_chance(&chance) % sectors * 512;
        }
        apply(image, e, from, to);
    }
}

void power_image_deinit(struct power_image *image)
{
    for (unsigned i = 0; i < POWER_FILES; i++)
        buf_deinit(&image->files[i]);
}

void power_install(struct power *p, const struct power_image *image)
{
    p->recording = false;
    for (unsigned i = 0; i < POWER_FILES; i++) {
        buf_clear(&p->files[i].now);
        buf_add(&p->files[i].now, buf_slice(&image->files[i]));
        p->files[i].exists = image->exists[i];
    }
}
