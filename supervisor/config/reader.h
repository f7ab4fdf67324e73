/*
 * reader: from nodes of a TOML tree to the plain structs of config.h, by a table.
 *
 * A section is a table of settings, one row each.  Everything that can be said
 * about a value by itself is checked here (type, bounds, characters); what depends
 * on other values or on files is load.c's and check.c's business.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "config/toml.h"

enum setting_type {
    SETTING_BOOL,
    SETTING_INT,
    SETTING_DURATION,    /* ms */
    SETTING_DURATION_US, /* us */
    SETTING_SIZE,        /* bytes */
    SETTING_CHOICE,      /* an index into `choices` */
    SETTING_STRING,
    SETTING_PATH,    /* made absolute, relative to the configuration's folder */
    SETTING_LIST,    /* strings; a single string is a list of one */
    SETTING_ENV,     /* a table; "NAME=value", joined with what the field holds already */
    SETTING_COMMAND, /* argv: a list, or a string split as a shell splits */
    SETTING_SCALE,   /* a number, or { min, max }; two fields: the most, the least */
    SETTING_PORT,    /* a number, or "auto" */
    SETTING_CPUS,    /* thousandths; a number with or without a fraction */
    SETTING_RESTART, /* struct restart_config */
    SETTING_SIGNAL,  /* "SIGTERM", "TERM" or 15 */
    SETTING_DEPENDS, /* struct dependency_list; a list, or a table of tables */
    SETTING_TEST,    /* as compose's healthcheck.test: argv */
    SETTING_TABLE,   /* a section of its own, `inner` */
};

struct setting {
    const char *key;
    size_t offset; /* in the section's struct */
    size_t size;   /* of the field: 1, 4 or 8 for those that are numbers */
    enum setting_type type;
    const char *fallback; /* as one would write it; "(...)": left to load.c */
    uint64_t min,
        max; /* of numbers, in the field's unit; min 0 allows "off", as does that fallback */
    const char *help;
    const char *const *choices;  /* NULL at the end */
    bool fixed;                  /* cannot change while nodey runs */
    bool renews;                 /* of a worker: a change needs new processes */
    bool paths;                  /* of a list: each made absolute, as SETTING_PATH */
    const char *example;         /* a line of TOML */
    const struct section *inner; /* of SETTING_TABLE */
};

/* What a setting is called elsewhere: a word that people bring along, and its key here. */
struct habit {
    const char *word, *key;
};

struct section {
    const char *title; /* for `nodey help config` */
    const struct setting *rows;
    size_t count;
    const struct habit *habits; /* the last one is empty; NULL: there are none */
};

/* The setting that is meant by a word of habit, or NULL. */
const struct setting *section_habit(const struct section *, struct slice word);

/* Where values come from, and where the sentence goes when one is wrong. */
struct reader {
    struct arena *arena;
    const char *file; /* as the person named it; NULL without one */
    const char *dir;  /* absolute: what relative paths are relative to */
    struct err *err;
};

/* Fills in "file:line:column: sentence" and returns a negative code. */
int reader_fail(const struct reader *, struct toml_place, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* What stands there instead: "the number 5", for the end of a sentence about it. */
const char *reader_found(const struct reader *, const struct toml_node *);

/* The absolute path; in the arena. */
const char *reader_path(const struct reader *, struct slice path);

/* Every fallback; lists become empty, what is left to load.c becomes 0 or NULL. */
void reader_defaults(const struct reader *, const struct section *, void *out);

/*
 * "NAME=value" lists as one, without the entries of `below` that `above` names too.
 * `below` names nothing twice.
 */
struct string_list;
struct string_list reader_merge_env(const struct reader *, struct string_list below,
                                    struct string_list above);

/*
 * Every member of `table`; what it does not mention keeps its value.  `title` is
 * the section's name for people: "[workers.fib]".
 */
int reader_section(const struct reader *, const struct section *, const struct toml_node *table,
                   const char *title, void *out) MUST_CHECK;
