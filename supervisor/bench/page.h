/*
 * bench_page: one self-contained HTML page, with bars drawn in SVG.
 */
#pragma once

#include "base/buf.h"

/* Everything up to the content; both are shown as text. */
void bench_page_begin(struct buf *page, const char *title, const char *subtitle);
void bench_page_end(struct buf *page);

/* Bars below each other, on one scale. */
struct bench_bars {
    struct buf *page;
    struct buf rows;
    double whole; /* the value of the longest bar */
    unsigned count;
};

struct bench_bars bench_bars_begin(struct buf *page, double whole);

/* A bar with what stands before and after it; `stressed`: in the page's own colour. */
void bench_bars_add(struct bench_bars *, const char *label, const char *value, double part,
                    bool stressed);

/* Writes the drawing to the page. */
void bench_bars_end(struct bench_bars *);
