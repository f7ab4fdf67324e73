#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"
#include "base/json_text.h"

#include <cmocka.h>

/* A literal that may hold NUL bytes. */
#define TEXT(lit)                                                                              \
    {                                                                                          \
        lit, sizeof(lit) - 1                                                                   \
    }

/* Scans a text that must be one value and white space. */
static bool scans(struct slice text, struct json_value *value, bool *dirty)
{
    struct json_scan s;
    json_scan_init(&s, text);
    bool good = json_scan_value(&s, value) && json_scan_done(&s);
    *dirty = s.dirty;
    return good;
}

static bool is_json(struct slice text)
{
    struct json_value value;
    bool dirty;
    return scans(text, &value, &dirty);
}

static struct json_value value_of(const char *text)
{
    struct json_value value;
    bool dirty;
    assert_true(scans(slice_of(text), &value, &dirty));
    return value;
}

static void assert_text(struct buf *b, const char *expected)
{
    assert_string_equal(buf_cstr(b), expected);
    assert_int_equal(b->len, strlen(expected));
    buf_deinit(b);
}

static const struct slice good[] = {
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("0"),
    TEXT("-0"),
    TEXT("-1"),
    TEXT("123456789012345678901234567890"),
    TEXT("0.5"),
    TEXT("-0.0"),
    TEXT("1e5"),
    TEXT("1E+5"),
    TEXT("1e-5"),
    TEXT("0e0"),
    TEXT("1.25e+10"),
    TEXT("1e400"),
    TEXT("\"\""),
    TEXT("\"a\""),
    TEXT("\"seven77\""),
    TEXT("\"eight888\""),
    TEXT("\"nine 9999\""),
    TEXT("\"'/\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0000\""),
    TEXT("\"\\u00e9\\uABCD\\uabcd\""),
    TEXT("\"\\ud83d\\ude00\""),
    TEXT("\"\\\\u12\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""),
    TEXT("[]"),
    TEXT("[ ]"),
    TEXT("[null]"),
    TEXT("[1,2]"),
    TEXT("[[],[[]],{}]"),
    TEXT("{}"),
    TEXT("{ }"),
    TEXT("{\"a\":1}"),
    TEXT("{\"a\":1,\"a\":2}"),
    TEXT("{\"\":[{}]}"),
    TEXT(" \t\r\n{ \"a\" : [ 1 , true ] , \"b\" : { } } \n"),
};

static const struct slice bad[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("nul"),
    TEXT("nulll"),
    TEXT("True"),
    TEXT("NaN"),
    TEXT("-NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("undefined"),
    TEXT("+1"),
    TEXT("-"),
    TEXT("--1"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("1."),
    TEXT(".5"),
    TEXT("1.e5"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("0x10"),
    TEXT("1_000"),
    TEXT("1 000"),
    TEXT("'a'"),
    TEXT("\"a"),
    TEXT("\"seven77"),
    TEXT("\"eight888"),
    TEXT("\"a\\\""),
    TEXT("\"\\"),
    TEXT("\"\\a\""),
    TEXT("\"\\x41\""),
    TEXT("\"\\'\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u\""),
    TEXT("\"\\u12\""),
    TEXT("\"\\u12G4\""),
    TEXT("\"\\u 123\""),
    TEXT("\"\\u123"),
    TEXT("\"\\ud800\\u12\""),
    TEXT("\"\\\0\""),
    TEXT("\"\n\""),
    TEXT("\"\t\""),
    TEXT("\"\0\""),
    TEXT("\"1234567\x1f\""),
    TEXT("\"12345678\x1f\""),
    TEXT("["),
    TEXT("]"),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1}"),
    TEXT("[1]]"),
    TEXT("[1]2"),
    TEXT("{"),
    TEXT("}"),
    TEXT("{]"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\":1"),
    TEXT("{\"a\":1,}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\"::1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{a:1}"),
    TEXT("{1:1}"),
    TEXT("{'a':1}"),
    TEXT("{null:1}"),
    TEXT("{\"a\":1]"),
    TEXT("{\"a\":[}"),
    TEXT("[{\"a\":1],2}"),
    TEXT("[1]\0"),
    TEXT("\xef\xbb\xbf[]"),
    TEXT("[\xc2\xa0]"),
    TEXT("[1,\f2]"),
    TEXT("// c\n1"),
    TEXT("/**/1"),
};

static void json_is_what_rfc_8259_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        if (!is_json(good[i]))
            fail_msg("refused: " SLICE_FMT, SLICE_ARG(good[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (is_json(bad[i]))
            fail_msg("taken: " SLICE_FMT, SLICE_ARG(bad[i]));
    }
}

static void a_text_that_is_cut_is_never_json(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1.5e+3,\"\\ud83d\\ude00\xe2\x82\xac\",{\"b\":null}],\"c\":true}";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        /* On the heap, so that a sanitizer sees a read beyond the cut. */
        char *cut = xstrndup(text, len);
        char *exact = xrealloc(cut, len);
        assert_false(is_json((struct slice){exact, len}));
        xfree(exact);
    }
    assert_true(is_json(slice_of(text)));
}

static void a_special_byte_is_found_at_every_place_of_a_word(void **state)
{
    (void)state;
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            char text[64] = "\"";
            memset(text + 1, 'x', len);
            text[len + 1] = '"';
            const struct slice whole = {text, len + 2};
            assert_true(is_json(whole));
            for (int c = 0; c < 0x20; c++) {
                text[1 + at] = (char)c;
                assert_false(is_json(whole));
            }
            text[1 + at] = '"';
            assert_false(is_json(whole));
            text[1 + at] = '\xff';
            struct json_value value;
            bool dirty;
            assert_true(scans(whole, &value, &dirty) && dirty);
        }
    }
}

static void nest(struct buf *b, const char *open, const char *close, unsigned levels)
{
    for (unsigned i = 0; i < levels; i++)
        buf_adds(b, open);
    for (unsigned i = 0; i < levels; i++)
        buf_adds(b, close);
}

static void nesting_has_a_limit_and_no_recursion(void **state)
{
    (void)state;

    static const struct {
        const char *open, *close;
        unsigned levels;
        bool good;
    } cases[] = {
        {"[", "]", 63, true},       {"[", "]", 64, true},         {"[", "]", 65, false},
        {"[", "]", 1000000, false}, {"{\"a\":[", "]}", 32, true}, {"{\"a\":[", "]}", 33, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = {0};
        nest(&text, cases[i].open, cases[i].close, cases[i].levels);
        assert_int_equal(is_json(buf_slice(&text)), cases[i].good);
        buf_deinit(&text);
    }
}

static void brackets_are_remembered_at_every_depth(void **state)
{
    (void)state;
    /* Objects and arrays in turn, 64 levels; then each closing bracket is swapped once. */
    for (unsigned wrong = 0; wrong <= 64; wrong++) {
        struct buf text = {0};
        for (unsigned i = 0; i < 64; i++)
            buf_adds(&text, i % 2 ? "[" : "{\"k\":");
        buf_adds(&text, "1");
        for (unsigned i = 64; i-- > 0;)
            buf_addc(&text, (i % 2 == 1) != (i == wrong) ? ']' : '}');
        assert_int_equal(is_json(buf_slice(&text)), wrong == 64);
        buf_deinit(&text);
    }
}

static void a_value_is_the_slice_of_the_text(void **state)
{
    (void)state;
    struct json_scan s;
    struct json_value v;
    json_scan_init(&s, slice_of("  {\"a\":[1]} \"x\\n\" 12,"));
    assert_true(json_scan_value(&s, &v));
    assert_int_equal(v.type, JSON_OBJECT);
    assert_true(slice_is(v.raw, "{\"a\":[1]}"));
    assert_true(json_scan_value(&s, &v));
    assert_true(v.escaped);
    assert_true(slice_is(json_inner(&v), "x\\n"));
    assert_true(json_scan_value(&s, &v));
    assert_true(slice_is(v.raw, "12"));
    assert_false(json_scan_done(&s));
    assert_false(json_scan_value(&s, &v));
    assert_non_null(s.fault);
    assert_true(slice_is(v.raw, "12")); /* written only on success */
}

static void members_and_items_come_in_order(void **state)
{
    (void)state;
    struct json_value object = value_of("{ \"a\" : 1 , \"b\\n\":[ ],\"a\":{\"c\":2}}");
    struct json_scan it = json_iter(&object);
    struct json_value key, value;
    static const char *const members[][2] = {
        {"\"a\"", "1"}, {"\"b\\n\"", "[ ]"}, {"\"a\"", "{\"c\":2}"}};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        assert_true(json_next_member(&it, &key, &value));
        assert_true(slice_is(key.raw, members[i][0]));
        assert_true(slice_is(value.raw, members[i][1]));
    }
    assert_false(json_next_member(&it, &key, &value));
    assert_null(it.fault);
    struct json_value array = value_of("[ \"[\" ,[2], 3 ]");
    it = json_iter(&array);
    static const char *const items[] = {"\"[\"", "[2]", "3"};
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        assert_true(json_next_item(&it, &value));
        assert_true(slice_is(value.raw, items[i]));
    }
    assert_false(json_next_item(&it, &value));
    assert_null(it.fault);
}

