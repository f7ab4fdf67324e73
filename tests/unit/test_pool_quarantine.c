/* Which requests are refused for what they did to workers, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pool/quarantine.h"

#include <cmocka.h>

enum { START_MS = 5000, LIMIT = 3 };

struct state {
    struct quarantine q;
    uint64_t life;
};

static int set_up(void **state)
{
    struct state *s = xcalloc(1, sizeof(*s));
    quarantine_init(&s->q);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct state *s = *state;
    quarantine_deinit(&s->q);
    xfree(s);
    return 0;
}

static struct suspect suspect(struct state *s, const char *path, const char *query,
                              const char *body)
{
    return quarantine_suspect(&s->q, &(struct call_identity){.method = SLICE("GET"),
                                                             .path = slice_of(path),
                                                             .query = slice_of(query),
                                                             .body = slice_of(body)});
}

/* One of the route "/u/:id". */
static struct suspect of_route(struct state *s, const char *path)
{
    return quarantine_suspect(&s->q, &(struct call_identity){.method = SLICE("GET"),
                                                             .path = slice_of(path),
                                                             .route = SLICE("/u/:id")});
}

/* It ends another worker. */
static const struct quarantined *ends(struct state *s, const struct suspect *who, uint64_t at)
{
    return quarantine_note(
        &s->q, who,
        &(struct death){
            .life = ++s->life, .what = "GET /x", .incident = "2026-01-02-0003", .limit = LIMIT},
        at);
}

/* Deaths so far apart that no circuit opens. */
static uint64_t far(unsigned n)
{
    return START_MS + (uint64_t)n * CIRCUIT_MS;
}

static void the_third_death_in_a_row_is_the_last(void **state)
{
    struct state *s = *state;
    struct suspect a = suspect(s, "/a", "", "");
    assert_null(ends(s, &a, far(0)));
    assert_null(ends(s, &a, far(1)));
    assert_null(quarantine_find(&s->q, &a, far(1)));
    const struct quarantined *e = ends(s, &a, far(2));
    assert_non_null(e);
    assert_false(e->is_route);
    assert_int_equal(e->deaths, LIMIT);
    assert_string_equal(e->incident, "2026-01-02-0003");
    assert_non_null(quarantine_find(&s->q, &a, far(2)));
    assert_null(ends(s, &a, far(2) + 1)); /* told once */
}

static void it_is_refused_for_ten_minutes(void **state)
{
    struct state *s = *state;
    struct suspect a = suspect(s, "/a", "", "");
    for (unsigned n = 0; n < LIMIT; n++)
        ends(s, &a, far(n));
    uint64_t end = far(LIMIT - 1) + QUARANTINE_MS;
    assert_non_null(quarantine_find(&s->q, &a, end - 1));
    assert_null(quarantine_find(&s->q, &a, end));
    assert_null(ends(s, &a, end)); /* and has three lives again */
}

static void an_answer_proves_innocence(void **state)
{
    struct state *s = *state;
    struct suspect a = suspect(s, "/a", "", ""), b = suspect(s, "/b", "", "");
    for (unsigned n = 0; n < 10; n++) { /* two at a time, of which one is to blame */
        uint64_t life = ++s->life;
        struct death death = {.life = life, .what = "", .incident = "", .limit = LIMIT};
        IGNORE(!quarantine_note(&s->q, &a, &death, far(n)));
        assert_null(quarantine_note(&s->q, &b, &death, far(n)));
        quarantine_clear(&s->q, &b);
    }
    assert_non_null(quarantine_find(&s->q, &a, far(10)));
    assert_null(quarantine_find(&s->q, &b, far(10)));
}

static void one_death_counts_once(void **state)
{
    struct state *s = *state;
    struct suspect a = suspect(s, "/a", "", "");
    for (int n = 0; n < 10; n++) { /* ten of the same, all under way at one worker */
        s->life = 6;
        assert_null(ends(s, &a, START_MS));
    }
}

static void a_suspicion_is_forgotten(void **state)
{
    struct state *s = *state;
    struct suspect a = suspect(s, "/a", "", "");
    ends(s, &a, START_MS);
    ends(s, &a, START_MS + 1);
    assert_null(ends(s, &a, START_MS + 1 + QUARANTINE_MS));
    assert_null(ends(s, &a, START_MS + 2 + QUARANTINE_MS));
    assert_non_null(ends(s, &a, START_MS + 3 + QUARANTINE_MS));
}

