/*
 * compose: docker-compose's files to a nodey.toml.
 */
#pragma once

#include "import/draft.h"

/* Whether compose would read a file of that name. */
bool compose_is_file(const char *name);

/* The file at `path`, called `shown`.  -1 with a sentence in draft->err. */
int compose_import(struct draft *, const char *path, const char *shown) MUST_CHECK;
