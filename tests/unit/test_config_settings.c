#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
    assert_int_equal(s.max_body, 8388608);
    assert_int_equal(s.max_connections, 20000);
    assert_int_equal(s.header_timeout, 30000);
    assert_int_equal(s.body_timeout, 30000);
    assert_int_equal(s.idle_timeout, 75000);
    assert_int_equal(s.send_timeout, 30000);
    assert_int_equal(s.shutdown_timeout, 30000);
    assert_int_equal(s.spin, 0);
    assert_int_equal(s.access_log, ACCESS_OFF);
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
    assert_int_equal(w.max_line, 1048576);
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
    assert_null(route.to);
    assert_null(route.methods.items[0]);
    assert_int_equal(route.timeout, 0);
    arena_deinit(&a);
}

static const struct section *const sections[] = {&section_server, &section_worker,
                                                 &section_route};

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
    assert_string_equal(strchr(at, '\n'), "\n");
    buf_deinit(&b);
}

static void the_description_is_aligned(void **state)
{
    static const char *const lines[] = {
        "\n  max_head           size      32K                ",
        "\n  log_level          choice    info               ",
        "\n  instances          integer   (CPUs, 2 to 8)     ",
        "\n  stop_grace_period  duration  10s                ",
        "\n  path               string    (required)         ",
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
