/*
 * rotate: the files of one program's log, NAME.log and those that were put aside before it.
 *
 *   NAME.log       is written to
 *   NAME.log.1     was put aside last, and is being packed
 *   NAME.log.2.gz  the one before it, and so on: the higher the number, the older
 *
 * For threads that may wait for a disk, and for commands: no loop, no state.
 */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>

#include "base/slice.h"

/* One file's place in that row; 0 is NAME.log itself. */
struct rotated {
    unsigned number;
    bool packed; /* with gzip */
};

/* "DIR/NAME.log.2.gz"; the caller frees it. */
char *rotate_path(const char *dir, const char *name, struct rotated);

/* Whose file is it, and which?  False when it is none.  `name` borrows `file`. */
bool rotate_parse(const char *file, struct slice *name, struct rotated *);

/*
 * Finds the files of a program, the newest first.  Where one is there both packed and not,
 * because packing it was cut short, only the latter counts.  The caller frees *found; returns
 * their number, 0 also when there is no such folder.
 */
size_t rotate_list(const char *dir, const char *name, struct rotated **found);

/*
 * Puts NAME.log aside as NAME.log.1, after moving the others on.  `keep` files stay, the new
 * NAME.log that will be written included; older ones go.  0 or an errno.
 */
int rotate_shift(const char *dir, const char *name, unsigned keep) MUST_CHECK;

/*
 * Packs NAME.log.1.  0, also when there is none; or an errno, and the file is as it was.
 * ECANCELED: `stop` became true.
 */
int rotate_pack(const char *dir, const char *name, const atomic_bool *stop) MUST_CHECK;

/* Reads a packed file; takes the descriptor.  NULL when memory is out. */
struct packed;
struct packed *packed_open(int fd);
void packed_close(struct packed *);

/* The number of bytes, 0 at the end, -1 when it is damaged: what came before is good. */
ssize_t packed_read(struct packed *, void *to, size_t max);
