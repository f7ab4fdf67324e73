#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config/diff.h"
#include "config/settings.h"

#include <cmocka.h>

/* Two configurations of three workers and two routes, all with the defaults. */
struct pair {
    struct arena arena;
    struct config before, after;
    struct config_diff diff;
};

static void fill(struct arena *a, struct config *c)
{
    static const char *const names[] = {"a", "b", "c"};
    struct err err;
    struct reader reader = {.arena = a, .dir = "/here", .err = &err};
    c->worker_count = ARRAY_LEN(names);
    c->workers = arena_alloc(a, c->worker_count * sizeof(*c->workers));
    c->route_count = 2;
    c->routes = arena_alloc(a, c->route_count * sizeof(*c->routes));
    memset(c->workers, 0, c->worker_count * sizeof(*c->workers));
    memset(c->routes, 0, c->route_count * sizeof(*c->routes));
    reader_defaults(&reader, &section_server, &c->server);
    for (size_t i = 0; i < c->worker_count; i++) {
        reader_defaults(&reader, &section_worker, &c->workers[i]);
        c->workers[i].name = arena_strdup(a, slice_of(names[i]));
    }
    for (size_t i = 0; i < c->route_count; i++)
        reader_defaults(&reader, &section_route, &c->routes[i]);
}

static int enter(void **state)
{
    struct pair *p = xcalloc(1, sizeof(*p));
    fill(&p->arena, &p->before);
    fill(&p->arena, &p->after);
    *state = p;
    return 0;
}

static int leave(void **state)
{
    struct pair *p = *state;
    arena_deinit(&p->arena);
    xfree(p);
    return 0;
}

static int diff(struct pair *p)
{
    return config_diff(&p->arena, &p->before, &p->after, &p->diff);
}

/* Gives the field of this row another value. */
static void change(struct arena *a, const struct setting *s, void *section)
{
    void *field = (char *)section + s->offset;
    struct string_list *list = field;
    switch (s->type) {
    case SETTING_STRING:
    case SETTING_PATH:
        *(const char **)field = "/another";
        break;
    case SETTING_LIST:
    case SETTING_ENV:
    case SETTING_COMMAND:
    case SETTING_TEST:
        list->items = arena_alloc(a, 2 * sizeof(char *));
        list->items[0] = "A=another";
        list->items[1] = NULL;
        list->count = 1;
        break;
    case SETTING_BOOL:
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_DURATION_US:
    case SETTING_SIZE:
    case SETTING_CHOICE:
    case SETTING_SCALE:
    case SETTING_PORT:
    case SETTING_CPUS:
    case SETTING_RESTART:
    case SETTING_SIGNAL:
        *(unsigned char *)field ^= 1;
        break;
    case SETTING_DEPENDS:
        *(struct dependency_list *)field =
            (struct dependency_list){arena_alloc(a, sizeof(struct dependency)), 1};
        **(struct dependency **)field = (struct dependency){.name = "another"};
        break;
    case SETTING_TABLE: /* the last setting in it */
        change(a, &s->inner->rows[s->inner->count - 1], field);
        break;
    }
}

static void equal_configurations_do_not_differ(void **state)
{
    struct pair *p = *state;
    assert_int_equal(diff(p), 0);
    assert_int_equal(p->diff.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(p->diff.workers[i].before, &p->before.workers[i]);
        assert_ptr_equal(p->diff.workers[i].after, &p->after.workers[i]);
        assert_int_equal(p->diff.workers[i].change, CHANGE_NONE);
    }
    assert_false(p->diff.routes);
    assert_false(p->diff.server);
    assert_int_equal(p->diff.restart.count, 0);
    assert_null(p->diff.restart.items[0]);
}

