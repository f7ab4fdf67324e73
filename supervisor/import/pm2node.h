/*
 * pm2node: what a JavaScript file exports, as JSON.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/*
 * Runs the file by Node, whatever it does, and ends it after `patience_ms`.  It has the rights
 * and the environment of this process.  0, or a negative code with a sentence.
 */
int pm2node_run(const char *path, const char *shown, unsigned patience_ms, size_t max,
                struct buf *json, struct err *) MUST_CHECK;
