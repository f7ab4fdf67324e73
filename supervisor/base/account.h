/*
 * account: users and groups by name or number.
 *
 * Asks the system's databases, which are files nearly everywhere; where they lie on a server
 * an answer takes its time.
 */
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
 * The group is the user's own when none is named; a number without a name is its own group.
 * `user` NULL: who runs this, as whom only the group is to be another one.
 * 0, or a negative code with a sentence: no such user, no such group.
 */
int account_find(struct account *, const char *user, const char *group,
                 struct err *) MUST_CHECK;

/* May this process become that user?  As root, or when it is that user already. */
bool account_may_become(const struct account *);
