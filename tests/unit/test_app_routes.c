/* Whose is a path?  Pools without processes: their workers are filled in by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "app/routes.h"

#include <cmocka.h>

enum { POOLS = 3 };

struct stage {
    struct loop loop;
    struct pools pools;
    struct pool_observer observer;
    struct worker_config configs[POOLS];
    struct pool *pool[POOLS];
    struct worker workers[POOLS];
    struct config config;
    struct routes routes;
    struct buf told;
};

static void on_tell(struct pool_observer *observer, const struct pool *pool,
                    const struct worker *w, enum log_level level, const char *sentence)
{
    struct stage *s = container_of(observer, struct stage, observer);
    (void)w, (void)level;
    buf_addf(&s->told, "%s: %s\n", pool->config->name, sentence);
}

/* Pools a, b and c; no instance is ready. */
static struct stage *stage_new(const struct route_config *routes, size_t count)
{
    static const char *const names[POOLS] = {"a", "b", "c"};
    struct stage *s = xcalloc(1, sizeof(*s));
    s->observer.tell = on_tell;
    assert_int_equal(loop_init(&s->loop), 0);
    pools_init(&s->pools, &s->loop, &s->observer);
    for (int i = 0; i < POOLS; i++) {
        s->configs[i] = (struct worker_config){.name = names[i], .instances = 1};
        s->pool[i] = pool_new(&s->pools, &s->configs[i]);
    }
    s->config.routes = (struct route_config *)routes;
    s->config.route_count = count;
    routes_init(&s->routes, &s->config, &s->pools);
    return s;
}

static void stage_free(struct stage *s)
{
    for (int i = 0; i < POOLS; i++)
        ready_deinit(&s->workers[i].ready);
    routes_deinit(&s->routes);
    pools_deinit(&s->pools);
    assert_int_equal(loop_deinit(&s->loop), 0);
    buf_deinit(&s->told);
    xfree(s);
}

/* An instance of the pool declares these routes, as JSON. */
static void declare(struct stage *s, int i, const char *routes)
{
    struct err err;
    struct worker *w = &s->workers[i];
    if (w->pool)
        ready_deinit(&w->ready);
    else
        list_add(&s->pool[i]->states[WORKER_READY], &w->node);
    w->pool = s->pool[i];
    w->state = WORKER_READY;
    char *line = xasprintf("{\"type\":\"ready\",\"routes\":%s}", routes);
    if (!ready_read(slice_of(line), &w->ready, &err))
        fail_msg("%s", err.text);
    xfree(line);
    routes_rebuild(&s->routes);
}

/* "pool", "pool:Token", or "-" when nobody serves it. */
static const char *whose(struct stage *s, const char *method, const char *path)
{
    static char text[64];
    struct router_match match;
    struct arena arena = {0};
    enum router_verdict verdict =
        router_find(s->routes.router, slice_of(method), slice_of(path), &arena, &match);
    arena_deinit(&arena);
    if (verdict != ROUTER_FOUND)
        return verdict == ROUTER_METHOD ? "method" : "-";
    const struct route *route = match.target;
    snprintf(text, sizeof(text), "%s%s" SLICE_FMT, route->pool->config->name,
             route->token.len ? ":" : "", SLICE_ARG(route->token));
    return text;
}

static uint64_t timeout_of(struct stage *s, const char *path)
{
    struct router_match match;
    struct arena arena = {0};
    assert_int_equal(
        router_find(s->routes.router, SLICE("GET"), slice_of(path), &arena, &match),
        ROUTER_FOUND);
    arena_deinit(&arena);
    return ((const struct route *)match.target)->timeout_ms;
}

static void without_routes_a_pool_serves_its_name(void **state)
{
    (void)state;
    struct stage *s = stage_new(NULL, 0);
    assert_string_equal(whose(s, "GET", "/a"), "a");
    assert_string_equal(whose(s, "DELETE", "/b/x/y"), "b");
    assert_string_equal(whose(s, "GET", "/d"), "-");
    assert_string_equal(whose(s, "GET", "/ab"), "-");
    declare(s, 0, "[]"); /* ready, and with none */
    assert_string_equal(whose(s, "GET", "/a"), "a");
    stage_free(s);
}

static void declared_routes_take_the_place_of_the_name(void **state)
{
    (void)state;
    struct stage *s = stage_new(NULL, 0);
    declare(s, 0, "[{\"path\":\"/fib/:n\",\"method\":\"get\"},{\"path\":\"/any\"}]");
    assert_string_equal(whose(s, "GET", "/fib/3"), "a");
    assert_string_equal(whose(s, "POST", "/fib/3"), "method");
    assert_string_equal(whose(s, "POST", "/any"), "a");
    assert_string_equal(whose(s, "GET", "/a"), "-");
    assert_string_equal(whose(s, "GET", "/b"), "b");
    declare(s, 0, "[{\"path\":\"/new\"}]");
    assert_string_equal(whose(s, "GET", "/fib/3"), "-");
    assert_string_equal(whose(s, "GET", "/new"), "a");
    stage_free(s);
}

