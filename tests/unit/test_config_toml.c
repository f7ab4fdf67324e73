#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "config/toml.h"

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct err err;
};

static struct toml_node *parse(struct fixture *f, const char *text)
{
    return toml_parse(&f->arena, slice_of(text), "x.toml", &f->err);
}

static void assert_place(struct toml_place at, unsigned line, unsigned column)
{
    assert_int_equal(at.line, line);
    assert_int_equal(at.column, column);
}

static void every_type_has_its_value_and_place(void **state)
{
    struct fixture f = {0};
    const struct toml_node *root = parse(&f, "s = \"a\\u0000b\"\n"
                                             "i = -3\n"
                                             "r = 1.5\n"
                                             "b = true\n"
                                             "  d = 1979-05-27T07:32:00Z\n"
                                             "a = [1, \"two\",\n"
                                             "     [3]]\n"
                                             "t = { x = 1 }\n"
                                             "\"ä\" = 'ü' # and a comment\n");
    (void)state;
    assert_non_null(root);
    assert_int_equal(root->type, TOML_TABLE);
    assert_int_equal(root->items.count, 8);

    const struct toml_node *s = toml_get(root, "s");
    assert_int_equal(s->type, TOML_STRING);
    assert_true(slice_eq(s->string, SLICE("a\0b")));
    assert_place(s->key_at, 1, 1);
    assert_place(s->at, 1, 5);
    assert_int_equal(toml_get(root, "i")->type, TOML_INTEGER);
    assert_int_equal(toml_get(root, "i")->integer, -3);
    assert_int_equal(toml_get(root, "r")->type, TOML_FLOAT);
    assert_true(toml_get(root, "r")->real == 1.5);
    assert_int_equal(toml_get(root, "b")->type, TOML_BOOL);
    assert_true(toml_get(root, "b")->boolean);
    assert_int_equal(toml_get(root, "d")->type, TOML_DATE);
    assert_place(toml_get(root, "d")->key_at, 5, 3);

    const struct toml_node *a = toml_get(root, "a");
    assert_int_equal(a->type, TOML_ARRAY);
    assert_int_equal(a->items.count, 3);
    assert_int_equal(a->items.first->integer, 1);
    assert_place(a->items.first->next->at, 6, 9);
    assert_place(a->items.first->next->next->at, 7, 6);
    assert_null(a->items.first->next->next->next);
    assert_int_equal(toml_get(toml_get(root, "t"), "x")->integer, 1);
    assert_place(toml_get(root, "ä")->at, 9, 7);
    assert_null(toml_get(root, "nobody"));
    arena_deinit(&f.arena);
}

static void members_stand_in_the_order_of_the_file(void **state)
{
    struct fixture f = {0};
    struct buf order = {0};
    const struct toml_node *root = parse(&f, "z = 1\n"
                                             "y.q = 1\n"
                                             "y.a = 1\n"
                                             "[workers.web]\n"
                                             "[m]\n"
                                             "[workers.api]\n");
    (void)state;
    assert_non_null(root);
    for (const struct toml_node *at = root->items.first; at; at = at->next) {
        buf_addf(&order, "%s ", at->key.ptr);
        if (at->type == TOML_TABLE)
            for (const struct toml_node *in = at->items.first; in; in = in->next)
                buf_addf(&order, "(%s) ", in->key.ptr);
    }
    assert_string_equal(buf_cstr(&order), "z y (q) (a) workers (web) (api) m ");
    const struct toml_node *api = toml_get(toml_get(root, "workers"), "api");
    assert_place(api->key_at, 6, 10);
    assert_place(api->at, 6, 1);
    buf_deinit(&order);
    arena_deinit(&f.arena);
}

static void tables_of_an_array_know_their_header(void **state)
{
    struct fixture f = {0};
    const struct toml_node *root = parse(&f, "[[routes]]\npath = \"/a\"\n\n"
                                             " [[routes]]\npath = \"/b\"\n");
    (void)state;
    assert_non_null(root);
    const struct toml_node *first = toml_get(root, "routes")->items.first;
    assert_place(first->at, 1, 1);
    assert_place(first->next->at, 4, 2);
    assert_true(slice_is(toml_get(first->next, "path")->string, "/b"));
    arena_deinit(&f.arena);
}

static void nothing_is_an_empty_table(void **state)
{
    static const char *const texts[] = {"", "\n\n", "# only words\n", "\xef\xbb\xbf"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f = {0};
        const struct toml_node *root = parse(&f, texts[i]);
        assert_non_null(root);
        assert_int_equal(root->items.count, 0);
        arena_deinit(&f.arena);
    }
    struct fixture f = {0};
    assert_non_null(toml_parse(&f.arena, (struct slice){NULL, 0}, "x.toml", &f.err));
    arena_deinit(&f.arena);
}

