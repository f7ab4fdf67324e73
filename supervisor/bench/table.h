/*
 * bench_table: pipe and bridge side by side, for a person, a program or a browser.
 */
#pragma once

#include "bench/bridge.h"
#include "bench/report.h"

/* Appends the whole report. */
void bench_table_write(const struct bridge_result *, enum bench_format,
                       const struct bench_look *, struct buf *);
