/* Nothing that a worker or a client says becomes markup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/html.h"

#include <cmocka.h>

static void text_cannot_become_markup(void **state)
{
    struct buf out = {0};
    (void)state;
    html_text(&out, SLICE("<script>alert('1 & \"2\"')</script>"));
    assert_string_equal(buf_cstr(&out), "&lt;script&gt;alert(&#39;1 &amp; "
                                        "&quot;2&quot;&#39;)&lt;/script&gt;");
    buf_deinit(&out);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    struct buf out = {0};
    (void)state;
    html_text(&out, SLICE("a\0b\x01\xff\xc3\xa9\n\t"));
    assert_string_equal(buf_cstr(&out), "a\xef\xbf\xbd"
                                        "b\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\n\t");
    buf_deinit(&out);
}

static void colours_of_a_terminal_are_left_out(void **state)
{
    struct buf out = {0};
    (void)state;
    html_text(&out, SLICE("\x1b[1;31mred\x1b[0m \x1b[<b>"));
    assert_string_equal(buf_cstr(&out), "red \xef\xbf\xbd[&lt;b&gt;");
    buf_clear(&out);
    html_text(&out, SLICE("\x1b[1;3"));
    assert_string_equal(buf_cstr(&out), "\xef\xbf\xbd[1;3");
    buf_deinit(&out);
}

static void formats_take_text_and_numbers(void **state)
{
    struct buf out = {0};
    (void)state;
    html_addf(&out, "<b>%s</b>%.*s %u %zu", "<i>", 2, "&&&", 7u, (size_t)8);
    assert_string_equal(buf_cstr(&out), "<b>&lt;i&gt;</b>&amp;&amp; 7 8");
    buf_deinit(&out);
}

static void a_piece_is_filled_once(void **state)
{
    struct buf out = {0};
    const struct html_value values[] = {
        {"title", SLICE("{{status}} <b>"), false},
        {"sections", SLICE("<p>{{title}}</p>"), true},
    };
    (void)state;
    html_fill(&out, "error.html", values, ARRAY_LEN(values));
    const char *text = buf_cstr(&out);
    assert_non_null(strstr(text, "<h1>{{status}} &lt;b&gt;</h1>"));
    assert_non_null(strstr(text, "<p>{{title}}</p>"));
    assert_null(strstr(text, "{{what}}"));
    buf_deinit(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_cannot_become_markup),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(colours_of_a_terminal_are_left_out),
        cmocka_unit_test(formats_take_text_and_numbers),
        cmocka_unit_test(a_piece_is_filled_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
