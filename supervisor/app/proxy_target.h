/*
 * proxy_target: where requests can be sent: an address of a route, or an instance of a service,
 * with its connections and how it has done lately.
 */
#pragma once

#include "app/balance.h"
#include "base/keymap.h"
#include "config/proxied.h"
#include "http/upstream.h"
#include "pool/pool.h"

enum { TARGET_RETRY_BURST = 100 }; /* begun requests that may be sent again at once */

struct proxy_target {
    struct keymap_node node; /* in targets->map */
    struct list all;         /* in targets->all */
    struct upstream upstream;
    struct arena arena;
    const char *name; /* for people: as configured, or the instance's */
    struct route_url url;
    uint64_t life;         /* of the worker; 0: it is an address */
    uint64_t id;           /* see share_id() */
    uint64_t turn;         /* see struct share */
    uint64_t out_until_ms; /* it has failed and is left out */
    double retry_budget;   /* of what fails here, so much may be sent elsewhere */
    unsigned active;       /* requests that it has */
    unsigned fails;        /* in a row */
    bool told;             /* that it fails */
    bool wanted;           /* an address: the configuration in use names it */
};

struct proxy_targets {
    struct loop *loop;
    struct keymap map;
    struct list all;
    uint64_t turns;
};

void targets_init(struct proxy_targets *, struct loop *);

/* From now on nothing is kept. */
void targets_close(struct proxy_targets *);

/* When the loop has ended. */
void targets_deinit(struct proxy_targets *);

/* The target of this address, made when it is new; NULL: it is no address. */
struct proxy_target *targets_address(struct proxy_targets *, const char *url);

/* The target of an instance that listens on a port. */
struct proxy_target *targets_worker(struct proxy_targets *, const struct worker *);

/*
 * The instance is to end.  Many a server waits then until its connections have ended: those
 * that are kept idle go at once, and what is under way is the last that its own carries.
 */
void targets_leave(struct proxy_targets *, const struct worker *);

/* These routes are in use from now on: addresses that none names are let go. */
void targets_configure(struct proxy_targets *, const struct config *);

/* Frees those that nothing is left of: not while a request chooses. */
void targets_sweep(struct proxy_targets *);

/* What share_choose() needs to know of it. */
struct share target_share(const struct proxy_target *, uint64_t now_ms);

/* A request is on its way to it; is done with it. */
void target_take(struct proxy_targets *, struct proxy_target *);
void target_release(struct proxy_target *);

/*
 * It could not be reached, or broke off before it had answered; has answered.  `who` is whose
 * it is, for the log.
 */
void target_failed(struct proxy_target *, const struct route_config *, const char *who,
                   const char *why);
void target_worked(struct proxy_target *, const char *who);

/* May a request that failed here be sent to another?  Takes it off the budget. */
bool target_may_retry(struct proxy_target *);
