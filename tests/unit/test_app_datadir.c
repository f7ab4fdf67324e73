#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>

#include "app/datadir.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

static mode_t mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : st.st_mode & 0777;
}

static void folders_are_made_with_those_above(void **state)
{
    struct err err;
    (void)state;
    assert_int_equal(datadir_make("a/b//c/", &err), 0);
    assert_int_equal(mode_of("a"), 0700);
    assert_int_equal(mode_of("a/b/c"), 0700);
    assert_int_equal(datadir_make("a/b/c", &err), 0); /* they may be there */
}

static void a_file_in_the_way_is_named(void **state)
{
    struct err err;
    (void)state;
    folder_put("a", "");
    assert_int_equal(datadir_make("a/b", &err), -1);
    assert_non_null(strstr(err.text, "cannot make the folder a"));
}

/* In a process of its own, because the lock ends with the process. */
static int open_elsewhere(const char *path, char *text, size_t size)
{
    int ends[2], status;
    struct err err = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int rc = datadir_open(path, &err);
        _exit(write(ends[1], err.text, sizeof(err.text)) > 0 && rc == 0 ? 0 : 1);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, size - 1);
    text[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void only_one_nodey_may_use_it(void **state)
{
    struct err err;
    char text[600];
    (void)state;
    assert_int_equal(open_elsewhere("data", text, sizeof(text)), 0);
    assert_int_equal(datadir_open("data", &err), 0); /* the other one has ended */
    assert_int_equal(open_elsewhere("data", text, sizeof(text)), 1);
    char wanted[128];
    snprintf(wanted, sizeof(wanted),
             "another nodey (process %ld) runs here already: stop it, or give this one",
             (long)getpid());
    assert_non_null(strstr(text, wanted));
    assert_int_equal(open_elsewhere("other", text, sizeof(text)), 0);
}

/* Killed while it started a process, which has the lock until it is another program. */
static void what_a_killed_one_leaves_behind_is_waited_for(void **state)
{
    struct err err;
    char text[600];
    int status;
    (void)state;
    pid_t killed = fork();
    if (killed == 0) {
        if (datadir_open("data", &err))
            _exit(2);
        if (fork() == 0) {
            usleep(300000);
            _exit(0);
        }
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(killed, &status, 0), killed);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(open_elsewhere("data", text, sizeof(text)), 0);
}

static void it_is_the_owners_and_not_gits(void **state)
{
    struct err err;
    char text[8] = "";
    (void)state;
    assert_int_equal(datadir_open("data", &err), 0);
    assert_int_equal(mode_of("data"), 0700);
    FILE *file = fopen("data/.gitignore", "re");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text), file), 2);
    assert_string_equal(text, "*\n");
    fclose(file);
}

static void an_ignore_file_that_is_there_stays(void **state)
{
    struct err err;
    struct stat st;
    (void)state;
    folder_put("data/.gitignore", "mine\n");
    assert_int_equal(datadir_open("data", &err), 0);
    assert_int_equal(stat("data/.gitignore", &st), 0);
    assert_int_equal(st.st_size, 5);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_FOLDER(folders_are_made_with_those_above),
        IN_A_FOLDER(a_file_in_the_way_is_named),
        IN_A_FOLDER(only_one_nodey_may_use_it),
        IN_A_FOLDER(what_a_killed_one_leaves_behind_is_waited_for),
        IN_A_FOLDER(it_is_the_owners_and_not_gits),
        IN_A_FOLDER(an_ignore_file_that_is_there_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
