/*
 * proxy_lost: what becomes of a proxied request whose target failed it.
 *
 * Another target, the same one on a new connection, or an answer that says why: see the
 * drawing in proxy.h.
 */
#pragma once

#include "app/proxy_flow.h"

enum { PROXIED_PAUSE_MS = 250 }; /* between two rounds of targets that all refuse */

/* `broken`: it is known by now whether the instance has ended, as far as it can be. */
void proxied_judge(struct proxied *);

/* ------------------------------------------------------------- of proxy.c */

/* Picks a target and opens a link to it, waits until one is well, or fails. */
void proxied_choose(struct proxied *);

/* Nobody is well now: waits so long, or until there is news. */
void proxied_wait(struct proxied *, uint64_t pause_ms);

/* Waits until then by the loop's clock. */
void proxied_wait_until(struct proxied *, uint64_t ms);

/* Lets go of the target.  give: the link may be kept. */
void proxied_leave(struct proxied *, bool give);

/* As proxied_fail(), with the report of what led to it; "": none. */
void proxied_refuse(struct proxied *, unsigned status, const char *why, const char *incident);
