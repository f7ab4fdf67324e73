#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child_rig.h"
#include "loop/shim.h"

#include <cmocka.h>

/* Instead of libc's: who was signalled last. */
static pid_t signalled;

int kill(pid_t pid, int sig)
{
    signalled = pid;
    return (int)syscall(SYS_kill, pid, sig);
}

/* -------------------------------------------------------------------- endings */

static void the_exit_status_is_told(void **state)
{
    (void)state;
    struct child *c = child_shell("exit 7");
    child_until(c, c->exits);
    assert_int_equal(c->exit.code, 7);
    assert_int_equal(c->exit.signal, 0);
    assert_string_equal(c->broken, ""); /* that its pipes ended is no news */
    child_free(c);
}

static void the_signal_is_told(void **state)
{
    (void)state;
    struct child *c = child_shell("kill -SEGV $$");
    child_until(c, c->exits);
    assert_int_equal(c->exit.signal, SIGSEGV);
    child_free(c);

    c = child_shell("echo up; exec sleep 1000");
    child_until(c, c->out.len);
    proc_signal(&c->proc, SIGTERM);
    child_until(c, c->exits);
    assert_int_equal(c->exit.signal, SIGTERM);
    signalled = 0;
    proc_signal(&c->proc, SIGKILL); /* nothing: its pid may be another's now */
    assert_int_equal(signalled, 0);
    child_free(c);
}

static void all_that_it_wrote_is_read_before_the_exit_is_told(void **state)
{
    enum { A_MIB = 1 << 20 };

    (void)state;
    struct child *c = child_shell("head -c 1048576 /dev/zero; echo end; echo word >&2");
    child_until(c, c->exits);
    assert_int_equal(c->out.len, A_MIB + 4);
    assert_memory_equal(c->out.ptr + A_MIB, "end\n", 4);
    assert_string_equal(buf_cstr(&c->err), "word\n");
    child_free(c);
}

static void what_it_did_not_end_with_a_line_is_kept(void **state)
{
    (void)state;
    struct child *c = child_shell("printf unfinished");
    c->keep = true;
    child_until(c, c->exits);
    assert_int_equal(c->kept, strlen("unfinished"));
    child_free(c);
}

/* It inherits the pipes and lives on. */
static void a_grandchild_cannot_hold_the_door(void **state)
{
    (void)state;
    struct child *c = child_shell("sleep 1000 & echo $!; exit 3");
    child_until(c, c->out.len);
    uint64_t begin = loop_clock_ns() / 1000000;
    child_until(c, c->exits);
    assert_true(loop_clock_ns() / 1000000 - begin < 700);
    assert_int_equal(c->exit.code, 3);
    pid_t grandchild = (pid_t)atoi(buf_cstr(&c->out));
    assert_true(process_lives(grandchild)); /* nobody adopted it here */
    kill(grandchild, SIGKILL);
    child_free(c);
}

static void a_grandchild_that_writes_on_holds_it_for_a_second_at_most(void **state)
{
    (void)state;
    struct child *c = child_shell("yes & echo $! >&2; exit 3");
    child_until(c, c->err.len);
    pid_t grandchild = (pid_t)atoi(buf_cstr(&c->err));
    uint64_t begin = loop_clock_ns() / 1000000;
    child_until(c, c->exits);
    assert_true(loop_clock_ns() / 1000000 - begin < 3000);
    kill(grandchild, SIGKILL);
    child_free(c);
}

/* -------------------------------------------------------------------- orphans */