static void errors_begin_with_their_place(void **state)
{
    static const struct {
        const char *text;
        const char *begins;
    } cases[] = {
        {"a = ", "x.toml:1:5: "},
        {"\n\na = [1,,]\n", "x.toml:3:8: "},
        {"a = 1\na = 2\n", "x.toml:2:5: "},
        {"[a]\n[a]\n", "x.toml:2:"},
        {"a = \"\xff\"\n", "x.toml:1:"},
        {"a = \"unfinished\nb = 1\n", "x.toml:1:"},
        {"a = 99999999999999999999\n", "x.toml:1:"},
        {"[workers.fib\n", "x.toml:1:13: "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f = {0};
        assert_null(parse(&f, cases[i].text));
        print_message("%s\n", f.err.text);
        assert_memory_equal(f.err.text, cases[i].begins, strlen(cases[i].begins));
        assert_true(strlen(f.err.text) > strlen(cases[i].begins) + 5);
        assert_true(f.err.code < 0);
        arena_deinit(&f.arena);
    }
}

static void a_nul_byte_is_an_error_not_an_end(void **state)
{
    struct fixture f = {0};
    (void)state;
    assert_null(toml_parse(&f.arena, SLICE("a = 1\n\0b = 2\n"), "x.toml", &f.err));
    assert_memory_equal(f.err.text, "x.toml:2:1: ", 12);
    arena_deinit(&f.arena);
}

static void add_times(struct buf *b, const char *text, size_t times)
{
    while (times--)
        buf_adds(b, text);
}

static void values_may_not_nest_for_ever(void **state)
{
    static const char *const shells[][2] = {{"[", "]"}, {"{a=", "}"}, {"[{a.b.c=", "}]"}};
    static const size_t depths[] = {20, 100, 300000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shells) * ARRAY_LEN(depths); i++) {
        struct fixture f = {0};
        struct buf b = {0};
        const char *const *shell = shells[i / ARRAY_LEN(depths)];
        size_t depth = depths[i % ARRAY_LEN(depths)];
        buf_adds(&b, "x = ");
        add_times(&b, shell[0], depth);
        buf_adds(&b, "1");
        add_times(&b, shell[1], depth);
        bool parsed = toml_parse(&f.arena, buf_slice(&b), "x.toml", &f.err);
        assert_int_equal(parsed, depth == 20);
        buf_deinit(&b);
        arena_deinit(&f.arena);
    }
}

static void keys_may_not_be_dotted_for_ever(void **state)
{
    static const struct {
        const char *before, *part, *after;
    } cases[] = {
        {"", "a.", "a = 1\n"},
        {"[", "a.", "a]\n"},
        {"[[", "a.", "a]]\n"},
        {"x = { ", "a.", "a = 1 }\n"},
        {"", "\"a\" . ", "a = 1\n"},
        {"t = [\"\"\"a\"\"\"\", { ", "a.", "a = 1 }]\n"},
        {"", "'a'.", "a = 1\n"},
        {"t = '''\n'' '''\n", "a.", "a = 1\n"},
        {"t = \"\\\"\" # \"\n", "a.", "a = 1\n"},
        {"t = \"\"\" \\\"\"\"\"\"\"\n[", "a.", "a]\n"},
    };

    static const size_t dots[] = {TOML_MAX_KEY_DOTS, TOML_MAX_KEY_DOTS + 1, 1000000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases) * ARRAY_LEN(dots); i++) {
        struct fixture f = {0};
        struct buf b = {0};
        size_t n = i / ARRAY_LEN(dots), count = dots[i % ARRAY_LEN(dots)];
        buf_adds(&b, cases[n].before);
        add_times(&b, cases[n].part, count);
        if (b.len > TOML_MAX_FILE)
            b.len = TOML_MAX_FILE - 100;
        buf_adds(&b, cases[n].after);
        bool parsed = toml_parse(&f.arena, buf_slice(&b), "x.toml", &f.err);
        print_message("%s %s\n", cases[n].before, parsed ? "" : f.err.text);
        assert_int_equal(parsed, count == TOML_MAX_KEY_DOTS);
        if (!parsed)
            assert_non_null(strstr(f.err.text, ": a key with too many dots"));
        buf_deinit(&b);
        arena_deinit(&f.arena);
    }
}

