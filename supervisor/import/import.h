/*
 * import: what other tools are told by their files, as a nodey.toml.
 *
 * Reads docker-compose's files, a Procfile, PM2's ecosystem files and the routes.json of
 * old.  What is found in them is never trusted: sizes and depths are bounded.
 */
#pragma once

#include "import/draft.h"

/*
 * `path` is a file, or a folder with one in it; `dir` (absolute) the folder that the
 * nodey.toml is for.  Fills in the draft, which begins as {0} and which the caller frees in
 * both cases.  0, or -1 with a sentence.
 */
int import_read(struct draft *, const char *path, const char *dir, struct err *) MUST_CHECK;
