/*
 * conform_checks: the conversations that every program must be able to hold.
 */
#pragma once

#include "conform/talk.h"

/* In the place of a feature: what goes for whoever declares any. */
#define CONFORM_ANY_FEATURE (1U << 31)

/* Starts it and learns what it declares.  False: nothing else can be tried. */
bool conform_check_start(struct talk *);

/* Level 0.  False: it does not even answer; the rest was left out. */
bool conform_check_level0(struct talk *);

/* What it declares beyond that. */
void conform_check_features(struct talk *);

/* The feature stream. */
void conform_check_stream(struct talk *);

/* What it subscribes to is declared; any program's. */
void conform_check_subscriptions(struct talk *);

/* The feature events. */
void conform_check_events(struct talk *);

/* The golden transcripts of this worker, if it has any. */
bool conform_has_golden(const char *worker);
void conform_check_golden(struct talk *, const char *worker,
                          const struct candidate_spec *by_hand);

/* As nodey runs it, but without NODEY in its environment: what a person types. */
void conform_check_by_hand(struct talk *, const struct candidate_spec *by_hand);
