#include "bus/store_page.h"

#include <stdio.h>
#include <string.h>

#include "bus/store_sum.h"

/* In SQLite's memory, the real file right behind it. */
struct page_file {
    sqlite3_file base;
    struct store_page_vfs *vfs;
};

static sqlite3_file *real_of(sqlite3_file *file)
{
    return (sqlite3_file *)((struct page_file *)file + 1);
}

/* A page in another's place is as wrong as one with other bytes. */
static uint64_t sum_of(const void *page, sqlite3_int64 offset)
{
    return store_sum((uint64_t)offset / STORE_PAGE + 1, page, STORE_PAGE - STORE_PAGE_SUM);
}

static bool is_page(int amount, sqlite3_int64 offset)
{
    return amount == STORE_PAGE && offset % STORE_PAGE == 0;
}

/* True the first time. */
static bool remember(struct store_page_vfs *vfs, uint64_t page)
{
    for (size_t i = 0; i < vfs->told_count; i++)
        if (vfs->told[i] == page)
            return false;
    if (vfs->told_count < STORE_PAGES_TOLD)
        vfs->told[vfs->told_count++] = page;
    return true;
}

static int page_read(sqlite3_file *file, void *bytes, int amount, sqlite3_int64 offset)
{
    struct store_page_vfs *vfs = ((struct page_file *)file)->vfs;
    sqlite3_file *real = real_of(file);
    int rc = real->pMethods->xRead(real, bytes, amount, offset);
    if (rc != SQLITE_OK || !is_page(amount, offset))
        return rc;
    uint64_t sum = sum_of(bytes, offset);
    if (memcmp(&sum, (char *)bytes + STORE_PAGE - STORE_PAGE_SUM, sizeof(sum)) == 0)
        return SQLITE_OK;
    uint64_t page = (uint64_t)offset / STORE_PAGE + 1;
    if (remember(vfs, page) || vfs->strict)
        vfs->damaged = page;
    return vfs->strict ? SQLITE_IOERR_DATA : SQLITE_OK;
}

static int page_write(sqlite3_file *file, const void *bytes, int amount, sqlite3_int64 offset)
{
    struct store_page_vfs *vfs = ((struct page_file *)file)->vfs;
    sqlite3_file *real = real_of(file);
    if (!is_page(amount, offset))
        return real->pMethods->xWrite(real, bytes, amount, offset);
    if (vfs->wrote)
        vfs->wrote(vfs);
    char page[STORE_PAGE];
    memcpy(page, bytes, STORE_PAGE);
    uint64_t sum = sum_of(page, offset);
    memcpy(page + STORE_PAGE - STORE_PAGE_SUM, &sum, sizeof(sum));
    return real->pMethods->xWrite(real, page, amount, offset);
}

static int page_close(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
}

static int page_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xTruncate(real, size);
}

static int page_sync(sqlite3_file *file, int flags)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xSync(real, flags);
}

static int page_size(sqlite3_file *file, sqlite3_int64 *size)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFileSize(real, size);
}

static int page_lock(sqlite3_file *file, int level)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xLock(real, level);
}

static int page_unlock(sqlite3_file *file, int level)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xUnlock(real, level);
}

static int page_reserved(sqlite3_file *file, int *out)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xCheckReservedLock(real, out);
}

static int page_control(sqlite3_file *file, int op, void *arg)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xFileControl(real, op, arg);
}

static int page_sector(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xSectorSize(real);
}

static int page_traits(sqlite3_file *file)
{
    sqlite3_file *real = real_of(file);
    return real->pMethods->xDeviceCharacteristics(real);
}

/* Version 1: no memory that processes share, because there is one process only. */
static const sqlite3_io_methods METHODS = {
    .iVersion = 1,
    .xClose = page_close,
    .xRead = page_read,
    .xWrite = page_write,
    .xTruncate = page_truncate,
    .xSync = page_sync,
    .xFileSize = page_size,
    .xLock = page_lock,
    .xUnlock = page_unlock,
    .xCheckReservedLock = page_reserved,
    .xFileControl = page_control,
    .xSectorSize = page_sector,
    .xDeviceCharacteristics = page_traits,
};

static int page_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    struct store_page_vfs *mine = container_of(vfs, struct store_page_vfs, vfs);
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return mine->real->xOpen(mine->real, name, file, flags, flags_out);
    struct page_file *page = (struct page_file *)file;
    sqlite3_file *real = real_of(file);
    page->vfs = mine;
    real->pMethods = NULL;
    int rc = mine->real->xOpen(mine->real, name, real, flags, flags_out);
    file->pMethods = real->pMethods ? &METHODS : NULL;
    return rc;
}

/* Everything but files is the real one's. */
void store_page_init(struct store_page_vfs *v)
{
    v->real = sqlite3_vfs_find(NULL);
    v->vfs = *v->real;
    snprintf(v->name, sizeof(v->name), "nodey-%p", (void *)v);
    v->vfs.zName = v->name;
    v->vfs.pNext = NULL;
    v->vfs.szOsFile = v->real->szOsFile + (int)sizeof(struct page_file);
    v->vfs.xOpen = page_open;
    sqlite3_vfs_register(&v->vfs, 0);
}

void store_page_deinit(struct store_page_vfs *v)
{
    sqlite3_vfs_unregister(&v->vfs);
}
