#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "config/config.h"
#include "config/settings.h"

#include <cmocka.h>

/* A worker's or a route's section filled with its fallbacks alone. */
static void fill(struct arena *a, const struct section *section, void *out)
{
    struct err err;
    struct reader r = {a, "x.toml", "/srv/app", &err};
    reader_defaults(&r, section, out);
}

static void a_server_is_careful_by_itself(void **state)
{
    struct arena a = {0};
    struct server_config s;
    (void)state;
    memset(&s, 0xee, sizeof(s));
    fill(&a, &section_server, &s);
    assert_string_equal(s.listen, "127.0.0.1:8000");
    assert_int_equal(s.trusted_proxies.count, 0);
    assert_null(s.trusted_proxies.items[0]);
    assert_int_equal(s.max_head, 32768);
    assert_int_equal(s.max_target, 16384);
    assert_int_equal(s.max_headers, 128);
    assert_int_equal(s.max_body, 268435456);
    assert_int_equal(s.max_connections, 20000);
    assert_int_equal(s.header_timeout, 30000);
    assert_int_equal(s.body_timeout, 30000);
    assert_int_equal(s.idle_timeout, 75000);
    assert_int_equal(s.send_timeout, 30000);
    assert_int_equal(s.shutdown_timeout, 30000);
    assert_int_equal(s.spin, 0);
    assert_int_equal(s.access_log, ACCESS_AUTO);
    assert_int_equal(s.log_format, LOG_FORMAT_TEXT);
    assert_int_equal(s.log_level, LOG_INFO);
    assert_string_equal(s.data_dir, "/srv/app/.nodey");
    arena_deinit(&a);
}

static void a_worker_is_looked_after_by_itself(void **state)
{
    struct arena a = {0};
    struct worker_config w;
    (void)state;
    memset(&w, 0xee, sizeof(w));
    fill(&a, &section_worker, &w);
    assert_null(w.script);
    assert_int_equal(w.command.count, 0);
    assert_null(w.command.items[0]);
    assert_null(w.cwd);
    assert_null(w.env.items[0]);
    assert_null(w.tokens.items[0]);
    assert_false(w.ready_auto);
    assert_int_equal(w.start_timeout, 30000);
    assert_int_equal(w.timeout, 30000);
    assert_int_equal(w.queue, 1024);
    assert_int_equal(w.queue_timeout, 10000);
    assert_int_equal(w.kill_after, 2000);
    assert_int_equal(w.stop_grace_period, 10000);
    assert_int_equal(w.max_requests, 0);
    assert_int_equal(w.ttl, 0);
    assert_int_equal(w.prefetch, 64);
    assert_int_equal(w.ping_interval, 1000);
    assert_int_equal(w.ping_timeout, 2000);
    assert_int_equal(w.ping_kill, 10000);
    assert_int_equal(w.backoff_min, 100);
    assert_int_equal(w.backoff_max, 30000);
    assert_int_equal(w.backoff_reset, 10000);
    assert_int_equal(w.max_restarts, 10);
    assert_int_equal(w.failed_retry, 30000);
    assert_int_equal(w.max_line, 16777216);
    assert_int_equal(w.log_rate, 1000);
    arena_deinit(&a);
}

static void a_route_asks_for_nothing_by_itself(void **state)
{
    struct arena a = {0};
    struct route_config route;
    (void)state;
    memset(&route, 0xee, sizeof(route));
    fill(&a, &section_route, &route);
    assert_null(route.path);
    assert_int_equal(route.targets.count, 0);
    assert_string_equal(route.policy, "least_conn");
    assert_int_equal(route.retries, 1);
    assert_null(route.methods.items[0]);
    assert_int_equal(route.timeout, 0);
    arena_deinit(&a);
}

static const struct section *const sections[] = {
    &section_server, &section_worker, &section_service, &section_healthcheck, &section_route,
    &section_bus,    &section_stream, &section_queue,   &section_schedule};