/* An unscanned object, walked. */
static const char *walk_fault(const char *text)
{
    const struct json_value object = {.type = JSON_OBJECT, .raw = slice_of(text)};
    struct json_scan it = json_iter(&object);
    struct json_value key, value;
    while (json_next_member(&it, &key, &value))
        ;
    return it.fault;
}

static void walking_what_was_never_scanned_finds_its_faults(void **state)
{
    (void)state;
    static const char *const faulty[] = {
        "{",           "{\"a\"",         "{\"a\":",     "{\"a\":1",   "{\"a\":1,",
        "{\"a\":1,}",  "{,\"a\":1}",     "{\"a\":1]",   "{\"a\":1,,", "{\"a\" 1}",
        "{\"a\":[1}}", "{\"a\":1 \"b\"", "{\"a\":tru}", "{1:2}",      "{\"a\":\"\\q\"}",
    };
    assert_null(walk_fault("{}"));
    assert_null(walk_fault("{ \"a\" : 1 , \"b\" : [ ] } trailing text is the caller's"));
    for (size_t i = 0; i < ARRAY_LEN(faulty); i++) {
        if (!walk_fault(faulty[i]))
            fail_msg("no fault: %s", faulty[i]);
    }
    /* The object itself is a level. */
    struct buf text = {0};
    buf_adds(&text, "{\"a\":");
    nest(&text, "[", "]", 63);
    buf_adds(&text, "}");
    assert_null(walk_fault(buf_cstr(&text)));
    buf_clear(&text);
    buf_adds(&text, "{\"a\":");
    nest(&text, "[", "]", 64);
    buf_adds(&text, "}");
    assert_non_null(walk_fault(buf_cstr(&text)));
    buf_deinit(&text);
}

