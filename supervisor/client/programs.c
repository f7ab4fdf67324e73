#include "client/programs.h"

#include <stdio.h>
#include <string.h>

#include "client/reach.h"
#include "config/value.h"

/* Which member goes where. */
struct place {
    const char *name;

    enum { TEXT, NUMBER, TRUTH } kind;

    size_t at;
};

#define INSTANCE(kind, field) #field, kind, offsetof(struct instance_view, field)
#define PROGRAM(kind, field)  #field, kind, offsetof(struct program_view, field)

static const struct place of_instance[] = {
    {INSTANCE(TEXT, state)},      {INSTANCE(TEXT, health)},      {INSTANCE(TEXT, why)},
    {INSTANCE(NUMBER, instance)}, {INSTANCE(NUMBER, life)},      {INSTANCE(NUMBER, generation)},
    {INSTANCE(NUMBER, pid)},      {INSTANCE(NUMBER, uptime_ms)}, {INSTANCE(NUMBER, port)},
    {INSTANCE(NUMBER, served)},   {INSTANCE(NUMBER, inflight)},
};

static const struct place of_usage[] = {
    {INSTANCE(NUMBER, at_us)},      {INSTANCE(NUMBER, cpu_us)},
    {INSTANCE(NUMBER, memory)},     {INSTANCE(NUMBER, memory_limit)},
    {INSTANCE(NUMBER, threads)},    {INSTANCE(NUMBER, processes)},
    {INSTANCE(NUMBER, read_bytes)}, {INSTANCE(NUMBER, written_bytes)},
};

static const struct place of_program[] = {
    {PROGRAM(TEXT, name)},     {PROGRAM(TEXT, kind)},       {PROGRAM(TEXT, state)},
    {PROGRAM(TEXT, why)},      {PROGRAM(TEXT, waits_for)},  {PROGRAM(NUMBER, wanted)},
    {PROGRAM(NUMBER, ready)},  {PROGRAM(NUMBER, min)},      {PROGRAM(NUMBER, max)},
    {PROGRAM(NUMBER, queue)},  {PROGRAM(NUMBER, restarts)}, {PROGRAM(NUMBER, generation)},
    {PROGRAM(TRUTH, settled)},
};

static const char *text_of(struct arena *arena, const struct json_value *value)
{
    struct buf text = {0};
    if (value->type == JSON_STRING)
        json_unescape(value, &text);
    const char *kept = text.len ? arena_strdup(arena, buf_slice(&text)) : "";
    buf_deinit(&text);
    return kept;
}

static void take(struct arena *arena, const struct place *places, size_t count, void *into,
                 const struct json_value *key, const struct json_value *value)
{
    for (size_t i = 0; i < count; i++) {
        char *field = (char *)into + places[i].at;
        if (!json_string_is(key, places[i].name))
            continue;
        if (places[i].kind == TEXT)
            *(const char **)field = text_of(arena, value);
        else if (places[i].kind == TRUTH)
            *(bool *)field = value->type == JSON_TRUE;
        else if (!json_to_u64(value, UINT64_MAX, (uint64_t *)field))
            *(uint64_t *)field = 0;
        return;
    }
}

static void read_instance(struct arena *arena, const struct json_value *object,
                          struct instance_view *out)
{
    struct json_value key, value;
    *out = (struct instance_view){.state = "", .health = "", .why = ""};
    struct json_scan it = json_iter(object);
    while (json_next_member(&it, &key, &value)) {
        take(arena, of_instance, ARRAY_LEN(of_instance), out, &key, &value);
        if (!json_string_is(&key, "usage") || value.type != JSON_OBJECT)
            continue;
        struct json_scan usage = json_iter(&value);
        struct json_value name, number;
        out->measured = true;
        while (json_next_member(&usage, &name, &number))
            take(arena, of_usage, ARRAY_LEN(of_usage), out, &name, &number);
    }
}

static size_t count_items(const struct json_value *array)
{
    struct json_value item;
    struct json_scan it = json_iter(array);
    size_t n = 0;
    while (json_next_item(&it, &item))
        n++;
    return n;
}

static void read_instances(struct arena *arena, const struct json_value *array,
                           struct program_view *out)
{
    struct json_value item;
    if (array->type != JSON_ARRAY)
        return;
    out->instances = arena_alloc(arena, (count_items(array) + 1) * sizeof(*out->instances));
    struct json_scan it = json_iter(array);
    while (json_next_item(&it, &item))
        if (item.type == JSON_OBJECT)
            read_instance(arena, &item, &out->instances[out->count++]);
}

