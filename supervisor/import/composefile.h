/*
 * composefile: docker-compose's files as one map, with all that one file takes from others.
 *
 * An override file beside it, `include`, and `extends` within and across files are followed,
 * as compose follows them.
 */
#pragma once

#include "import/draft.h"

enum { COMPOSEFILE_MAX_DEPTH = 16, COMPOSEFILE_MAX_SERVICES = 256 };

/*
 * The whole file.  Its member "services" is a map of maps, and nothing in it extends any
 * other.  NULL with a sentence in draft->err.
 */
const struct tree *composefile_load(struct draft *, const char *path, const char *shown);

/* A map, whether it was written as one or as a list of "NAME=value" or of names. */
const struct tree *composefile_map(struct arena *, const struct tree *);
