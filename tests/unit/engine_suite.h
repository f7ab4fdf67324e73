/*
 * engine_suite: what bus/engine.h promises, checked of any engine.
 *
 * Each check works in an empty folder.  What an engine's kind says it cannot is left out, and
 * printed.
 */
#pragma once

#include "desk.h"

/* Runs all of it as one group of tests: the number that failed. */
int engine_suite_run(const struct engine_kind *);