static void what_a_child_leaves_behind_is_ended(void **state)
{
    (void)state;
    struct child *c = child_new();
    const char *argv[] = {"sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!; sleep 0.05",
                          NULL};
    orphans_adopt(&c->loop);
    assert_int_equal(child_spawn(c, argv, "/"), 0);
    child_until(c, c->exits);
    pid_t grandchild = (pid_t)atoi(buf_cstr(&c->out));
    assert_true(grandchild > 0);
    child_until(c, !process_lives(grandchild));
    child_until(c, kill(grandchild, 0) && errno == ESRCH); /* reaped as well */
    child_free(c);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

/* At the first look it is not known whose it is: it might be on its way to a new program. */
static void what_has_no_environment_is_ended_at_the_second_look(void **state)
{
    (void)state;
    struct child *c = child_new();
    const char *argv[] = {
        "sh", "-c", "setsid env -i sleep 1000 >/dev/null 2>&1 & echo $!; sleep 0.05", NULL};
    orphans_adopt(&c->loop);
    assert_int_equal(child_spawn(c, argv, "/"), 0);
    child_until(c, c->out.len);
    pid_t grandchild = (pid_t)atoi(buf_cstr(&c->out));
    while (!c->proc.reaped)
        child_run_for(c, 1);
    assert_true(process_lives(grandchild));
    child_until(c, c->exits && !process_lives(grandchild));
    child_free(c);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

/* Of two children one ends; what the other has put into the background stays. */
static void what_belongs_to_a_child_that_lives_is_left_alone(void **state)
{
    (void)state;
    const char *lasting[] = {
        "sh", "-c", "(setsid sleep 1000 >/dev/null 2>&1 & echo $!); exec sleep 1000", NULL};
    struct child *c = child_new();
    orphans_adopt(&c->loop);
    assert_int_equal(child_spawn(c, lasting, "/"), 0);
    child_until(c, c->out.len);
    pid_t background = (pid_t)atoi(buf_cstr(&c->out));
    orphans_sweep(&c->loop); /* as the end of another child would have it */
    child_run_for(c, 50);
    assert_true(process_lives(background));
    proc_signal(&c->proc, SIGKILL);
    child_until(c, c->exits);
    child_until(c, !process_lives(background));
    child_free(c);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
}

/* -------------------------------------------------------------------- the start */

static void a_command_that_does_not_exist_says_so_itself(void **state)
{
    (void)state;
    struct child *c = child_new();
    const char *argv[] = {"/nonexistent/\"command\"", NULL};
    assert_int_equal(child_spawn(c, argv, "/"), 0);
    child_until(c, c->exits);
    assert_int_equal(c->exit.code, 127);
    assert_string_equal(buf_cstr(&c->out),
                        "{\"type\":\"error\",\"id\":null,\"code\":\"failed_precondition\","
                        "\"message\":\"cannot run /nonexistent/\\\"command\\\": "
                        "No such file or directory\"}\n");
    child_free(c);
}

static void a_folder_that_does_not_exist_is_said_to(void **state)
{
    (void)state;
    struct child *c = child_new();
    const char *argv[] = {"true", NULL};
    assert_int_equal(child_spawn(c, argv, "/nonexistent"), 0);
    child_until(c, c->exits);
    assert_int_equal(c->exit.code, 126);
    assert_non_null(strstr(buf_cstr(&c->out), "cannot enter the folder /nonexistent"));
    child_free(c);
}

static void the_child_gets_its_folder_environment_and_descriptor_3(void **state)
{
    (void)state;
    struct child *c = child_new();
    const char *argv[] = {"sh", "-c", "pwd; echo \"$WORD $NODEY_LIFE $HOME.\"; echo three >&3",
                          NULL};
    setenv("HOME", "/root", 1); /* of ours nothing is handed on */
    assert_int_equal(child_spawn(c, argv, "/usr/bin"), 0);
    child_until(c, c->exits);
    assert_string_equal(buf_cstr(&c->out), "/usr/bin\ntwo words 77 .\nthree\n");
    child_free(c);
}

/* ------------------------------------------------------------------ confinement */

static struct child *confined(const char *script, const struct confine *confine, bool no_input)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct child *c = child_new();
    struct proc_spec spec = {.argv = argv,
                             .env = child_env,
                             .cwd = "/",
                             .line_limit = SIZE_MAX,
                             .no_input = no_input,
                             .confine = *confine};
    assert_int_equal(proc_spawn(&c->proc, &c->loop, &spec, &child_ops), 0);
    return c;
}

/* What `script` prints to a child confined like that, to its end. */
static void assert_prints(const char *script, const struct confine *confine, const char *text)
{
    struct child *c = confined(script, confine, false);
    child_until(c, c->exits);
    assert_string_equal(buf_cstr(&c->err), "");
    assert_string_equal(buf_cstr(&c->out), text);
    child_free(c);
}

/* Why `true` cannot be started when confined like that. */
static void assert_refused(const struct confine *confine, const char *words)
{
    struct child *c = confined("true", confine, false);
    child_until(c, c->exits);
    assert_int_equal(c->exit.code, SHIM_CANNOT_RUN);
    if (!strstr(buf_cstr(confine->plain ? &c->err : &c->out), words))
        fail_msg("\"%s\" is not in \"%s%s\"", words, buf_cstr(&c->out), buf_cstr(&c->err));
    child_free(c);
}

static void a_plain_child_has_no_descriptor_3_and_fails_in_words(void **state)
{
    (void)state;
    struct confine plain = {.plain = true};
    assert_prints("[ -e /proc/$$/fd/3 ] || echo none", &plain, "none\n");
    const char *argv[] = {"/nonexistent/command", NULL};
    struct proc_spec spec = {
        .argv = argv, .env = child_env, .cwd = "/", .line_limit = SIZE_MAX, .confine = plain};
    struct child *c = child_new();
    assert_int_equal(proc_spawn(&c->proc, &c->loop, &spec, &child_ops), 0);
    child_until(c, c->exits);
    assert_int_equal(c->exit.code, SHIM_NOT_FOUND);
    assert_string_equal(buf_cstr(&c->out), "");
    assert_string_equal(buf_cstr(&c->err), SHIM_SAYS "run /nonexistent/command: "
                                                     "No such file or directory\n");
    child_free(c);
}

/* Whoever started us may have left something open, and not for our children. */
static void what_lies_open_is_not_handed_on(void **state)
{
    enum { FORGOTTEN = 200 };

    (void)state;
    assert_int_equal(dup2(STDERR_FILENO, FORGOTTEN), FORGOTTEN);
    assert_prints("[ -e /proc/$$/fd/200 ] || echo none", &(struct confine){0}, "none\n");
    close(FORGOTTEN);
}

static void a_child_without_input_reads_nothing(void **state)
{
    (void)state;
    struct child *c =
        confined("cat; readlink /proc/$$/fd/0; sleep 0.1", &(struct confine){0}, true);
    proc_end_input(&c->proc);
    child_until(c, c->exits);
    assert_string_equal(buf_cstr(&c->out), "/dev/null\n");
    assert_string_equal(c->broken, "");
    child_free(c);
}

static void limits_are_exactly_what_was_asked_for(void **state)
{
    (void)state;
    assert_prints("ulimit -n; ulimit -c; ulimit -d; ulimit -p",
                  &(struct confine){.nofile = 77, .core = 1024, .data = 1 << 30, .nproc = 5000},
                  "77\n2\n1048576\n5000\n");
    assert_prints("ulimit -Hn; ulimit -Hc", &(struct confine){.nofile = 77}, "77\n0\n");
    assert_refused(&(struct confine){.nofile = 1u << 31, .plain = true},
                   "nodey: cannot limit its open files to 2147483648: ");
    assert_refused(&(struct confine){.nofile = 1u << 31},
                   "\"message\":\"cannot limit its open files to 2147483648: ");
}

static void it_yields_and_dies_sooner_than_its_parent(void **state)
{
    char expected[40], text[16] = "";
    (void)state;
    snprintf(expected, sizeof(expected), "%d\n", getpriority(PRIO_PROCESS, 0) + 7);
    assert_prints("nice", &(struct confine){.nice = 7}, expected);
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    int own = atoi(text);
    snprintf(expected, sizeof(expected), "%d\n", own + 10);
    assert_prints("cat /proc/$$/oom_score_adj", &(struct confine){.oom_score_adj = own + 10},
                  expected);
}

static void new_privileges_are_refused_when_asked_for(void **state)
{
    (void)state;
    assert_prints("grep NoNewPrivs /proc/self/status",
                  &(struct confine){.no_new_privileges = true}, "NoNewPrivs:\t1\n");
    assert_prints("grep NoNewPrivs /proc/self/status", &(struct confine){0},
                  "NoNewPrivs:\t0\n");
}

static void it_joins_its_cgroup_before_all_else_or_is_not_started(void **state)
{
    char folder[] = "/tmp/test_loop_proc.XXXXXX", procs[64], text[8] = "";
    (void)state;
    assert_non_null(mkdtemp(folder));
    struct confine confine = {.cgroup = folder, .plain = true};
    assert_refused(&confine, "nodey: cannot join the cgroup /tmp/test_loop_proc.");
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", folder);
    FILE *file = fopen(procs, "we");
    fclose(file);
    assert_prints("echo ran", &confine, "ran\n");
    file = fopen(procs, "re");
    assert_non_null(fgets(text, sizeof(text), file));
    fclose(file);
    assert_string_equal(text, "0"); /* which the kernel reads as: myself */
    unlink(procs);
    rmdir(folder);
}

static void another_user_is_become_wholly_or_not_at_all(void **state)
{
    (void)state;
    struct confine confine = {.has_user = true, .uid = 12345, .gid = 23456};
    if (geteuid() == 0) {
        gid_t before[64], some[] = {7, 8}; /* which must not be handed on */
        int count = getgroups(64, before);
        assert_int_equal(setgroups(2, some), 0);
        assert_prints("id -u; id -ru; id -g; id -G", &confine, "12345\n12345\n23456\n23456\n");
        assert_int_equal(setgroups((size_t)count, before), 0);
    } else {
        confine.plain = true;
        assert_refused(&confine, "nodey: cannot become user 12345:23456:");
    }
}

/* Not even the pipes of a sibling: their end would never be seen. */
static void a_child_has_no_descriptor_of_a_sibling(void **state)
{
    struct stat st;
    char ours[64];
    int fd;
    (void)state;
    struct child *first = child_shell("read -r line");
    assert_int_equal(uv_fileno(&proc_in(&first->proc)->uv.handle, &fd), 0);
    assert_int_equal(fstat(fd, &st), 0);
    snprintf(ours, sizeof(ours), "pipe:[%lu]", (unsigned long)st.st_ino);
    struct child *second = child_shell("ls -l /proc/self/fd");
    child_until(second, second->exits);
    assert_non_null(strstr(buf_cstr(&second->out), "pipe:["));
    assert_null(strstr(buf_cstr(&second->out), ours));
    child_free(second);
    child_free(first);
}

static void the_child_leads_a_group_with_default_signals(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    struct child *c = child_shell(
        "grep -E 'SigIgn|SigBlk' /proc/self/status; echo $(ps -o pgid= -p $$) = $$");
    child_until(c, c->exits);
    const char *text = buf_cstr(&c->out);
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000"));
    assert_non_null(strstr(text, "SigIgn:\t0000000000000000"));
    char expected[64];
    snprintf(expected, sizeof(expected), "%ld = %ld\n", (long)c->proc.pid, (long)c->proc.pid);
    assert_non_null(strstr(text, expected));
    child_free(c);
}

static void a_signal_reaches_the_whole_group(void **state)
{
    (void)state;
    struct child *c = child_shell("sleep 1000 & echo $!; wait");
    child_until(c, c->out.len);
    proc_signal(&c->proc, SIGKILL);
    child_until(c, c->exits);
    assert_true(process_dies_within((pid_t)atoi(buf_cstr(&c->out)), 5000));
    child_free(c);
}

static void a_signal_reaches_a_child_in_its_first_moment(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct child *c = child_shell("sleep 1000");
        proc_signal(&c->proc, SIGKILL); /* before it can have made its group */
        child_until(c, c->exits);
        assert_int_equal(c->exit.signal, SIGKILL);
        child_free(c);
    }
}

