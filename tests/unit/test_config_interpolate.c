#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/interpolate.h"

#include <cmocka.h>

/* SET is "value", EMPTY is "", DOLLAR is "$SET"; everything else is not set. */
static const char *look_up(const void *arg, struct slice name)
{
    (void)arg;
    if (slice_is(name, "SET") || slice_is(name, "_s9"))
        return "value";
    if (slice_is(name, "DOLLAR"))
        return "$SET ${SET}";
    return slice_is(name, "EMPTY") ? "" : NULL;
}

struct fixture {
    struct arena arena;
    struct journal journal;
    struct err err;
    struct interpolation in;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){0};
    f->journal.arena = &f->arena;
    f->in = (struct interpolation){.arena = &f->arena,
                                   .look_up = look_up,
                                   .file = "x.toml",
                                   .journal = &f->journal,
                                   .err = &f->err};
}

static void teardown(struct fixture *f)
{
    journal_deinit(&f->journal);
    arena_deinit(&f->arena);
}

/* The text that comes out, or the sentence. */
static void assert_becomes(const char *text, const char *want)
{
    struct fixture f;
    struct slice out = {0};
    setup(&f);
    int code = interpolate_text(&f.in, slice_of(text), (struct toml_place){2, 5}, &out);
    if (code < 0) {
        assert_string_equal(f.err.text, want);
    } else {
        assert_string_equal(out.len ? out.ptr : "", want);
        assert_int_equal(out.len, strlen(want));
    }
    teardown(&f);
}

static void it_is_as_in_compose(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"$SET", "value"},
        {"${SET}", "value"},
        {"a$SET.b", "avalue.b"},
        {"$_s9-", "value-"},
        {"${SET}s $SETs!", "values !"},
        {"$$", "$"},
        {"$$SET $$$SET $${SET}", "$SET $value ${SET}"},
        {"$DOLLAR", "$SET ${SET}"},

        {"${SET:-d}", "value"},
        {"${EMPTY:-d}", "d"},
        {"${NONE:-d}", "d"},
        {"${SET-d}", "value"},
        {"${EMPTY-d}", ""},
        {"${NONE-d}", "d"},
        {"${NONE:-}", ""},
        {"${NONE-a:-b?c+d}", "a:-b?c+d"},
        {"${NONE:-${EMPTY:-${SET}}}!", "value!"},
        {"${NONE:-a}${NONE:-b}", "ab"},
        {"${NONE:-{}}", "{}"},
        {"${NONE:-$$x}", "$x"},
        {"${NONE:-$SET}", "value"},

        {"${SET:+x}", "x"},
        {"${EMPTY:+x}", ""},
        {"${NONE:+x}", ""},
        {"${EMPTY+x}", "x"},
        {"${NONE+x}", ""},
        {"${SET:+<$SET>}", "<value>"},
        {"${NONE:+${OTHER:?not asked for}}", ""},
        {"${SET:-${OTHER:?not asked for}}", "value"},

        {"${SET:?m}", "value"},
        {"${EMPTY?m}", ""},
        {"${EMPTY:?must be set}", "x.toml:2:5: the variable EMPTY is empty: must be set"},
        {"${NONE?}", "x.toml:2:5: the variable NONE is not set: it is required"},
        {"${NONE?two\nlines}", "x.toml:2:5: the variable NONE is not set: two lines"},
        {"${NONE:?see $SET}", "x.toml:2:5: the variable NONE is not set: see value"},
        {"${NONE:-${OTHER?no}}", "x.toml:2:5: the variable OTHER is not set: no"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_becomes(cases[i].text, cases[i].want);
}

static void what_is_no_variable_is_told(void **state)
{
    static const char form[] =
        "write ${NAME}, ${NAME:-default} or ${NAME:?message}, and \"$$\" "
        "for a dollar sign";

    static const struct {
        const char *text, *what, *cure;
    } cases[] = {
        {"a $", "\"$\" begins no variable", NULL},
        {"$5", "\"$5\" begins no variable", NULL},
        {"$$$ x", "\"$ x\" begins no variable", NULL},
        {"x ${SET", "\"${SET\" lacks its }", NULL},
        {"${A:-${B}", "\"${A:-${B}\" lacks its }", NULL},
        {"${}", "\"${}\" is no variable", form},
        {"${1}", "\"${1}\" is no variable", form},
        {"${SET:}", "\"${SET:}\" is no variable", form},
        {"${SET!}", "\"${SET!}\" is no variable", form},
        {"${ SET }", "\"${ SET }\" is no variable", form},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[300];
        snprintf(want, sizeof(want), "x.toml:2:5: %s: %s", cases[i].what,
                 cases[i].cure ? cases[i].cure : "write \"$$\" for a dollar sign");
        assert_becomes(cases[i].text, want);
    }
}

