/*
 * imports: which files of its own a script of Node loads, by what its text says.
 *
 * A file that others load is a module of theirs, whatever it looks like by itself.
 */
#pragma once

#include "base/arena.h"
#include "config/config.h"

enum { IMPORTS_MAX = 64 }; /* of one script */

/*
 * The files that `path` (absolute) names in require('./x'), import './x' or ... from './x',
 * absolute and in the arena, as Node looks for them; none of a script in another language.
 */
struct string_list imports_of(struct arena *, const char *path);

/* True when `path` is among them, by whatever name. */
bool imports_file(const char *importer, const char *path);
