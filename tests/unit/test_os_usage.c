#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/proc_file.h"
#include "os/usage.h"

#include <cmocka.h>

enum { MIB = 1 << 20, SHARED = 100 * MIB };

/* A process that does this, says so, and then waits to be killed. */
static pid_t begin(void (*act)(void))
{
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        act();
        if (write(ends[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void hold(size_t bytes)
{
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(at, 1, bytes);
}

static void hold_50(void)
{
    hold(50 * MIB);
}

static void spin(void)
{
    struct timespec now;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while (now.tv_sec == 0 && now.tv_nsec < 200000000);
}

static void nothing(void)
{
}

static void assert_between(uint64_t n, uint64_t least, uint64_t most)
{
    if (n < least || n > most)
        fail_msg("%llu is not in %llu..%llu", (unsigned long long)n, (unsigned long long)least,
                 (unsigned long long)most);
}

static void memory_and_time_of_a_process_are_seen(void **state)
{
    struct usage base = {0}, u = {0};
    (void)state;
    pid_t idle = begin(nothing), big = begin(hold_50), busy = begin(spin);
    assert_true(usage_add(&base, idle));
    assert_true(usage_add(&u, big));
    assert_between(u.memory - base.memory, 48 * MIB, 53 * MIB);
    assert_int_equal(u.processes, 1);
    assert_int_equal(u.threads, 1);
    u = (struct usage){0};
    assert_true(usage_add(&u, busy));
    assert_between(u.cpu_us, 180000, 400000);
    end(idle);
    end(big);
    end(busy);
}

static char *shared;

static void touch_shared(void)
{
    char sum = 0;
    for (size_t i = 0; shared && i < SHARED; i += 4096)
        sum ^= ((volatile char *)shared)[i];
    (void)sum;
}

static void hold_50_and_begin_another(void)
{
    touch_shared();
    begin(hold_50); /* first: what is copied at a fork would count for both */
    hold_50();
}

/* A child that holds 50 MiB, and a grandchild that does. */
static void plant(void)
{
    touch_shared();
    begin(hold_50_and_begin_another);
}

static void a_tree_is_added_up_and_what_is_shared_counts_once(void **state)
{
    struct usage u = {0}, alone = {0};
    (void)state;
    shared = mmap(NULL, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(shared, 1, SHARED);
    pid_t top = begin(plant);
    assert_true(usage_add_tree(&u, top));
    assert_true(usage_add(&alone, top));
    assert_int_equal(u.processes, 3);
    assert_int_equal(u.threads, 3);
    assert_int_equal(alone.processes, 1);
    /* Twice 50 MiB of their own, and the shared ones, which each has in its tables. */
    assert_between(u.memory, 100 * MIB + SHARED, 100 * MIB + SHARED + 30 * MIB);
    end(top);
    munmap(shared, SHARED);
}

static void hold_50_and_fork_twice(void)
{
    hold_50();
    begin(nothing);
    begin(nothing);
}

static void what_is_forked_and_not_written_to_has_one_share(void **state)
{
    struct usage u = {0};
    uint64_t share = 0, none = 7;
    (void)state;
    pid_t top = begin(hold_50_and_fork_twice);
    assert_true(usage_add_tree(&u, top));
    assert_int_equal(u.processes, 3);
    assert_true(u.memory > 150 * MIB); /* three times the same */
    assert_true(usage_tree_share(top, &share));
    assert_between(share, 48 * MIB, 65 * MIB);
    end(top);
    assert_false(usage_tree_share(top, &none));
    assert_int_equal(none, 7);
}

/* What its children took is known when it has waited for them. */
static void spend_by_a_child(void)
{
    pid_t child = fork();
    if (child == 0) {
        spin();
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void the_time_of_those_that_have_ended_is_kept(void **state)
{
    struct usage tree = {0}, alone = {0};
    (void)state;
    pid_t pid = begin(spend_by_a_child);
    assert_true(usage_add_tree(&tree, pid));
    assert_true(usage_add(&alone, pid));
    assert_between(tree.cpu_us, 180000, 400000);
    assert_between(alone.cpu_us, 0, 100000);
    end(pid);
}

static void who_is_no_more_uses_nothing(void **state)
{
    struct usage u = {0}, none = {0};
    (void)state;
    pid_t pid = begin(nothing);
    kill(pid, SIGKILL);
    while (waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT))
        ;
    assert_false(usage_add_tree(&u, pid)); /* a zombie */
    waitpid(pid, NULL, 0);
    assert_false(usage_add_tree(&u, pid));
    assert_false(usage_add(&u, pid));
    assert_memory_equal(&u, &none, sizeof(u));
}

static void a_name_may_hold_anything(void **state)
{
    struct usage u = {0};
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        FILE *comm = fopen("/proc/self/comm", "we");
        fputs(") Z 1 (", comm);
        fclose(comm);
        for (;;)
            pause();
    }
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_true(usage_add(&u, pid));
    assert_int_equal(u.threads, 1);
    end(pid);
}

static void the_machine_is_not_empty(void **state)
{
    struct machine m;
    (void)state;
    machine_read(&m);
    assert_between(m.memory, 64 * MIB, UINT64_MAX / 2);
    assert_between(m.memory_available, 1, m.memory);
    assert_between(m.cpus, 1, 1024 * 1000);
    assert_true(m.cpus <= (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000);
}

static void numbers_are_found_by_the_whole_key(void **state)
{
    uint64_t n = 5;
    (void)state;
    assert_true(proc_file_number("inactive_file 7\nfile 8\n", "file", &n));
    assert_int_equal(n, 8);
    assert_true(proc_file_number("oom_kill 2\noom 9\n", "oom", &n));
    assert_int_equal(n, 9);
    assert_true(proc_file_number("MemTotal:       16 kB\n", "MemTotal:", &n));
    assert_int_equal(n, 16);
    assert_false(proc_file_number("oom 3\noom_kill 2\n", "oom_", &n));
    assert_false(proc_file_number("oom x\n", "oom", &n));
    assert_false(proc_file_number("", "oom", &n));
    assert_int_equal(n, 16);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_and_time_of_a_process_are_seen),
        cmocka_unit_test(a_tree_is_added_up_and_what_is_shared_counts_once),
        cmocka_unit_test(what_is_forked_and_not_written_to_has_one_share),
        cmocka_unit_test(the_time_of_those_that_have_ended_is_kept),
        cmocka_unit_test(who_is_no_more_uses_nothing),
        cmocka_unit_test(a_name_may_hold_anything),
        cmocka_unit_test(the_machine_is_not_empty),
        cmocka_unit_test(numbers_are_found_by_the_whole_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
