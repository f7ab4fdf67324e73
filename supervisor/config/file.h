/*
 * file: whole files, bounded.
 */
#pragma once

#include "base/buf.h"

/*
 * Appends what is in the file, up to a little more than `max` bytes: the caller finds
 * text->len > max when there was more.  `regular`: nothing else is opened, so that a
 * pipe that nobody writes to cannot hold us up.  0, or a negative errno: -EINVAL for
 * what is not regular.
 */
int file_read(const char *path, size_t max, bool regular, struct buf *text) MUST_CHECK;

/*
 * The absolute folder that a file lies in, whether or not the file is there; NULL means
 * the current folder.  In the arena; NULL with errno set on failure.
 */
struct arena;
const char *file_folder(struct arena *, const char *path);