static void strings_are_compared_unescaped(void **state)
{
    (void)state;

    static const struct {
        const char *json, *ascii;
        bool equal;
    } cases[] = {
        {"\"id\"", "id", true},
        {"\"\\u0069d\"", "id", true},
        {"\"i\\u0064\"", "id", true},
        {"\"i\"", "id", false},
        {"\"idx\"", "id", false},
        {"\"\\u0069\"", "id", false},
        {"\"\\u0069dx\"", "id", false},
        {"\"\"", "", true},
        {"\"\\n\"", "\n", true},
        {"\"id\\u0000\"", "id", false},
        {"1", "1", false},
        {"\"\\u00e9\"", "\xe9", true},
        {"\"\\/\xc3\xa9\"", "/e", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_value v = value_of(cases[i].json);
        if (json_string_is(&v, cases[i].ascii) != cases[i].equal)
            fail_msg("%s", cases[i].json);
    }
}

static void numbers_are_whole_and_bounded_or_they_are_not(void **state)
{
    (void)state;

    static const struct {
        const char *json;
        uint64_t max;
        bool good;
        uint64_t n;
    } cases[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"-0", 9, false, 0},
        {"-1", 9, false, 0},
        {"1.0", 9, false, 0},
        {"1e0", 9, false, 0},
        {"\"1\"", 9, false, 0},
        {"true", 9, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_value v = value_of(cases[i].json);
        uint64_t n = 4711;
        assert_int_equal(json_to_u64(&v, cases[i].max, &n), cases[i].good);
        assert_int_equal(n, cases[i].good ? cases[i].n : 4711);
    }
    double d = 0;
    struct json_value v = value_of("-12.5e-1");
    assert_true(json_to_double(&v, &d) && d == -1.25);
    v = value_of(
        "0.00000000000000000000000000000000000000000000000000000000000000000000000001e76");
    assert_true(json_to_double(&v, &d) && d > 99.9 && d < 100.1);
    v = value_of("null");
    assert_false(json_to_double(&v, &d));
}

static const struct {
    struct slice bytes;
    const char *mended; /* NULL: it is UTF-8 */
} utf8_cases[] = {
    {TEXT(""), NULL},
    {TEXT("plain text of some length"), NULL},
    {TEXT("\xc2\x80\xdf\xbf"), NULL},
    {TEXT("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"), NULL},
    {TEXT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), NULL},
    {TEXT("1234567\xe2\x82\xac"
          "1234567"),
     NULL},
    {TEXT("\x80"), "\ufffd"},
    {TEXT("a\xff"
          "b"),
     "a\ufffd"
     "b"},
    {TEXT("\xc0\xaf"), "\ufffd\ufffd"},
    {TEXT("\xc1\xbf"), "\ufffd\ufffd"},
    {TEXT("\xe0\x9f\x80"), "\ufffd\ufffd\ufffd"},
    {TEXT("\xed\xa0\x80"), "\ufffd\ufffd\ufffd"},
    {TEXT("\xf0\x8f\x80\x80"), "\ufffd\ufffd\ufffd\ufffd"},
    {TEXT("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd"},
    {TEXT("\xf5\x80"), "\ufffd\ufffd"},
    {TEXT("\xe2\x82"), "\ufffd"},
    {TEXT("\xe2\x82z"), "\ufffdz"},
    {TEXT("\xf0\x9f\x98\xc3\xa9"), "\ufffd\u00e9"},
    {TEXT("1234567\xc3"), "1234567\ufffd"},
    {TEXT("12345678\xc3"
          "12345678"),
     "12345678\ufffd"
     "12345678"},
};

static void utf8_is_checked_and_mended(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(utf8_cases); i++) {
        struct slice bytes = utf8_cases[i].bytes;
        const char *mended = utf8_cases[i].mended;
        struct buf quoted = {0}, text = {0};
        assert_int_equal(utf8_valid(bytes), mended == NULL);
        assert_int_equal(json_clean(bytes), mended == NULL);
        buf_addc(&quoted, '"');
        buf_add(&quoted, bytes);
        buf_addc(&quoted, '"');
        struct json_value v;
        bool dirty;
        assert_true(scans(buf_slice(&quoted), &v, &dirty));
        assert_int_equal(dirty, mended != NULL);
        json_unescape(&v, &text);
        char *plain = xstrndup(bytes.ptr, bytes.len);
        assert_text(&text, mended ? mended : plain);
        json_write_clean(&text, bytes);
        assert_text(&text, mended ? mended : plain);
        xfree(plain);
        buf_deinit(&quoted);
    }
}

