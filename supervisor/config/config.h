/*
 * config: what nodey was told, as plain structs.
 *
 * Immutable once loaded.  Every value stands in one table (settings.c): its key,
 * type, place in these structs, default, bounds and one line of help; parsing,
 * errors and `nodey help config` derive from it.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum { CONFIG_MAX_WORKERS = 1024, CONFIG_MAX_ROUTES = 4096 };

/* AUTO: in development, lines in the log at a terminal. */
enum access_log { ACCESS_AUTO, ACCESS_OFF, ACCESS_COMBINED, ACCESS_JSON };

/* AUTO: on when the log is a terminal. */
enum automatic { AUTO_AUTO, AUTO_ON, AUTO_OFF };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* `items` ends with a NULL, also when there are none. */
struct string_list {
    const char **items;
    size_t count;
};

/* When what has ended is started again; the words and their meaning are docker-compose's. */
enum restart_when {
    RESTART_ALWAYS,
    RESTART_NO,
    RESTART_ON_FAILURE,
    RESTART_UNLESS_STOPPED, /* as always, but what was stopped stays so in nodey's next run */
};

struct restart_config {
    uint32_t when; /* enum restart_when */
    uint32_t most; /* restarts of on-failure:N in a row; 0 = no bound */
};

/* What must be true of another program before this one starts; compose's words. */
enum dependency_condition {
    DEPENDENCY_HEALTHY, /* ready: a healthcheck has passed, a worker has said so */
    DEPENDENCY_STARTED,
    DEPENDENCY_COMPLETED, /* it has ended with status 0 */
};

struct dependency {
    const char *name;
    int condition; /* enum dependency_condition */
    bool required; /* false: what fails or does not run is not waited for */
    bool restart;  /* restarted whenever that one is, by a person */
};

struct dependency_list {
    struct dependency *items;
    size_t count;
};

/* How it is found out whether a service is well.  At most one of test, path and tcp. */
struct healthcheck_config {
    struct string_list test; /* argv; none */
    const char *path;        /* GET this at its own port: 200 to 399 is healthy */
    const char *tcp;         /* "HOST:PORT" that must accept a connection */
    bool disabled;           /* test = "NONE": it is well when it runs */
    uint64_t interval;       /* ms, as all durations */
    uint64_t timeout;
    uint64_t retries;        /* failures in a row: unhealthy */
    uint64_t start_period;   /* failures do not count before it was healthy, or before this */
    uint64_t start_interval; /* until it has been healthy once */
};

/* Which of several addresses or instances of a service gets a request. */
enum balance_policy {
    POLICY_LEAST_CONN,
    POLICY_ROUND_ROBIN,
    POLICY_RANDOM,
    POLICY_IP_HASH,
    POLICY_HEADER, /* by the value of a field, `policy_key` */
    POLICY_COOKIE, /* by a cookie, which is set where it is missing */
};

enum { PORT_AUTO = 65536 };

struct server_config {
    const char *listen; /* see listener_open() */
    struct string_list trusted_proxies;
    uint64_t max_head;    /* bytes */
    uint64_t max_target;  /* bytes */
    uint64_t max_headers; /* fields */
    uint64_t max_body;    /* bytes */
    uint64_t max_connections;
    uint64_t header_timeout; /* ms, as all durations */
    uint64_t body_timeout;
    uint64_t idle_timeout;
    uint64_t send_timeout;
    uint64_t shutdown_timeout;   /* from the signal to the last child's end */
    uint64_t spin;               /* microseconds; 0 = off */
    int access_log;              /* enum access_log */
    int log_format;              /* enum log_format */
    int log_level;               /* enum log_level of base/log.h */
    const char *data_dir;        /* absolute */
    int dev;                     /* enum automatic: stacks, error pages; and watch */
    int watch;                   /* enum automatic: AUTO follows dev */
    uint64_t cache_size;         /* bytes of all cached answers together; 0 = none are kept */
    uint64_t max_message;        /* bytes of a WebSocket's message */
    uint64_t websocket_timeout;  /* a silent WebSocket is pinged, and then closed */
    struct string_list compress; /* "zstd", "br", "gzip", the favourite first; none = off */
    uint64_t compress_min;       /* bytes: shorter answers are sent as they are */
    struct string_list compress_types; /* media types, "text/" + "*" among them */
    bool log_files;                    /* what programs write is kept in data_dir/logs */
    uint64_t log_max_size;             /* bytes of one of them */
    uint64_t log_max_files;            /* of each program, the current one included */
    bool log_compress;                 /* those that are not written to any more */
    uint64_t incidents;                /* reports of crashes and the like that are kept */
    struct string_list secrets;        /* patterns of names whose values are never shown */
    bool ask_endpoint;                 /* POST /ask, as the bridges of old had it */
    bool discover;                     /* serve what lies in workers/ */
};

