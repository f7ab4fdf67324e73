#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/account.h"

#include <cmocka.h>

static void assert_found(const char *user, const char *group, unsigned uid, unsigned gid,
                         const char *name)
{
    struct account a;
    struct err err = {0};
    if (account_find(&a, user, group, &err))
        fail_msg("%s: %s", user, err.text);
    assert_int_equal(a.uid, uid);
    assert_int_equal(a.gid, gid);
    assert_string_equal(a.name, name);
    assert_true(a.home[0] == '/');
}

static void assert_missing(const char *user, const char *group, const char *why)
{
    struct account a = {.uid = 77};
    struct err err = {0};
    assert_true(account_find(&a, user, group, &err) < 0);
    assert_string_equal(err.text, why);
    assert_int_equal(a.uid, 77); /* written only on success */
}

static void users_are_found_by_name_and_number(void **state)
{
    (void)state;
    assert_found("root", NULL, 0, 0, "root");
    assert_found("0", NULL, 0, 0, "root");
    assert_found("root:daemon", NULL, 0, 1, "root");
    assert_found("root:1", NULL, 0, 1, "root");
    assert_found("root:daemon", "bin", 0, 2, "root"); /* Debian numbers these for ever */
}

static void a_number_without_a_name_is_its_own_group(void **state)
{
    (void)state;
    assert_found("54321", NULL, 54321, 54321, "");
    assert_found("54321:7", NULL, 54321, 7, "");
    assert_found("54321", "daemon", 54321, 1, "");
}

static void without_a_user_only_the_group_changes(void **state)
{
    struct account a;
    struct err err;
    (void)state;
    assert_int_equal(account_find(&a, NULL, "daemon", &err), 0);
    assert_int_equal(a.uid, geteuid());
    assert_int_equal(a.gid, 1);
}

static void who_does_not_exist_is_named(void **state)
{
    (void)state;
    assert_missing("no-such-user", NULL, "there is no user \"no-such-user\"");
    assert_missing("root:no-such-group", NULL, "there is no group \"no-such-group\"");
    assert_missing("root", "no-such-group", "there is no group \"no-such-group\"");
    assert_missing("root:", NULL, "there is no group \"\"");
    assert_missing("4294967295", NULL, "there is no user \"4294967295\""); /* means: nobody */
    assert_missing("-1", NULL, "there is no user \"-1\"");
    assert_missing("", NULL, "\"\" is no user: write a name, a number, or USER:GROUP");
    assert_missing(":root", NULL,
                   "\":root\" is no user: write a name, a number, or USER:GROUP");
}

static void root_may_become_anybody_and_others_themselves(void **state)
{
    (void)state;
    struct account self = {.uid = geteuid(), .gid = getegid()};
    struct account other = {.uid = geteuid() + 1, .gid = getegid()};
    struct account group = {.uid = geteuid(), .gid = getegid() + 1};
    bool is_root = geteuid() == 0;
    assert_true(account_may_become(&self));
    assert_int_equal(account_may_become(&other), is_root);
    assert_int_equal(account_may_become(&group), is_root);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found_by_name_and_number),
        cmocka_unit_test(a_number_without_a_name_is_its_own_group),
        cmocka_unit_test(without_a_user_only_the_group_changes),
        cmocka_unit_test(who_does_not_exist_is_named),
        cmocka_unit_test(root_may_become_anybody_and_others_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
