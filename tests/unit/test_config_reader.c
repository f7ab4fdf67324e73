#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/reader.h"

#include <cmocka.h>

/* One setting of each type, so that the types are tested apart from nodey's table. */
struct sample {
    bool flag;
    uint64_t count;
    uint64_t pause;
    uint64_t wait;
    uint64_t spin;
    uint64_t room;
    int colour;
    bool way;
    const char *name;
    const char *path;
    struct string_list words;
    struct string_list env;
    struct string_list argv;
};

static const char *const colours[] = {"red", "green", "blue", NULL};
static const char *const ways[] = {"no", "yes", NULL};

#define FIELD(key) #key, offsetof(struct sample, key), sizeof(((struct sample *)0)->key)

static const struct setting rows[] = {
    {FIELD(flag), SETTING_BOOL, "true", 0, 0, .help = ""},
    {FIELD(count), SETTING_INT, "3", 1, 1024, .help = ""},
    {FIELD(pause), SETTING_DURATION, "1m30s", 1, 3600000, .help = ""},
    {FIELD(wait), SETTING_DURATION, "off", 0, 1000, .help = ""},
    {FIELD(spin), SETTING_DURATION_US, "50us", 0, 10000, .help = ""},
    {FIELD(room), SETTING_SIZE, "64K", 65536, 1 << 24, .help = ""},
    {FIELD(colour), SETTING_CHOICE, "green", 0, 0, .help = "", .choices = colours},
    {FIELD(way), SETTING_CHOICE, "yes", 0, 0, .help = "", .choices = ways},
    {FIELD(name), SETTING_STRING, "anna", 0, 0, .help = ""},
    {FIELD(path), SETTING_PATH, "data", 0, 0, .help = ""},
    {FIELD(words), SETTING_LIST, "(none)", 0, 0, .help = ""},
    {FIELD(env), SETTING_ENV, "(none)", 0, 0, .help = ""},
    {FIELD(argv), SETTING_COMMAND, "(none)", 0, 0, .help = ""},
};

static const struct section section = {"[sample]", rows, ARRAY_LEN(rows), NULL};

struct fixture {
    struct arena arena;
    struct err err;
    struct reader reader;
    struct sample sample;
};

/* Reads the text as a whole section; err.text says why when it fails. */
static int read_sample(struct fixture *f, const char *text)
{
    *f = (struct fixture){0};
    f->reader = (struct reader){&f->arena, "x.toml", "/srv/app", &f->err};
    reader_defaults(&f->reader, &section, &f->sample);
    const struct toml_node *root = toml_parse(&f->arena, slice_of(text), "x.toml", &f->err);
    if (!root)
        return f->err.code;
    return reader_section(&f->reader, &section, root, "[sample]", &f->sample);
}

static const char *joined(struct fixture *f, struct string_list list)
{
    struct buf b = {0};
    assert_null(list.items[list.count]);
    for (size_t i = 0; i < list.count; i++)
        buf_addf(&b, "%s%s", i ? "|" : "", list.items[i]);
    const char *text = arena_strdup(&f->arena, buf_slice(&b));
    buf_deinit(&b);
    return text;
}

static void an_empty_section_has_the_fallbacks(void **state)
{
    struct fixture f;
    (void)state;
    assert_int_equal(read_sample(&f, ""), 0);
    assert_true(f.sample.flag);
    assert_int_equal(f.sample.count, 3);
    assert_int_equal(f.sample.pause, 90000);
    assert_int_equal(f.sample.wait, 0);
    assert_int_equal(f.sample.spin, 50);
    assert_int_equal(f.sample.room, 65536);
    assert_int_equal(f.sample.colour, 1);
    assert_true(f.sample.way);
    assert_string_equal(f.sample.name, "anna");
    assert_string_equal(f.sample.path, "/srv/app/data");
    assert_string_equal(joined(&f, f.sample.words), "");
    assert_string_equal(joined(&f, f.sample.env), "");
    assert_string_equal(joined(&f, f.sample.argv), "");
    arena_deinit(&f.arena);
}