static void what_is_asked_for_tells_requests_apart(void **state)
{
    struct state *s = *state;
    struct suspect a = suspect(s, "/a", "x=1", "");
    static const char *const others[][3] = {{"/b", "x=1", ""},
                                            {"/a", "x=2", ""},
                                            {"/a", "", ""},
                                            {"/a", "x=1", "body"},
                                            {"/ax", "=1", ""}};
    for (unsigned n = 0; n < LIMIT; n++)
        ends(s, &a, far(n));
    struct suspect same = suspect(s, "/a", "x=1", "");
    assert_non_null(quarantine_find(&s->q, &same, far(3)));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct suspect other = suspect(s, others[i][0], others[i][1], others[i][2]);
        assert_null(quarantine_find(&s->q, &other, far(3)));
    }
    struct suspect post = quarantine_suspect(
        &s->q, &(struct call_identity){
                   .method = SLICE("POST"), .path = SLICE("/a"), .query = SLICE("x=1")});
    assert_null(quarantine_find(&s->q, &post, far(3)));
}

static void four_deaths_in_ten_seconds_open_the_route(void **state)
{
    struct state *s = *state;
    const struct quarantined *e = NULL;
    for (unsigned n = 0; n <= CIRCUIT_DEATHS; n++) {
        char path[16];
        assert_null(e);
        snprintf(path, sizeof(path), "/u/%u", n);
        struct suspect one = of_route(s, path);
        e = ends(s, &one, START_MS + n * 1000);
    }
    assert_non_null(e);
    assert_true(e->is_route);
    struct suspect fresh = of_route(s, "/u/new"), other = suspect(s, "/v", "", "");
    uint64_t last = START_MS + CIRCUIT_DEATHS * 1000;
    assert_non_null(quarantine_find(&s->q, &fresh, last + CIRCUIT_MS - 1));
    assert_null(quarantine_find(&s->q, &other, last));
    assert_null(quarantine_find(&s->q, &fresh, last + CIRCUIT_MS));
}

static void four_deaths_in_more_time_do_not(void **state)
{
    struct state *s = *state;
    for (unsigned n = 0; n < 40; n++) {
        char path[16];
        snprintf(path, sizeof(path), "/u/%u", n);
        struct suspect one = of_route(s, path);
        assert_null(ends(s, &one, START_MS + n * (CIRCUIT_MS / CIRCUIT_DEATHS + 1)));
    }
}

/* Eight, nine, eleven and twelve seconds after the first: no window may hide them. */
static void the_ten_seconds_begin_at_any_death(void **state)
{
    struct state *s = *state;
    static const unsigned seconds[] = {0, 8, 9, 11, 12};
    const struct quarantined *e = NULL;
    for (size_t n = 0; n < ARRAY_LEN(seconds); n++) {
        char path[16];
        assert_null(e);
        snprintf(path, sizeof(path), "/u/%zu", n);
        struct suspect one = of_route(s, path);
        e = ends(s, &one, START_MS + seconds[n] * 1000);
    }
    assert_non_null(e);
}

static void a_route_that_answers_in_between_is_innocent(void **state)
{
    struct state *s = *state;
    struct suspect well = of_route(s, "/u/well");
    for (unsigned n = 0; n < 40; n++) {
        char path[16];
        snprintf(path, sizeof(path), "/u/%u", n);
        struct suspect one = of_route(s, path);
        assert_null(ends(s, &one, START_MS + n * 100));
        quarantine_clear(&s->q, &well);
    }
}

static void a_new_version_is_asked_again(void **state)
{
    struct state *s = *state;
    struct suspect a = suspect(s, "/a", "", "");
    for (unsigned n = 0; n < LIMIT; n++)
        ends(s, &a, far(n));
    quarantine_renew(&s->q, 1);
    assert_non_null(quarantine_find(&s->q, &a, far(3)));
    quarantine_renew(&s->q, 2);
    assert_null(quarantine_find(&s->q, &a, far(3)));
    assert_int_equal(s->q.count, 0);
}

static void a_thousand_suspects_are_not_kept(void **state)
{
    struct state *s = *state;
    struct suspect first = suspect(s, "/first", "", "");
    for (unsigned n = 0; n < LIMIT; n++)
        ends(s, &first, far(n));
    for (unsigned n = 0; n < 1000; n++) {
        char path[16];
        snprintf(path, sizeof(path), "/%u", n);
        struct suspect one = suspect(s, path, "", "");
        ends(s, &one, far(LIMIT) + n);
        assert_in_range(s->q.count, 1, QUARANTINE_ENTRIES);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_third_death_in_a_row_is_the_last),
        TEST(it_is_refused_for_ten_minutes),
        TEST(an_answer_proves_innocence),
        TEST(one_death_counts_once),
        TEST(a_suspicion_is_forgotten),
        TEST(what_is_asked_for_tells_requests_apart),
        TEST(four_deaths_in_ten_seconds_open_the_route),
        TEST(four_deaths_in_more_time_do_not),
        TEST(the_ten_seconds_begin_at_any_death),
        TEST(a_route_that_answers_in_between_is_innocent),
        TEST(a_new_version_is_asked_again),
        TEST(a_thousand_suspects_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
