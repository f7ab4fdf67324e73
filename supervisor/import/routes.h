/*
 * routes: routes.json of the balancers of old, which nodey reads as it is: what is written is
 * only what has to stand beside it.
 */
#pragma once

#include "import/draft.h"

int routes_import(struct draft *, const char *path, const char *shown) MUST_CHECK;
