/* child_rig: one child process in a loop of its own, for tests of loop/proc. */
#pragma once

#include "loop/orphans.h"
#include "loop/proc.h"

/* One child and what it did. */
struct child {
    struct loop loop;
    struct proc proc;
    struct timer tick;
    struct buf out;
    struct buf err;
    struct proc_exit exit;
    unsigned exits;
    unsigned gones;
    unsigned drains;
    char broken[16];
    bool keep;   /* uses up nothing of its output */
    size_t kept; /* what the stream still held of it at the exit */
};

extern const struct proc_ops child_ops;
extern const char *const child_env[]; /* with a mark for what it leaves behind */

struct child *child_new(void);
int child_spawn(struct child *, const char *const *argv, const char *cwd);

/* A child that is a shell. */
struct child *child_shell(const char *script);

/* Kills it if it has not ended, and is sure that nothing of it is left. */
void child_free(struct child *);

void child_run_for(struct child *, uint64_t ms);

#define child_until(c, condition)                                                              \
    do {                                                                                       \
        for (int turns_ = 0; !(condition); turns_++) {                                         \
            if (turns_ > 10000)                                                                \
                fail_msg("never came true: %s", #condition);                                   \
            child_run_for(c, 1);                                                               \
        }                                                                                      \
    } while (0)

bool process_lives(pid_t);

/* Polls: what it waits for belongs to no loop of a test. */
bool process_dies_within(pid_t, int ms);
