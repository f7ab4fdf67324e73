/*
 * servicecommand: what a compose service runs, as `command` and `cwd`.
 */
#pragma once

#include "import/stack.h"

/* Writes both, or says what is missing. */
void servicecommand_write(struct stack *, const struct service *);

/*
 * One word of a command or of a check: names of hosts, and, where the port here is another
 * one, its number.
 */
struct slice servicecommand_word(struct stack *, const struct service *, struct slice);

/* Says how the image was built: what a person has to do once. */
void servicecommand_write_build(struct stack *, const struct service *);
