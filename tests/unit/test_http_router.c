#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "http/router.h"

#include <cmocka.h>

/* A route's target is its own text, "METHOD PATTERN" or "PATTERN" for any method. */
static struct router *router_of(const char *const *routes)
{
    struct router *router = router_new();
    for (; *routes; routes++) {
        void *taken;
        struct err err;
        const char *space = strchr(*routes, ' ');
        struct slice method = {*routes, space ? (size_t)(space - *routes) : 0};
        struct slice pattern = slice_of(space ? space + 1 : *routes);
        if (router_add(router, method, pattern, (void *)*routes, &taken, &err))
            fail_msg("%s", err.text);
        assert_null(taken);
    }
    return router;
}

/* "target name=value ...", "404", or "405 ALLOW". */
static void assert_routes(const struct router *router, const char *method, const char *path,
                          const char *want)
{
    struct arena arena = {0};
    struct router_match match;
    struct buf got = {0};
    switch (router_find(router, slice_of(method), slice_of(path), &arena, &match)) {
    case ROUTER_FOUND:
        buf_adds(&got, match.target);
        for (size_t i = 0; i < match.param_count; i++)
            buf_addf(&got, " " SLICE_FMT "=" SLICE_FMT, SLICE_ARG(match.params[i].name),
                     SLICE_ARG(match.params[i].value));
        break;
    case ROUTER_NOT_FOUND:
        buf_adds(&got, "404");
        break;
    case ROUTER_METHOD:
        buf_addf(&got, "405 " SLICE_FMT, SLICE_ARG(match.allow));
        break;
    }
    if (strcmp(buf_cstr(&got), want) != 0)
        fail_msg("%s %s: \"%s\", not \"%s\"", method, path, buf_cstr(&got), want);
    buf_deinit(&got);
    arena_deinit(&arena);
}

struct find_case {
    const char *method;
    const char *path;
    const char *want;
};

static void assert_all(const char *const *routes, const struct find_case *cases, size_t count)
{
    struct router *router = router_of(routes);
    for (size_t i = 0; i < count; i++)
        assert_routes(router, cases[i].method, cases[i].path, cases[i].want);
    router_free(router);
}

static void the_most_specific_pattern_wins(void **state)
{
    (void)state;
    static const char *const routes[] = {"/*",
                                         "/users/:id",
                                         "/users/me",
                                         "/users/*",
                                         "/:any/settings",
                                         "/a/:x/c",
                                         "/a/b/d",
                                         "/users/:id/posts/:post",
                                         "/",
                                         NULL};
    static const struct find_case cases[] = {
        {"GET", "/", "/"},
        {"GET", "/nothing", "/* *=nothing"},
        {"GET", "/nothing/at/all", "/* *=nothing/at/all"},
        {"GET", "/users/me", "/users/me"},
        {"GET", "/users/42", "/users/:id id=42"},
        {"GET", "/users/settings", "/users/:id id=settings"},
        {"GET", "/shop/settings", "/:any/settings any=shop"},
        {"GET", "/users/42/posts/7", "/users/:id/posts/:post id=42 post=7"},
        {"GET", "/users/42/other", "/users/* *=42/other"},
        {"GET", "/users", "/users/* *="},
        {"GET", "/users/", "/users/* *="},
        {"GET", "/a/b/d", "/a/b/d"},
        {"GET", "/a/b/c", "/a/:x/c x=b"}, /* the literal led nowhere: back to ":x" */
        {"GET", "/a/b/e", "/* *=a/b/e"},
        {"GET", "/Users/me", "/* *=Users/me"}, /* case matters */
    };
    assert_all(routes, cases, ARRAY_LEN(cases));
}

static void a_slash_at_the_end_counts(void **state)
{
    (void)state;
    static const char *const routes[] = {"/a", "/b/", "/c", "/c/", "/p/:x", "/q/:x/", NULL};
    static const struct find_case cases[] = {
        {"GET", "/a", "/a"},     {"GET", "/a/", "404"},
        {"GET", "/b", "404"},    {"GET", "/b/", "/b/"},
        {"GET", "/c", "/c"},     {"GET", "/c/", "/c/"},
        {"GET", "/p/", "404"},   {"GET", "/p", "404"},
        {"GET", "/p/1/", "404"}, {"GET", "/q/1/", "/q/:x/ x=1"},
        {"GET", "/q/1", "404"},  {"GET", "//a", "404"},
        {"GET", "/a//", "404"},  {"GET", "/", "404"},
    };
    assert_all(routes, cases, ARRAY_LEN(cases));
}

static void segments_are_compared_decoded(void **state)
{
    (void)state;
    static const char *const routes[] = {"/caf\xc3\xa9", "/a%20b", "/p/:x", "/f/*rest", NULL};
    static const struct find_case cases[] = {
        {"GET", "/caf%C3%A9", "/caf\xc3\xa9"},
        {"GET", "/caf%c3%a9", "/caf\xc3\xa9"},
        {"GET", "/a%20b", "/a%20b"},
        {"GET", "/%61%20b", "/a%20b"},
        {"GET", "/p/1%2F2", "/p/:x x=1/2"}, /* an encoded slash separates nothing */
        {"GET", "/p/%E2%82%AC", "/p/:x x=\xe2\x82\xac"},
        {"GET", "/p/1%2", "404"},
        {"GET", "/p%2F1", "404"},
        {"GET", "/f/a%20b/c%2Fd", "/f/*rest rest=a b/c/d"},
        {"GET", "/f//a//", "/f/*rest rest=/a//"},
        {"GET", "/f/%", "404"},
    };
    assert_all(routes, cases, ARRAY_LEN(cases));
}