static void read_groups(const struct json_value *array, struct program_view *out)
{
    struct json_value group, key, value;
    uint64_t backlog;
    if (array->type != JSON_ARRAY)
        return;
    struct json_scan it = json_iter(array);
    while (json_next_item(&it, &group)) {
        struct json_scan members = json_iter(&group);
        out->handles = true;
        while (group.type == JSON_OBJECT && json_next_member(&members, &key, &value))
            if (json_string_is(&key, "backlog") && json_to_u64(&value, UINT64_MAX, &backlog))
                out->backlog += backlog;
    }
}

static void read_program(struct arena *arena, const struct json_value *object,
                         struct program_view *out)
{
    struct json_value key, value, name, words;
    *out = (struct program_view){
        .name = "", .kind = "", .state = "", .why = "", .waits_for = "", .last_exit = ""};
    struct json_scan it = json_iter(object);
    while (json_next_member(&it, &key, &value)) {
        take(arena, of_program, ARRAY_LEN(of_program), out, &key, &value);
        if (json_string_is(&key, "instances"))
            read_instances(arena, &value, out);
        if (json_string_is(&key, "groups"))
            read_groups(&value, out);
        if (!json_string_is(&key, "last_exit") || value.type != JSON_OBJECT)
            continue;
        struct json_scan exit = json_iter(&value);
        while (json_next_member(&exit, &name, &words))
            if (json_string_is(&name, "words"))
                out->last_exit = text_of(arena, &words);
    }
}

void programs_read(struct programs_view *out, const struct json_value *json)
{
    struct json_value item;
    *out = (struct programs_view){0};
    bool is_array = json->type == JSON_ARRAY;
    size_t count = is_array ? count_items(json) : 1;
    out->items = arena_alloc(&out->arena, (count + 1) * sizeof(*out->items));
    if (!is_array) {
        if (json->type == JSON_OBJECT)
            read_program(&out->arena, json, &out->items[out->count++]);
        return;
    }
    struct json_scan it = json_iter(json);
    while (json_next_item(&it, &item))
        if (item.type == JSON_OBJECT)
            read_program(&out->arena, &item, &out->items[out->count++]);
}

void programs_deinit(struct programs_view *p)
{
    arena_deinit(&p->arena);
    *p = (struct programs_view){0};
}

int programs_fetch(struct session *session, bool with_usage, struct programs_view *out)
{
    struct client_response answer;
    struct json_value json;
    int rc = reach_fetch(session, "GET", with_usage ? "/v1/programs?usage=1" : "/v1/programs",
                         0, &answer, &json);
    if (rc)
        return rc;
    programs_read(out, &json);
    client_response_deinit(&answer);
    return 0;
}

const struct program_view *programs_find(const struct programs_view *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i].name, name) == 0)
            return &p->items[i];
    return NULL;
}

int programs_check(const struct programs_view *p, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (programs_find(p, words[i]))
            continue;
        struct nearest nearest = nearest_init(slice_of(words[i]));
        for (size_t j = 0; j < p->count; j++)
            nearest_offer(&nearest, p->items[j].name);
        fprintf(stderr, "nodey: there is no program \"%s\"", words[i]);
        if (nearest.best)
            fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
        fputc('\n', stderr);
        return EXIT_REFUSED;
    }
    return 0;
}

static bool is_one_of(const char *state, const char *const *states)
{
    while (*states && strcmp(state, *states) != 0)
        states++;
    return *states != NULL;
}

bool program_is_active(const struct program_view *p)
{
    static const char *const resting[] = {"stopped", "completed", "exited", "dormant", NULL};
    return !is_one_of(p->state, resting);
}

enum tint program_tint(const char *state)
{
    static const char *const good[] = {"ready", "busy", NULL};
    static const char *const bad[] = {"failed", "exited", "unhealthy", NULL};
    static const char *const dim[] = {"stopped", "completed", "dormant", NULL};
    if (is_one_of(state, good))
        return TINT_GOOD;
    if (is_one_of(state, bad))
        return TINT_BAD;
    return is_one_of(state, dim) ? TINT_DIM : TINT_WARN;
}
