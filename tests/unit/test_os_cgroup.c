/*
 * The kernel's files are imitated by plain ones: what is written to them is what it would get.
 * What only a real tree can show, tests/system/test_limits.py shows where there is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/os/cgroup.c"

#include <cmocka.h>

/* A group of its own, and the files that the kernel would put into it. */
struct tree {
    char root[64];
    struct cgroups groups;
};

static void put(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_holds(const char *folder, const char *name, const char *text)
{
    char have[256];
    assert_true(get(folder, name, have, sizeof(have)));
    assert_string_equal(have, text);
}

static void tree_make(struct tree *t, unsigned controllers)
{
    static const char *const files[] = {"memory.max",       "memory.low", "memory.swap.max",
                                        "memory.oom.group", "cpu.max",    "pids.max",
                                        "cgroup.procs",     "cgroup.kill"};
    char folder[128];
    snprintf(t->root, sizeof(t->root), "/tmp/test_os_cgroup.XXXXXX");
    assert_non_null(mkdtemp(t->root));
    snprintf(folder, sizeof(folder), "%s/fib-0-1", t->root);
    assert_int_equal(mkdir(folder, 0755), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put(folder, files[i], "");
    t->groups = (struct cgroups){.root = t->root, .controllers = controllers};
}

static void tree_free(struct tree *t)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", t->root);
    assert_int_equal(system(command), 0);
}

static char *make(struct tree *t, const struct cgroup_limits *limits)
{
    struct err err;
    char *folder = cgroup_make(&t->groups, "fib-0-1", limits, &err);
    if (!folder)
        fail_msg("%s", err.text);
    return folder;
}

static void limits_are_written_as_the_kernel_wants_them(void **state)
{
    struct tree t;
    (void)state;
    tree_make(&t, CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS);
    char *folder = make(&t, &(struct cgroup_limits){.memory = 512 << 20,
                                                    .memory_reservation = 64 << 20,
                                                    .cpus = 1500,
                                                    .pids = 100});
    assert_holds(folder, "memory.max", "536870912");
    assert_holds(folder, "memory.low", "67108864");
    assert_holds(folder, "memory.swap.max", "0");
    assert_holds(folder, "memory.oom.group", "1");
    assert_holds(folder, "cpu.max", "150000 100000");
    assert_holds(folder, "pids.max", "100");
    xfree(folder);
    tree_free(&t);
}

static void what_is_not_limited_is_said_to_be_so(void **state)
{
    struct tree t;
    (void)state;
    tree_make(&t, CGROUP_MEMORY | CGROUP_CPU | CGROUP_PIDS);
    char *folder = make(&t, &(struct cgroup_limits){0});
    assert_holds(folder, "memory.max", "max");
    assert_holds(folder, "memory.low", "0");
    assert_holds(folder, "memory.oom.group", "");
    assert_holds(folder, "cpu.max", "max 100000");
    assert_holds(folder, "pids.max", "max");
    xfree(folder);
    tree_free(&t);
}

static void a_controller_that_does_not_work_is_left_alone(void **state)
{
    struct tree t;
    (void)state;
    tree_make(&t, CGROUP_PIDS);
    char *folder =
        make(&t, &(struct cgroup_limits){.memory = 1 << 20, .cpus = 1000, .pids = 9});
    assert_holds(folder, "memory.max", "");
    assert_holds(folder, "cpu.max", "");
    assert_holds(folder, "pids.max", "9");
    xfree(folder);
    tree_free(&t);
}

static void the_least_share_of_a_cpu_is_one_that_the_kernel_takes(void **state)
{
    struct tree t;
    (void)state;
    tree_make(&t, CGROUP_CPU);
    char *folder = make(&t, &(struct cgroup_limits){.cpus = 1});
    assert_holds(folder, "cpu.max", "1000 100000");
    xfree(folder);
    tree_free(&t);
}

/* In a folder that is no cgroup there are no such files. */
static void what_cannot_be_limited_is_not_made(void **state)
{
    struct tree t;
    struct err err;
    char path[128];
    (void)state;
    tree_make(&t, CGROUP_PIDS);
    assert_null(cgroup_make(&t.groups, "new-0-2", &(struct cgroup_limits){.pids = 1}, &err));
    assert_non_null(strstr(err.text, "new-0-2 cannot be made: No such file or directory"));
    snprintf(path, sizeof(path), "%s/new-0-2", t.root);
    assert_int_equal(access(path, F_OK), -1);
    tree_free(&t);
}

static void what_a_group_uses_is_read_as_docker_reads_it(void **state)
{
    struct tree t;
    struct usage u = {.cpu_us = 1};
    char folder[128];
    (void)state;
    tree_make(&t, 0);
    snprintf(folder, sizeof(folder), "%s/fib-0-1", t.root);
    assert_false(cgroup_usage(folder, &u)); /* it has no cpu.stat */
    put(folder, "cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n");
    put(folder, "memory.current", "1000000\n");
    put(folder, "memory.stat",
        "anon 600000\nfile 400000\ninactive_anon 5\ninactive_file 300000\n");
    put(folder, "cgroup.procs", "12\n13\n");
    put(folder, "cgroup.threads", "12\n13\n14\n");
    put(folder, "io.stat",
        "8:0 rbytes=100 wbytes=20 rios=1 wios=2 dbytes=5 dios=0\n"
        "8:16 rbytes=1 wbytes=2 rios=0 wios=0 dbytes=0 dios=0\n");
    assert_true(cgroup_usage(folder, &u));
    assert_int_equal(u.cpu_us, 2500001);
    assert_int_equal(u.memory, 700000);
    assert_int_equal(u.processes, 2);
    assert_int_equal(u.threads, 3);
    assert_int_equal(u.read_bytes, 101);
    assert_int_equal(u.written_bytes, 22);
    tree_free(&t);
}

static void kills_for_want_of_memory_are_counted(void **state)
{
    struct tree t;
    char folder[128];
    (void)state;
    tree_make(&t, 0);
    snprintf(folder, sizeof(folder), "%s/fib-0-1", t.root);
    assert_int_equal(cgroup_oom_kills(folder), 0);
    put(folder, "memory.events",
        "low 0\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_int_equal(cgroup_oom_kills(folder), 2);
    put(folder, "memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 2\n");
    assert_int_equal(cgroup_oom_kills(folder), 0); /* all memory was out, not its own */
    cgroup_kill(folder);
    assert_holds(folder, "cgroup.kill", "1");
    tree_free(&t);
}

static void words_are_found_whole(void **state)
{
    (void)state;
    assert_true(has_word("cpuset cpu io memory pids\n", "cpu"));
    assert_true(has_word("cpuset cpu io memory pids\n", "pids"));
    assert_true(has_word("memory", "memory"));
    assert_false(has_word("cpuset io\n", "cpu"));
    assert_false(has_word("rdma hugetlb\n", "tlb"));
    assert_false(has_word("", "cpu"));
}

/* Whatever this machine has: it says what is missing, and leaves nothing. */
static void this_machine_is_left_as_it_was(void **state)
{
    char before[PROC_FILE_MAX], after[PROC_FILE_MAX];
    struct cgroups g;
    (void)state;
    assert_true(proc_file_read("/proc/self/cgroup", before, sizeof(before)) > 0);
    cgroups_open(&g);
    assert_int_equal(g.root != NULL, g.controllers != 0);
    assert_true(g.controllers || g.why_not[0]);
    cgroups_close(&g);
    assert_true(proc_file_read("/proc/self/cgroup", after, sizeof(after)) > 0);
    assert_string_equal(after, before);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_written_as_the_kernel_wants_them),
        cmocka_unit_test(what_is_not_limited_is_said_to_be_so),
        cmocka_unit_test(a_controller_that_does_not_work_is_left_alone),
        cmocka_unit_test(the_least_share_of_a_cpu_is_one_that_the_kernel_takes),
        cmocka_unit_test(what_cannot_be_limited_is_not_made),
        cmocka_unit_test(what_a_group_uses_is_read_as_docker_reads_it),
        cmocka_unit_test(kills_for_want_of_memory_are_counted),
        cmocka_unit_test(words_are_found_whole),
        cmocka_unit_test(this_machine_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
