/*
 * `nodey describe`: all about one program.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/human.h"
#include "client/members.h"
#include "client/options.h"
#include "client/programs.h"
#include "client/reach.h"
#include "client/show.h"
#include "command/command.h"
#include "command/program.h"

const char command_describe_help[] =
    "Tells all about a program: how it is and why, with what it was started, what limits it "
    "and\n"
    "who sees to that, its instances, its routes and its last incidents. Values of variables\n"
    "that are secret by their names are shown as ***.\n"
    "\n"
    "  nodey describe NAME\n"
    "\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "  --format json         what the control socket says, see GET /v1/programs/NAME\n"
    "  --no-color            no colours on a terminal\n"
    "\n"
    "Exit code: 0, 1 when there is no such program, 3 when no nodey is up.\n";

enum { LABEL = 14, INCIDENTS = 3 };

struct sheet {
    struct buf out;
    bool colour;
};

static void label(struct sheet *s, const char *name)
{
    char text[LABEL + 1];
    snprintf(text, sizeof(text), "%-*s", LABEL, name);
    table_paint(&s->out, TINT_DIM, s->colour, slice_of(text));
}

/* One line; nothing when there is nothing to say. */
static void put(struct sheet *s, const char *name, enum tint tint, const char *text)
{
    if (!text || !*text)
        return;
    label(s, name);
    table_paint(&s->out, tint, s->colour, slice_of(text));
    buf_addc(&s->out, '\n');
}

static void put_member(struct sheet *s, const char *name, const struct json_value *object,
                       const char *member)
{
    char *text = members_text(object, member);
    put(s, name, TINT_NONE, text);
    xfree(text);
}

static uint64_t number_of(const struct json_value *object, const char *name)
{
    struct json_value value;
    uint64_t n = 0;
    if (members_get(object, name, &value))
        IGNORE(!json_to_u64(&value, UINT64_MAX, &n)); /* then it is 0 */
    return n;
}

/* An array of strings: on one line, or each on its own. */
static void put_list(struct sheet *s, const char *name, const struct json_value *object,
                     const char *member, bool one_line)
{
    struct json_value list, item;
    struct buf line = {0};
    if (!members_get(object, member, &list) || list.type != JSON_ARRAY)
        return;
    struct json_scan it = json_iter(&list);
    while (json_next_item(&it, &item)) {
        if (one_line && line.len)
            buf_addc(&line, ' ');
        json_unescape(&item, &line);
        if (one_line)
            continue;
        put(s, name, TINT_NONE, buf_cstr(&line));
        buf_clear(&line);
        name = "";
    }
    if (one_line)
        put(s, name, TINT_NONE, buf_cstr(&line));
    buf_deinit(&line);
}

/* ------------------------------------------------------------------------ parts */

static void put_state(struct sheet *s, const struct program_view *p)
{
    char text[64];
    put(s, "name", TINT_BOLD, p->name);
    put(s, "kind", TINT_NONE, p->kind);
    put(s, "state", program_tint(p->state), p->state);
    put(s, "why", TINT_WARN, p->why);
    snprintf(text, sizeof(text), "%llu of %llu ready", (unsigned long long)p->ready,
             (unsigned long long)p->wanted);
    put(s, "instances", TINT_NONE, text);
    if (p->min != p->max) {
        snprintf(text, sizeof(text), "%llu to %llu, as the load needs",
                 (unsigned long long)p->min, (unsigned long long)p->max);
        put(s, "scales", TINT_NONE, text);
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)p->restarts);
    put(s, "restarts", p->restarts ? TINT_WARN : TINT_NONE, text);
    put(s, "last exit", TINT_NONE, p->last_exit);
}

static void add_limit(struct buf *out, const char *what, const char *value)
{
    buf_addf(out, "%s%s %s", out->len ? ", " : "", what, value);
}

