#include "figures.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Values below SUB_COUNT have a slot each; above, each power of two has SUB_COUNT of them. */
static size_t slot_of(uint64_t ns)
{
    if (ns < SUB_COUNT)
        return (size_t)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
    return (size_t)(shift + 1) * SUB_COUNT + (size_t)((ns >> shift) - SUB_COUNT);
}

static uint64_t middle_of(size_t slot)
{
    if (slot < SUB_COUNT)
        return slot;
    size_t shift = slot / SUB_COUNT - 1;
    uint64_t low = (uint64_t)(SUB_COUNT + slot % SUB_COUNT) << shift;
    return low + ((UINT64_C(1) << shift) >> 1);
}

void hist_add(struct hist *h, uint64_t ns)
{
    size_t slot = slot_of(ns);
    h->slots[slot < HIST_SLOTS ? slot : HIST_SLOTS - 1]++;
    h->count++;
    if (ns > h->max)
        h->max = ns;
}

double hist_us(const struct hist *h, double percent)
{
    double wanted = (double)h->count * percent / 100, seen = 0;
    for (size_t i = 0; i < HIST_SLOTS; i++) {
        seen += (double)h->slots[i];
        if (h->slots[i] && seen >= wanted)
            return (double)middle_of(i) / 1000;
    }
    return (double)h->max / 1000;
}

static void reserve(struct bytes *b, size_t more)
{
    if (b->room - b->len >= more)
        return;
    size_t room = b->room ? b->room : 4096;
    while (room - b->len < more)
        room *= 2;
    char *at = realloc(b->at, room);
    if (!at)
        die("no memory");
    b->at = at;
    b->room = room;
}

void bytes_add(struct bytes *b, const void *from, size_t size)
{
    reserve(b, size);
    memcpy(b->at + b->len, from, size);
    b->len += size;
}

void bytes_print(struct bytes *b, const char *format, ...)
{
    va_list args;
    reserve(b, 1024);
    va_start(args, format);
    int size = vsnprintf(b->at + b->len, b->room - b->len, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= b->room - b->len)
        die("a line too long to print");
    b->len += (size_t)size;
}

void bytes_drop(struct bytes *b, size_t n)
{
    memmove(b->at, b->at + n, b->len - n);
    b->len -= n;
}

void payload_write(char *to, size_t size, uint64_t t_ns, int mark)
{
    char head[64];
    int len = snprintf(head, sizeof(head), "{\"t\":1%018llu,\"m\":%d,\"x\":\"",
                       (unsigned long long)t_ns, mark);
    memcpy(to, head, (size_t)len);
    memset(to + len, 'x', size - (size_t)len - 2);
    memcpy(to + size - 2, "\"}", 2);
}

double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}
