#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config/toml.h"
#include "config/value.h"
#include "import/image.h"
#include "import/text.h"

#include <cmocka.h>

static struct arena arena;

static int end(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* Whatever is in it, it comes back as it was, and nothing else with it. */
static void strings_and_keys_survive_toml(void **state)
{
    static const char *const texts[] = {"",
                                        "plain",
                                        "a \"b\" 'c'",
                                        "\\",
                                        "\\u0041",
                                        "one\ntwo\ttab\r",
                                        "\x01\x1f\x7f",
                                        "]\n[x]\n",
                                        "gr\xc3\xbc\xc3\x9f",
                                        "\"\"\"",
                                        "a.b",
                                        "#"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf out = {0};
        struct err err;
        text_add_key(&out, slice_of(texts[i]));
        buf_adds(&out, " = ");
        text_add_toml(&out, slice_of(texts[i]));
        const struct toml_node *root = toml_parse(&arena, buf_slice(&out), "x", &err);
        assert_non_null(root);
        assert_int_equal(root->items.count, 1);
        assert_true(slice_is(root->items.first->key, texts[i]));
        assert_true(slice_is(root->items.first->string, texts[i]));
        buf_deinit(&out);
    }
}

static void a_comment_never_ends_early(void **state)
{
    struct buf out = {0};
    (void)state;
    text_add_comment(&out, "# ", "one\n[services.x]\rtwo\x01");
    text_add_comment(&out, "# ", "");
    assert_string_equal(buf_cstr(&out), "# one\n# [services.x]\n# two \n");
    buf_clear(&out);
    char words[400];
    for (size_t i = 0; i < sizeof(words); i++)
        words[i] = i % 7 == 6 ? ' ' : 'x';
    words[sizeof(words) - 1] = '\0';
    text_add_comment(&out, "# ", words);
    for (char *line = strtok((char *)buf_cstr(&out), "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 92);
        assert_memory_equal(line, "# ", 2);
    }
    buf_deinit(&out);
}

/* What was quoted for a shell is split as it was, by the splitting that shells do. */
static void words_for_a_shell_stay_words(void **state)
{
    static const char *const words[] = {"a b", "it's",           "\"",  "$HOME", "",
                                        ";",   "plain-1.2_x=/y", "a\\b"};
    struct buf out = {0};
    struct string_list split;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        buf_addc(&out, ' ');
        text_add_shell_word(&out, slice_of(words[i]));
    }
    assert_null(value_words(buf_slice(&out), &arena, &split));
    assert_int_equal(split.count, ARRAY_LEN(words));
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_string_equal(split.items[i], words[i]);
    buf_deinit(&out);
}

static void what_needs_a_shell_is_seen(void **state)
{
    (void)state;
    assert_false(text_needs_shell(SLICE("gunicorn app:app -b 0.0.0.0:8000 --x 'a b'")));
    assert_true(text_needs_shell(SLICE("a $PORT")));
    assert_true(text_needs_shell(SLICE("a && b")));
    assert_true(text_needs_shell(SLICE("a | b")));
    assert_true(text_needs_shell(SLICE("A=1 b")));
    assert_true(text_needs_shell(SLICE("rm *.txt")));
    assert_false(text_needs_shell(SLICE("a --b=1")));
}

static void variables_are_those_of_dockerfiles(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"$A/b", "one/b"}, {"${A}b", "oneb"},    {"${B:-x}", "x"},  {"${E:-x}", "x"},
        {"${E-x}", ""},    {"${A:+set}", "set"}, {"${B:+set}", ""}, {"$B", ""},
        {"\\$A", "$A"},    {"$", "$"},           {"a$ b", "a$ b"},  {"${A", "${A"},
        {"$Ab", ""},       {"${A:-x}", "one"},
    };
    struct string_list vars = {0};
    (void)state;
    text_list_add(&arena, &vars, "A=zero");
    text_list_add(&arena, &vars, "E=");
    text_list_add(&arena, &vars, "A=one");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(text_expand(&arena, slice_of(cases[i].text), &vars).ptr,
                            cases[i].want);
}

static void paths_are_joined_and_called_from_elsewhere(void **state)
{
    (void)state;
    assert_string_equal(path_join(&arena, "/a/b", "../c/./d"), "/a/c/d");
    assert_string_equal(path_join(&arena, "/a/b", "/x//y/"), "/x/y");
    assert_string_equal(path_join(&arena, "/a", "../../.."), "/");
    assert_string_equal(path_from(&arena, "/a/b", "/a/b"), ".");
    assert_string_equal(path_from(&arena, "/a/b", "/a/b/c"), "c");
    assert_string_equal(path_from(&arena, "/a/b", "/a/bc"), "../bc");
    assert_string_equal(path_from(&arena, "/a/b", "/x"), "../../x");
    assert_string_equal(path_from(&arena, "/a/b", "/a"), "..");
    assert_string_equal(path_from(&arena, "/", "/a"), "a");
    assert_string_equal(path_below("/a", "/a/b"), "b");
    assert_string_equal(path_below("/", "/a"), "a");
    assert_null(path_below("/a", "/ab"));
}

static void images_are_known_by_their_last_name(void **state)
{
    static const struct {
        const char *reference;
        enum image_kind kind;
    } cases[] = {
        {"redis", IMAGE_SERVER},
        {"docker.io/library/redis:7-alpine", IMAGE_SERVER},
        {"localhost:5000/x/postgres@sha256:00", IMAGE_SERVER},
        {"REDIS:7", IMAGE_SERVER},
        {"node:20", IMAGE_RUNTIME},
        {"nginxinc/nginx-unprivileged", IMAGE_WEB},
        {"traefik:v3", IMAGE_REPLACED},
        {"red", IMAGE_UNKNOWN},
        {"redis/x", IMAGE_UNKNOWN},
        {"", IMAGE_UNKNOWN},
        {"${IMAGE}", IMAGE_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct image *found = image_find(cases[i].reference);
        assert_int_equal(found ? found->kind : IMAGE_UNKNOWN, cases[i].kind);
    }
}

static void the_line_of_an_image_gets_its_parts(void **state)
{
    struct string_list args = {0};
    (void)state;
    text_list_add(&arena, &args, "--x");
    text_list_add(&arena, &args, "a b");
    struct slice line =
        image_line(&arena, "run -p {port} $HOME {data}{args}", "${P:-1}", "data/x", &args);
    assert_string_equal(line.ptr, "run -p ${P:-1} $$HOME data/x --x 'a b'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_and_keys_survive_toml),
        cmocka_unit_test(a_comment_never_ends_early),
        cmocka_unit_test(words_for_a_shell_stay_words),
        cmocka_unit_test(what_needs_a_shell_is_seen),
        cmocka_unit_test(variables_are_those_of_dockerfiles),
        cmocka_unit_test(paths_are_joined_and_called_from_elsewhere),
        cmocka_unit_test(images_are_known_by_their_last_name),
        cmocka_unit_test(the_line_of_an_image_gets_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