static void put_limits(struct sheet *s, const struct json_value *about)
{
    static const struct {
        const char *member, *what;
        bool is_size;
    } limits[] = {{"memory", "memory", true},
                  {"max_memory", "recycled above", true},
                  {"memory_reservation", "reserved", true},
                  {"pids", "pids", false},
                  {"nofile", "open files", false}};
    struct json_value object;
    struct buf line = {0};
    char text[HUMAN_MAX];
    if (!members_get(about, "limits", &object))
        return;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        uint64_t n = number_of(&object, limits[i].member);
        if (n && limits[i].is_size)
            add_limit(&line, limits[i].what, human_memory(text, n));
        else if (n)
            buf_addf(&line, "%s%s %llu", line.len ? ", " : "", limits[i].what,
                     (unsigned long long)n);
    }
    uint64_t cpus = number_of(&object, "milli_cpus");
    if (cpus)
        buf_addf(&line, "%s%.3g CPUs", line.len ? ", " : "", (double)cpus / 1000);
    put(s, "limits", TINT_NONE, line.len ? buf_cstr(&line) : "none");
    if (line.len)
        put_member(s, "", &object, "in_force");
    buf_deinit(&line);
}

static void put_dependencies(struct sheet *s, const struct json_value *about)
{
    struct json_value list, item;
    const char *name = "depends on";
    if (!members_get(about, "depends_on", &list) || list.type != JSON_ARRAY)
        return;
    struct json_scan it = json_iter(&list);
    while (json_next_item(&it, &item)) {
        char *of = members_text(&item, "name"), *condition = members_text(&item, "condition");
        char *line = xasprintf("%s (%s)", of ? of : "", condition ? condition : "");
        put(s, name, TINT_NONE, line);
        name = "";
        xfree(line);
        xfree(of);
        xfree(condition);
    }
}

static void put_start(struct sheet *s, const struct json_value *about)
{
    struct json_value health;
    char text[HUMAN_MAX];
    put_list(s, "command", about, "command", /* one_line= */ true);
    put_member(s, "folder", about, "cwd");
    put_member(s, "user", about, "user");
    put_member(s, "group", about, "group");
    put_list(s, "env", about, "env", /* one_line= */ false);
    put_list(s, "env files", about, "env_file", /* one_line= */ false);
    put_list(s, "profiles", about, "profiles", /* one_line= */ true);
    put_member(s, "restart", about, "restart");
    put_dependencies(s, about);
    if (members_get(about, "health", &health))
        put_member(s, "health", &health, "check");
    put_limits(s, about);
    char *signal = members_text(about, "stop_signal");
    char *line = xasprintf("SIG%s, then SIGKILL after %s", signal ? signal : "TERM",
                           human_age(text, number_of(about, "stop_grace_period_ms")));
    put(s, "stops by", TINT_NONE, line);
    xfree(line);
    xfree(signal);
}

static void put_routes(struct sheet *s, const struct json_value *program)
{
    struct json_value routes, route;
    const char *name = "routes";
    if (!members_get(program, "routes", &routes))
        return;
    struct json_scan it = json_iter(&routes);
    while (json_next_item(&it, &route)) {
        char *method = members_text(&route, "method"), *path = members_text(&route, "path");
        char *line = xasprintf("%s %s", method && strcmp(method, "*") ? method : "any",
                               path ? path : "");
        put(s, name, TINT_NONE, line);
        name = "";
        xfree(line);
        xfree(method);
        xfree(path);
    }
    put_list(s, "answers", program, "tokens", /* one_line= */ true);
}

/* The groups of events and queues that it handles. */
static void put_groups(struct sheet *s, const struct json_value *program)
{
    struct json_value list, group;
    const char *label = "handles";
    if (!members_get(program, "groups", &list) || list.type != JSON_ARRAY)
        return;
    struct json_scan it = json_iter(&list);
    while (json_next_item(&it, &group)) {
        char *name = members_text(&group, "name");
        uint64_t backlog = number_of(&group, "backlog");
        char *line = xasprintf("%s, %llu to do", name ? name : "", (unsigned long long)backlog);
        put(s, label, backlog ? TINT_WARN : TINT_NONE, line);
        label = "";
        xfree(line);
        xfree(name);
    }
}

