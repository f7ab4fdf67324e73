#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "import/dockerfile.h"

#include <cmocka.h>

static struct arena arena;
static struct dockerfile file;
static struct err err;

static int end(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static int read_text(const char *text, const struct string_list *args, const char *target)
{
    char path[] = "/tmp/dockerfile-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int code = dockerfile_read(&arena, path, "Dockerfile", args, target, &file, &err);
    unlink(path);
    return code;
}

static const char *joined(const struct string_list *list)
{
    struct buf out = {0};
    for (size_t i = 0; i < list->count; i++)
        buf_addf(&out, "%s%s", i ? "|" : "", list->items[i]);
    const char *kept = arena_strdup(&arena, buf_slice(&out));
    buf_deinit(&out);
    return kept;
}

static void what_runs_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_text("# escape\n"
                               "FROM node:20\n"
                               "WORKDIR /app\n"
                               "workdir src\n"
                               "ENV A=1 B=\"two words\"\n"
                               "ENV C the rest\n"
                               "RUN one && \\\n"
                               "    # a comment within\n"
                               "    two\n"
                               "EXPOSE 3000 4000/udp\n"
                               "USER node:node\n"
                               "STOPSIGNAL SIGINT\n"
                               "HEALTHCHECK --interval=5s CMD [\"curl\", \"x\"]\n"
                               "ENTRYPOINT [\"/init\", \"--\"]\n"
                               "CMD node \"a b.js\"\n",
                               NULL, NULL),
                     0);
    const struct docker_stage *s = file.last;
    assert_string_equal(s->base, "node:20");
    assert_string_equal(s->workdir, "/app/src");
    assert_string_equal(joined(&s->env), "A=1|B=two words|C=the rest");
    assert_string_equal(joined(&s->runs), "one &&  two");
    assert_string_equal(joined(&s->expose), "3000|4000/udp");
    assert_string_equal(s->user, "node:node");
    assert_string_equal(s->stop_signal, "SIGINT");
    assert_string_equal(joined(&s->health), "CMD|curl|x");
    assert_string_equal(joined(&s->health_options), "interval=5s");
    assert_string_equal(joined(&s->entrypoint), "/init|--");
    assert_string_equal(joined(&s->command), "/bin/sh|-c|node \"a b.js\"");
}

static void the_last_stage_counts_unless_another_is_named(void **state)
{
    static const char text[] = "ARG BASE=node\n"
                               "FROM ${BASE}:20 AS base\n"
                               "ENV A=1\nCMD [\"base\"]\n"
                               "FROM base AS run\nENV B=2\n"
                               "COPY --chown=x --from=base /out/a /srv/\n"
                               "FROM alpine\nCMD [\"last\"]\n";
    struct string_list args = {0};
    (void)state;
    assert_int_equal(read_text(text, NULL, NULL), 0);
    assert_string_equal(joined(&file.last->command), "last");
    assert_int_equal(file.last->env.count, 0);
    assert_int_equal(read_text(text, NULL, "run"), 0);
    assert_string_equal(joined(&file.last->command), "base");
    assert_string_equal(joined(&file.last->env), "A=1|B=2");
    assert_string_equal(file.last->base, "node:20");
    assert_int_equal(file.last->copy_count, 1);
    assert_string_equal(file.last->copies[0].from, "base");
    assert_string_equal(file.last->copies[0].target, "/srv");
    text_list_add(&arena, &args, "BASE=debian");
    assert_int_equal(read_text(text, &args, "base"), 0);
    assert_string_equal(file.last->base, "debian:20");
    assert_int_equal(read_text(text, NULL, "nobody"), -EINVAL);
    assert_string_equal(err.text, "Dockerfile: it has no stage \"nobody\"");
}

static void an_entrypoint_forgets_the_command_of_its_base(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("FROM a AS b\nCMD [\"x\"]\nFROM b\nENTRYPOINT [\"y\"]\n", NULL, NULL), 0);
    assert_int_equal(file.last->command.count, 0);
}

static void odd_files_are_bounded(void **state)
{
    struct buf text = {0};
    (void)state;
    assert_int_equal(read_text("", NULL, NULL), -EINVAL);
    assert_int_equal(read_text("CMD x\n", NULL, NULL), -EINVAL);
    assert_int_equal(read_text("FROM a\nRUN <<EOF\nnever ends\n", NULL, NULL), 0);
    assert_string_equal(joined(&file.last->runs), "never ends");
    assert_int_equal(read_text("FROM a\nCMD [1, {]\n", NULL, NULL), 0);
    assert_string_equal(joined(&file.last->command), "/bin/sh|-c|[1, {]");
    assert_int_equal(read_text("FROM a\nFROB x\n", NULL, NULL), 0);
    assert_string_equal(joined(&file.last->lost), "FROB x");
    assert_int_equal(read_text("FROM a\nCOPY a \f b\v c\nEXPOSE 1 \f\n", NULL, NULL), 0);
    assert_int_equal(file.last->copy_count, 2);
    for (int i = 0; i < 100; i++)
        buf_adds(&text, "FROM a\n");
    assert_int_equal(read_text(buf_cstr(&text), NULL, NULL), 0);
    assert_int_equal(file.count, DOCKERFILE_MAX_STAGES);
    buf_deinit(&text);
    assert_int_equal(
        dockerfile_read(&arena, "/nowhere/Dockerfile", "D", NULL, NULL, &file, &err), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_runs_is_read),
        cmocka_unit_test(the_last_stage_counts_unless_another_is_named),
        cmocka_unit_test(an_entrypoint_forgets_the_command_of_its_base),
        cmocka_unit_test(odd_files_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
