/*
 * human: figures as a person reads them, in the forms that docker's commands made usual.  Pure.
 */
#pragma once

#include "base/base.h"

enum { HUMAN_MAX = 32 };

/* Each writes into text[HUMAN_MAX] and returns it. */

/* "0B", "512KiB", "12.3MiB", "1.95GiB". */
const char *human_memory(char *text, uint64_t bytes);

/* The same in thousands, as for what disks move: "0B", "12.3kB", "1.2MB". */
const char *human_bytes(char *text, uint64_t bytes);

/* "0s", "59s", "3m 20s", "5h 2m", "12d 3h". */
const char *human_age(char *text, uint64_t ms);
