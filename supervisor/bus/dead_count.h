/*
 * dead_count: how many dead letters each group has, exactly, without looking at all of them
 * each time.
 *
 * Who wants to know has it read on from where it was; what is retried or dropped is told.  Each
 * letter is known by its seq, so the order in which the store does both does not matter.
 */
#pragma once

#include "base/list.h"
#include "base/slice.h"

struct bus;
struct dead_count;

struct dead_wait {
    struct list node;
    void (*done)(struct dead_wait *);
};

/* Reads what has come since the last time; `done` comes later, and after that it is exact. */
void dead_count_refresh(struct bus *, struct dead_wait *);

/* This letter is no more. */
void dead_count_forget(struct bus *, uint64_t seq);

/* Of a group of topics, or of a queue. */
uint64_t dead_count_of(const struct bus *, struct slice group, bool is_queue);

/* Of the bus; NULL: nobody has asked. */
void dead_count_free(struct dead_count *);
