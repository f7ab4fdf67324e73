/*
 * store_blob: data too big for a row, each in a file of its own.
 *
 * A file's name has its message's number and a check sum of what is in it.  It is whole and
 * durable before its row is stored, and goes after its row has gone; what is left over by a
 * crash in between is found at the next start.
 */
#pragma once

#include "base/buf.h"

enum { BLOB_NAME = 40 };

struct blobs {
    char *dir;
    bool made; /* the folder is there */
    uint64_t bytes;
};

/* Names of files, each ended by a NUL. */
struct blob_changes {
    struct buf written; /* to be removed when the batch fails */
    struct buf doomed;  /* to be removed when it is stored */
};

void blobs_init(struct blobs *, const char *dir);
void blobs_deinit(struct blobs *);

/* 0 with the file's name, or a negative errno. */
int blob_write(struct blobs *, struct blob_changes *, uint64_t number, struct slice data,
               char name[BLOB_NAME]) MUST_CHECK;

/* Is it there as it was written?  Reads it. */
bool blob_intact(const struct blobs *, struct slice name, uint64_t size);

void blob_path(const struct blobs *, struct slice name, struct buf *path);
void blob_doom(struct blob_changes *, struct slice name);

/* After the transaction: `kept` or not. */
void blobs_end(struct blobs *, struct blob_changes *, bool kept);

/* Removes files that nobody knows. */
void blobs_sweep(struct blobs *, bool (*known)(void *arg, struct slice name), void *arg);

/* The folder's files by another name there, for a backup.  0 or a negative errno. */
int blobs_copy(const struct blobs *, const char *to) MUST_CHECK;
