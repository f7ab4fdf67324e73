/*
 * control_state: what runs and what rests, as the control socket tells it, in JSON.
 *
 * Nothing is measured unless it is asked for, and nothing is remembered from one question to
 * the next: who wants a rate asks twice, and divides by the difference of `at_us`.
 */
#pragma once

#include "app/control.h"

enum control_detail {
    CONTROL_BRIEF,
    CONTROL_USAGE, /* with what its processes use, which has just been measured */
    CONTROL_ABOUT, /* with that, and with all that it was started with */
};

/* GET /v1: of nodey itself. */
void control_write_self(const struct control_host *, struct buf *);

/* GET /v1/programs: all of them. */
void control_write_programs(const struct control_host *, enum control_detail, struct buf *);

/* One of them, without an LF. */
void control_write_program(const struct control_host *, const struct pool *,
                           enum control_detail, struct buf *);

/*
 * Appends text as a JSON string, with *** for each value that is not told; null when there is
 * none.
 */
void control_write_text(const struct control_host *, const char *text, struct buf *);

/* Is anything found out about whether its instances are well, beside that they run? */
bool control_is_checked(const struct worker_config *);

/* How it is, in one word: "ready", "stopped", "completed"; CONTROL.md has them all. */
const char *control_pool_state(const struct pool *);

/* "exit code 3", "signal 9 (Killed)". */
void control_describe_exit(const struct proc_exit *, char *text, size_t size);
