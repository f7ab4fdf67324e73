#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/loop.h"
#include "loop/watch.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

struct scene {
    struct loop loop;
    struct watch watch;
    struct timer limit;
    char folder[64];
    char other[80];
    unsigned changes;
};

static void on_changed(struct watch *watch)
{
    container_of(watch, struct scene, watch)->changes++;
}

static bool on_matters(struct watch *watch, const char *name)
{
    (void)watch;
    return strcmp(name, "ignored") != 0;
}

static const struct watch_ops ops = {on_changed, on_matters};

static void on_limit(struct timer *timer)
{
    loop_stop(&container_of(timer, struct scene, limit)->loop);
}

static void run_for(struct scene *s, uint64_t ms)
{
    timer_start(&s->loop, &s->limit, ms, on_limit);
    loop_run(&s->loop);
}

static void save(const char *folder, const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    xfree(path);
}

static void start(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    snprintf(s->folder, sizeof(s->folder), "/tmp/nodey-watch-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->other, sizeof(s->other), "%s/other", s->folder);
    mkdir(s->other, 0700);
    assert_int_equal(loop_init(&s->loop), 0);
    watch_init(&s->watch, &s->loop, &ops);
}

static void end(struct scene *s)
{
    watch_deinit(&s->watch);
    timer_stop(&s->loop, &s->limit);
    run_for(s, 10);
    assert_int_equal(loop_deinit(&s->loop), 0);
    char *command = xasprintf("rm -rf %s", s->folder);
    assert_int_equal(system(command), 0);
    xfree(command);
}

static void watch_folder(struct scene *s)
{
    const char *folders[] = {s->folder};
    watch_set(&s->watch, folders, 1);
    run_for(s, 20);
}

/* Saves five times; false when the machine was so slow that it was quiet in between. */
static bool save_in_a_row(struct scene *s)
{
    for (int i = 0; i < 5; i++) {
        uint64_t begun = loop_clock_ns();
        save(s->folder, "file", "text");
        run_for(s, WATCH_QUIET_MS / 5);
        if (loop_clock_ns() - begun > WATCH_QUIET_MS / 2 * UINT64_C(1000000))
            return false;
    }
    return true;
}

static void changes_are_reported_once_they_are_over(void **state)
{
    struct scene s;
    (void)state;
    start(&s);
    watch_folder(&s);
    for (int try = 0; !save_in_a_row(&s); try++) {
        assert_true(try < 20);
        run_for(&s, WATCH_QUIET_MS * 2);
        s.changes = 0;
    }
    assert_int_equal(s.changes, 0);
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 1);
    end(&s);
}

static void changes_without_end_are_reported_in_between(void **state)
{
    struct scene s;
    (void)state;
    start(&s);
    watch_folder(&s);
    for (int i = 0; s.changes == 0; i++) {
        assert_true(i < 2 * WATCH_LATEST_MS / 100);
        save(s.folder, "file", "text");
        run_for(&s, 100);
    }
    end(&s);
}

static void what_does_not_matter_is_not_reported(void **state)
{
    struct scene s;
    (void)state;
    start(&s);
    watch_folder(&s);
    save(s.folder, "ignored", "text");
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 0);
    end(&s);
}

static void only_the_folders_that_were_named_last_count(void **state)
{
    struct scene s;
    (void)state;
    start(&s);
    watch_folder(&s);
    const char *folders[] = {s.other, s.other};
    watch_set(&s.watch, folders, 2);
    assert_int_equal(s.watch.count, 1);
    run_for(&s, 20);
    save(s.folder, "file", "text");
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 0);
    save(s.other, "file", "text");
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 1);
    end(&s);
}

static void a_folder_that_was_made_anew_is_watched_anew(void **state)
{
    struct scene s;
    (void)state;
    start(&s);
    const char *folders[] = {s.other};
    watch_set(&s.watch, folders, 1);
    rmdir(s.other);
    mkdir(s.other, 0700);
    run_for(&s, 20);
    watch_set(&s.watch, folders, 1);
    run_for(&s, WATCH_QUIET_MS * 2);
    unsigned before = s.changes;
    save(s.other, "file", "text");
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, before + 1);
    end(&s);
}

static void no_more_folders_than_may_are_watched(void **state)
{
    enum { COUNT = WATCH_MAX_FOLDERS + 3 };

    struct scene s;
    (void)state;
    start(&s);
    char **folders = xcalloc(COUNT, sizeof(*folders));
    for (int i = 0; i < COUNT; i++) {
        folders[i] = xasprintf("%s/%05d", s.folder, i);
        assert_int_equal(mkdir(folders[i], 0700), 0);
    }
    watch_set(&s.watch, (const char *const *)folders, COUNT);
    assert_int_equal(s.watch.count, WATCH_MAX_FOLDERS);
    assert_int_equal(s.watch.refused, 3);
    save(folders[WATCH_MAX_FOLDERS], "file", "text");
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 0);
    save(folders[WATCH_MAX_FOLDERS - 1], "file", "text");
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 1);
    /* One less of the old ones makes room for one of the others. */
    watch_set(&s.watch, (const char *const *)folders + 3, COUNT - 3);
    assert_int_equal(s.watch.refused, 0);
    watch_set(&s.watch, (const char *const *)folders + 3, 1);
    assert_int_equal(s.watch.count, 1);
    run_for(&s, 20);
    save(folders[5], "file", "text");
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 1);
    for (int i = 0; i < COUNT; i++)
        xfree(folders[i]);
    xfree(folders);
    end(&s);
}

/* The kernel keeps so many events, and tells of those that it lost none. */
static void changes_that_the_kernel_lost_are_reported_with_the_others(void **state)
{
    struct scene s;
    unsigned most = 0;
    (void)state;
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    assert_non_null(limit);
    assert_int_equal(fscanf(limit, "%u", &most), 1);
    fclose(limit);
    start(&s);
    watch_folder(&s);
    for (unsigned i = 0; i < most + 10; i++)
        save(s.folder, i % 2 ? "a" : "b", ""); /* by turns: equal ones in a row are one */
    run_for(&s, WATCH_LATEST_MS + 2 * WATCH_QUIET_MS);
    assert_in_range(s.changes, 1, 2);
    s.changes = 0;
    save(s.folder, "file", "text"); /* and it goes on hearing */
    run_for(&s, WATCH_QUIET_MS * 2);
    assert_int_equal(s.changes, 1);
    end(&s);
}

static void a_folder_that_does_not_exist_is_left_out(void **state)
{
    struct scene s;
    const char *folders[] = {"/nowhere/at/all"};
    (void)state;
    start(&s);
    watch_set(&s.watch, folders, 1);
    assert_int_equal(s.watch.count, 0);
    assert_int_equal(s.watch.refused, 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(changes_are_reported_once_they_are_over),
        cmocka_unit_test(changes_without_end_are_reported_in_between),
        cmocka_unit_test(what_does_not_matter_is_not_reported),
        cmocka_unit_test(only_the_folders_that_were_named_last_count),
        cmocka_unit_test(a_folder_that_was_made_anew_is_watched_anew),
        cmocka_unit_test(no_more_folders_than_may_are_watched),
        cmocka_unit_test(changes_that_the_kernel_lost_are_reported_with_the_others),
        cmocka_unit_test(a_folder_that_does_not_exist_is_left_out),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
