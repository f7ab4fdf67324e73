#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "import/yaml.h"

#include <cmocka.h>

static struct arena arena;
static struct err err;

static int end(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static const struct tree *parse(const char *text)
{
    static const struct source source = {"x.yaml", "/", false};
    return tree_parse(&arena, slice_of(text), &source, NULL, &err);
}

static const char *text_at(const struct tree *root, const char *path)
{
    const struct tree *found = tree_path(root, path);
    return found && found->type == TREE_TEXT ? found->text.ptr : NULL;
}

static void aliases_and_merges_are_followed(void **state)
{
    (void)state;
    const struct tree *root = parse("a: &a {x: 1, y: {z: 2}}\n"
                                    "b: *a\n"
                                    "c: {<<: *a, x: own}\n"
                                    "d: {<<: [{x: first}, *a]}\n"
                                    "e: {\"<<\": *a}\n");
    assert_non_null(root);
    assert_string_equal(text_at(root, "b.y.z"), "2");
    assert_string_equal(text_at(root, "c.x"), "own");
    assert_string_equal(text_at(root, "c.y.z"), "2");
    assert_string_equal(text_at(root, "d.x"), "first");
    assert_null(tree_path(root, "e.x")); /* in quotes it is a key like others */
    assert_non_null(tree_path(root, "e.<<.x"));
}

static void a_value_knows_whether_it_was_quoted(void **state)
{
    (void)state;
    const struct tree *root = parse("a: no\nb: \"no\"\nc:\nd: ~\ne: ''\nf: on\n");
    assert_true(tree_get(root, "a")->plain);
    assert_false(tree_get(root, "b")->plain);
    assert_true(tree_is_null(tree_get(root, "c")) && tree_is_null(tree_get(root, "d")));
    assert_false(tree_is_null(tree_get(root, "e")));
    assert_true(tree_is_true(tree_get(root, "f")));
    assert_int_equal(tree_get(root, "f")->line, 6);
}

static void another_document_is_told_of(void **state)
{
    static const struct source source = {"x.yaml", "/", false};
    bool more;
    (void)state;
    assert_non_null(tree_parse(&arena, SLICE("a: 1\n---\nb: 2\n"), &source, &more, &err));
    assert_true(more);
    assert_non_null(tree_parse(&arena, SLICE("---\na: 1\n...\n"), &source, &more, &err));
    assert_false(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aliases_and_merges_are_followed),
        cmocka_unit_test(a_value_knows_whether_it_was_quoted),
        cmocka_unit_test(another_document_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
