/*
 * mediatype: what a file is by its name, and which types are alike.  Pure.
 */
#pragma once

#include "base/slice.h"

/* Of a file: "text/html; charset=utf-8" for "index.html", "application/octet-stream" for what
 * is not known. */
struct slice mediatype_of(struct slice name);

/* A file whose format packs its content already, so that a content coding gains nothing. */
bool mediatype_is_packed(struct slice name);

/*
 * Whether a type (as in Content-Type: parameters and case do not count) fits one of the
 * patterns, in which one "*" stands for anything: "text/" + "*", "application/" + "*+json".
 * text/event-stream fits its own name alone: who compresses text does not mean a stream of
 * events.
 */
bool mediatype_fits(struct slice type, const char *const *patterns, size_t count);
