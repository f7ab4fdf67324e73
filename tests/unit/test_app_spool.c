/* A body that is kept: where its bytes lie, and when all of them do. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "app/spool.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

struct bench {
    struct loop loop;
    struct spool *spool;
    unsigned changes;
};

static void on_change(void *owner)
{
    struct bench *b = owner;
    b->changes++;
}

static void bench_init(struct bench *b, const char *folder)
{
    *b = (struct bench){0};
    assert_int_equal(loop_init(&b->loop), 0);
    b->spool = spool_new(&b->loop, folder, on_change, b);
}

static void bench_deinit(struct bench *b)
{
    spool_free(b->spool);
    uv_run(&b->loop.uv, UV_RUN_DEFAULT);
    assert_int_equal(loop_deinit(&b->loop), 0);
}

/* Bytes of which each says where it belongs. */
static void add(struct bench *b, size_t at, size_t len)
{
    char *bytes = xmalloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((at + i) % 251);
    spool_add(b->spool, (struct slice){bytes, len});
    xfree(bytes);
}

static void check_bytes(struct bench *b, size_t size)
{
    size_t at = 0;
    while (at < size) {
        struct slice piece = spool_read(b->spool, at, 10000);
        assert_true(piece.len > 0 && piece.len <= 10000);
        for (size_t i = 0; i < piece.len; i++)
            assert_int_equal((unsigned char)piece.ptr[i], (at + i) % 251);
        at += piece.len;
    }
    assert_int_equal(spool_read(b->spool, size, 10000).len, 0);
    assert_int_equal(b->spool->trouble, 0);
}

static void a_short_body_stays_in_memory(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, "/nowhere");
    add(&b, 0, SPOOL_MEMORY - 1);
    assert_false(spool_whole(b.spool));
    spool_end(b.spool);
    assert_true(spool_whole(b.spool));
    assert_false(b.spool->on_disk);
    check_bytes(&b, SPOOL_MEMORY - 1);
    bench_deinit(&b);
}

static void a_long_body_is_whole_when_it_is_written(void **state)
{
    struct bench b;
    bench_init(&b, *state);
    add(&b, 0, SPOOL_MEMORY);
    assert_true(spool_wants(b.spool));
    add(&b, SPOOL_MEMORY, SPOOL_MEMORY); /* while the first half is on its way */
    assert_false(spool_wants(b.spool));
    add(&b, (size_t)2 * SPOOL_MEMORY, 100);
    spool_end(b.spool);
    assert_false(spool_whole(b.spool));
    while (!spool_whole(b.spool))
        uv_run(&b.loop.uv, UV_RUN_ONCE);
    assert_true(b.changes > 0);
    assert_int_equal(spool_size(b.spool), 2 * SPOOL_MEMORY + 100);
    check_bytes(&b, (size_t)2 * SPOOL_MEMORY + 100);
    bench_deinit(&b);
    assert_int_equal(rmdir(*state), 0); /* what it wrote had no name */
    assert_int_equal(mkdir(*state, 0700), 0);
}

static void a_folder_that_is_gone_is_trouble(void **state)
{
    struct bench b;
    (void)state;
    bench_init(&b, "/nowhere");
    add(&b, 0, SPOOL_MEMORY);
    assert_int_not_equal(b.spool->trouble, 0);
    assert_false(spool_wants(b.spool));
    spool_end(b.spool);
    assert_false(spool_whole(b.spool));
    bench_deinit(&b);
}

static void it_may_be_freed_while_it_is_written(void **state)
{
    struct bench b;
    bench_init(&b, *state);
    add(&b, 0, SPOOL_MEMORY);
    bench_deinit(&b);
    assert_int_equal(b.changes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_body_stays_in_memory),
        cmocka_unit_test_setup_teardown(a_long_body_is_whole_when_it_is_written, folder_enter,
                                        folder_leave),
        cmocka_unit_test(a_folder_that_is_gone_is_trouble),
        cmocka_unit_test_setup_teardown(it_may_be_freed_while_it_is_written, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