static void dots_outside_of_keys_are_free(void **state)
{
    struct fixture f = {0};
    struct buf b = {0};
    (void)state;
    static const char *const pieces[][3] = {{"s = \"", "a.", "\"\n"},
                                            {"l = '", "a.", "'\n"},
                                            {"m = \"\"\"\n\"\" ", "a.\n", "\\\"\"\"\"\"\"\n"},
                                            {"n = '''\n'' ", "a.\n", "'''''\n"},
                                            {"o = [", "1.5, ", "]\n"},
                                            {"# ", "a.", "\n"}};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        buf_adds(&b, pieces[i][0]);
        add_times(&b, pieces[i][1], 1000);
        buf_adds(&b, pieces[i][2]);
    }
    bool parsed = toml_parse(&f.arena, buf_slice(&b), "x.toml", &f.err);
    if (!parsed)
        print_message("%s\n", f.err.text);
    assert_true(parsed);
    buf_deinit(&b);
    arena_deinit(&f.arena);
}

static void letters_beyond_ascii_are_text_or_a_mistake(void **state)
{
    static const struct {
        const char *text;
        const char *begins; /* NULL: nothing is wrong */
    } cases[] = {
        {"\"\xc3\xa4\" = '\xc3\xa4' # \xc3\xa4\n", NULL},
        {"\xef\xbb\xbfx = \"\"\"\xe2\x82\xac\\\n \xe2\x82\xac\"\"\"\n", NULL},
        {"x = \xc3\xa4", "x.toml:1:5: "},
        {"x = '\xc3\xa4'\xc3\xa4", "x.toml:1:8: "},
        {"x = 1\n[\xc3\xa4y]", "x.toml:2:2: "},
        {"x = 1979-05-272:\xef\xbb\xbe", "x.toml:1:"},
        {"x = '''\n\n''' \xff", "x.toml:3:"},
        {"x = 1\ny = [\"a\", \"b]\nz = 2\n", "x.toml:2:14: a string on this line has no end"},
        {"x = 'abc\r\nz = 2\n", "x.toml:1:"},
        {"x = \"a\x01z\"\n", "x.toml:1:7: Error while parsing string: unescaped control"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f = {0};
        const char *begins = cases[i].begins ? cases[i].begins : "";
        bool parsed = parse(&f, cases[i].text);
        print_message("%s\n", f.err.text);
        assert_memory_equal(f.err.text, begins, strlen(begins));
        assert_int_equal(parsed, cases[i].begins == NULL);
        arena_deinit(&f.arena);
    }
}

/* Texts on which toml++ 3.3 left to itself ends the process, and unfinished strings. */
static void what_the_parser_takes_for_granted_is_a_mistake_like_any_other(void **state)
{
    static const char *const texts[] = {
        "[=",   "[[=routes]]",  "[[[a]]]",    "x = +12:00:00", "x = \"a\\",
        "x=' ", "x = \"\"\"\\", "x = \"\\\n", "x = '''",       "x = \"\"\"\"",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f = {0};
        assert_null(parse(&f, texts[i]));
        print_message("%s\n", f.err.text);
        assert_memory_equal(f.err.text, "x.toml:", 7);
        arena_deinit(&f.arena);
    }
}

static void more_than_4_mib_is_not_even_parsed(void **state)
{
    struct fixture f = {0};
    struct buf b = {0};
    (void)state;
    add_times(&b, "# a line of a comment, 32 bytes\n", TOML_MAX_FILE / 32);
    assert_int_equal(b.len, TOML_MAX_FILE);
    assert_non_null(toml_parse(&f.arena, buf_slice(&b), "x.toml", &f.err));
    buf_addc(&b, '\n');
    assert_null(toml_parse(&f.arena, buf_slice(&b), "x.toml", &f.err));
    assert_string_equal(f.err.text, "x.toml: larger than 4 MiB");
    buf_deinit(&b);
    arena_deinit(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_has_its_value_and_place),
        cmocka_unit_test(members_stand_in_the_order_of_the_file),
        cmocka_unit_test(tables_of_an_array_know_their_header),
        cmocka_unit_test(nothing_is_an_empty_table),
        cmocka_unit_test(errors_begin_with_their_place),
        cmocka_unit_test(a_nul_byte_is_an_error_not_an_end),
        cmocka_unit_test(values_may_not_nest_for_ever),
        cmocka_unit_test(keys_may_not_be_dotted_for_ever),
        cmocka_unit_test(dots_outside_of_keys_are_free),
        cmocka_unit_test(letters_beyond_ascii_are_text_or_a_mistake),
        cmocka_unit_test(what_the_parser_takes_for_granted_is_a_mistake_like_any_other),
        cmocka_unit_test(more_than_4_mib_is_not_even_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