static void put_instances(struct sheet *s, const struct program_view *p)
{
    static const struct column columns[] = {
        {.title = "INSTANCE"},
        {.title = "STATE"},
        {.title = "PID", .right = true},
        {.title = "UPTIME", .right = true, .dropped = 2},
        {.title = "MEMORY", .right = true},
        {.title = "PORT", .right = true},
        {.title = "SERVED", .right = true, .dropped = 1},
        {.title = "HEALTH", .dropped = 3},
        {.title = "WHY", .shrinks = true, .dropped = 4},
    };
    struct table table;
    char text[HUMAN_MAX];
    if (!p->count)
        return;
    buf_addc(&s->out, '\n');
    table_init(&table, columns, ARRAY_LEN(columns));
    for (size_t n = 0; n < p->count; n++) {
        const struct instance_view *i = &p->instances[n];
        table_addf(&table, TINT_NONE, "%s#%llu", p->name, (unsigned long long)i->instance);
        table_add(&table, program_tint(i->state), i->state);
        table_addf(&table, TINT_NONE, i->pid ? "%llu" : "", (unsigned long long)i->pid);
        table_add(&table, TINT_NONE, i->pid ? human_age(text, i->uptime_ms) : "");
        table_add(&table, TINT_NONE, i->measured ? human_memory(text, i->memory) : "");
        table_addf(&table, TINT_NONE, i->port ? "%llu" : "", (unsigned long long)i->port);
        table_addf(&table, TINT_NONE, "%llu", (unsigned long long)i->served);
        table_add(&table, TINT_NONE, i->health);
        table_add(&table, TINT_NONE, i->why);
    }
    table_write(&table, table_terminal(STDOUT_FILENO), s->colour, &s->out);
    table_deinit(&table);
}

/* Its last incidents, when there were any. */
static void put_incidents(struct sheet *s, struct session *session, const char *name)
{
    struct client_response answer = {0};
    struct json_value list, item;
    struct err err;
    char *encoded = reach_encode(name);
    char *target = xasprintf("/v1/incidents?program=%s&limit=%d", encoded, INCIDENTS);
    struct client_request request = {.target = target};
    const char *title = "incidents";
    if (session_fetch(session, &request, &answer, &err) == 0) {
        bool read = answer.status == 200 && members_read(buf_slice(&answer.body), &list) &&
                    list.type == JSON_ARRAY;
        struct json_scan it = read ? json_iter(&list) : (struct json_scan){0};
        for (int n = 0; read && n < INCIDENTS && json_next_item(&it, &item); n++) {
            char *id = members_text(&item, "id"), *what = members_text(&item, "sentence");
            char *line = xasprintf("%s  %s", id ? id : "", what ? what : "");
            if (n == 0)
                buf_addc(&s->out, '\n');
            put(s, title, TINT_BAD, line);
            title = "";
            xfree(line);
            xfree(id);
            xfree(what);
        }
        client_response_deinit(&answer);
    }
    xfree(target);
    xfree(encoded);
}

static void describe(struct session *session, const struct json_value *json, bool no_color)
{
    struct sheet sheet = {.colour = show_colour(stdout, no_color)};
    struct programs_view view;
    struct json_value about;
    programs_read(&view, json);
    if (view.count) {
        put_state(&sheet, &view.items[0]);
        if (members_get(json, "about", &about))
            put_start(&sheet, &about);
        put_routes(&sheet, json);
        put_groups(&sheet, json);
        put_instances(&sheet, &view.items[0]);
        put_incidents(&sheet, session, view.items[0].name);
    }
    show_write(stdout, buf_slice(&sheet.out));
    buf_deinit(&sheet.out);
    programs_deinit(&view);
}

static int run(struct session *session, const char *name, bool as_json, bool no_color)
{
    struct client_response answer;
    struct json_value json;
    char *encoded = reach_encode(name);
    char *target = xasprintf("/v1/programs/%s", encoded);
    int rc = reach_fetch(session, "GET", target, 0, &answer, &json);
    xfree(target);
    xfree(encoded);
    if (rc)
        return rc;
    if (as_json)
        show_write(stdout, buf_slice(&answer.body));
    else
        describe(session, &json, no_color);
    client_response_deinit(&answer);
    return 0;
}

int command_describe(int argc, char **argv)
{
    const char *file = NULL, *format = NULL;
    bool as_json = false, no_color = false;
    struct session session;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &file},
        {"--format", OPTION_VALUE, &format},
        {"--no-color", OPTION_FLAG, &no_color},
    };
    struct options options = {
        .verb = "describe", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_format("describe", format, &as_json);
    if (rc == 0 && options.words.count == 0)
        rc = command_needs_name("describe", file, "nodey describe needs the name of a program");
    if (rc == 0)
        rc = reach_open(&session, file);
    if (rc == 0) {
        rc = run(&session, options.words.items[0], as_json, no_color);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
