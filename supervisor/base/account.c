#include "base/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "base/slice.h"

/* getpwnam and its like leave 0 or one of these when there is simply no such entry. */
static bool is_missing(int code)
{
    return code == 0 || code == ENOENT || code == ESRCH;
}

static void take(struct account *a, const struct passwd *entry)
{
    a->uid = entry->pw_uid;
    a->gid = entry->pw_gid;
    snprintf(a->name, sizeof(a->name), "%s", entry->pw_name);
    if (entry->pw_dir[0])
        snprintf(a->home, sizeof(a->home), "%s", entry->pw_dir);
}

/* A name, or else a number: as chown reads them. */
static int find_user(struct account *a, const char *user, struct err *err)
{
    uint64_t number;
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    int code = errno;
    bool is_number = slice_to_u64(slice_of(user), UINT32_MAX - 1, &number);
    if (!entry && is_number)
        entry = getpwuid((uid_t)number);
    if (entry) {
        take(a, entry);
        return 0;
    }
    if (is_number) {
        a->uid = (uid_t)number;
        a->gid = (gid_t)number;
        return 0;
    }
    return is_missing(code)
               ? err_set(err, -1, "there is no user \"%s\"", user)
               : err_set(err, -code, "cannot look up user \"%s\": %s", user, strerror(code));
}

static int find_group(struct account *a, const char *group, struct err *err)
{
    uint64_t number;
    errno = 0;
    const struct group *entry = getgrnam(group);
    int code = errno;
    if (entry)
        a->gid = entry->gr_gid;
    else if (slice_to_u64(slice_of(group), UINT32_MAX - 1, &number))
        a->gid = (gid_t)number;
    else
        return is_missing(code) ? err_set(err, -1, "there is no group \"%s\"", group)
                                : err_set(err, -code, "cannot look up group \"%s\": %s", group,
                                          strerror(code));
    return 0;
}

static void find_self(struct account *a)
{
    const struct passwd *entry = getpwuid(geteuid());
    if (entry)
        take(a, entry);
    a->uid = geteuid();
    a->gid = getegid();
}

int account_find(struct account *out, const char *user, const char *group, struct err *err)
{
    struct account a = {.home = "/"};
    const char *colon = user ? strchr(user, ':') : NULL;
    char name[sizeof(a.name)];
    size_t len = colon ? (size_t)(colon - user) : user ? strlen(user) : 0;
    if (user && (len == 0 || len >= sizeof(name)))
        return err_set(err, -1, "\"%s\" is no user: write a name, a number, or USER:GROUP",
                       user);
    snprintf(name, sizeof(name), "%.*s", (int)len, user ? user : "");
    if (!user)
        find_self(&a);
    else if (find_user(&a, name, err))
        return err->code;
    const char *wanted = group ? group : colon ? colon + 1 : NULL;
    if (wanted && find_group(&a, wanted, err))
        return err->code;
    *out = a;
    return 0;
}

bool account_may_become(const struct account *a)
{
    return geteuid() == 0 || (geteuid() == a->uid && getegid() == a->gid);
}
