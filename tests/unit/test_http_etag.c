#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/etag.h"
#include "http/server.h"

#include <cmocka.h>

enum { FIELDS_MAX = 8 };

#define BEFORE "Tue, 14 Nov 2023 22:13:19 GMT"
#define MTIME  "Tue, 14 Nov 2023 22:13:20 GMT"
#define AFTER  "Tue, 14 Nov 2023 22:13:21 GMT"

static const int64_t MODIFIED_S = 1700000000;

/* Fields from "name: value\n..."; the text must outlive them. */
static struct http_request request(const char *text, struct field fields[FIELDS_MAX])
{
    size_t count = 0;
    while (*text) {
        const char *colon = strchr(text, ':'), *end = strchr(text, '\n');
        assert_true(colon && end && count < FIELDS_MAX);
        fields[count++] = (struct field){
            {text, (size_t)(colon - text)},
            slice_trim((struct slice){colon + 1, (size_t)(end - colon) - 1}),
        };
        text = end + 1;
    }
    return (struct http_request){.headers = fields, .header_count = count};
}

struct condition_case {
    const char *fields;
    const char *etag;
    enum condition want;
};

static const struct condition_case condition_cases[] = {
    {"", "\"a\"", CONDITION_TRUE},
    {"accept: */*\n", "\"a\"", CONDITION_TRUE},

    {"if-none-match: \"a\"\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-none-match: \"b\"\n", "\"a\"", CONDITION_TRUE},
    {"if-none-match: W/\"a\"\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-none-match: \"a\"\n", "W/\"a\"", CONDITION_NOT_MODIFIED},
    {"if-none-match: \"b\" , \"a\"\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-none-match: \"b,\\\" , \"a\"\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-none-match: \"b\"\nif-none-match: \"a\"\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-none-match: *\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-none-match: a\n", "\"a\"", CONDITION_TRUE},
    {"if-none-match: \"a\n", "\"a\"", CONDITION_TRUE},
    {"if-none-match: \"\"\n", "\"a\"", CONDITION_TRUE},
    {"if-none-match: \"a,b\"\n", "\"a\"", CONDITION_TRUE},
    {"if-none-match: \n", "\"a\"", CONDITION_TRUE},

    {"if-modified-since: " MTIME "\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-modified-since: " AFTER "\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-modified-since: " BEFORE "\n", "\"a\"", CONDITION_TRUE},
    {"if-modified-since: yesterday\n", "\"a\"", CONDITION_TRUE},
    /* a tag says more than a date */
    {"if-none-match: \"b\"\nif-modified-since: " AFTER "\n", "\"a\"", CONDITION_TRUE},
    {"if-none-match: \"a\"\nif-modified-since: " BEFORE "\n", "\"a\"", CONDITION_NOT_MODIFIED},

    {"if-match: \"a\"\n", "\"a\"", CONDITION_TRUE},
    {"if-match: \"b\"\n", "\"a\"", CONDITION_FAILED},
    {"if-match: \"b\", \"a\"\n", "\"a\"", CONDITION_TRUE},
    {"if-match: W/\"a\"\n", "\"a\"", CONDITION_FAILED},
    {"if-match: W/\"a\"\n", "W/\"a\"", CONDITION_FAILED},
    {"if-match: *\n", "\"a\"", CONDITION_TRUE},
    {"if-match: \n", "\"a\"", CONDITION_FAILED},

    {"if-unmodified-since: " MTIME "\n", "\"a\"", CONDITION_TRUE},
    {"if-unmodified-since: " BEFORE "\n", "\"a\"", CONDITION_FAILED},
    {"if-unmodified-since: never\n", "\"a\"", CONDITION_TRUE},
    {"if-match: \"a\"\nif-unmodified-since: " BEFORE "\n", "\"a\"", CONDITION_TRUE},

    /* the order: what must hold goes before what may have changed */
    {"if-match: \"b\"\nif-none-match: \"a\"\n", "\"a\"", CONDITION_FAILED},
    {"if-match: \"a\"\nif-none-match: \"a\"\n", "\"a\"", CONDITION_NOT_MODIFIED},
    {"if-unmodified-since: " BEFORE "\nif-none-match: \"a\"\n", "\"a\"", CONDITION_FAILED},
    {"if-unmodified-since: " MTIME "\nif-modified-since: " MTIME "\n", "\"a\"",
     CONDITION_NOT_MODIFIED},
};

static void conditions_are_judged_in_their_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(condition_cases); i++) {
        const struct condition_case *c = &condition_cases[i];
        struct field fields[FIELDS_MAX];
        struct http_request req = request(c->fields, fields);
        struct validators v = {slice_of(c->etag), MODIFIED_S};
        enum condition got = etag_judge(&req, &v);
        if (got != c->want)
            fail_msg("%s%s: %d, not %d", c->fields, c->etag, got, c->want);
    }
}

static void a_range_holds_for_the_very_same_bytes_only(void **state)
{
    (void)state;

    static const struct {
        const char *fields, *etag;
        int64_t age_s;
        bool want;
    } range_cases[] = {
        {"", "\"a\"", 100, true},
        {"if-range: \"a\"\n", "\"a\"", 0, true},
        {"if-range: \"b\"\n", "\"a\"", 100, false},
        {"if-range: W/\"a\"\n", "\"a\"", 100, false},
        {"if-range: W/\"a\"\n", "W/\"a\"", 100, false},
        {"if-range: \"a\", \"b\"\n", "\"a\"", 100, false},
        {"if-range: " MTIME "\n", "\"a\"", 100, true},
        {"if-range: " MTIME "\n", "\"a\"", 1, false},
        {"if-range: " AFTER "\n", "\"a\"", 100, false},
        {"if-range: " BEFORE "\n", "\"a\"", 100, false},
        {"if-range: soon\n", "\"a\"", 100, false},
        {"if-range: \n", "\"a\"", 100, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(range_cases); i++) {
        struct field fields[FIELDS_MAX];
        struct http_request req = request(range_cases[i].fields, fields);
        struct validators v = {slice_of(range_cases[i].etag), MODIFIED_S};
        if (etag_range_holds(&req, &v, MODIFIED_S + range_cases[i].age_s) !=
            range_cases[i].want)
            fail_msg("%s: not %d", range_cases[i].fields, range_cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_judged_in_their_order),
        cmocka_unit_test(a_range_holds_for_the_very_same_bytes_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
