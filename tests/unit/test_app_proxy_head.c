#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/proxy_head.h"

#include <cmocka.h>

static const struct {
    const char *route, *strip, *rewrite, *path, *wanted;
} paths[] = {
    {"/*", NULL, NULL, "/a//b/", "/a//b/"},
    {"/api/*", "/api", NULL, "/api/users", "/users"},
    {"/api/*", "/api", NULL, "/api", "/"},
    {"/api/*", "/api", NULL, "/api/", "/"},
    {"/api/*", "/api", NULL, "/%61pi/x%2Fy", "/x%2Fy"},
    {"/api/*", "/api", NULL, "/api///evil.example", "/evil.example"},
    {"/a/b/*", "/a/b", NULL, "/a/b/c/d", "/c/d"},
    {"/a/b/*", "/a", NULL, "/a/b/c", "/b/c"},
    {"/x/:id", "/x", NULL, "/x/7", "/7"},
    {"/old/*", NULL, "/new/*", "/old/a/b", "/new/a/b"},
    {"/old/*", NULL, "/new/*", "/old", "/new/"},
    {"/old/*", NULL, "/new/*", "/old//a", "/new/a"},
    {"/old/*", NULL, "/new", "/old/a", "/new"},
    {"/u/:id/f/*", NULL, "/*", "/u/7/f/x/y", "/x/y"},
    {"/*", NULL, "/all/*", "/x/y", "/all/x/y"},
};

static void paths_are_made_anew(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct arena arena = {0};
        struct route_config route = {.path = paths[i].route,
                                     .strip_prefix = paths[i].strip,
                                     .rewrite = paths[i].rewrite};
        struct slice got = proxy_path(&route, slice_of(paths[i].path), &arena);
        if (!slice_is(got, paths[i].wanted))
            fail_msg("%s of %s: " SLICE_FMT, paths[i].path, paths[i].route, SLICE_ARG(got));
        arena_deinit(&arena);
    }
}

/* All of a head, for a request with these fields. */
static void assert_head(struct http_request *req, const struct route_config *route,
                        const char *wanted)
{
    struct buf out = {0};
    req->id = SLICE("id1");
    proxy_write_head(&out, &(struct proxy_ask){.request = req,
                                               .route = route,
                                               .authority = SLICE("10.0.0.1:81"),
                                               .base = SLICE("/base")});
    assert_string_equal(buf_cstr(&out), wanted);
    buf_deinit(&out);
}

static void a_head_says_who_asks(void **state)
{
    (void)state;
    const struct field fields[] = {
        {SLICE("host"), SLICE("shop.example")},   {SLICE("x-a"), SLICE("1")},
        {SLICE("content-length"), SLICE("3")},    {SLICE("connection"), SLICE("close")},
        {SLICE("transfer-encoding"), SLICE("x")}, {SLICE("x-real-ip"), SLICE("6.6.6.6")},
    };
    struct http_request req = {.method = SLICE("POST"),
                               .path = SLICE("/p"),
                               .has_query = true,
                               .query = SLICE("q=1"),
                               .headers = fields,
                               .header_count = ARRAY_LEN(fields),
                               .host = SLICE("shop.example"),
                               .ip = SLICE("2001:db8::1"),
                               .https = true,
                               .has_length = true,
                               .length = 3,
                               .body = SLICE("abc")};
    assert_head(&req, &(struct route_config){.path = "/*"},
                "POST /base/p?q=1 HTTP/1.1\r\n"
                "Host: shop.example\r\n"
                "x-a: 1\r\n"
                "X-Forwarded-For: 2001:db8::1\r\n"
                "X-Real-IP: 2001:db8::1\r\n"
                "X-Forwarded-Proto: https\r\n"
                "X-Forwarded-Host: shop.example\r\n"
                "X-Forwarded-Port: 443\r\n"
                "Forwarded: for=\"[2001:db8::1]\";proto=https;host=\"shop.example\"\r\n"
                "X-Request-Id: id1\r\n"
                "Content-Length: 3\r\n\r\n");
}

static void a_peer_without_an_address_is_unknown(void **state)
{
    (void)state;
    struct http_request req = {
        .method = SLICE("GET"), .path = SLICE("/p"), .upgrade = SLICE("websocket")};
    assert_head(&req,
                &(struct route_config){.path = "/*", .host = "upstream", .strip_prefix = "/p"},
                "GET /base/ HTTP/1.1\r\n"
                "Host: 10.0.0.1:81\r\n"
                "X-Forwarded-Proto: http\r\n"
                "X-Forwarded-Port: 80\r\n"
                "X-Forwarded-Prefix: /p\r\n"
                "Forwarded: for=unknown;proto=http\r\n"
                "X-Request-Id: id1\r\n"
                "Connection: Upgrade\r\n"
                "Upgrade: websocket\r\n\r\n");
}

static bool says(const struct http_request *req, const char *line)
{
    struct buf out = {0};
    proxy_write_head(&out, &(struct proxy_ask){.request = req,
                                               .route = &(struct route_config){.path = "/*"}});
    bool found = strstr(buf_cstr(&out), line) != NULL;
    buf_deinit(&out);
    return found;
}

static void a_body_has_one_length(void **state)
{
    (void)state;
    struct http_request req = {.method = SLICE("PUT"), .path = SLICE("/")};
    assert_true(says(&req, "\r\nContent-Length: 0\r\n"));
    req.more = true;
    assert_true(says(&req, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_false(says(&req, "Content-Length"));
    req.has_length = true;
    req.length = 70000;
    assert_true(says(&req, "\r\nContent-Length: 70000\r\n"));
    assert_false(says(&req, "Transfer-Encoding"));
    req = (struct http_request){.method = SLICE("GET"), .path = SLICE("/")};
    assert_false(says(&req, "Content-Length"));
}

static void cookies_are_found_by_their_whole_name(void **state)
{
    (void)state;
    const struct field fields[] = {{SLICE("cookie"), SLICE("xlb=1; lbx=2; other=lb=3")},
                                   {SLICE("cookie"), SLICE(" a=b;lb=good ; lb=late")}};
    struct http_request req = {.headers = fields, .header_count = 2};
    assert_true(slice_is(proxy_cookie(&req, SLICE("lb")), "good"));
    assert_true(slice_is(proxy_cookie(&req, SLICE("other")), "lb=3"));
    assert_int_equal(proxy_cookie(&req, SLICE("l")).len, 0);
}

static void an_answer_loses_what_is_for_neighbours(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct field fields[] = {{SLICE("x-a"), SLICE("1")},
                             {SLICE("connection"), SLICE("keep-alive, X-B")},
                             {SLICE("x-b"), SLICE("2")},
                             {SLICE("x-c"), SLICE("3")}};
    struct field extra = {SLICE("Set-Cookie"), SLICE("lb=1")};
    struct answer_head head = {.status = 200, .fields = fields, .field_count = 4};
    struct http_answer answer;
    proxy_read_answer(&head, &extra, &arena, &answer);
    for (size_t i = 0; i < answer.header_count; i++)
        assert_false(slice_is(answer.headers[i].name, "x-b"));
    assert_int_equal(answer.header_count, 4);
    assert_true(slice_is(answer.headers[3].name, "Set-Cookie"));
    arena_deinit(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_made_anew),
        cmocka_unit_test(a_head_says_who_asks),
        cmocka_unit_test(a_peer_without_an_address_is_unknown),
        cmocka_unit_test(a_body_has_one_length),
        cmocka_unit_test(cookies_are_found_by_their_whole_name),
        cmocka_unit_test(an_answer_loses_what_is_for_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
