#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/target.h"

#include <cmocka.h>

static const struct {
    const char *url;
    const char *address;
    const char *host;
    const char *path;
    const char *shown;
} good[] = {
    {"http://127.0.0.1:8000/a?b=c", "127.0.0.1:8000", "127.0.0.1:8000", "/a?b=c",
     "http://127.0.0.1:8000/a?b=c"},
    {"http://example.com", "example.com:80", "example.com", "/", "http://example.com/"},
    {"HTTP://h/a#part", "h:80", "h", "/a", "http://h/a"},
    {"http://h?x=1", "h:80", "h", "/?x=1", "http://h/?x=1"},
    {"http://[::1]/", "[::1]:80", "[::1]", "/", "http://[::1]/"},
    {"http://[::1]:81/", "[::1]:81", "[::1]:81", "/", "http://[::1]:81/"},
    {"localhost:3000/x", "localhost:3000", "localhost:3000", "/x", "http://localhost:3000/x"},
    {"unix:/run/x.sock", "unix:/run/x.sock", "localhost", "/", "unix:/run/x.sock"},
    {"unix:/run/x.sock:/a?b", "unix:/run/x.sock", "localhost", "/a?b", "unix:/run/x.sock:/a?b"},
};

static void a_url_is_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct bench_target t = {0};
        struct err err;
        if (bench_target_parse(&t, good[i].url, &err))
            fail_msg("%s: %s", good[i].url, err.text);
        assert_string_equal(t.address, good[i].address);
        assert_string_equal(t.host, good[i].host);
        assert_string_equal(t.path, good[i].path);
        assert_string_equal(t.url, good[i].shown);
        bench_target_close(&t);
    }
}

static const struct {
    const char *url;
    const char *why;
} bad[] = {
    {"https://h/", "no TLS"},
    {"HTTPS:h", "no TLS"},
    {"ftp://h/", "no http:// URL"},
    {"http:///x", "names no host"},
    {"http://me:secret@h/", "user name"},
};

static void what_cannot_be_asked_is_refused_with_a_cure(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct bench_target t = {0};
        struct err err;
        assert_true(bench_target_parse(&t, bad[i].url, &err) < 0);
        if (!strstr(err.text, bad[i].why))
            fail_msg("%s: %s", bad[i].url, err.text);
        bench_target_close(&t);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_taken_apart),
        cmocka_unit_test(what_cannot_be_asked_is_refused_with_a_cure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
