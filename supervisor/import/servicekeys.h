/*
 * servicekeys: the keys of a compose service as lines of [services.NAME].
 */
#pragma once

#include "import/stack.h"

/* All but command, port and environment.  Every key that is not known is said to be lost. */
void servicekeys_write(struct stack *, const struct service *);

/* healthcheck = {...}, from the service or from its Dockerfile; nothing where there is none. */
void servicekeys_write_health(struct stack *, const struct service *);
