/*
 * webfiles: a web server of files, nginx and the like, as routes with a root.
 */
#pragma once

#include "import/stack.h"

/* Finds the folder that it serves: sets v->root and v->root_inner, or leaves them NULL. */
void webfiles_find(struct stack *, struct service *);

/* The route, and one for each folder that was put below it. */
void webfiles_write_routes(struct stack *, const struct service *, const char *path,
                           const struct string_list *methods);

/* Whether it was given a configuration of its own. */
bool webfiles_is_configured(struct stack *, const struct service *);

/* Says what of it gets lost: its configuration, with the lines of it that route. */
void webfiles_write_lost(struct stack *, const struct service *);
