/*
 * stack: a compose file on its way: its services with what is known about each.
 *
 * All are looked at before the first is written, because they name each other.
 */
#pragma once

#include "import/composefile.h"
#include "import/dockerfile.h"
#include "import/image.h"

enum service_role {
    ROLE_PROGRAM,  /* a command of the user's own */
    ROLE_SERVER,   /* a well-known image */
    ROLE_FILES,    /* a web server of files: a route */
    ROLE_REPLACED, /* nodey does it */
    ROLE_LOST,
};

struct service {
    const char *name; /* here */
    const struct tree *node;
    enum service_role role;
    const struct image *image;      /* NULL: none, or nobody knows it */
    const char *reference;          /* of the image, or "" */
    const struct dockerfile *file;  /* NULL: none */
    const struct docker_stage *run; /* of it; NULL: none */
    const char *context;            /* absolute: what it is built from; or NULL */
    const char *inner;              /* the working directory in its container */
    const char *cwd;                /* absolute: here; NULL: none is known */
    const char *root;               /* ROLE_FILES: absolute, and what it was in the */
    const char *root_inner;         /* container */
    const struct tree *ports;       /* the place of the first one that was published; or NULL */
    unsigned target;                /* where it listened in its container; 0: nowhere */
    unsigned published;             /* and outside; 0: it was not */
    const char *published_text;     /* as written: "${PORT:-3000}" */
    unsigned port;                  /* here; 0: none */
    const char *port_text;          /* the same as written */
    bool replicas;                  /* there are several: each gets a port of its own */
    bool is_web;                    /* a request might be for it */
    bool has_routes;                /* by labels */
};

struct stack {
    struct draft *draft;
    const struct tree *root;
    struct service *services;
    size_t count;
    const char *listen;     /* of what stood in front: "0.0.0.0:80"; NULL: nothing did */
    const char *listen_who; /* its name */
};

/* Finds out everything about every service.  -1 with a sentence in draft->err. */
int stack_survey(struct stack *) MUST_CHECK;

/* Which port each has here, after the survey. */
void stack_assign_ports(struct stack *);

const struct service *stack_find(const struct stack *, struct slice name);

/* One that becomes [services.NAME]. */
bool service_runs(const struct service *);

/*
 * Host names that were names of services become 127.0.0.1, and ports of theirs what they are
 * here.  `whole`: the text alone may be such a name, as the value of DB_HOST.  `*changed` is
 * set when something did.
 */
struct slice stack_rewrite(struct stack *, struct slice text, bool whole, bool *changed);

/* The folder here that a bind mount shows as `path` in the container; NULL: there is none. */
const char *stack_mounted(struct stack *, const struct service *, const char *path);

/* The same, also of what was copied into its image. */
const char *service_path(struct stack *, const struct service *, const char *path);

/* One port of `ports`, in the short or the long syntax. */
struct published {
    unsigned target, published; /* 0: not said */
    const char *published_text; /* NULL likewise */
    bool udp, range;
};

struct published stack_port(struct arena *, const struct tree *);

/* The parts of a text between ":" outside of ${...}; at most `max`, the last takes the rest. */
size_t stack_split(struct arena *, struct slice text, const char **parts, size_t max);

/* A number, or the default of a variable: "${PORT:-3000}"; 0: neither. */
unsigned stack_number(struct slice);
