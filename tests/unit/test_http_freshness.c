#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "http/freshness.h"
#include "http/server.h"

#include <cmocka.h>

enum { FIELDS_MAX = 24, DEFAULT_MS = 60000 };

static const int64_t NOW_S = 1700000000; /* Tue, 14 Nov 2023 22:13:20 GMT */

/* Fields from "name: value\n..."; the text must outlive them. */
static size_t fields_of(const char *text, struct field fields[FIELDS_MAX])
{
    size_t count = 0;
    while (*text) {
        const char *colon = strchr(text, ':');
        const char *end = strchr(text, '\n');
        assert_true(colon && end && count < FIELDS_MAX);
        fields[count++] = (struct field){
            {text, (size_t)(colon - text)},
            slice_trim((struct slice){colon + 1, (size_t)(end - colon) - 1}),
        };
        text = end + 1;
    }
    return count;
}

static struct freshness judge(unsigned status, const char *text, bool authorized,
                              struct buf *vary)
{
    struct field fields[FIELDS_MAX];
    struct http_answer answer = {.status = status, .headers = fields};
    answer.header_count = fields_of(text, fields);
    return freshness_judge(&answer, DEFAULT_MS, authorized, NOW_S, vary);
}

static uint64_t ttl_s(unsigned status, const char *text, bool authorized)
{
    struct buf vary = {0};
    uint64_t ms = judge(status, text, authorized, &vary).ttl_ms;
    buf_deinit(&vary);
    return ms / 1000;
}