static void every_code_point_comes_back(void **state)
{
    (void)state;
    for (uint32_t point = 0x20; point <= 0x10FFFF; point += point < 0x3000 ? 1 : 97) {
        if (point >= 0xD800 && point <= 0xDFFF)
            continue;
        struct buf plain = {0}, quoted = {0}, escaped = {0}, back = {0};
        utf8_add(&plain, point);
        assert_true(utf8_valid(buf_slice(&plain)));
        json_write(&quoted, buf_slice(&plain));
        if (point < 0x10000)
            buf_addf(&escaped, "\"\\u%04x\"", point);
        else
            buf_addf(&escaped, "\"\\u%04X\\u%04X\"", 0xD7C0 + (point >> 10),
                     0xDC00 + (point & 0x3FF));
        struct json_value v = value_of(buf_cstr(&quoted));
        json_unescape(&v, &back);
        assert_true(slice_eq(buf_slice(&back), buf_slice(&plain)));
        buf_clear(&back);
        v = value_of(buf_cstr(&escaped));
        json_unescape(&v, &back);
        assert_true(slice_eq(buf_slice(&back), buf_slice(&plain)));
        buf_deinit(&plain);
        buf_deinit(&quoted);
        buf_deinit(&escaped);
        buf_deinit(&back);
    }
}