static void every_row_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        for (size_t j = 0; j < sections[i]->count; j++) {
            const struct setting *s = &sections[i]->rows[j];
            assert_true(strlen(s->help) > 5);
            assert_true(s->min <= s->max);
            assert_int_equal(s->type == SETTING_CHOICE, s->choices != NULL);
            for (size_t k = 0; k < j; k++)
                assert_string_not_equal(s->key, sections[i]->rows[k].key);
        }
    }
}

static void the_description_has_a_line_for_every_setting(void **state)
{
    struct buf b = {0};
    (void)state;
    config_describe(&b);
    const char *at = buf_cstr(&b);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        at = strstr(at, sections[i]->title);
        assert_non_null(at);
        for (size_t j = 0; j < sections[i]->count; j++) {
            const struct setting *s = &sections[i]->rows[j];
            at = strchr(at, '\n') + 1;
            assert_memory_equal(at, "  ", 2);
            assert_memory_equal(at + 2, s->key, strlen(s->key));
            const char *end = strchr(at, '\n');
            assert_ptr_equal(strstr(at, s->fallback),
                             memmem(at, (size_t)(end - at), s->fallback, strlen(s->fallback)));
            assert_non_null(memmem(at, (size_t)(end - at), s->help, strlen(s->help)));
        }
    }
    at = strchr(at, '\n');
    assert_memory_equal(at, "\n\n`nodey help config KEY`", 24);
    assert_string_equal(strchr(at + 2, '\n'), "\n");
    buf_deinit(&b);
}

/* Into memory that is large enough for every section's struct. */
union any {
    struct server_config server;
    struct worker_config worker;
    struct route_config route;
    struct bus_config bus;
    struct stream_config stream;
    struct queue_config queue;
    struct schedule_config schedule;
};

static void every_example_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        for (size_t j = 0; j < sections[i]->count; j++) {
            const struct setting *s = &sections[i]->rows[j];
            struct arena a = {0};
            struct err err = {0};
            struct reader r = {&a, "x.toml", "/srv/app", &err};
            union any before, after;
            assert_non_null(s->example);
            memset(&before, 0, sizeof(before));
            memset(&after, 0, sizeof(after));
            reader_defaults(&r, sections[i], &before);
            after = before;
            const struct toml_node *root = toml_parse(&a, slice_of(s->example), "x.toml", &err);
            assert_string_equal(err.text, "");
            assert_int_equal(root->items.count, 1);
            assert_true(slice_is(root->items.first->key, s->key));
            if (reader_section(&r, sections[i], root, "x", &after) < 0)
                fail_msg("%s: %s", s->example, err.text);
            /* It shows another value than the default. */
            assert_memory_not_equal((char *)&before + s->offset, (char *)&after + s->offset,
                                    s->size);
            arena_deinit(&a);
        }
    }
}

static void assert_described(const char *key, const char *text)
{
    struct buf b = {0};
    bool found = config_describe_key(&b, key);
    assert_string_equal(buf_cstr(&b), text);
    assert_int_equal(found, strncmp(text, "there is no", 11) != 0);
    buf_deinit(&b);
}

