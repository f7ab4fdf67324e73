#include "command/sample.h"

#include <stdio.h>
#include <string.h>

#include "client/members.h"
#include "client/reach.h"

void sample_deinit(struct sample *s)
{
    programs_deinit(&s->before);
    programs_deinit(&s->now);
    xfree(s->rows);
    *s = (struct sample){0};
}

static int read_machine(struct sample *s, struct session *session)
{
    struct client_response answer;
    struct json_value self, machine, memory;
    int rc = reach_fetch(session, "GET", "/v1", 0, &answer, &self);
    if (rc)
        return rc;
    if (members_get(&self, "machine", &machine) && members_get(&machine, "memory", &memory))
        IGNORE(
            !json_to_u64(&memory, UINT64_MAX, &s->machine_memory)); /* then it is not known */
    client_response_deinit(&answer);
    return 0;
}

static const struct instance_view *find_life(const struct programs_view *p, uint64_t life)
{
    for (size_t i = 0; i < p->count; i++)
        for (size_t j = 0; j < p->items[i].count; j++)
            if (p->items[i].instances[j].life == life && p->items[i].instances[j].measured)
                return &p->items[i].instances[j];
    return NULL;
}

static void add_row(struct sample *s, const struct program_view *p,
                    const struct instance_view *instance)
{
    const struct instance_view *then = find_life(&s->before, instance->life);
    s->rows = xrealloc(s->rows, (s->count + 1) * sizeof(*s->rows));
    struct sample_row *row = &s->rows[s->count++];
    *row = (struct sample_row){.program = p, .instance = instance};
    snprintf(row->name, sizeof(row->name), "%s#%llu", p->name,
             (unsigned long long)instance->instance);
    row->limit = instance->memory_limit ? instance->memory_limit : s->machine_memory;
    if (!then || instance->at_us <= then->at_us)
        return;
    uint64_t used = instance->cpu_us > then->cpu_us ? instance->cpu_us - then->cpu_us : 0;
    row->has_cpu = true;
    row->cpu = 100.0 * (double)used / (double)(instance->at_us - then->at_us);
}

static bool is_named(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return count == 0;
}

int sample_take(struct sample *s, struct session *session, const char *const *names,
                size_t count)
{
    struct programs_view now;
    int rc = s->machine_memory ? 0 : read_machine(s, session);
    if (rc == 0)
        rc = programs_fetch(session, /* with_usage= */ true, &now);
    if (rc)
        return rc;
    programs_deinit(&s->before);
    s->before = s->now;
    s->now = now;
    s->count = 0;
    rc = programs_check(&s->now, names, count);
    for (size_t i = 0; rc == 0 && i < s->now.count; i++)
        for (size_t j = 0; j < s->now.items[i].count; j++)
            if (s->now.items[i].instances[j].measured &&
                is_named(s->now.items[i].name, names, count))
                add_row(s, &s->now.items[i], &s->now.items[i].instances[j]);
    return rc;
}