static void see_every_setting(const struct section *section, bool is_service)
{
    for (size_t i = 0; i < section->count; i++) {
        void *fresh = NULL;
        const struct setting *row = &section->rows[i];
        enter(&fresh);
        struct pair *p = fresh;
        p->before.workers[1].is_service = p->after.workers[1].is_service = is_service;
        change(&p->arena, row, &p->after.workers[1]);
        if (diff(p) != 1)
            fail_msg("a changed %s is not seen", row->key);
        assert_int_equal(p->diff.workers[0].change, CHANGE_NONE);
        assert_int_equal(p->diff.workers[1].change, row->renews ? CHANGE_PROCESS : CHANGE_POOL);
        assert_int_equal(p->diff.workers[2].change, CHANGE_NONE);
        assert_false(p->diff.routes || p->diff.server);
        leave(&fresh);
    }
}

static void every_setting_of_a_worker_is_seen(void **state)
{
    (void)state;
    see_every_setting(&section_worker, false);
}

static void every_setting_of_a_service_is_seen(void **state)
{
    (void)state;
    see_every_setting(&section_service, true);
}

static void dependencies_are_compared_by_what_they_say(void **state)
{
    struct pair *p = *state;
    struct dependency one = {.name = "db", .required = true};
    struct dependency same = {.name = arena_strdup(&p->arena, SLICE("db")), .required = true};
    p->before.workers[0].depends_on = (struct dependency_list){&one, 1};
    p->after.workers[0].depends_on = (struct dependency_list){&same, 1};
    assert_int_equal(diff(p), 0);
    same.condition = DEPENDENCY_COMPLETED;
    assert_int_equal(diff(p), 1);
    assert_int_equal(p->diff.workers[0].change, CHANGE_POOL);
}

static void a_worker_that_becomes_a_service_is_another_process(void **state)
{
    struct pair *p = *state;
    p->after.workers[0].is_service = true;
    assert_int_equal(diff(p), 1);
    assert_int_equal(p->diff.workers[0].change, CHANGE_PROCESS);
}

/* What a process is started with, written down once more: the table must agree. */
static void what_makes_the_process_renews_it(void **state)
{
    static const char *const renewing[] = {
        "script",     "command",       "app",          "threads",
        "file_roots", "cwd",           "venv",         "env",
        "env_clear",  "ready",         "max_requests", "ttl",
        "max_line",   "ping_interval", "user",         "group",
        "pids",       "nofile",        "core",         "no_new_privileges",
        NULL};
    (void)state;
    for (size_t i = 0; i < section_worker.count; i++) {
        bool wanted = false;
        for (size_t j = 0; renewing[j]; j++)
            wanted |= strcmp(section_worker.rows[i].key, renewing[j]) == 0;
        if (section_worker.rows[i].renews != wanted)
            fail_msg("%s: renews is %d", section_worker.rows[i].key,
                     section_worker.rows[i].renews);
    }
}

static void the_greatest_of_several_changes_counts(void **state)
{
    struct pair *p = *state;
    p->after.workers[0].timeout++;
    p->after.workers[0].cwd = "/another";
    p->after.workers[0].queue++;
    p->after.workers[2].instances = 5;
    assert_int_equal(diff(p), 2);
    assert_int_equal(p->diff.workers[0].change, CHANGE_PROCESS);
    assert_int_equal(p->diff.workers[1].change, CHANGE_NONE);
    assert_int_equal(p->diff.workers[2].change, CHANGE_POOL);
}

static void lists_are_compared_by_what_is_in_them(void **state)
{
    struct pair *p = *state;
    const char *one[] = {"A=1", "B=2", NULL}, *same[] = {"A=1", "B=2", NULL};
    const char *other[] = {"A=1", "B=3", NULL}, *shorter[] = {"A=1", NULL};
    char *text = arena_strdup(&p->arena, SLICE("A=1"));
    p->before.workers[0].env = (struct string_list){one, 2};
    p->after.workers[0].env = (struct string_list){same, 2};
    same[0] = text;
    assert_int_equal(diff(p), 0);
    p->after.workers[0].env = (struct string_list){other, 2};
    assert_int_equal(diff(p), 1);
    p->after.workers[0].env = (struct string_list){shorter, 1};
    assert_int_equal(diff(p), 1);
}

