/*
 * serviceitem: one key of a compose service on its way into [services.NAME].
 */
#pragma once

#include "import/stack.h"

struct item {
    struct stack *stack;
    struct draft *draft;
    const struct service *service;
    const char *key;
    const struct tree *value; /* not null */
};

/* The keys that have a file of their own. */
void item_deploy(const struct item *);
void item_volumes(const struct item *);
void item_env_file(const struct item *);
void item_develop(const struct item *);

/* Says that this value below the key is not understood. */
void item_lost(const struct item *, const struct tree *value);

/* Write `key = value`; with a variable in it, as it stands. */
void item_write_size(const struct item *, const char *key, const struct tree *value);
void item_write_number(const struct item *, const char *key, const struct tree *value);
void item_write_cpus(const struct item *, const struct tree *value);

bool item_has_variable(struct slice);
