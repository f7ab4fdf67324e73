/*
 * errorpage: the answer to a request that failed.
 *
 * In development a browser gets a page that helps: what happened and what to do, the
 * traceback with the source around it, the request, the worker's last log lines, and
 * a command that does it again.  Everybody else gets application/problem+json (RFC 9457),
 * which names stack and worker only in development.
 *
 * Files are shown only when they are source code of the user's: the worker's script and
 * what it says that it has loaded, and scripts below the configuration's folder.  The
 * text of a traceback may come from a client (an error that quotes it), and must not
 * make nodey read out anything else.
 */
#pragma once

#include "app/failure.h"
#include "app/routes.h"
#include "app/tail.h"
#include "base/secret.h"

/* Filled in by the owner; in zeroes it is production.  All is borrowed. */
struct errorpage {
    bool dev;
    bool watching;
    const struct routes *routes;
    const struct tails *tails;
    const char *sdk_python; /* the folders of the SDKs */
    const char *sdk_node;
    const struct secrets *secrets; /* whose values are shown to nobody; NULL: none are known */
    struct buf scratch;            /* an answer's body, reused */
    struct buf masked;             /* the same without secrets */
};

/* Frees the scratch. */
void errorpage_deinit(struct errorpage *);

/* Answers; the exchange has ended.  A NULL errorpage is one in production. */
void errorpage_send(struct errorpage *, struct exchange *, const struct failure *);

/*
 * Answers that no route is there: 404; or 503 while a worker is not up whose routes are not
 * known, for this path may be one of them.  In development it says whose.  The exchange has
 * ended.
 */
void errorpage_send_missing(struct errorpage *, struct exchange *);

/*
 * What the server answers to a request that nobody will handle; its fields are there.
 * False: its own words will do.  The answer is valid until the next call.
 */
bool errorpage_refusal(struct errorpage *, const struct http_request *, const struct refusal *,
                       struct http_answer *);

/* --------------------------------------------------------- for errorpage_html.c */

/* Appends the whole page. */
void errorpage_html(const struct errorpage *, const struct http_request *,
                    const struct failure *, struct buf *out);
