/*
 * pm2: ecosystem files of PM2.
 *
 * One in JavaScript is run by Node, for 10 s at most, to see what it exports.
 */
#pragma once

#include "import/draft.h"

enum { PM2_MAX_APPS = 100, PM2_PATIENCE_MS = 10000 };

int pm2_import(struct draft *, const char *path, const char *shown) MUST_CHECK;
