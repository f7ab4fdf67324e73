/*
 * embedded: the SDKs, carried inside the binary so that one file is all to copy.
 *
 * Defined by a source that scripts/embed writes at build time.  Paths are relative
 * to the folder that they are unpacked to: "python/nodey/__init__.py",
 * "node/nodey/index.cjs"; they hold no "..", and parents come from the path alone.
 * Everything here lives as long as the process.
 */
#pragma once

#include <stddef.h>

struct embedded_file {
    const char *path; /* NULL ends the array */
    const unsigned char *bytes;
    size_t len;
};

extern const struct embedded_file embedded_files[];

/* Pieces of pages, which are used where they are: "error.html". */
extern const struct embedded_file embedded_pages[];

/* What `nodey new` writes: "worker.py". */
extern const struct embedded_file embedded_templates[];

/* The programs of `nodey bench`, for one folder: "bridge.js". */
extern const struct embedded_file embedded_bench[];

/* The one file protocol/vectors/transcripts.jsonl. */
extern const struct embedded_file embedded_transcripts[];

/* Names the files of the SDKs: 16 hex digits that change with any path or byte. */
extern const char embedded_version[];
