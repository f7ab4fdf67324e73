/*
 * log: one entry for a person or a machine, to a sink that is set once.
 *
 * Rooms below app/ do not log above debug: whoever decides what to do about a
 * thing logs it, once, with identity and consequence.
 *
 * Three forms.  For eyes at a terminal: short times, names in a column and, where wanted,
 * in colour.
 * For files and pipes: whole times and no tricks, so that each line says everything.
 * For machines: one JSON object a line.
 */
#pragma once

#include "base/buf.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Gets whole lines, LF included. */
typedef void (*log_sink_fn)(void *arg, struct slice lines);

enum log_form { LOG_PLAIN, LOG_PRETTY, LOG_COLOURED, LOG_JSON };

/* Process-wide; before threads start. */
void log_setup(enum log_level level, enum log_form form, log_sink_fn sink, void *arg);

/*
 * Does whoever reads this descriptor want colours?  NO_COLOR says no, FORCE_COLOR and
 * CLICOLOR_FORCE yes, each unless it is empty or, for these two, "0"; else a terminal
 * does that is not TERM=dumb.
 */
bool log_wants_colour(int fd);

/* The form for whoever reads this descriptor. */
enum log_form log_form_for(int fd);

/* True when text goes to a terminal: then there may be more words than in a file. */
bool log_is_pretty(void);

bool log_enabled(enum log_level level);

/* "info"; valid for ever. */
const char *log_level_name(enum log_level level);

/* What follows "ESC [" for this name: the same for all instances of a program. */
unsigned log_colour(const char *who);

/* "who" is what it is about ("fib#0", "nodey"); the message is printf-like, without LF. */
void log_line(enum log_level level, const char *who, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Everything is borrowed, and what a worker or a client wrote is made printable. */
struct log_entry {
    enum log_level level;
    const char *who;
    const char *stream;      /* where a worker wrote it; NULL: nodey's own words */
    struct slice text;       /* may have several lines; of a worker's, 8 KiB are kept */
    struct slice fields;     /* a raw JSON object on one line, or empty; of stdout and stderr:
                                the whole line, which was one */
    struct slice request;    /* "GET /fib?num=10": what it was about; empty = not known */
    struct slice request_id; /* of that; text shows the end of it, with warnings and errors */
    bool cut;                /* `text` is the head of something longer */
    bool painted;            /* `text` is one printable line, and may have colours in it */
};

void log_write(const struct log_entry *);

/* Is it what a program wrote by itself, to "stdout" or "stderr"?  Takes NULL. */
bool log_wrote_itself(const char *stream);

/*
 * Sees each entry that is shown, and all that programs wrote, before a form is given to it;
 * NULL: nobody.  Not access lines, which are `painted`.
 */
typedef void (*log_keep_fn)(void *arg, const struct log_entry *);
void log_keep(log_keep_fn, void *arg);

/* Text as it is, without time and name, for a terminal.  Nothing when there is none. */
void log_show(struct slice text);