static void every_type_is_read(void **state)
{
    struct fixture f;
    (void)state;
    assert_int_equal(read_sample(&f, "flag = false\n"
                                     "count = 1_024\n"
                                     "pause = \"2m\"\n"
                                     "wait = \"300ms\"\n"
                                     "spin = \"1ms500us\"\n"
                                     "room = \"1MiB\"\n"
                                     "colour = \"blue\"\n"
                                     "way = \"no\"\n"
                                     "name = \"bert\"\n"
                                     "path = \"./log\"\n"
                                     "words = [\"a\", \"b c\"]\n"
                                     "env = { A = \"x=y\", B_2 = 8080, C = true, D = \"\" }\n"
                                     "argv = \"node 'a b.js' --x\"\n"),
                     0);
    assert_false(f.sample.flag);
    assert_int_equal(f.sample.count, 1024);
    assert_int_equal(f.sample.pause, 120000);
    assert_int_equal(f.sample.wait, 300);
    assert_int_equal(f.sample.spin, 1500);
    assert_int_equal(f.sample.room, 1 << 20);
    assert_int_equal(f.sample.colour, 2);
    assert_false(f.sample.way);
    assert_string_equal(f.sample.name, "bert");
    assert_string_equal(f.sample.path, "/srv/app/log");
    assert_string_equal(joined(&f, f.sample.words), "a|b c");
    assert_string_equal(joined(&f, f.sample.env), "A=x=y|B_2=8080|C=true|D=");
    assert_string_equal(joined(&f, f.sample.argv), "node|a b.js|--x");
    arena_deinit(&f.arena);
}

static void values_have_more_than_one_way_to_be_written(void **state)
{
    struct fixture f;
    (void)state;
    assert_int_equal(
        read_sample(&f, "wait = 0\n"
                        "spin = \"off\"\n"
                        "room = 65536\n"
                        "path = \"/var/log\"\n"
                        "words = \"one\"\n"
                        "env.A = \"two\\nlines\"\n"
                        "argv = [\"python3\", \"-c\", \"\", \"print(1)\\nprint(2)\"]\n"),
        0);
    assert_int_equal(f.sample.wait, 0);
    assert_int_equal(f.sample.spin, 0);
    assert_int_equal(f.sample.room, 65536);
    assert_string_equal(f.sample.path, "/var/log");
    assert_string_equal(joined(&f, f.sample.words), "one");
    assert_string_equal(joined(&f, f.sample.env), "A=two\nlines");
    assert_string_equal(joined(&f, f.sample.argv), "python3|-c||print(1)\nprint(2)");
    arena_deinit(&f.arena);
}

