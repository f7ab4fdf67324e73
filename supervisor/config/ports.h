/*
 * ports: whether two programs, or a program and nodey itself, would listen on one port.
 */
#pragma once

#include "config/config.h"
#include "config/reader.h"

/* Where the port of c->workers[i] stands; value NULL: it has none, or one of [defaults]. */
struct port_origin {
    const struct reader *reader;
    const struct toml_node *value;
    struct toml_place section; /* of the program */
};

/*
 * A fixed port must be one program's alone, unless their profiles keep them apart, and must
 * not be the one of [server] listen.  `origins` are those of c->workers.  0, or a negative
 * code with a sentence in the err of the reader that read it.
 */
int ports_check(const struct config *, const struct port_origin *origins) MUST_CHECK;