static void configured_routes_win(void **state)
{
    static const char *get[] = {"GET", NULL};
    static const struct route_config routes[] = {
        {.path = "/x", .methods = {get, 1}, .to = "b:Handler", .timeout = 1234},
        {.path = "/all/*", .to = "c"},
    };
    (void)state;
    struct stage *s = stage_new(routes, ARRAY_LEN(routes));
    declare(s, 0, "[{\"path\":\"/x\",\"method\":\"GET\"},{\"path\":\"/y\"}]");
    assert_string_equal(whose(s, "GET", "/x"), "b:Handler");
    assert_int_equal(timeout_of(s, "/x"), 1234);
    assert_int_equal(timeout_of(s, "/y"), 0);
    assert_string_equal(whose(s, "PUT", "/all/z"), "c");
    assert_string_equal(whose(s, "GET", "/y"), "a");
    assert_string_equal(whose(s, "GET", "/b"), "-"); /* configured: its name serves no more */
    assert_non_null(strstr(buf_cstr(&s->told), "a: route GET /x is served by b already"));
    stage_free(s);
}

/* The rule of the route that serves this; all zero when nobody does. */
static struct cache_rule rule_of(struct stage *s, const char *method, const char *path)
{
    struct router_match match;
    struct arena arena = {0};
    router_find(s->routes.router, slice_of(method), slice_of(path), &arena, &match);
    arena_deinit(&arena);
    return match.target ? ((const struct route *)match.target)->cache : (struct cache_rule){0};
}

static void a_configured_cache_is_for_declared_routes_too(void **state)
{
    static const char *names[] = {"accept", "x-lang", NULL};
    static const char *both[] = {"GET", "POST", NULL};
    static const struct route_config routes[] = {
        {.path = "/fib", .to = "a", .cache = 1000, .cache_headers = {names, 2}},
        {.path = "/all/:name", .to = "b", .cache = 2000},
        {.path = "/deep/*", .to = "b", .cache = 3000},
        {.path = "/deep/not", .to = "b"},
        {.path = "/both", .methods = {both, 2}, .to = "c", .cache = 4000},
    };
    (void)state;
    struct stage *s = stage_new(routes, ARRAY_LEN(routes));
    declare(s, 0,
            "[{\"path\":\"/fib\",\"method\":\"GET\"},{\"path\":\"/fib\",\"method\":\"PUT\"},"
            "{\"path\":\"/all/mine\"},{\"path\":\"/other\"}]");
    declare(s, 1,
            "[{\"path\":\"/all/:id\",\"method\":\"GET\"},{\"path\":\"/all/*\"},"
            "{\"path\":\"/deep/x/*\"},{\"path\":\"/deep/not\",\"method\":\"GET\"}]");
    assert_int_equal(rule_of(s, "GET", "/fib").ttl_ms, 1000);
    assert_true(slice_is(rule_of(s, "GET", "/fib").headers, "accept\nx-lang\n"));
    assert_int_equal(rule_of(s, "HEAD", "/fib").ttl_ms, 1000);
    assert_int_equal(rule_of(s, "PUT", "/fib").ttl_ms, 0);
    assert_int_equal(rule_of(s, "GET", "/all/mine").ttl_ms, 0); /* another worker's */
    assert_int_equal(rule_of(s, "GET", "/other").ttl_ms, 0);
    assert_int_equal(rule_of(s, "GET", "/all/3").ttl_ms, 2000);
    assert_int_equal(rule_of(s, "GET", "/all/3/4").ttl_ms, 0); /* more than was configured */
    assert_int_equal(rule_of(s, "GET", "/deep/x/y").ttl_ms, 3000);
    assert_int_equal(rule_of(s, "GET", "/deep/not").ttl_ms, 0);
    assert_int_equal(rule_of(s, "GET", "/both").ttl_ms, 4000);
    assert_int_equal(rule_of(s, "POST", "/both").ttl_ms, 0);
    stage_free(s);
}

