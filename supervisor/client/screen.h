/*
 * screen: a terminal that is painted again and again, and given back as it was.
 *
 * Signals that would end the command are taken as a wish to leave, so that the terminal is
 * restored on every way out but SIGKILL.
 */
#pragma once

#include <termios.h>

#include "base/buf.h"

enum {
    SCREEN_NOTHING = 0, /* the time is over */
    SCREEN_LEAVE = -1,  /* a signal, or nobody is at the terminal any more */
    SCREEN_RESIZED = -2,
};

struct screen {
    bool full;   /* all of it, and no line that is longer stays behind */
    bool keys;   /* single keys are read */
    int signals; /* a descriptor of those that are held back; -1: none are */
    struct termios before;
    size_t painted; /* lines, when it is not full */
};

/*
 * full: the whole screen, and single keys; else the lines below the prompt, repainted in their
 * place.  0, or -1 with errno when the terminal cannot be set up; then it is as it was.
 */
int screen_open(struct screen *, bool full) MUST_CHECK;

/* Gives the terminal back.  Safe to call twice. */
void screen_close(struct screen *);

size_t screen_rows(const struct screen *);
size_t screen_columns(const struct screen *);

/* Shows these lines instead of those before; what does not fit below the last row is not shown.
 */
void screen_paint(struct screen *, struct slice lines);

/* A key, or one of the above, within timeout_ms. */
int screen_wait(struct screen *, int timeout_ms);