static void a_variable_that_is_not_set_is_noted_once(void **state)
{
    struct fixture f;
    struct slice out;
    (void)state;
    setup(&f);
    assert_int_equal(interpolate_text(&f.in, SLICE("<$NONE>${NONE}${OTHER:-}"),
                                      (struct toml_place){2, 5}, &out),
                     0);
    assert_string_equal(out.ptr, "<>");
    struct string_list notes = journal_notes(&f.journal);
    assert_int_equal(notes.count, 1);
    assert_string_equal(notes.items[0], "x.toml:2:5: the variable NONE is not set, and empty "
                                        "here: set it, or write ${NONE:-default}");
    teardown(&f);
}

static void a_stray_dollar_is_fine_where_it_is_said_to_be(void **state)
{
    struct fixture f;
    struct slice out;
    (void)state;
    setup(&f);
    f.in.lenient = true;
    assert_int_equal(
        interpolate_text(&f.in, SLICE("a$ 5$5 $$ $"), (struct toml_place){1, 1}, &out), 0);
    assert_string_equal(out.ptr, "a$ 5$5 $ $");
    assert_true(interpolate_text(&f.in, SLICE("${x"), (struct toml_place){1, 1}, &out) < 0);
    teardown(&f);
}

static void defaults_inside_defaults_are_bounded(void **state)
{
    struct buf b = {0};
    (void)state;
    for (int i = 0; i < INTERPOLATE_MAX_DEPTH; i++)
        buf_adds(&b, "${N:-");
    size_t len = b.len;
    buf_adds(&b, "x");
    for (int i = 0; i < INTERPOLATE_MAX_DEPTH; i++)
        buf_adds(&b, "}");
    assert_becomes(buf_cstr(&b), "x");
    b.len = len;
    for (int i = 0; i < 20000; i++)
        buf_adds(&b, "${N:-");
    for (int i = 0; i < 20000 + INTERPOLATE_MAX_DEPTH; i++)
        buf_adds(&b, "}");
    struct fixture f;
    struct slice out;
    setup(&f);
    assert_true(interpolate_text(&f.in, buf_slice(&b), (struct toml_place){1, 1}, &out) < 0);
    assert_non_null(strstr(f.err.text, "is too deep"));
    teardown(&f);
    buf_deinit(&b);
}

static const char *much(const void *arg, struct slice name)
{
    (void)name;
    return arg;
}

static void what_variables_make_is_bounded(void **state)
{
    struct fixture f;
    struct slice out;
    struct buf b = {0};
    char *value = xmalloc(100001);
    (void)state;
    memset(value, 'x', 100000);
    value[100000] = '\0';
    setup(&f);
    f.in.look_up = much;
    f.in.arg = value;
    for (int i = 0; i < 1000; i++)
        buf_adds(&b, "$A");
    assert_true(interpolate_text(&f.in, buf_slice(&b), (struct toml_place){1, 1}, &out) < 0);
    assert_string_equal(f.err.text,
                        "x.toml:1:1: with its variables filled in, the text is beyond 16 MiB");
    teardown(&f);
    buf_deinit(&b);
    xfree(value);
}

static void a_tree_changes_in_its_values_alone(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    struct toml_node *root =
        toml_parse(&f.arena,
                   SLICE("\"$SET\" = \"$SET\"\nb = [\"x\", [\"<$SET>\"], 3]\n"
                         "[c]\nd.e = '${SET}'\n"),
                   "x.toml", &f.err);
    assert_int_equal(interpolate_tree(&f.in, root), 0);
    const struct toml_node *first = toml_get(root, "$SET");
    assert_non_null(first);
    assert_true(slice_is(first->string, "value"));
    assert_true(slice_is(first->written, "$SET"));
    const struct toml_node *item = toml_get(root, "b")->items.first;
    assert_true(slice_is(item->string, "x") && !item->written.ptr);
    assert_true(slice_is(item->next->items.first->string, "<value>"));
    assert_true(slice_is(toml_get(toml_get(toml_get(root, "c"), "d"), "e")->string, "value"));
    root = toml_parse(&f.arena, SLICE("a = 1\nb = [\n  \"${NO\"]"), "x.toml", &f.err);
    assert_true(interpolate_tree(&f.in, root) < 0);
    assert_memory_equal(f.err.text, "x.toml:3:3: \"${NO\" lacks its }", 29);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_as_in_compose),
        cmocka_unit_test(what_is_no_variable_is_told),
        cmocka_unit_test(a_variable_that_is_not_set_is_noted_once),
        cmocka_unit_test(a_stray_dollar_is_fine_where_it_is_said_to_be),
        cmocka_unit_test(defaults_inside_defaults_are_bounded),
        cmocka_unit_test(what_variables_make_is_bounded),
        cmocka_unit_test(a_tree_changes_in_its_values_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
