/*
 * base: the few words every room shares.
 *
 * Allocation dies when memory is out: a supervisor that limps on after a failed
 * malloc helps nobody.  Every size that a peer can choose is bounded by a
 * configured limit before it gets here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/param.h> /* MIN, MAX */

#define container_of(ptr, type, member) ((type *)(((char *)(ptr)) - offsetof(type, member)))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))

/* On every function whose int says that it failed. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Ignores a MUST_CHECK result on purpose; the reason stands beside it. */
#define IGNORE(x)                                                                              \
    do {                                                                                       \
        if (x) {                                                                               \
        }                                                                                      \
    } while (0)

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* These never return NULL. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Takes NULL. */
void xfree(void *ptr);
