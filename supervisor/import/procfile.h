/*
 * procfile: a Procfile, as foreman, honcho, overmind and Heroku have it.
 */
#pragma once

#include "import/draft.h"

enum { PROCFILE_MAX_FILE = 64 * 1024, PROCFILE_MAX_PROCESSES = 100 };

int procfile_import(struct draft *, const char *path, const char *shown) MUST_CHECK;