/* What was kept under other settings must not be found. */
static void a_rule_is_another_when_anything_of_it_is(void **state)
{
    static const char *names[] = {"accept", NULL};
    static const struct route_config one[] = {{.path = "/a", .to = "a", .cache = 1000}};
    static const struct route_config others[] = {
        {.path = "/a", .to = "b", .cache = 1000},
        {.path = "/a", .to = "a:Token", .cache = 1000},
        {.path = "/a", .to = "a", .cache = 1001},
        {.path = "/:a", .to = "a", .cache = 1000},
        {.path = "/a", .to = "a", .cache = 1000, .cache_headers = {names, 1}},
    };
    (void)state;
    struct stage *s = stage_new(one, 1);
    uint64_t id = rule_of(s, "GET", "/a").id;
    routes_rebuild(&s->routes);
    assert_int_equal(rule_of(s, "GET", "/a").id, id);
    stage_free(s);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        s = stage_new(&others[i], 1);
        assert_int_not_equal(rule_of(s, "GET", "/a").id, id);
        stage_free(s);
    }
}

static void the_first_pool_keeps_a_route(void **state)
{
    (void)state;
    struct stage *s = stage_new(NULL, 0);
    declare(s, 1, "[{\"path\":\"/same\"}]");
    assert_int_equal(s->told.len, 0);
    declare(s, 0, "[{\"path\":\"/same\"}]");
    assert_string_equal(whose(s, "GET", "/same"), "a"); /* by the order of the pools */
    assert_non_null(strstr(buf_cstr(&s->told), "b: route * /same is served by a already"));
    stage_free(s);
}

/* Two apps that take every path: the second hears how it gets its own. */
static void an_app_that_is_hidden_is_told_what_to_do(void **state)
{
    static const struct route_config own[] = {{.path = "/b/*", .to = "b"}};
    (void)state;
    struct stage *s = stage_new(NULL, 0);
    declare(s, 0, "[{\"path\":\"/*\"}]");
    declare(s, 1, "[{\"path\":\"/*\"}]");
    assert_string_equal(whose(s, "GET", "/x"), "a");
    assert_non_null(strstr(buf_cstr(&s->told), "every path is served by a already"));
    assert_non_null(strstr(buf_cstr(&s->told), "path = \"/b/*\" to = \"b\""));
    stage_free(s);
    s = stage_new(own, 1);
    declare(s, 0, "[{\"path\":\"/*\"}]");
    declare(s, 1, "[{\"path\":\"/*\"}]");
    assert_string_equal(whose(s, "GET", "/b/x"), "b");
    assert_int_equal(s->told.len, 0);
    stage_free(s);
}

static void a_malformed_route_is_told_of_and_left_out(void **state)
{
    (void)state;
    struct stage *s = stage_new(NULL, 0);
    declare(s, 0, "[{\"path\":\"/a/*/b\"},{\"path\":\"/fine\"}]");
    assert_string_equal(whose(s, "GET", "/fine"), "a");
    assert_int_not_equal(s->told.len, 0);
    stage_free(s);
}

static const struct route *route_at(struct stage *s, const char *path)
{
    struct router_match match;
    struct arena arena = {0};
    enum router_verdict verdict =
        router_find(s->routes.router, SLICE("GET"), slice_of(path), &arena, &match);
    arena_deinit(&arena);
    return verdict == ROUTER_FOUND ? match.target : NULL;
}

static void services_and_addresses_are_proxied(void **state)
{
    (void)state;
    static const char *urls[] = {"http://10.0.0.1:80", NULL};
    const struct route_config routes[] = {
        {.path = "/api/*", .to = "a", .timeout = 7},
        {.path = "/out/*", .urls = {.items = urls, .count = 1}},
        {.path = "/files/*", .root = "/srv"},
    };
    struct stage *s = stage_new(routes, ARRAY_LEN(routes));
    s->configs[0].is_service = s->configs[1].is_service = true;
    routes_rebuild(&s->routes);
    const struct route *api = route_at(s, "/api/x"), *out = route_at(s, "/out");
    assert_ptr_equal(api->proxy, &routes[0]);
    assert_ptr_equal(api->pool, s->pool[0]);
    assert_int_equal(api->timeout_ms, 7);
    assert_string_equal(route_server(api), "a");
    assert_ptr_equal(out->proxy, &routes[1]);
    assert_null(out->pool);
    assert_string_equal(route_server(out), "http://10.0.0.1:80");
    assert_null(route_at(s, "/files/x")->proxy);
    assert_null(route_at(s, "/b")); /* a service serves no path of its own accord */
    assert_null(route_at(s, "/c")->proxy);
    stage_free(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_routes_a_pool_serves_its_name),
        cmocka_unit_test(declared_routes_take_the_place_of_the_name),
        cmocka_unit_test(configured_routes_win),
        cmocka_unit_test(a_configured_cache_is_for_declared_routes_too),
        cmocka_unit_test(a_rule_is_another_when_anything_of_it_is),
        cmocka_unit_test(the_first_pool_keeps_a_route),
        cmocka_unit_test(an_app_that_is_hidden_is_told_what_to_do),
        cmocka_unit_test(a_malformed_route_is_told_of_and_left_out),
        cmocka_unit_test(services_and_addresses_are_proxied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
