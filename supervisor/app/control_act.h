/*
 * control_act: what a person does to programs by the control socket.
 *
 * Each order says how it is to be, and not what is to be changed: given twice, by one person
 * or by two, it does no more than once.
 */
#pragma once

#include "app/control.h"

/* POST /v1/programs/NAME/VERB.  Ends the exchange, sooner or later: see control_wait(). */
void control_act(struct control *, struct exchange *, struct pool *, struct slice verb);

/* POST /v1/down; its end is control->down's. */
void control_down(struct control *, struct exchange *);
void control_on_down(struct task *);

/* The pool of that name; or NULL, and the exchange has been answered. */
struct pool *control_find(struct control *, struct exchange *, struct slice name);
