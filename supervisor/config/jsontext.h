/*
 * jsontext: JSON that people write: where in it something stands, and a comma too many.
 */
#pragma once

#include "base/buf.h"
#include "config/toml.h"

/* Line and column of `at`, which points into the text. */
struct toml_place jsontext_place(struct slice text, const char *at);

/*
 * Makes a blank of each comma that stands, behind a value, in front of a closing bracket:
 * all else keeps its place.  `told` is called for each, with the bracket.
 */
void jsontext_forgive(struct buf *text,
                      void (*told)(void *arg, const char *comma, char bracket), void *arg);