static void the_method_decides_among_the_patterns_that_fit(void **state)
{
    (void)state;
    static const char *const routes[] = {
        "GET /a",      "POST /a",    "DELETE /a", "GET /users/me", "POST /users/:id",
        "HEAD /h",     "GET /h",     "PUT /any",  "/any",          "HEAD /deep/*",
        "GET /deep/x", "POST /only", NULL};
    static const struct find_case cases[] = {
        {"GET", "/a", "GET /a"},
        {"POST", "/a", "POST /a"},
        {"HEAD", "/a", "GET /a"},
        {"PUT", "/a", "405 DELETE, GET, HEAD, POST"},
        {"get", "/a", "405 DELETE, GET, HEAD, POST"},   /* methods are case-sensitive */
        {"POST", "/users/me", "POST /users/:id id=me"}, /* less specific, but it fits */
        {"PUT", "/users/me", "405 GET, HEAD, POST"},
        {"PUT", "/users/you", "405 POST"},
        {"HEAD", "/h", "HEAD /h"},
        {"GET", "/h", "GET /h"},
        {"PUT", "/any", "PUT /any"},
        {"PATCH", "/any", "/any"},
        {"HEAD", "/any", "/any"},
        {"HEAD", "/deep/x", "GET /deep/x"},
        {"HEAD", "/deep/y", "HEAD /deep/* *=y"},
        {"GET", "/deep/y", "405 HEAD"},
        {"HEAD", "/only", "405 POST"},
        {"GET", "/none", "404"},
        {"OPTIONS", "*", "404"},
        {"GET", "", "404"},
    };
    assert_all(routes, cases, ARRAY_LEN(cases));
}

static void the_first_of_two_equal_routes_keeps_its_place(void **state)
{
    (void)state;
    struct router *router = router_of((const char *const[]){"GET /u/:id", "GET /f/*", NULL});
    char second[] = "second";
    char post[] = "post";
    struct err err;
    void *taken = NULL;
    assert_int_equal(router_add(router, SLICE("GET"), SLICE("/u/:name"), second, &taken, &err),
                     0);
    assert_string_equal(taken, "GET /u/:id");
    assert_int_equal(router_add(router, SLICE("GET"), SLICE("/f/*rest"), second, &taken, &err),
                     0);
    assert_string_equal(taken, "GET /f/*");
    assert_int_equal(router_add(router, SLICE("POST"), SLICE("/u/:name"), post, &taken, &err),
                     0);
    assert_null(taken);
    assert_routes(router, "GET", "/u/1", "GET /u/:id id=1");
    assert_routes(router, "POST", "/u/1", "post name=1");
    router_free(router);
}

static void malformed_routes_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", ""},        {"", "a"},
        {"", "*"},       {"", "/:"},
        {"", "/a/:/b"},  {"", "/*/a"},
        {"", "/*rest/"}, {"", "/:x/:x"},
        {"", "/:x/*x"},  {"", "/%zz"},
        {"", "/a?b"},    {"", "/a#b"},
        {"get", "/a"},   {"GE T", "/a"},
        {"G@T", "/a"},   {"", "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p/:q"},
    };
    struct router *router = router_new();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        void *taken;
        if (router_add(router, slice_of(bad[i][0]), slice_of(bad[i][1]), &router, &taken,
                       &err) == 0)
            fail_msg("\"%s\" \"%s\" was accepted", bad[i][0], bad[i][1]);
        assert_non_null(strstr(err.text, bad[i][1]));
    }
    assert_routes(router, "GET", "/a", "404");
    router_free(router);
    router_free(NULL);
}

static void sixteen_parameters_and_a_path_of_a_thousand_segments_are_fine(void **state)
{
    (void)state;
    static const char *const routes[] = {"/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/*p",
                                         NULL};
    struct router *router = router_of(routes);
    struct arena arena = {0};
    struct router_match match;
    struct buf path = {0};
    for (int i = 0; i < 1000; i++)
        buf_addf(&path, "/%d", i);
    assert_int_equal(router_find(router, SLICE("GET"), buf_slice(&path), &arena, &match),
                     ROUTER_FOUND);
    assert_int_equal(match.param_count, ROUTER_MAX_PARAMS);
    assert_true(slice_is(match.params[14].value, "14"));
    assert_true(slice_starts(match.params[15].value, SLICE("15/16/")));
    buf_deinit(&path);
    arena_deinit(&arena);
    router_free(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_pattern_wins),
        cmocka_unit_test(a_slash_at_the_end_counts),
        cmocka_unit_test(segments_are_compared_decoded),
        cmocka_unit_test(the_method_decides_among_the_patterns_that_fit),
        cmocka_unit_test(the_first_of_two_equal_routes_keeps_its_place),
        cmocka_unit_test(malformed_routes_are_refused_with_a_sentence),
        cmocka_unit_test(sixteen_parameters_and_a_path_of_a_thousand_segments_are_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