static void strings_are_compared_by_their_text(void **state)
{
    struct pair *p = *state;
    p->before.workers[0].script = arena_strdup(&p->arena, SLICE("/x"));
    p->after.workers[0].script = arena_strdup(&p->arena, SLICE("/x"));
    assert_int_equal(diff(p), 0);
    p->after.workers[0].script = NULL;
    assert_int_equal(diff(p), 1);
}

static void workers_are_told_apart_by_name(void **state)
{
    struct pair *p = *state;
    p->after.workers[0].name = "new";
    p->after.workers[1].name = "a";
    assert_int_equal(diff(p), 2);
    assert_int_equal(p->diff.count, 4);
    const struct worker_change *w = p->diff.workers;
    assert_null(w[0].before);
    assert_string_equal(w[0].after->name, "new");
    assert_int_equal(w[0].change, CHANGE_PROCESS);
    assert_ptr_equal(w[1].before, &p->before.workers[0]);
    assert_ptr_equal(w[1].after, &p->after.workers[1]);
    assert_int_equal(w[1].change, CHANGE_NONE);
    assert_int_equal(w[2].change, CHANGE_NONE);
    assert_string_equal(w[3].before->name, "b");
    assert_null(w[3].after);
    assert_int_equal(w[3].change, CHANGE_PROCESS);
}

static void no_workers_are_no_trouble(void **state)
{
    struct pair *p = *state;
    p->before.worker_count = 0;
    assert_int_equal(diff(p), 3);
    p->after.worker_count = 0;
    assert_int_equal(diff(p), 0);
    assert_int_equal(p->diff.count, 0);
}

static void every_setting_of_the_server_is_seen(void **state)
{
    for (size_t i = 0; i < section_server.count; i++) {
        void *fresh = NULL;
        const struct setting *row = &section_server.rows[i];
        enter(&fresh);
        struct pair *p = fresh;
        change(&p->arena, row, &p->after.server);
        if (diff(p) != 1)
            fail_msg("a changed %s is not seen", row->key);
        assert_int_equal(p->diff.server, !row->fixed);
        assert_int_equal(p->diff.restart.count, row->fixed);
        if (row->fixed)
            assert_string_equal(p->diff.restart.items[0], row->key);
        assert_null(p->diff.restart.items[p->diff.restart.count]);
        leave(&fresh);
    }
    (void)state;
}

static void every_setting_of_a_route_is_seen(void **state)
{
    for (size_t i = 0; i < section_route.count; i++) {
        void *fresh = NULL;
        enter(&fresh);
        struct pair *p = fresh;
        change(&p->arena, &section_route.rows[i], &p->after.routes[1]);
        assert_int_equal(diff(p), 1);
        assert_true(p->diff.routes);
        p->after.route_count = 1;
        assert_int_equal(diff(p), 1);
        assert_true(p->diff.routes);
        leave(&fresh);
    }
    (void)state;
}

#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PAIR(equal_configurations_do_not_differ),
        cmocka_unit_test(every_setting_of_a_worker_is_seen),
        cmocka_unit_test(every_setting_of_a_service_is_seen),
        WITH_PAIR(dependencies_are_compared_by_what_they_say),
        WITH_PAIR(a_worker_that_becomes_a_service_is_another_process),
        cmocka_unit_test(what_makes_the_process_renews_it),
        WITH_PAIR(the_greatest_of_several_changes_counts),
        WITH_PAIR(lists_are_compared_by_what_is_in_them),
        WITH_PAIR(strings_are_compared_by_their_text),
        WITH_PAIR(workers_are_told_apart_by_name),
        WITH_PAIR(no_workers_are_no_trouble),
        cmocka_unit_test(every_setting_of_the_server_is_seen),
        cmocka_unit_test(every_setting_of_a_route_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
