/* Which file is whose, and what becomes of them when one is put aside. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/rotate.h"
#include "base/buf.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) < 0, 0);
    assert_int_equal(fclose(file), 0);
}

static void expect_text(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof(found) - 1, file), strlen(text));
    fclose(file);
    assert_string_equal(found, text);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void names_say_whose_they_are(void **state)
{
    static const struct {
        const char *file, *name;
        struct rotated which;
    } good[] = {
        {"api.log", "api", {0, false}},         {"api.log.1", "api", {1, false}},
        {"api.log.12.gz", "api", {12, true}},   {"a.log.log", "a.log", {0, false}},
        {"a.log.1.log", "a.log.1", {0, false}}, {"a.log.1.log.2.gz", "a.log.1", {2, true}},
    };

    static const char *const bad[] = {"",
                                      ".log",
                                      "api",
                                      "api.log.",
                                      "api.log.x",
                                      "api.log.gz",
                                      "api.log.1.gz.part",
                                      "api.1",
                                      ".log.1",
                                      "api.log.99999999"};
    struct slice name;
    struct rotated which;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(rotate_parse(good[i].file, &name, &which));
        assert_true(slice_is(name, good[i].name));
        assert_int_equal(which.number, good[i].which.number);
        assert_int_equal(which.packed, good[i].which.packed);
        char *path = rotate_path("d", good[i].name, which);
        assert_string_equal(path + 2, good[i].file);
        xfree(path);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(rotate_parse(bad[i], &name, &which));
}

static void the_newest_come_first_and_each_once(void **state)
{
    static const char *const files[] = {"a.log.10.gz", "a.log",    "a.log.2",   "a.log.2.gz",
                                        "b.log",       "ab.log.1", "a.log.1.gz"};
    struct rotated *found;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        write_text(files[i], "x");
    assert_int_equal(rotate_list(".", "a", &found), 4);
    assert_int_equal(found[0].number, 0);
    assert_true(found[1].number == 1 && found[1].packed);
    assert_true(found[2].number == 2 && !found[2].packed);
    assert_int_equal(found[3].number, 10);
    xfree(found);
    assert_int_equal(rotate_list("nowhere", "a", &found), 0);
    xfree(found);
}

static void files_move_on_and_the_oldest_goes(void **state)
{
    (void)state;
    write_text("a.log", "now");
    write_text("a.log.1.gz", "one");
    write_text("a.log.2", "two");
    write_text("a.log.3.gz", "three");
    write_text("a.log.7.gz", "from when more were kept");
    write_text("b.log.1", "another's");
    assert_int_equal(rotate_shift(".", "a", 4), 0);
    assert_false(exists("a.log"));
    expect_text("a.log.1", "now");
    expect_text("a.log.2.gz", "one");
    expect_text("a.log.3", "two");
    assert_false(exists("a.log.4.gz") || exists("a.log.7.gz") || exists("a.log.8.gz"));
    assert_false(exists("a.log.1.gz") || exists("a.log.2"));
    expect_text("b.log.1", "another's");
    write_text("a.log", "again");
    assert_int_equal(rotate_shift(".", "a", 1), 0);
    struct rotated *found;
    assert_int_equal(rotate_list(".", "a", &found), 0);
    xfree(found);
}

static void what_a_packing_cut_short_left_goes(void **state)
{
    (void)state;
    write_text("a.log", "now");
    write_text("a.log.1", "one");
    write_text("a.log.1.gz", "one, packed");
    assert_int_equal(rotate_shift(".", "a", 9), 0);
    expect_text("a.log.1", "now");
    expect_text("a.log.2", "one");
    assert_false(exists("a.log.1.gz") || exists("a.log.2.gz"));
}

static void a_file_is_packed_and_read_again(void **state)
{
    struct buf text = {0}, found = {0};
    atomic_bool stop = false;
    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_addf(&text, "line %d\n", i);
    write_text("a.log.1", buf_cstr(&text));
    assert_int_equal(rotate_pack(".", "a", &stop), 0);
    assert_true(exists("a.log.1.gz"));
    assert_false(exists("a.log.1") || exists("a.log.1.gz.part"));
    struct packed *packed = packed_open(open("a.log.1.gz", O_RDONLY | O_CLOEXEC));
    ssize_t n;
    while ((n = packed_read(packed, buf_reserve(&found, 1000), 1000)) > 0)
        found.len += (size_t)n;
    assert_int_equal(n, 0);
    assert_true(slice_eq(buf_slice(&text), buf_slice(&found)));
    packed_close(packed);
    assert_int_equal(rotate_pack(".", "none", &stop), 0);
    buf_deinit(&text);
    buf_deinit(&found);
}

static void a_packing_that_is_stopped_leaves_all_as_it_was(void **state)
{
    atomic_bool stop = true;
    (void)state;
    write_text("a.log.1", "one");
    assert_int_equal(rotate_pack(".", "a", &stop), ECANCELED);
    expect_text("a.log.1", "one");
    assert_false(exists("a.log.1.gz") || exists("a.log.1.gz.part"));
    assert_int_equal(mkdir("a.log.1.gz.part", 0700), 0);
    stop = false;
    assert_int_equal(rotate_pack(".", "a", &stop), EISDIR);
    expect_text("a.log.1", "one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_say_whose_they_are),
        cmocka_unit_test_setup_teardown(the_newest_come_first_and_each_once, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(files_move_on_and_the_oldest_goes, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(what_a_packing_cut_short_left_goes, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_file_is_packed_and_read_again, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_packing_that_is_stopped_leaves_all_as_it_was,
                                        folder_enter, folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
