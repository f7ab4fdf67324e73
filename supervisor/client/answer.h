/*
 * command_answer: a worker's answer, as `nodey call`, `ask` and `repl` print it.
 */
#pragma once

#include "http/client.h"

struct answer_style {
    bool no_color;
    bool with_head; /* the status line and the fields go before the body */
    bool as_json;   /* one JSON object with status, headers and body */
};

/*
 * Prints an answer: the body as it is, or on a terminal JSON indented and nothing that
 * would spoil it.  A status that is not 2xx is named on stderr.  Returns the exit code:
 * 0, or EXIT_REFUSED from 400 on.
 */
int answer_print(const struct client_response *, const struct answer_style *);

/* Prints a JSON value: indented on a terminal, as it is elsewhere; with an LF. */
void answer_print_value(struct slice json, bool no_color);
