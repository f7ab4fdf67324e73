/*
 * store_page: a check sum on each page of the store's file.
 *
 * It stands between SQLite and its file: whoever writes a page has the last eight bytes of it
 * filled in, and whoever reads one has them compared.  SQLite leaves these bytes alone
 * (reserved space).  Only the file itself is guarded so; the write-ahead log has sums of its
 * own.
 */
#pragma once

#include <sqlite3.h>

#include "base/base.h"

enum { STORE_PAGE = 8192, STORE_PAGE_SUM = 8, STORE_PAGES_TOLD = 64 };

struct store_page_vfs {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    char name[40];
    bool strict;      /* a damaged page is not read at all: SQLITE_IOERR_DATA */
    uint64_t damaged; /* the last that was found, 1, 2, ...; 0 = none since it was set so */
    uint64_t told[STORE_PAGES_TOLD];
    size_t told_count;
    void (*wrote)(struct store_page_vfs *); /* before a page goes to the file; or NULL */
};

/* Registers it above the one that is the default now. */
void store_page_init(struct store_page_vfs *);
void store_page_deinit(struct store_page_vfs *);