/* ---------------------------------------------------------------------- pipes */

static void input_is_written_and_ended(void **state)
{
    (void)state;
    struct child *c = child_shell("cat; echo end");
    stream_write(proc_in(&c->proc), SLICE("one\n"));
    proc_end_input(&c->proc);
    proc_end_input(&c->proc);
    child_until(c, c->exits);
    assert_string_equal(buf_cstr(&c->out), "one\nend\n");
    child_free(c);
}

static void much_input_drains(void **state)
{
    enum { MUCH = 2 << 20 };

    (void)state;
    struct child *c = child_shell("sleep 0.1; wc -c");
    char *bytes = xcalloc(1, MUCH);
    stream_write(proc_in(&c->proc), (struct slice){bytes, MUCH});
    child_run_for(c, 5);
    assert_int_equal(c->drains, 0);
    child_until(c, c->drains);
    proc_end_input(&c->proc);
    child_until(c, c->exits);
    assert_int_equal(atoi(buf_cstr(&c->out)), MUCH);
    xfree(bytes);
    child_free(c);
}

static void a_child_that_closes_its_pipes_and_lives_is_told_of(void **state)
{
    (void)state;
    struct child *c = child_shell("exec >&- 3>&-; sleep 1000");
    child_until(c, c->broken[0]);
    assert_string_equal(c->broken, "output");
    assert_int_equal(c->exits, 0);
    child_free(c);

    c = child_shell("exec <&-; echo closed; sleep 1000");
    child_until(c, c->out.len);
    stream_write(proc_in(&c->proc), SLICE("into nothing\n"));
    child_until(c, c->broken[0]);
    assert_string_equal(c->broken, "input");
    child_free(c);

    c = child_shell("exec 2>&-; echo closed; read -r line; exit 5"); /* that is allowed */
    child_until(c, c->out.len);
    child_run_for(c, 60);
    assert_string_equal(c->broken, "");
    proc_end_input(&c->proc);
    child_until(c, c->exits);
    child_free(c);
}