/* A program: a worker, which speaks the protocol, or a service, which is any command. */
struct worker_config {
    const char *name;           /* [A-Za-z0-9_][A-Za-z0-9_.-]{0,63} */
    bool is_service;            /* [services.NAME] */
    const char *script;         /* absolute; an app's module, if it is seen; or NULL */
    struct string_list command; /* argv, never empty: as configured, or what runs the script */
    const char *command_place;  /* "nodey.toml:3:11"; NULL: it is nodey that made it */
    const char *cwd;            /* absolute */
    const char *app;  /* "shop.wsgi:application": a WSGI or ASGI application; or NULL */
    uint64_t threads; /* of each Python process; 0 = as the program says */
    struct string_list file_roots; /* absolute: `file` answers may name what lies in these */
    const char *venv;              /* absolute: Python's virtual environment; NULL: as found */
    struct string_list env;        /* "NAME=value": .env, under env_file, under env */
    struct string_list env_file;   /* absolute, each read into env */
    bool env_clear;                /* inherits nothing but what nodey itself adds */
    struct string_list watch;  /* absolute files and folders, beside what the script loads */
    struct string_list tokens; /* tokens that it answers, beside those of its ready */
    bool ready_auto;           /* alive for 2 s without `ready` = level 0 */
    uint64_t instances;        /* at most so many */
    uint64_t instances_min;    /* equal to it, unless their number follows the load */
    uint64_t scale_idle;       /* ms without need of an instance until it goes */
    uint64_t start_timeout;    /* ms */
    uint64_t timeout;          /* of one request */
    uint64_t queue;            /* requests that may wait */
    uint64_t queue_timeout;
    uint64_t kill_after;        /* a stuck worker's last chance */
    uint64_t stop_grace_period; /* SIGTERM to SIGKILL */
    uint64_t max_requests;      /* 0 = no limit */
    uint64_t ttl;               /* ms; 0 = no limit */
    uint64_t prefetch;          /* upper bound on what the worker declares */
    uint64_t ping_interval;     /* 0 = no pings */
    uint64_t ping_timeout;      /* late: no new work */
    uint64_t ping_kill;         /* frozen: replaced */
    uint64_t backoff_min;
    uint64_t backoff_max;
    uint64_t backoff_reset; /* ready for this long = healthy again */
    uint64_t max_restarts;  /* crashes in a row without being ready = failed */
    uint64_t failed_retry;  /* failed: tried again after this */
    uint64_t max_line;      /* bytes of one line, both ways */
    uint64_t log_rate;      /* log lines per second and instance */
    struct restart_config restart;
    struct dependency_list depends_on;
    struct string_list profiles; /* runs only when one of them is asked for; none: always */
    int stop_signal;             /* what asks it to end: SIGTERM */
    struct string_list ignore;   /* names and patterns that a watch does not look at */
    const char *user, *group;    /* "www-data", "1000"; or NULL: nodey's own */
    bool no_new_privileges;
    uint64_t max_memory;         /* bytes: above it an instance is replaced; 0 = never */
    uint64_t memory;             /* bytes: above it an instance is killed; 0 = no limit */
    uint64_t memory_reservation; /* bytes that are kept for it under pressure; 0 = none */
    uint64_t cpus;               /* thousandths of a CPU; 0 = no limit */
    uint64_t pids;               /* processes and threads; 0 = no limit */
    uint64_t nofile;             /* open files; 0 = as nodey's */
    uint64_t core;               /* bytes of a core file */
    uint64_t quarantine;         /* workers that one request may kill; 0 = any number */

    /* Of a service. */
    uint64_t port; /* where it listens; 0: nowhere; PORT_AUTO: told by the variable PORT */
    struct healthcheck_config healthcheck;
};

struct route_config {
    const char *path;           /* see http/router.h */
    struct string_list methods; /* upper case; none = any */
    struct string_list targets; /* as written: one `to`, or `urls`; none with `root` */
    const char *to;             /* "worker", "worker:Token" or "service"; or NULL */
    struct string_list urls;    /* instead: "http://HOST:PORT", "unix:PATH"; or none */
    const char *root;           /* absolute: the folder whose files are served; or NULL */
    struct string_list index;   /* of `root`: what is served for a folder */
    struct string_list publish; /* patterns: POST path/TOPIC publishes what matches; or none */
    struct string_list events;  /* patterns: GET streams what matches as server-sent events */
    bool spa;                   /* of `root`: index of the root for what is not there */
    const char *cache_control;  /* of `root`: the field of its answers; NULL = none */
    uint64_t timeout;           /* ms; 0 = the worker's */
    uint64_t cache;             /* ms that an answer without Cache-Control is fresh; 0 = off */
    struct string_list cache_headers; /* lower case: request headers that are part of the key */
    const char *strip_prefix;         /* this is cut from the front of the path; or NULL */
    const char *rewrite;    /* the path instead, "*" is what the route's did match; or NULL */
    const char *policy;     /* as written: "least_conn", "header:X-User" */
    int balance;            /* enum balance_policy, of `policy` */
    const char *policy_key; /* of a header or cookie; or NULL */
    const char *host;       /* the Host that the upstream sees; NULL: the client's */
    uint64_t retries;       /* other addresses that are tried, see app/proxy.h */
    uint64_t try_duration;  /* ms that a request waits for an address that works */
    uint64_t connect_timeout;
    uint64_t idle_timeout;   /* between two pieces of an answer */
    uint64_t tunnel_timeout; /* after a 101, silence both ways; 0: any */
    uint64_t max_fails;      /* in a row: left out for fail_duration */
    uint64_t fail_duration;
    const char *description; /* for people */
    bool listed; /* of routes.json, which lists all paths of the workers that it names */
};

