/*
 * traefik: the labels by which traefik routes, as [[routes]].
 */
#pragma once

#include "import/stack.h"

/* Whether it has labels that make a route. */
bool traefik_routes_to(struct arena *, const struct service *);

/* Writes the routes of all services, and says what of the labels gets lost. */
void traefik_write(struct stack *);

/* Writes one route to a service, or to the files of one; `strip` and `methods` may be NULL. */
void traefik_write_route(struct stack *, const struct service *, const char *path,
                         const char *strip, const struct string_list *methods);
