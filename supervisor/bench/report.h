/*
 * bench_report: what a load has shown, for a person, a program or a browser.
 */
#pragma once

#include "bench/draw.h"
#include "bench/load.h"

enum bench_format { BENCH_TEXT, BENCH_JSON, BENCH_HTML };

struct bench_report {
    const char *url;
    const char *method;
    const struct load_options *options;
    const struct load_result *result;
};

/* Appends the whole report. */
void bench_report_write(const struct bench_report *, enum bench_format,
                        const struct bench_look *, struct buf *);
