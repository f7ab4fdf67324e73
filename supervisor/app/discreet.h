/*
 * discreet: what programs write, and what is told of them, without the values of secrets.
 */
#pragma once

#include "base/secret.h"
#include "config/config.h"
#include "pool/pool.h"

struct discreet {
    struct secrets secrets;
    struct buf sentence, text, fields, stack; /* masked copies, each until the next one */
};

/* Knows the secrets of this configuration from now on; for each that is loaded. */
void discreet_learn(struct discreet *, const struct config *);
void discreet_deinit(struct discreet *);

/* Valid until the next call; the sentence itself when there is no secret in it. */
const char *discreet_sentence(struct discreet *, const char *sentence);
struct worker_line discreet_line(struct discreet *, const struct worker_line *);