static void paths_are_relative_to_the_configuration(void **state)
{
    static const struct {
        const char *dir, *path, *absolute;
    } cases[] = {
        {"/srv", "a", "/srv/a"},
        {"/srv", "./a", "/srv/a"},
        {"/srv", "././a/b", "/srv/a/b"},
        {"/srv", "/a", "/a"},
        {"/srv", ".", "/srv"},
        {"/srv", "../a", "/srv/../a"},
        {"/", "a", "/a"},
        {"/srv", "./", "/srv/./"},
        {"/srv", ".nodey", "/srv/.nodey"},
        {"/srv", "~/a", "/srv/~/a"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a = {0};
        struct reader r = {&a, "x.toml", cases[i].dir, NULL};
        assert_string_equal(reader_path(&r, slice_of(cases[i].path)), cases[i].absolute);
        arena_deinit(&a);
    }
}

static const char duration[] = "a duration such as \"300ms\", \"30s\" or \"1m30s\"";

static const struct {
    const char *text, *place, *must, *not ;
} mistakes[] = {
    {"flag = 1", "1:8", "flag must be true or false", "the number 1"},
    {"flag = \"yes\"", "1:8", "flag must be true or false", "the string \"yes\""},
    {"count = \"two\"", "1:9", "count must be a whole number 1..1024", "the string \"two\""},
    {"count = \"2\"", "1:9", "count must be a whole number 1..1024", "the string \"2\""},
    {"\ncount = 0", "2:9", "count must be a whole number 1..1024", "the number 0"},
    {"count = 1025", "1:9", "count must be a whole number 1..1024", "the number 1025"},
    {"count = -1", "1:9", "count must be a whole number 1..1024", "the number -1"},
    {"count = 1.5", "1:9", "count must be a whole number 1..1024", "the number 1.5"},
    {"count = nan", "1:9", "count must be a whole number 1..1024", "the number nan"},
    {"count = true", "1:9", "count must be a whole number 1..1024", "true"},
    {"count = 2020-01-01", "1:9", "count must be a whole number 1..1024", "a date or time"},
    {"count = 12:00:00", "1:9", "count must be a whole number 1..1024", "a date or time"},
    {"count = [1]", "1:9", "count must be a whole number 1..1024", "a list"},
    {"[count]", "1:1", "count must be a whole number 1..1024", "a table"},
    {"pause = \"2 h\"", "1:9", duration, "the string \"2 h\""},
    {"pause = \"-2h\"", "1:9", duration, "the string \"-2h\""},
    {"pause = 1.5", "1:9", duration, "the number 1.5"},
    {"pause = -1", "1:9", duration, "the number -1"},
    {"pause = \"\"", "1:9", duration, "an empty string"},
    {"pause = \"10us\"", "1:9", duration, "the string \"10us\""},
    {"pause = \"2h\"", "1:9", "pause must be 1ms..1h", "the string \"2h\""},
    {"pause = \"off\"", "1:9", "pause must be 1ms..1h", "the string \"off\""},
    {"pause = 0", "1:9", "pause must be 1ms..1h", "the number 0"},
    {"pause = \"99999999999999999999d\"", "1:9", "pause must be 1ms..1h",
     "the string \"99999999999999999999d\""},
    {"pause = 30", "1:9", "pause needs a unit: write \"30s\" or \"30ms\"", "the number 30"},
    {"pause = \"30\"", "1:9", "pause needs a unit: write \"30s\" or \"30ms\"",
     "the string \"30\""},
    {"wait = \"2s\"", "1:8", "wait must be 0..1s", "the string \"2s\""},
    {"wait = \"99999999999999999999d\"", "1:8", "wait must be 0..1s",
     "the string \"99999999999999999999d\""},
    {"spin = 50", "1:8", "spin needs a unit: write \"50us\" or \"50ms\"", "the number 50"},
    {"spin = \"1s\"", "1:8", "spin must be 0..10ms", "the string \"1s\""},
    {"spin = \"x\"", "1:8", "spin must be a duration such as \"50us\" or \"1ms\"",
     "the string \"x\""},
    {"room = \"8 Mb\"", "1:8", "room must be a size such as \"512K\" or \"8M\"",
     "the string \"8 Mb\""},
    {"room = -1", "1:8", "room must be a size such as \"512K\" or \"8M\"", "the number -1"},
    {"room = 5", "1:8", "room must be 64K..16M", "the number 5"},
    {"room = \"17M\"", "1:8", "room must be 64K..16M", "the string \"17M\""},
    {"room = \"99999999999999999999G\"", "1:8", "room must be 64K..16M",
     "the string \"99999999999999999999G\""},
    {"colour = \"pink\"", "1:10", "colour must be \"red\", \"green\" or \"blue\"",
     "the string \"pink\""},
    {"colour = 1", "1:10", "colour must be \"red\", \"green\" or \"blue\"", "the number 1"},
    {"way = true", "1:7", "way must be \"no\" or \"yes\"", "true"},
    {"name = 8000", "1:8", "name must be a string", "the number 8000"},
    {"name = \"\"", "1:8", "name must be a string", "an empty string"},
    {"path = []", "1:8", "path must be a string", "a list"},
    {"words = 1", "1:9", "words must be a string or a list of strings", "the number 1"},
    {"words = \"\"", "1:9", "words must be a string or a list of strings", "an empty string"},
    {"words = [\"a\",\n 1]", "2:2", "words must hold nothing but strings", "the number 1"},
    {"words = [\"\"]", "1:10", "words must hold nothing but strings", "an empty string"},
    {"env = \"A=1\"", "1:7", "env must be a table such as { NAME = \"value\" }",
     "the string \"A=1\""},
    {"env = { A = 1.5 }", "1:13", "env.A must be a string", "the number 1.5"},
    {"env = { A = [\"a\"] }", "1:13", "env.A must be a string", "a list"},
    {"argv = 3", "1:8", "argv must be a string or a list of strings", "the number 3"},
    {"argv = [\"a\", 3]", "1:14", "argv must hold nothing but strings", "the number 3"},
};

static void mistakes_are_told_in_one_sentence_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        struct fixture f;
        char want[512];
        char key[16] = "";
        /* The durations' rows leave out what they share. */
        if (mistakes[i].must == duration)
            snprintf(key, sizeof(key), "pause must be ");
        snprintf(want, sizeof(want), "x.toml:%s: %s%s, not %s", mistakes[i].place, key,
                 mistakes[i].must, mistakes[i].not );
        assert_true(read_sample(&f, mistakes[i].text) < 0);
        assert_string_equal(f.err.text, want);
        arena_deinit(&f.arena);
    }
}