/* Events and jobs.  `durability` is of enum durability in bus/engine.h. */
struct bus_config {
    bool configured;            /* [bus] or one of the sections below is there */
    int durability;             /* enum durability, of streams that say nothing else */
    uint64_t max_bytes;         /* of each stream */
    uint64_t max_age;           /* ms; 0 = any */
    uint64_t dedupe_window;     /* ms */
    uint64_t min_free;          /* bytes of the disk: below it publishes are refused */
    uint64_t attempts;          /* what subscriptions say nothing about */
    struct string_list backoff; /* durations as written, checked */
    const char *dir; /* no setting: where the store is, of a run of its own; or NULL */
};

/* [streams.NAME]: its own limits for some topics.  The rest goes to the stream "events". */
struct stream_config {
    const char *name;
    struct string_list topics; /* patterns; two streams' must not overlap */
    int durability;
    uint64_t max_bytes, max_age, dedupe_window;
    bool discard_old; /* discard = "old"; "new": publishes are refused when it is full */
};

/* [queues.NAME]: what its subscribers do not say, and its limits. */
struct queue_config {
    const char *name;
    int durability;
    uint64_t max_bytes, dedupe_window;
    uint64_t attempts; /* 0 = as [bus] */
    struct string_list backoff;
    uint64_t timeout; /* ms; 0 = none */
};

/* [schedule.NAME]: something that is published by the clock. */
struct schedule_config {
    const char *name;
    const char *cron;     /* five fields, or "@daily" and the like; or */
    uint64_t every;       /* ms */
    const char *timezone; /* "UTC", "local", or a name of the zone database; NULL = local */
    const char *topic;    /* publish = "TOPIC"; or */
    const char *queue;    /* enqueue = "QUEUE" */
    const char *key;      /* or NULL */
    const char *data;     /* raw JSON; NULL = {} */
};

struct config {
    struct arena arena;
    unsigned holders;      /* see config_hold() */
    const char *file;      /* as it was named; NULL when there is none */
    const char *dir;       /* absolute: of the file, or the current one */
    const char *listening; /* where nodey listens instead of server.listen; NULL: there */
    struct server_config server;
    struct worker_config *workers;
    size_t worker_count;
    const char *empty; /* a sentence why workers/ holds no program at all; else NULL */
    struct route_config *routes;
    size_t route_count;
    struct bus_config bus;
    struct stream_config *streams;
    size_t stream_count;
    struct queue_config *queues;
    size_t queue_count;
    struct schedule_config *schedules;
    size_t schedule_count;
    struct string_list notes; /* for the log: what was taken and what left out, and why */
    struct string_list files; /* absolute: all that was read, or looked for: watched */
    bool discovered;          /* what lies in workers/, now or later, is served too */
};

/*
 * Loads `file` (NULL: "nodey.toml" in the current directory when there is one, or
 * else no configuration), what it includes, and the .env beside it; fills in the
 * defaults, and finds the drop-in programs in `workers/`.  NULL with a sentence, and
 * file:line:column where there is a place, on failure.
 */
struct config *config_load(const char *file, struct err *);

/* The same for a nodey that listens elsewhere than configured; `listen` outlives it. */
struct config *config_load_listening(const char *file, const char *listen, struct err *);

/* What was loaded has one holder; freed when the last lets go.  Release takes NULL. */
struct config *config_hold(struct config *);
void config_release(struct config *);

/*
 * Without its services, the routes to them, and what anybody depends on: for a run beside
 * another one, which has them.
 */
void config_leave_services_out(struct config *);

/* The worker of that name, or NULL. */
const struct worker_config *config_worker(const struct config *, const char *name);

/* A service: is there a check, its own or that of its port, that tells that it is well? */
bool worker_config_is_checked(const struct worker_config *);

/* The worker or service that `to` names; empty for a route with a root or an address. */
struct slice route_config_worker(const struct route_config *);

/* Appends every setting with type, default and help, for `nodey help config`. */
struct buf;
void config_describe(struct buf *);

/*
 * Appends all about one setting, in each section that has it: "instances",
 * "workers.instances", "[server] listen"; or about a section.  False, and a sentence with
 * names that are near, when there is none.
 */
bool config_describe_key(struct buf *, const char *key);

/* Appends every setting as tables of Markdown, for README.md. */
void config_describe_markdown(struct buf *);

/* Appends what was loaded, a line for each note, worker and route, for `nodey check`. */
void config_summary(const struct config *, struct buf *);
