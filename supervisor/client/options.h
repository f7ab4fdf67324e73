/*
 * options: the words behind a verb, by a table of what the verb takes.
 *
 * "--name value", "--name=value", "-n value"; "--" ends the options.  Other words are
 * kept in their order.
 */
#pragma once

#include "base/base.h"

enum option_kind {
    OPTION_FLAG,  /* to: bool */
    OPTION_VALUE, /* to: const char *; the last one counts */
    OPTION_LIST,  /* to: struct word_list; each one counts */
};

struct option {
    const char *names; /* separated by blanks: "-f --file --config" */
    enum option_kind kind;
    void *to;
};

/* Borrowed from argv. */
struct word_list {
    const char **items;
    size_t count;
};

void word_list_add(struct word_list *, const char *);
void word_list_deinit(struct word_list *);

struct options {
    const char *verb; /* for sentences */
    const struct option *table;
    size_t count;
    size_t words_max;       /* more words than that are refused */
    bool stop_at_word;      /* what follows the first word is not looked at: all are words */
    struct word_list words; /* out: what is no option */
    bool ended;             /* out: there was a "--" before the first word */
};

/*
 * As the only word behind a verb: what the verb takes is listed on stdout, a line for each
 * option: "-f --file --config", a tab, and "flag" or "value".  For completion.
 */
#define OPTIONS_LIST "--__options"

/*
 * Reads the words.  0, or 2 after saying on stderr which one is wrong: the exit code of
 * a wrong use.  The caller frees options->words in both cases.
 */
int options_read(struct options *, int argc, char **argv);

/* Says on stderr what is wrong with the use of a verb, and where help is.  Returns 2. */
int usage_error(const char *verb, const char *fmt, ...) PRINTF_LIKE(2, 3);
