#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "http/files.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static void names_that_may_be_asked_for(void **state)
{
    (void)state;

    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"", true},
        {"a", true},
        {"a/b.c", true},
        {"a/", true},
        {"a..b/c...d", true},
        {"caf\xc3\xa9", true},
        {"a b", true},
        {".well-known/acme", true},
        {".well-known", true},
        {"a/.well-known", false},
        {".well-knownx", false},
        {"..", false},
        {"../a", false},
        {"a/..", false},
        {"a/../b", false},
        {".", false},
        {"./a", false},
        {"a/./b", false},
        {"...", false},
        {".git/config", false},
        {"a/.env", false},
        {"/", false},
        {"/etc/passwd", false},
        {"a//b", false},
        {"a//", false},
        {"a\\b", false},
        {"..\\a", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (files_name_valid(slice_of(cases[i].name)) != cases[i].valid)
            fail_msg("%s", cases[i].name);
    assert_false(files_name_valid(SLICE("a\0b")));
    char longest[FILES_NAME_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    assert_true(files_name_valid((struct slice){longest, FILES_NAME_MAX}));
    assert_false(files_name_valid((struct slice){longest, FILES_NAME_MAX + 1}));
}

static enum files_kind kind_of(const char *name)
{
    struct folder root;
    struct file file;
    assert_true(folder_open(&root, "root"));
    enum files_kind kind = files_open(&root, slice_of(name), &file);
    assert_int_equal(kind == FILES_FILE, file.fd >= 0);
    if (file.fd >= 0)
        close(file.fd);
    folder_close(&root);
    return kind;
}

static void only_what_lies_within_is_opened(void **state)
{
    char path[512];
    folder_put("root/in.txt", "in");
    folder_put("root/sub/deep.txt", "deep");
    folder_put("out.txt", "out");
    folder_put("rootlike/out.txt", "out");
    assert_int_equal(symlink("in.txt", "root/near"), 0);
    assert_int_equal(symlink("../in.txt", "root/sub/up"), 0);
    assert_int_equal(symlink("../out.txt", "root/escape"), 0);
    assert_int_equal(symlink("../rootlike/out.txt", "root/alike"), 0);
    assert_int_equal(symlink("..", "root/folder"), 0);
    assert_int_equal(symlink("/etc/passwd", "root/absolute"), 0);
    assert_int_equal(symlink("../root/in.txt", "root/around"), 0);
    assert_int_equal(symlink("loop", "root/loop"), 0);
    assert_int_equal(symlink("nothing", "root/dangling"), 0);
    snprintf(path, sizeof(path), "%s/root/in.txt", (const char *)*state);
    assert_int_equal(symlink(path, "root/absolute_in"), 0);
    assert_int_equal(symlink("/proc/self/fd/0", "root/magic"), 0);
    assert_int_equal(mkfifo("root/fifo", 0644), 0);
    assert_int_equal(symlink("/dev/null", "root/device"), 0);

    static const struct {
        const char *name;
        enum files_kind kind;
    } cases[] = {
        {"", FILES_FOLDER},
        {"in.txt", FILES_FILE},
        {"sub", FILES_FOLDER},
        {"sub/", FILES_FOLDER},
        {"sub/deep.txt", FILES_FILE},
        {"in.txt/", FILES_NONE},
        {"in.txt/x", FILES_NONE},
        {"missing", FILES_NONE},
        {"near", FILES_FILE},
        {"sub/up", FILES_FILE},
        {"around", FILES_FILE},
        {"absolute_in", FILES_FILE},
        {"escape", FILES_NONE},
        {"alike", FILES_NONE},
        {"folder", FILES_NONE},
        {"folder/out.txt", FILES_NONE},
        {"folder/root/in.txt", FILES_FILE}, /* leaves and comes back */
        {"absolute", FILES_NONE},
        {"loop", FILES_NONE},
        {"dangling", FILES_NONE},
        {"magic", FILES_NONE},
        {"device", FILES_NONE},
        {"fifo", FILES_NONE},
        /* were the names not checked before, it would hold all the same */
        {"../out.txt", FILES_NONE},
        {"sub/../../out.txt", FILES_NONE},
        {"/etc/passwd", FILES_NONE},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (kind_of(cases[i].name) != cases[i].kind)
            fail_msg("%s: %d", cases[i].name, kind_of(cases[i].name));
}

static void a_folder_may_be_replaced(void **state)
{
    (void)state;
    struct folder root;
    assert_false(folder_open(&root, "root"));
    folder_put("file", "");
    assert_false(folder_open(&root, "file"));
    folder_put("releases/1/a", "");
    folder_put("releases/2/b", "");
    assert_int_equal(symlink("releases/1", "root"), 0);
    assert_int_equal(kind_of("a"), FILES_FILE);
    assert_int_equal(kind_of("b"), FILES_NONE);
    assert_int_equal(unlink("root"), 0);
    assert_int_equal(symlink("releases/2", "root"), 0);
    assert_int_equal(kind_of("a"), FILES_NONE);
    assert_int_equal(kind_of("b"), FILES_FILE);
}

static void what_may_not_be_read_is_not_there(void **state)
{
    (void)state;
    folder_write("root/secret", "x", 1, 0000);
    /* Root may read everything. */
    assert_int_equal(kind_of("secret"), geteuid() == 0 ? FILES_FILE : FILES_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_may_be_asked_for),
        cmocka_unit_test_setup_teardown(only_what_lies_within_is_opened, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(a_folder_may_be_replaced, folder_enter, folder_leave),
        cmocka_unit_test_setup_teardown(what_may_not_be_read_is_not_there, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
