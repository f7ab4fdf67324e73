/*
 * depends: whether what programs say they depend on can ever be.
 */
#pragma once

#include "config/config.h"
#include "config/reader.h"

/* Where the depends_on of c->workers[i] stands; value NULL: it has none. */
struct depends_origin {
    const struct reader *reader;
    const struct toml_node *value;
};

/*
 * Every name must be a program's, nobody may wait for himself, not even through others, and
 * what is to complete must not be started again for ever, and what is to be healthy must have a
 * check.  `origins` are those of c->workers.
 * 0, or a negative code with a sentence in the err of the reader that read it.
 */
int depends_check(const struct config *, const struct depends_origin *origins) MUST_CHECK;
