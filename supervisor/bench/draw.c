#include "bench/draw.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BAR_WIDTH = 32, ROWS_MAX = 40 };

struct bench_look bench_look_of(int fd)
{
    const char *no_colour = getenv("NO_COLOR");
    setlocale(LC_CTYPE, ""); /* numbers keep their point: they are JSON, too */
    return (struct bench_look){
        .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
        .colour = isatty(fd) && !(no_colour && *no_colour),
    };
}

/* Three digits that count, without an exponent. */
static int digits_after_point(double n)
{
    return n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
}

const char *bench_time(double ns, bool unicode, char text[24])
{
    double us = ns / 1e3;
    if (us < 999.5)
        snprintf(text, 24, "%.*f %s", digits_after_point(us), us, unicode ? "µs" : "us");
    else if (us < 999.5e3)
        snprintf(text, 24, "%.*f ms", digits_after_point(us / 1e3), us / 1e3);
    else
        snprintf(text, 24, "%.*f s", digits_after_point(us / 1e6), us / 1e6);
    return text;
}

const char *bench_bound(uint64_t ns, bool unicode, char text[24])
{
    double us = (double)ns / 1e3;
    if (us < 1e3)
        snprintf(text, 24, "%g %s", us, unicode ? "µs" : "us");
    else
        snprintf(text, 24, "%g %s", us < 1e6 ? us / 1e3 : us / 1e6, us < 1e6 ? "ms" : "s");
    return text;
}

const char *bench_count(double n, char text[32])
{
    char plain[32];
    size_t len = (size_t)snprintf(plain, sizeof(plain), "%.0f", MIN(MAX(n, 0), 1e18));
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            text[out++] = ' ';
        text[out++] = plain[i];
    }
    text[out] = '\0';
    return text;
}

const char *bench_bytes(double n, char text[32])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (n >= 999.5 && unit + 1 < ARRAY_LEN(units)) {
        n /= 1000;
        unit++;
    }
    snprintf(text, 32, "%.*f %s", unit ? digits_after_point(n) : 0, n, units[unit]);
    return text;
}

void bench_bar(struct buf *out, const struct bench_look *look, double part, double whole,
               unsigned width)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    double share = whole > 0 ? MIN(MAX(part / whole, 0), 1) : 0;
    unsigned cells = (unsigned)lround(share * width * 8);
    if (part > 0 && cells == 0)
        cells = 1; /* something is not nothing */
    if (look->colour)
        buf_adds(out, "\033[36m");
    for (unsigned i = 0; i < cells / 8; i++)
        buf_adds(out, look->unicode ? "█" : "#");
    if (look->unicode)
        buf_adds(out, eighths[cells % 8]);
    else if (cells % 8 >= 4 || cells < 8)
        buf_adds(out, cells ? "#" : "");
    if (look->colour)
        buf_adds(out, "\033[0m");
}

uint64_t bench_next_bound(uint64_t ns)
{
    if (ns == 0)
        return 1000;
    uint64_t unit = 1;
    while (ns / unit >= 10)
        unit *= 10;
    return ns / unit == 2 ? 5 * unit : 2 * ns;
}

struct row {
    uint64_t bound;
    uint64_t count;
};

void bench_distribution(struct buf *out, const struct bench_look *look,
                        const struct histogram *h)
{
    struct row rows[ROWS_MAX];
    size_t n = 0;
    uint64_t low = 0, most = 0;
    while (n < ROWS_MAX && low < h->max) {
        struct row row = {.bound = bench_next_bound(low)};
        row.count = histogram_between(h, low, row.bound);
        low = row.bound;
        if (n == 0 && row.count == 0)
            continue; /* the empty ones below the first that is not */
        rows[n++] = row;
        most = MAX(most, row.count);
    }
    for (size_t i = 0; i < n; i++) {
        char time[24];
        double percent = 100 * (double)rows[i].count / (double)h->count;
        bench_bound(rows[i].bound, look->unicode, time);
        /* printf() counts bytes, and µ has two. */
        int width = 7 + (strstr(time, "µ") != NULL);
        buf_addf(out, "  %s %*s %8.3f %%  ", i ? "     " : "up to", width, time, percent);
        bench_bar(out, look, (double)rows[i].count, (double)most, BAR_WIDTH);
        buf_addc(out, '\n');
    }
}