static void an_answer_says_how_long_it_lives(void **state)
{
    static const struct {
        const char *fields;
        uint64_t seconds;
    } cases[] = {
        {"", 60},
        {"content-type: text/plain\n", 60},
        {"cache-control: max-age=10\n", 10},
        {"Cache-Control: Max-Age=10\n", 10},
        {"cache-control: max-age=\"10\"\n", 10},
        {"cache-control: max-age=10, s-maxage=20\n", 20},
        {"cache-control: s-maxage=20\ncache-control: max-age=10\n", 20},
        {"cache-control: max-age=10, max-age=5\n", 5},
        {"cache-control: public\n", 60},
        {"cache-control: x=\"a, max-age=1\", max-age=7\n", 7},
        {"cache-control: x=\"\\\", max-age=1\", max-age=7\n", 7},
        {"cache-control: ,, max-age=7 ,\n", 7},
        {"cache-control: max-age=10\nage: 4\n", 6},
        {"cache-control: max-age=10\nage: 10\n", 0},
        {"age: 20\n", 40},
        {"cache-control: max-age=0\n", 0},
        {"cache-control: s-maxage=0, max-age=10\n", 0},
        {"cache-control: max-age=ten\n", 0},
        {"cache-control: max-age=-1\n", 0},
        {"cache-control: max-age\n", 0},
        {"cache-control: max-age=99999999999999999999\n", FRESH_MAX_S},
        {"expires: Tue, 14 Nov 2023 22:13:50 GMT\n", 30},
        {"expires: Tue, 14 Nov 2023 22:13:10 GMT\n", 0},
        {"date: Tue, 14 Nov 2023 22:13:40 GMT\nexpires: Tue, 14 Nov 2023 22:13:50 GMT\n", 10},
        {"expires: 0\n", 0},
        {"expires: -1\n", 0},
        {"expires: 0\ncache-control: max-age=3\n", 3},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (ttl_s(200, cases[i].fields, false) != cases[i].seconds)
            fail_msg("%s: %llu s, not %llu", cases[i].fields,
                     (unsigned long long)ttl_s(200, cases[i].fields, false),
                     (unsigned long long)cases[i].seconds);
}

static void what_is_somebodys_own_is_not_kept(void **state)
{
    static const char *const cases[] = {
        "cache-control: no-store\n",
        "cache-control: No-Cache\n",
        "cache-control: private\n",
        "cache-control: private=\"x-user\", max-age=60\n",
        "cache-control: no-cache=\"set-cookie\", max-age=60\n",
        "cache-control: max-age=60\ncache-control: private\n",
        "cache-control: public, max-age=60\nset-cookie: a=b\n",
        "Set-Cookie: a=b\n",
        "vary: *\n",
        "vary: accept, *\n",
        "vary: \"quoted\"\n",
        "cache-control: s-maxage=60\nvary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (ttl_s(200, cases[i], false) != 0)
            fail_msg("kept: %s", cases[i]);
}

static void the_status_decides_too(void **state)
{
    static const unsigned by_default[] = {200, 203, 204, 300, 301, 308, 404, 410};
    static const unsigned when_said[] = {302, 307, 400, 401, 403, 405, 414, 429};
    static const unsigned never[] = {206, 304, 500, 501, 502, 503, 504};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(by_default); i++)
        assert_int_equal(ttl_s(by_default[i], "", false), 60);
    for (size_t i = 0; i < ARRAY_LEN(when_said); i++) {
        assert_int_equal(ttl_s(when_said[i], "", false), 0);
        assert_int_equal(ttl_s(when_said[i], "cache-control: max-age=9\n", false), 9);
    }
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        assert_int_equal(ttl_s(never[i], "cache-control: public, max-age=9\n", false), 0);
}

static void an_answer_to_somebody_is_for_all_when_it_says_so(void **state)
{
    struct buf vary = {0};
    (void)state;
    assert_int_equal(ttl_s(200, "", true), 0);
    assert_int_equal(ttl_s(200, "cache-control: max-age=9\n", true), 0);
    assert_int_equal(ttl_s(200, "cache-control: public\n", true), 60);
    assert_int_equal(ttl_s(200, "cache-control: s-maxage=9\n", true), 9);
    assert_int_equal(ttl_s(200, "cache-control: must-revalidate, max-age=9\n", true), 9);
    assert_int_equal(ttl_s(200, "cache-control: public, private\n", true), 0);
    assert_false(judge(200, "cache-control: max-age=9\n", false, &vary).to_all);
    assert_true(judge(200, "cache-control: public\n", false, &vary).to_all);
    buf_deinit(&vary);
}

static void vary_names_are_written_once_in_lower_case(void **state)
{
    struct buf vary = {0};
    (void)state;
    judge(200, "vary: Accept, COOKIE\nVary: accept,x-a\n", false, &vary);
    assert_string_equal(buf_cstr(&vary), "accept\ncookie\nx-a\n");
    buf_deinit(&vary);
}

static const char *values_of(const char *names, const char *text)
{
    static char shown[256];
    struct field fields[FIELDS_MAX];
    struct http_request request = {.headers = fields};
    struct buf values = {0};
    request.header_count = fields_of(text, fields);
    vary_values(slice_of(names), &request, &values);
    snprintf(shown, sizeof(shown), "%s", buf_cstr(&values));
    buf_deinit(&values);
    return shown;
}

static void values_tell_requests_apart(void **state)
{
    (void)state;
    assert_string_equal(values_of("", "a: 1\n"), "");
    assert_string_equal(values_of("a\nb\n", "b: 2\na: 1\n"), "=1\n=2\n");
    assert_string_equal(values_of("a\nb\n", "a: \n"), "=\n\n"); /* empty is not absent */
    assert_string_equal(values_of("a\n", "a: 1\na: 2\n"), "=1, 2\n");
}

static struct cache_wish wish_of(const char *text, struct field fields[FIELDS_MAX])
{
    struct cache_wish wish;
    struct http_request request = {.headers = fields};
    request.header_count = fields_of(text, fields);
    cache_wish_read(&wish, &request);
    return wish;
}

static void a_request_has_wishes(void **state)
{
    struct field fields[FIELDS_MAX];
    (void)state;
    struct cache_wish wish = wish_of("host: x\naccept: y\nx-cache-control: no-store\n", fields);
    assert_false(wish.no_store || wish.no_cache || wish.only_if_cached || wish.authorized);
    assert_int_equal(wish.max_age_s, UINT64_MAX);
    wish = wish_of("cache-control: no-store\nauthorization: Basic x\n", fields);
    assert_true(wish.no_store && wish.authorized);
    assert_true(wish_of("cache-control: max-age=0\n", fields).no_cache);
    assert_true(wish_of("cache-control: no-cache\n", fields).no_cache);
    wish = wish_of("cache-control: max-age=5, only-if-cached\n", fields);
    assert_true(wish.only_if_cached && !wish.no_cache);
    assert_int_equal(wish.max_age_s, 5);
}

static void dates_have_three_forms(void **state)
{
    static const char *const same[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };
    static const char *const none[] = {
        "",
        "0",
        "tomorrow",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT and some more text",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_int_equal(http_date_read(slice_of(same[i])), 784111777);
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(http_date_read(slice_of(none[i])), -1);
}

static bool unchanged(const char *text, const char *etag, int64_t modified_s)
{
    struct field fields[FIELDS_MAX];
    struct cache_wish wish = wish_of(text, fields);
    return not_modified(&wish, slice_of(etag), modified_s);
}

static void validators_are_compared(void **state)
{
    static const char later[] = "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\n";
    static const char both[] = "if-none-match: \"b\"\n"
                               "if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\n";
    (void)state;
    assert_false(unchanged("", "\"a\"", 0));
    assert_true(unchanged("if-none-match: \"a\"\n", "\"a\"", -1));
    assert_true(unchanged("if-none-match: W/\"a\"\n", "\"a\"", -1));
    assert_true(unchanged("if-none-match: \"a\"\n", "W/\"a\"", -1));
    assert_true(unchanged("if-none-match: \"x,y\" , \"a\"\n", "\"a\"", -1));
    assert_true(unchanged("if-none-match: \"x,y\"\n", "\"x,y\"", -1));
    assert_true(unchanged("if-none-match: *\n", "", -1));
    assert_false(unchanged("if-none-match: \"ab\"\n", "\"a\"", -1));
    assert_false(unchanged("if-none-match: \"a\"\n", "", -1));
    assert_true(unchanged(later, "", 784111777));
    assert_true(unchanged(later, "", 784111776));
    assert_false(unchanged(later, "", 784111778));
    assert_false(unchanged(later, "", -1));
    assert_false(unchanged("if-modified-since: 0\n", "", 0));
    assert_false(unchanged(both, "\"a\"", 0)); /* the tag goes before the date */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_says_how_long_it_lives),
        cmocka_unit_test(what_is_somebodys_own_is_not_kept),
        cmocka_unit_test(the_status_decides_too),
        cmocka_unit_test(an_answer_to_somebody_is_for_all_when_it_says_so),
        cmocka_unit_test(vary_names_are_written_once_in_lower_case),
        cmocka_unit_test(values_tell_requests_apart),
        cmocka_unit_test(a_request_has_wishes),
        cmocka_unit_test(dates_have_three_forms),
        cmocka_unit_test(validators_are_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
