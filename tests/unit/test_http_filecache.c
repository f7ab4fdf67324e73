#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include "http/filecache.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static const int64_t LATER = INT64_MAX / 2; /* every file is old by then */

/* Reads the file into the cache, as it is now. */
static void keep(struct filecache *c, const char *path, const char *text, int64_t now_s)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    filecache_put(c, path, &st, slice_of(text), now_s);
}

static bool has(struct filecache *c, const char *path, const char *text)
{
    struct stat st;
    struct slice contents;
    return filecache_find(c, path, &st, &contents) && slice_is(contents, text) &&
           st.st_size == (off_t)strlen(text);
}

static void what_has_not_changed_is_found(void **state)
{
    (void)state;
    struct filecache c;
    filecache_init(&c);
    assert_false(has(&c, "a", "one"));
    folder_put("a", "one");
    folder_put("empty", "");
    keep(&c, "a", "one", LATER);
    keep(&c, "empty", "", LATER);
    for (int i = 0; i < 3; i++) {
        assert_true(has(&c, "a", "one"));
        assert_true(has(&c, "empty", ""));
        assert_false(has(&c, "b", "one"));
    }
    filecache_deinit(&c);
    assert_int_equal(c.bytes, 0);
}

static void what_has_changed_is_forgotten(void **state)
{
    (void)state;
    struct filecache c;
    const struct timeval past[2] = {{1000, 0}, {1000, 0}};
    filecache_init(&c);
    folder_put("a", "one");
    assert_int_equal(utimes("a", past), 0);
    keep(&c, "a", "one", LATER);
    assert_true(has(&c, "a", "one"));
    folder_put("a", "two");
    assert_int_equal(utimes("a", past), 0); /* the same length and time, but it was touched */
    assert_false(has(&c, "a", "one"));
    assert_int_equal(c.bytes, 0);

    keep(&c, "a", "two", LATER);
    folder_put("b", "two");
    assert_int_equal(rename("b", "a"), 0); /* another file */
    assert_false(has(&c, "a", "two"));

    keep(&c, "a", "two", LATER);
    assert_int_equal(unlink("a"), 0);
    assert_false(has(&c, "a", "two"));
    folder_put("a", "two");
    assert_false(has(&c, "a", "two"));
    filecache_deinit(&c);
}

static void what_may_still_change_unseen_is_not_kept(void **state)
{
    (void)state;
    struct filecache c;
    struct stat st;
    filecache_init(&c);
    folder_put("a", "one");
    assert_int_equal(stat("a", &st), 0);
    keep(&c, "a", "one", st.st_ctim.tv_sec + FILECACHE_SETTLED_S - 1);
    assert_false(has(&c, "a", "one"));
    keep(&c, "a", "one", st.st_ctim.tv_sec + FILECACHE_SETTLED_S);
    assert_true(has(&c, "a", "one"));
    keep(&c, "a", "on", LATER); /* read when it was shorter */
    assert_true(has(&c, "a", "one"));
    filecache_deinit(&c);
}

static void it_is_bounded_and_keeps_what_is_asked_for(void **state)
{
    (void)state;
    struct filecache c;
    char name[32];
    char *text = calloc(1, FILECACHE_FILE_MAX + 2);
    memset(text, 'x', FILECACHE_FILE_MAX + 1);
    filecache_init(&c);
    folder_put("too long", text);
    keep(&c, "too long", text, LATER);
    assert_int_equal(c.bytes, 0);
    text[FILECACHE_FILE_MAX] = '\0';
    folder_put("popular", "p");
    keep(&c, "popular", "p", LATER);

    enum { MORE = FILECACHE_BYTES_MAX / FILECACHE_FILE_MAX + 20 };

    for (int i = 0; i < MORE; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        folder_put(name, text);
        keep(&c, name, text, LATER);
        keep(&c, name, text, LATER); /* twice is once */
        assert_true(c.bytes <= FILECACHE_BYTES_MAX);
        assert_true(has(&c, "popular", "p"));
    }
    assert_true(c.bytes > FILECACHE_BYTES_MAX - 2 * FILECACHE_FILE_MAX);
    assert_false(has(&c, "f0", text));
    assert_true(has(&c, name, text));
    for (int i = 0; i < FILECACHE_COUNT_MAX + 10; i++) {
        snprintf(name, sizeof(name), "s%d", i);
        folder_put(name, "");
        keep(&c, name, "", LATER);
    }
    assert_int_equal(c.map.count, FILECACHE_COUNT_MAX);
    filecache_deinit(&c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_not_changed_is_found, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(what_has_changed_is_forgotten, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(what_may_still_change_unseen_is_not_kept, folder_enter,
                                        folder_leave),
        cmocka_unit_test_setup_teardown(it_is_bounded_and_keeps_what_is_asked_for, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