/* ----------------------------------------------------------- when the parent dies */

/* A parent in a process of its own; its child's pid comes through the pipe. */
static pid_t parent_with_child(int report, const struct confine *confine)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    struct child *c = confined("trap '' TERM HUP INT PIPE; exec sleep 1000", confine, false);
    ssize_t written = write(report, &c->proc.pid, sizeof(c->proc.pid));
    if (written > 0)
        loop_run(&c->loop);
    _exit(1);
}

static void assert_dies_with_its_parent(const struct confine *confine)
{
    int ends[2];
    pid_t child;
    char path[40], link[16] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t parent = parent_with_child(ends[1], confine);
    assert_int_equal(read(ends[0], &child, sizeof(child)), sizeof(child));
    assert_true(process_lives(child));
    snprintf(path, sizeof(path), "/proc/%ld/exe", (long)child);
    for (int i = 0; i < 1000 && !strstr(link, "sleep"); i++) { /* it is all that it will be */
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        ssize_t n = readlink(path, link, sizeof(link) - 1);
        link[n > 0 ? n : 0] = '\0';
    }
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    assert_true(process_dies_within(child, 5000));
    close(ends[0]);
    close(ends[1]);
}

static void a_child_does_not_outlive_its_parent(void **state)
{
    (void)state;
    assert_dies_with_its_parent(&(struct confine){0});
}