static void other_sentences(void **state)
{
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"a = 1", "x.toml:1:1: unknown key \"a\" in [sample]"},
        {"\n  cuont = 1",
         "x.toml:2:3: unknown key \"cuont\" in [sample]; did you mean \"count\"?"},
        {"\"na\\u0000me\" = 1",
         "x.toml:1:1: unknown key \"na\\x00me\" in [sample]; did you mean \"name\"?"},
        {"name = \"a\\u0000b\"",
         "x.toml:1:8: name must not contain the control character U+0000"},
        {"name = \"a\\nb\"", "x.toml:1:8: name must not contain the control character U+000A"},
        {"path = \"a\\u007fb\"",
         "x.toml:1:8: path must not contain the control character U+007F"},
        {"words = [\"a\\tb\"]",
         "x.toml:1:10: words must not contain the control character U+0009"},
        {"env = { A = \"\\u0000\" }",
         "x.toml:1:13: env must not contain the control character U+0000"},
        {"argv = [\"a\", \"b\\u0000\"]",
         "x.toml:1:14: argv must not contain the control character U+0000"},
        {"argv = \"a \\u001b\"",
         "x.toml:1:8: argv must not contain the control character U+001B"},
        {"env = { 1A = \"\" }",
         "x.toml:1:9: \"1A\" is no name for a variable: use letters, digits and \"_\""},
        {"env = { \"A=B\" = \"\" }",
         "x.toml:1:9: \"A=B\" is no name for a variable: use letters, digits and \"_\""},
        {"env = { \"\" = \"\" }",
         "x.toml:1:9: \"\" is no name for a variable: use letters, digits and \"_\""},
        {"argv = \"a 'b\"", "x.toml:1:8: argv lacks a closing '"},
        {"argv = \"  \"", "x.toml:1:8: argv must name a program"},
        {"argv = \"'' x\"", "x.toml:1:8: argv must name a program"},
        {"argv = []", "x.toml:1:8: argv must name a program"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        assert_true(read_sample(&f, cases[i].text) < 0);
        assert_string_equal(f.err.text, cases[i].sentence);
        arena_deinit(&f.arena);
    }
}

static void the_first_mistake_of_the_file_is_told(void **state)
{
    struct fixture f;
    (void)state;
    assert_true(read_sample(&f, "name = 1\ncolour = 2\ncount = 3.5\nb = 1\n") < 0);
    assert_memory_equal(f.err.text, "x.toml:1:8: name", 16);
    arena_deinit(&f.arena);
}

static void bounds_belong_to_what_is_allowed(void **state)
{
    static const char *const texts[] = {
        "count = 1",        "count = 1024",   "pause = \"1ms\"",
        "pause = \"1h\"",   "wait = \"1s\"",  "spin = \"10ms\"",
        "room = \"64KiB\"", "room = \"16M\"", "pause = \"60m\"",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct fixture f;
        assert_int_equal(read_sample(&f, texts[i]), 0);
        arena_deinit(&f.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_section_has_the_fallbacks),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(values_have_more_than_one_way_to_be_written),
        cmocka_unit_test(paths_are_relative_to_the_configuration),
        cmocka_unit_test(mistakes_are_told_in_one_sentence_with_their_place),
        cmocka_unit_test(other_sentences),
        cmocka_unit_test(the_first_mistake_of_the_file_is_told),
        cmocka_unit_test(bounds_belong_to_what_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
