/*
 * programs: what the control socket says of programs, read into structs for those who show it.
 */
#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "client/session.h"
#include "client/table.h"

/* Each text is in the arena, and "" where nothing was said. */
struct instance_view {
    const char *state, *health, *why;
    uint64_t instance, life, generation, pid, uptime_ms, port, served, inflight;
    bool measured; /* the rest is there */
    uint64_t at_us, cpu_us, memory, memory_limit, threads, processes, read_bytes, written_bytes;
};

struct program_view {
    const char *name, *kind, *state, *why, *waits_for, *last_exit;
    uint64_t wanted, ready, min, max, queue, restarts, generation;
    bool settled;
    bool handles;     /* events or jobs */
    uint64_t backlog; /* of these, what is not handled yet */
    struct instance_view *instances;
    size_t count;
};

struct programs_view {
    struct arena arena;
    struct program_view *items;
    size_t count;
};

/* Reads an array of programs, or one.  What is missing or of another type is "" or 0. */
void programs_read(struct programs_view *, const struct json_value *);
void programs_deinit(struct programs_view *);

/*
 * Asks for all programs; with_usage: and has them measured.  0, or an exit code after saying
 * what went wrong.
 */
int programs_fetch(struct session *, bool with_usage, struct programs_view *) MUST_CHECK;

/* The program of that name, or NULL. */
const struct program_view *programs_find(const struct programs_view *, const char *name);

/*
 * 0 when each of the words names one of them; else EXIT_REFUSED, after saying which does not
 * and which is near.
 */
int programs_check(const struct programs_view *, const char *const *words, size_t count);

/* It runs, or tries to; others rest. */
bool program_is_active(const struct program_view *);

/* "ready" is green, and so on. */
enum tint program_tint(const char *state);
