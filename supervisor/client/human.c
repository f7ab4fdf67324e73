#include "client/human.h"

#include <stdio.h>

/* Three digits that count, as docker has them. */
static const char *scaled(char *text, uint64_t bytes, unsigned base, const char *const *units,
                          size_t count)
{
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= base && unit + 1 < count) {
        value /= base;
        unit++;
    }
    int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, HUMAN_MAX, "%.*f%s", digits, value, units[unit]);
    return text;
}

const char *human_memory(char *text, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    return scaled(text, bytes, 1024, units, ARRAY_LEN(units));
}

const char *human_bytes(char *text, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    return scaled(text, bytes, 1000, units, ARRAY_LEN(units));
}

const char *human_age(char *text, uint64_t ms)
{
    unsigned long long s = ms / 1000;
    if (s < 60)
        snprintf(text, HUMAN_MAX, "%llus", s);
    else if (s < 3600)
        snprintf(text, HUMAN_MAX, s % 60 ? "%llum %llus" : "%llum", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, HUMAN_MAX, s / 60 % 60 ? "%lluh %llum" : "%lluh", s / 3600, s / 60 % 60);
    else
        snprintf(text, HUMAN_MAX, s / 3600 % 24 ? "%llud %lluh" : "%llud", s / 86400,
                 s / 3600 % 24);
    return text;
}
