/*
 * engine_suite_parts: what the files of the suite share.
 */
#pragma once

#include <time.h>

#include "engine_suite.h"

/* What a check gets: an open desk in a folder of its own. */
struct seat {
    const struct engine_kind *kind;
    struct desk desk;
    char *dir;
    char *folder;
};

static inline int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* engine_suite_streams.c */
void a_job_is_deleted_with_its_last_settle(void **state);
void a_full_stream_refuses_and_loses_nothing(void **state);
void discarding_is_told_as_a_gap(void **state);
void a_msgid_is_stored_once_within_its_window(void **state);
void the_same_msgid_twice_in_one_op_is_one_message(void **state);
void a_delayed_message_comes_never_early_and_once(void **state);
void big_data_has_a_file_for_as_long_as_its_message(void **state);
void reading_needs_no_consumer(void **state);
void what_is_stored_is_told_once_and_in_order(void **state);
void a_stream_in_memory_ends_with_the_engine(void **state);
void what_was_submitted_ends_although_it_closes(void **state);
