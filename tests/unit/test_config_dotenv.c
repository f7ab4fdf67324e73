#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "config/dotenv.h"
#include "tests/unit/folder.h"

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct journal journal;
    struct err err;
    struct dotenv env;
};

static int parse(struct fixture *f, struct slice text, bool own_first)
{
    *f = (struct fixture){0};
    f->journal.arena = &f->arena;
    return dotenv_parse(&f->arena, text, ".env", own_first, &f->journal, &f->env, &f->err);
}

static void teardown(struct fixture *f)
{
    journal_deinit(&f->journal);
    arena_deinit(&f->arena);
}

/* "A=1|B=2" or the sentence. */
static void assert_reads(const char *text, const char *want)
{
    struct fixture f;
    struct buf b = {0};
    if (parse(&f, slice_of(text), false) < 0)
        buf_adds(&b, f.err.text);
    else
        for (size_t i = 0; i < f.env.count; i++)
            buf_addf(&b, "%s%s", i ? "|" : "", f.env.items[i].entry);
    assert_string_equal(buf_cstr(&b), want);
    buf_deinit(&b);
    teardown(&f);
}

static void it_is_as_in_compose(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"\n \t\n# A=1\n  # B=2", ""},
        {"A=1", "A=1"},
        {"A=1\nB=2\n", "A=1|B=2"},
        {"A=1\r\n\r\nB=\"x\"\r\nC='y'\r\n", "A=1|B=x|C=y"},
        {"\xef\xbb\xbf"
         "A=1",
         "A=1"},
        {"  A =  one two  \n", "A=one two"},
        {"export A=1\nexport\tB=2\nexport=3\nexported=4", "A=1|B=2|export=3|exported=4"},
        {"A: 1\nB:2", "A=1|B=2"},
        {"A=\nB=''\nC=\"\"", "A=|B=|C="},
        {"A=x # comment\nB=x#y\nC= # comment\nD=#x\nE=x\t# y", "A=x|B=x#y|C=|D=#x|E=x"},
        {"A='x # y' # z\nB=\"x # y\"# z", "A=x # y|B=x # y"},
        {"A='a\"b\\n$X'\nB=\"it's\"", "A=a\"b\\n$X|B=it's"},
        {"A='it\\'s'", "A=it's"},
        {"A=\"a\\nb\\tc\\r\\\"\\\\\\$X\\q\"", "A=a\nb\tc\r\"\\$X\\q"},
        {"A=\"one\ntwo\"\nB='three\r\nfour'\nC=5", "A=one\ntwo|B=three\nfour|C=5"},
        {"A=x\"y\"z", "A=x\"y\"z"},
        {"A=a=b", "A=a=b"},
        {"A_1.b-c=x", "A_1.b-c=x"},
        {"A=1\nB=$A-${A}\nC=\"<$A>\"\nD='$A'\nE=\\$A\nF=$$A", "A=1|B=1-1|C=<1>|D=$A|E=$A|F=$A"},
        {"A=${DE_NONE:-d}\nB=${DE_NONE:+x}y", "A=d|B=y"},
        {"A=p4$ $5 100$", "A=p4$ $5 100$"},
        {"A=1\nA=2", "A=1|A=2"},
        {"A=\xc3\xa4", "A=\xc3\xa4"},

        {"A", ""},
        {"A B=1",
         ".env:1:1: \"A B=1\" is no NAME=value: a name has letters, digits, \"_\", \".\" "
         "and \"-\", and no digit first"},
        {"\n  1A=1", ".env:2:3: \"1A=1\" is no NAME=value: a name has letters, digits, \"_\", "
                     "\".\" and \"-\", and no digit first"},
        {"A=1\n=2",
         ".env:2:1: \"=2\" is no NAME=value: a name has letters, digits, \"_\", \".\" "
         "and \"-\", and no digit first"},
        {"A=1\nBC=\"x\ny\n", ".env:2:4: lacks a closing \""},
        {"A='x", ".env:1:3: lacks a closing '"},
        {"A=\"\xc3\xa4\" x",
         ".env:1:7: text after the closing quote: quote the whole value, or "
         "begin a comment with \"#\""},
        {"B=1\nA=${DE_NONE:?set it}", ".env:2:3: the variable DE_NONE is not set: set it"},
        {"A=\"x\n${DE_NONE\"",
         ".env:1:3: \"${DE_NONE\" lacks its }: write \"$$\" for a dollar sign"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_reads(cases[i].text, cases[i].want);
}