static void one_setting_is_told_whole(void **state)
{
    static const char *const same[] = {"workers.instances", "workers.fib.instances",
                                       "[workers.fib] instances", "[workers.NAME]instances",
                                       "defaults.instances"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_described(same[i], "[workers.NAME] instances\n\n  processes to run; { min = 1, "
                                  "max = 8 }: as many of them as the load needs\n\n"
                                  "  type     integer: 1 to 1024, or { min, max }\n"
                                  "  default  (CPUs, 2 to 8)\n"
                                  "  example  instances = 4\n"
                                  "  change   is applied by a reload\n");
    assert_described("server.listen",
                     "[server] listen\n\n  address to serve: \"HOST:PORT\", \":PORT\" (every "
                     "interface) or \"unix:PATH\"\n\n"
                     "  type     string: text\n  default  127.0.0.1:8000\n"
                     "  example  listen = \"0.0.0.0:80\"\n"
                     "  change   needs a restart of nodey\n");
    assert_described(
        "workers.env_clear",
        "[workers.NAME] env_clear\n\n  start with no environment but env, env_file "
        "and what nodey adds: nothing inherited, nothing of .env\n\n"
        "  type     bool: true, false\n  default  false\n"
        "  example  env_clear = true\n"
        "  change   is applied by a reload, which replaces the instances one by "
        "one\n");
}

static void a_key_of_several_sections_is_told_for_each(void **state)
{
    struct buf b = {0};
    (void)state;
    assert_true(config_describe_key(&b, "timeout"));
    const char *worker = strstr(buf_cstr(&b), "[workers.NAME] timeout\n");
    const char *route = strstr(buf_cstr(&b), "[[routes]] timeout\n");
    assert_true(worker && route && worker < route);
    buf_clear(&b);
    assert_true(config_describe_key(&b, "routes.timeout"));
    assert_null(strstr(buf_cstr(&b), "[workers.NAME]"));
    buf_clear(&b);
    assert_true(config_describe_key(&b, "server"));
    assert_non_null(strstr(buf_cstr(&b), "\n  listen "));
    buf_clear(&b);
    assert_true(config_describe_key(&b, "include"));
    assert_non_null(strstr(buf_cstr(&b), "*/nodey.toml"));
    assert_true(config_describe_key(&b, "[defaults]"));
    buf_deinit(&b);
}

static void a_key_that_is_none_leads_to_the_nearest(void **state)
{
    (void)state;
    assert_described("instnces",
                     "there is no setting called instnces; did you mean workers.instances?\n");
    assert_described("workers.listen",
                     "there is no setting called listen; did you mean server.listen?\n");
    assert_described("server.max_haed",
                     "there is no setting called max_haed; did you mean server.max_head, "
                     "bus.max_age, server.max_target?\n");
    assert_described("zzzzzzzzzz",
                     "there is no setting called zzzzzzzzzz; see nodey help config\n");
    assert_described("", "there is no setting called ; see nodey help config\n");
    assert_described("[].", "there is no setting called ; see nodey help config\n");
}

static void markdown_has_a_row_for_every_setting(void **state)
{
    struct buf b = {0};
    (void)state;
    config_describe_markdown(&b);
    const char *at = buf_cstr(&b);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        for (size_t j = 0; j < sections[i]->count; j++) {
            char begin[64];
            snprintf(begin, sizeof(begin), "\n| `%s` | ", sections[i]->rows[j].key);
            at = strstr(at, begin);
            assert_non_null(at);
            size_t bars = 0;
            for (const char *c = at + 1; *c != '\n'; c++)
                bars += *c == '|' && c[-1] != '\\';
            assert_int_equal(bars, 6);
        }
    }
    buf_deinit(&b);
}

static void the_description_is_aligned(void **state)
{
    static const char *const lines[] = {
        "\n  max_head            size      32K                  ",
        "\n  log_level           choice    info                 ",
        "\n  instances           integer   (CPUs, 2 to 8)       ",
        "\n  stop_grace_period   duration  10s                  ",
        "\n  path                string    (required)           ",
        ": \"debug\", \"info\", \"warn\", \"error\"\n",
        " (a change needs a restart)\n",
    };
    struct buf b = {0};
    (void)state;
    config_describe(&b);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_non_null(strstr(buf_cstr(&b), lines[i]));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_careful_by_itself),
        cmocka_unit_test(a_worker_is_looked_after_by_itself),
        cmocka_unit_test(a_route_asks_for_nothing_by_itself),
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(the_description_has_a_line_for_every_setting),
        cmocka_unit_test(the_description_is_aligned),
        cmocka_unit_test(every_example_is_read),
        cmocka_unit_test(one_setting_is_told_whole),
        cmocka_unit_test(a_key_of_several_sections_is_told_for_each),
        cmocka_unit_test(a_key_that_is_none_leads_to_the_nearest),
        cmocka_unit_test(markdown_has_a_row_for_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
