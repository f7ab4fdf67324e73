/*
 * store_log: is the write-ahead log whole, before SQLite reads it?
 *
 * SQLite takes from the log what is whole and passes over the rest without a word: right after
 * a crash in the middle of a write, wrong when a disk has flipped a bit.  This looks first, so
 * that a person hears of it.
 */
#pragma once

#include <sqlite3.h>

#include "base/base.h"

/* Bytes; see sqlite.org/fileformat2.html, "WAL File Format". */
enum { LOG_HEAD = 32, LOG_FRAME_HEAD = 24 };

/*
 * The log of this file: a sentence when something of it is lost, else "".  A log with damage in
 * its middle, whole transactions behind it, is kept as PATH-wal.damaged.
 */
void store_log_look(const char *path, sqlite3_vfs *, char *sentence, size_t size);
