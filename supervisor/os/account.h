/* account: users and groups by name or number. */
#pragma once

#include <sys/types.h>

#include "base/err.h"

struct account {
    uid_t uid;
    gid_t gid;
    char name[64];  /* "" when the number has none */
    char home[512]; /* "/" when it has none */
};

/*
 * Looks up "www-data", "1000", "www-data:staff" or "1000:1000"; group, when not NULL, wins.
 * 0, or a negative code with a sentence: no such user, no such group.
 */
int account_find(struct account *, const char *user, const char *group,
                 struct err *) MUST_CHECK;

/* May this process become that user?  As root, or when it is that user already. */
bool account_may_become(const struct account *);