static void lone_surrogates_are_replaced(void **state)
{
    (void)state;

    static const struct {
        const char *json, *text, *clean;
    } cases[] = {
        {"\"\\ud800\"", "\ufffd", "\"\ufffd\""},
        {"\"\\udfff!\"", "\ufffd!", "\"\ufffd!\""},
        {"\"\\ud800\\n\"", "\ufffd\n", "\"\ufffd\\n\""},
        {"\"\\ud800\\ud83d\\ude00\"", "\ufffd\U0001f600", "\"\ufffd\\ud83d\\ude00\""},
        {"\"\\ude00\\ud83d\"", "\ufffd\ufffd", "\"\ufffd\ufffd\""},
        {"\"\\ud800\\u0041\"",
         "\ufffd"
         "A",
         "\"\ufffd\\u0041\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_value v;
        struct buf out = {0};
        bool dirty;
        assert_true(scans(slice_of(cases[i].json), &v, &dirty) && dirty);
        json_unescape(&v, &out);
        assert_text(&out, cases[i].text);
        assert_false(json_clean(v.raw));
        json_write_clean(&out, v.raw);
        assert_text(&out, cases[i].clean);
    }
    assert_true(json_clean(slice_of("\"\\\\ud800 \\ud83d\\ude00\"")));
    assert_true(json_clean(slice_of("a \\ at the end \\")));
}

static void strings_are_written_exactly(void **state)
{
    (void)state;

    static const struct {
        struct slice text;
        const char *json;
    } cases[] = {
        {TEXT(""), "\"\""},
        {TEXT("plain"), "\"plain\""},
        {TEXT("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
        {TEXT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
        {TEXT("\0\x01\x0b\x1f\x7f"), "\"\\u0000\\u0001\\u000b\\u001f\x7f\""},
        {TEXT("\u20ac\U0001f600\u2028"), "\"\u20ac\U0001f600\u2028\""},
        {TEXT("a\xff"
              "b\xe2\x82"),
         "\"a\ufffd"
         "b\ufffd\""},
        {TEXT("1234567\n12345678\n"), "\"1234567\\n12345678\\n\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        json_write(&out, cases[i].text);
        assert_text(&out, cases[i].json);
    }
    struct buf empty = {0};
    json_write(&empty, (struct slice){0});
    assert_text(&empty, "\"\"");
}

static void bytes_travel_as_latin1(void **state)
{
    (void)state;
    char bytes[256];
    struct buf json = {0}, back = {0};
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    json_write_latin1(&json, (struct slice){bytes, 256});
    struct json_value v = value_of(buf_cstr(&json));
    assert_true(json_unescape_latin1(&v, &back));
    assert_int_equal(back.len, 256);
    assert_memory_equal(back.ptr, bytes, 256);
    buf_deinit(&json);
    buf_clear(&back);
    buf_adds(&back, "kept");
    static const char *const beyond[] = {"\"abc\\u0100\"", "\"abc\u0100\"", "\"abc\u20ac\"",
                                         "\"\U0001f600\"", "\"\\ud800\"",   "\"\xff\"",
                                         "\"\xc3\""};
    for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
        v = value_of(beyond[i]);
        assert_false(json_unescape_latin1(&v, &back));
    }
    v = value_of("\"caf\\u00e9\u00e9\"");
    assert_true(json_unescape_latin1(&v, &back));
    assert_text(&back, "keptcaf\xe9\xe9");
}

static void escapes_are_counted_as_they_are_written(void **state)
{
    (void)state;
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    for (size_t from = 0; from < 40; from++)
        assert_int_equal(json_count_escapes((struct slice){bytes + from, 256 - from}),
                         27 - MIN(from, (size_t)32) + (from > 8) + (from > 9) + (from > 10) +
                             (from > 12) + (from > 13));
    assert_int_equal(json_count_escapes(slice_of("\n\t\r\f\b plain \"\\")), 0);
}

static void a_character_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    char text[70];
    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at < sizeof(text); at++) {
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
            const char *stop = json_skip_plain(text, text + sizeof(text));
            if (stop != (plain ? text + sizeof(text) : text + at))
                fail_msg("character %d at %zu", c, at);
            assert_int_equal(utf8_valid((struct slice){text, sizeof(text)}), c < 0x80);
        }
        text[at] = 'x';
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_what_rfc_8259_says),
        cmocka_unit_test(a_text_that_is_cut_is_never_json),
        cmocka_unit_test(a_special_byte_is_found_at_every_place_of_a_word),
        cmocka_unit_test(nesting_has_a_limit_and_no_recursion),
        cmocka_unit_test(brackets_are_remembered_at_every_depth),
        cmocka_unit_test(a_value_is_the_slice_of_the_text),
        cmocka_unit_test(members_and_items_come_in_order),
        cmocka_unit_test(walking_what_was_never_scanned_finds_its_faults),
        cmocka_unit_test(strings_are_compared_unescaped),
        cmocka_unit_test(numbers_are_whole_and_bounded_or_they_are_not),
        cmocka_unit_test(utf8_is_checked_and_mended),
        cmocka_unit_test(a_character_is_seen_wherever_it_stands),
        cmocka_unit_test(every_code_point_comes_back),
        cmocka_unit_test(lone_surrogates_are_replaced),
        cmocka_unit_test(strings_are_written_exactly),
        cmocka_unit_test(bytes_travel_as_latin1),
        cmocka_unit_test(escapes_are_counted_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
