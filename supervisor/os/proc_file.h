/* proc_file: small files that the kernel makes up, as in /proc and /sys. */
#pragma once

#include "base/slice.h"

enum { PROC_FILE_MAX = 16384 };

/* The beginning of a file, with a NUL behind it; its length, or -1 (see errno). */
ssize_t proc_file_read(const char *path, char *text, size_t size) MUST_CHECK;

/* 0, or the negative errno. */
int proc_file_write(const char *path, const char *text) MUST_CHECK;

/*
 * The number behind `key` ("MemTotal:", "anon") at the beginning of a line.  False when
 * there is none.
 */
bool proc_file_number(const char *text, const char *key, uint64_t *out);