static void the_environment_wins_unless_the_file_is_asked_first(void **state)
{
    struct fixture f;
    (void)state;
    setenv("DE_A", "shell", 1);
    setenv("DE_INHERITED", "yes", 1);
    assert_int_equal(parse(&f, SLICE("DE_A=file\nDE_B=$DE_A\nDE_INHERITED"), false), 0);
    assert_string_equal(dotenv_look_up(&f.env, SLICE("DE_A")), "shell");
    assert_string_equal(dotenv_look_up(&f.env, SLICE("DE_B")), "shell");
    assert_string_equal(dotenv_find(&f.env, SLICE("DE_INHERITED"))->value, "yes");
    assert_null(dotenv_look_up(&f.env, SLICE("DE_NONE")));
    teardown(&f);
    assert_int_equal(parse(&f, SLICE("DE_A=file\nDE_B=$DE_A"), true), 0);
    assert_string_equal(dotenv_find(&f.env, SLICE("DE_B"))->value, "file");
    teardown(&f);
    unsetenv("DE_A");
    unsetenv("DE_INHERITED");
}

static void an_outer_file_wins(void **state)
{
    struct fixture outer, inner;
    const struct dotenv *from;
    (void)state;
    assert_int_equal(parse(&outer, SLICE("DE_A=outer"), false), 0);
    assert_int_equal(parse(&inner, SLICE("DE_A=inner\nDE_B=inner"), false), 0);
    inner.env.outer = &outer.env;
    assert_string_equal(dotenv_look_up(&inner.env, SLICE("DE_A")), "outer");
    assert_string_equal(dotenv_look_up(&inner.env, SLICE("DE_B")), "inner");
    assert_int_equal(dotenv_look_up_file(&inner.env, SLICE("DE_A"), &from)->line, 1);
    assert_ptr_equal(from, &outer.env);
    teardown(&outer);
    teardown(&inner);
}

static void sizes_are_bounded(void **state)
{
    struct fixture f;
    struct buf b = {0};
    (void)state;
    for (int i = 0; i < DOTENV_MAX_VARIABLES; i++)
        buf_addf(&b, "A%d=x\n", i);
    assert_int_equal(parse(&f, buf_slice(&b), false), 0);
    assert_int_equal(f.env.count, DOTENV_MAX_VARIABLES);
    teardown(&f);
    buf_adds(&b, "MORE=1");
    assert_true(parse(&f, buf_slice(&b), false) < 0);
    assert_string_equal(f.err.text, ".env:1025:1: more than 1024 variables");
    teardown(&f);
    buf_clear(&b);
    buf_adds(&b, "A=");
    for (int i = 0; i < DOTENV_MAX_ENTRY - 3; i++)
        buf_addc(&b, 'x');
    assert_int_equal(parse(&f, buf_slice(&b), false), 0);
    teardown(&f);
    buf_addc(&b, 'x');
    assert_true(parse(&f, buf_slice(&b), false) < 0);
    assert_non_null(strstr(f.err.text, "longer than 128 KiB"));
    teardown(&f);
    assert_true(parse(&f, SLICE("A=\0"), false) < 0);
    assert_string_equal(f.err.text, ".env: holds a NUL byte: not a text file");
    teardown(&f);
    buf_deinit(&b);
}

static void files_are_read_or_their_fault_is_told(void **state)
{
    struct arena a = {0};
    struct journal journal = {.arena = &a};
    struct dotenv env = {0};
    struct err err;
    (void)state;
    folder_put("good", "A=1");
    mkdir("folder", 0755);
    mkfifo("pipe", 0644);
    assert_int_equal(dotenv_read(&a, "good", "good", true, &journal, &env, &err), 0);
    assert_int_equal(env.count, 1);
    assert_int_equal(dotenv_read(&a, "/none/x", "x", true, &journal, &env, &err), -ENOENT);
    assert_string_equal(err.text, "x: No such file or directory");
    assert_int_equal(dotenv_read(&a, "folder", "f", true, &journal, &env, &err), -EISDIR);
    /* Nobody writes to it: this would wait for ever. */
    assert_int_equal(dotenv_read(&a, "pipe", "pipe", true, &journal, &env, &err), -EINVAL);
    assert_string_equal(err.text, "pipe: not a regular file");
    char *large = xmalloc(DOTENV_MAX_FILE + 1);
    memset(large, '#', DOTENV_MAX_FILE + 1);
    folder_write("large", large, DOTENV_MAX_FILE + 1, 0644);
    xfree(large);
    assert_int_equal(dotenv_read(&a, "large", "large", true, &journal, &env, &err), -EFBIG);
    struct string_list files = journal_files(&journal);
    assert_int_equal(files.count, 5);
    assert_string_equal(files.items[1], "/none/x");
    journal_deinit(&journal);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_as_in_compose),
        cmocka_unit_test(the_environment_wins_unless_the_file_is_asked_first),
        cmocka_unit_test(an_outer_file_wins),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test_setup_teardown(files_are_read_or_their_fault_is_told, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
