/*
 * compose: values in the words of docker-compose, for reader.c: instances, ports, shares
 * of CPUs, restart policies, signals, dependencies and health checks.
 */
#pragma once

#include "config/reader.h"

/*
 * Reads a value of one of the types SETTING_SCALE to SETTING_TEST into the struct that the
 * setting is part of.  0, or a negative code with a sentence in the reader's err.
 */
int compose_read(const struct reader *, const struct setting *, const struct toml_node *,
                 void *out) MUST_CHECK;

/* What such a setting wants, for the sentence "<key> must be <this>"; NULL: another type. */
const char *compose_wanted(const struct setting *, struct arena *);

/* The number of "SIGTERM", "term" or "15"; 0: there is no such signal. */
int compose_signal(struct slice name);