/* The kernel forgets what was wished for when the user changes. */
static void nor_does_one_that_is_another_user(void **state)
{
    (void)state;
    if (geteuid() == 0)
        assert_dies_with_its_parent(
            &(struct confine){.has_user = true, .uid = 12345, .gid = 12345});
}

/* It died while the shim was on its way: nothing is started any more. */
static void the_shim_starts_nothing_for_a_parent_that_is_gone(void **state)
{
    int status;
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "nodey", SHIM_VERB, "1", "/", "/bin/true", (char *)NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 126);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exit_status_is_told),
        cmocka_unit_test(the_signal_is_told),
        cmocka_unit_test(all_that_it_wrote_is_read_before_the_exit_is_told),
        cmocka_unit_test(what_it_did_not_end_with_a_line_is_kept),
        cmocka_unit_test(a_grandchild_cannot_hold_the_door),
        cmocka_unit_test(a_grandchild_that_writes_on_holds_it_for_a_second_at_most),
        cmocka_unit_test(what_a_child_leaves_behind_is_ended),
        cmocka_unit_test(what_has_no_environment_is_ended_at_the_second_look),
        cmocka_unit_test(what_belongs_to_a_child_that_lives_is_left_alone),
        cmocka_unit_test(a_command_that_does_not_exist_says_so_itself),
        cmocka_unit_test(a_folder_that_does_not_exist_is_said_to),
        cmocka_unit_test(the_child_gets_its_folder_environment_and_descriptor_3),
        cmocka_unit_test(a_plain_child_has_no_descriptor_3_and_fails_in_words),
        cmocka_unit_test(what_lies_open_is_not_handed_on),
        cmocka_unit_test(a_child_without_input_reads_nothing),
        cmocka_unit_test(limits_are_exactly_what_was_asked_for),
        cmocka_unit_test(it_yields_and_dies_sooner_than_its_parent),
        cmocka_unit_test(new_privileges_are_refused_when_asked_for),
        cmocka_unit_test(it_joins_its_cgroup_before_all_else_or_is_not_started),
        cmocka_unit_test(another_user_is_become_wholly_or_not_at_all),
        cmocka_unit_test(a_child_has_no_descriptor_of_a_sibling),
        cmocka_unit_test(the_child_leads_a_group_with_default_signals),
        cmocka_unit_test(a_signal_reaches_the_whole_group),
        cmocka_unit_test(a_signal_reaches_a_child_in_its_first_moment),
        cmocka_unit_test(input_is_written_and_ended),
        cmocka_unit_test(much_input_drains),
        cmocka_unit_test(a_child_that_closes_its_pipes_and_lives_is_told_of),
        cmocka_unit_test(a_child_does_not_outlive_its_parent),
        cmocka_unit_test(nor_does_one_that_is_another_user),
        cmocka_unit_test(the_shim_starts_nothing_for_a_parent_that_is_gone),
    };
    if (argc > 1 && strcmp(argv[1], SHIM_VERB) == 0)
        return shim_main(argc - 2, argv + 2);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
