#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "app/balance.h"

#include <cmocka.h>

enum { MANY = 8, KEYS = 10000 };

struct row {
    const char *what;
    struct share_wish wish;
    struct share shares[4];
    size_t count;
    int wanted;
};

static const struct row rows[] = {
    {"none at all", {.policy = POLICY_LEAST_CONN}, {{0}}, 0, SHARE_NONE},
    {"all were tried",
     {.policy = POLICY_ROUND_ROBIN},
     {{.well = true, .out = true}, {.out = true}},
     2,
     SHARE_NONE},
    {"the fewest requests",
     {.policy = POLICY_LEAST_CONN},
     {{.well = true, .active = 3}, {.well = true, .active = 1}, {.well = true, .active = 2}},
     3,
     1},
    {"among equals the longest unused",
     {.policy = POLICY_LEAST_CONN},
     {{.well = true, .turn = 9}, {.well = true, .turn = 7}, {.well = true, .turn = 8}},
     3,
     1},
    {"round robin does not mind load",
     {.policy = POLICY_ROUND_ROBIN},
     {{.well = true, .turn = 2}, {.well = true, .turn = 1, .active = 50}},
     2,
     1},
    {"who is not well is passed over",
     {.policy = POLICY_LEAST_CONN},
     {{.active = 0}, {.well = true, .active = 9}},
     2,
     1},
    {"unless nobody is", {.policy = POLICY_LEAST_CONN}, {{.active = 4}, {.active = 3}}, 2, 1},
    {"or all that are were tried",
     {.policy = POLICY_LEAST_CONN},
     {{.active = 4}, {.well = true, .out = true}},
     2,
     0},
    {"a cookie's own",
     {.policy = POLICY_COOKIE, .cookie = 22},
     {{.well = true, .id = 11}, {.well = true, .id = 22, .active = 99}},
     2,
     1},
    {"a cookie whose target is not well",
     {.policy = POLICY_COOKIE, .cookie = 22},
     {{.well = true, .id = 11, .active = 5}, {.id = 22}},
     2,
     0},
    {"a cookie of nobody",
     {.policy = POLICY_COOKIE, .cookie = 33},
     {{.well = true, .id = 11, .active = 5}, {.well = true, .id = 22}},
     2,
     1},
    {"no key to hash",
     {.policy = POLICY_HEADER},
     {{.well = true, .id = 11, .active = 5}, {.well = true, .id = 22}},
     2,
     1},
    {"random with one choice",
     {.policy = POLICY_RANDOM, .chance = UINT64_MAX},
     {{.out = true}, {.well = true}, {.well = false}},
     3,
     1},
    {"random takes the freer of two",
     {.policy = POLICY_RANDOM, .chance = 0},
     {{.well = true, .active = 2}, {.well = true, .active = 1}},
     2,
     1},
};

static void one_is_chosen(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int found = share_choose(rows[i].shares, rows[i].count, &rows[i].wish);
        if (found != rows[i].wanted)
            fail_msg("%s: %d, not %d", rows[i].what, found, rows[i].wanted);
    }
}

static void fill(struct share *shares, size_t count)
{
    char name[48];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "http://10.0.0.%zu:80", i);
        shares[i] = (struct share){.id = share_id(slice_of(name)), .well = true};
    }
}

static int owner(const struct share *shares, size_t count, unsigned key)
{
    struct share_wish wish = {
        .policy = POLICY_IP_HASH,
        .keyed = true,
        .key = share_key((struct slice){(const char *)&key, sizeof(key)}),
    };
    return share_choose(shares, count, &wish);
}

static void keys_are_spread_evenly(void **state)
{
    (void)state;
    struct share shares[MANY];
    unsigned found[MANY] = {0};
    fill(shares, MANY);
    for (unsigned key = 0; key < KEYS; key++)
        found[owner(shares, MANY, key)]++;
    for (size_t i = 0; i < MANY; i++)
        assert_in_range(found[i], KEYS / MANY * 85 / 100, KEYS / MANY * 115 / 100);
}

/* Who comes takes its share and nothing else moves; who fails leaves only its own. */
static void a_change_moves_one_share(void **state)
{
    (void)state;
    struct share shares[MANY];
    unsigned moved = 0;
    fill(shares, MANY);
    for (unsigned key = 0; key < KEYS; key++) {
        int before = owner(shares, MANY - 1, key), after = owner(shares, MANY, key);
        assert_true(after == before || after == MANY - 1);
        moved += after != before;
    }
    assert_in_range(moved, KEYS / MANY * 85 / 100, KEYS / MANY * 115 / 100);
    for (unsigned key = 0; key < KEYS; key++) {
        shares[3].well = true;
        int before = owner(shares, MANY, key);
        shares[3].well = false;
        int after = owner(shares, MANY, key);
        assert_true(before == 3 ? after != 3 : after == before);
    }
}

static void the_order_of_targets_does_not_matter(void **state)
{
    (void)state;
    struct share shares[3], turned[3];
    fill(shares, 3);
    for (int i = 0; i < 3; i++)
        turned[i] = shares[2 - i];
    for (unsigned key = 0; key < 1000; key++)
        assert_int_equal(shares[owner(shares, 3, key)].id, turned[owner(turned, 3, key)].id);
}

static void round_robin_is_exact(void **state)
{
    (void)state;
    struct share shares[3];
    unsigned found[3] = {0};
    fill(shares, 3);
    for (uint64_t turn = 1; turn <= 999; turn++) {
        int at = share_choose(shares, 3, &(struct share_wish){.policy = POLICY_ROUND_ROBIN});
        shares[at].turn = turn;
        found[at]++;
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(found[i], 333);
}

/* Every pair can come up, and the busiest of all is never taken. */
static void random_takes_two_different_ones(void **state)
{
    (void)state;
    struct share shares[3];
    unsigned found[3] = {0};
    uint64_t chance = 1;
    fill(shares, 3);
    for (int i = 0; i < 3; i++)
        shares[i].active = (unsigned)i;
    for (int i = 0; i < 3000; i++) {
        chance = chance * 6364136223846793005 + 1442695040888963407;
        found[share_choose(
            shares, 3,
            &(struct share_wish){.policy = POLICY_RANDOM, .chance = chance ^ chance >> 29})]++;
    }
    assert_int_equal(found[2], 0);
    assert_in_range(found[1], 800, 1200);
}

static void a_cookie_is_read_as_it_was_written(void **state)
{
    (void)state;
    char text[SHARE_COOKIE_LEN + 1];
    uint64_t id = share_id(SLICE("http://10.0.0.1:80"));
    share_write_cookie(id, text);
    assert_int_equal(strlen(text), SHARE_COOKIE_LEN);
    assert_true(share_read_cookie(slice_of(text)) == id);
    assert_true(share_read_cookie(SLICE("")) == 0);
    assert_true(share_read_cookie(SLICE("123")) == 0);
    assert_true(share_read_cookie(SLICE("00000000000000zz")) == 0);
    assert_true(share_read_cookie(SLICE("0000000000000000ff")) == 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_chosen),
        cmocka_unit_test(keys_are_spread_evenly),
        cmocka_unit_test(a_change_moves_one_share),
        cmocka_unit_test(the_order_of_targets_does_not_matter),
        cmocka_unit_test(round_robin_is_exact),
        cmocka_unit_test(random_takes_two_different_ones),
        cmocka_unit_test(a_cookie_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
