/*
 * oldask: POST /ask, as the bridges between Node and Python of old had it.
 *
 *     POST /ask   {"asking_about": "Token"}        200, text/plain: the value's JSON in base64
 *
 * "args" may stand beside it, which the bridges did not know.  Errors are those of any
 * request; nobody answering the token is a 404.  For clients that still speak it: there
 * when [server] ask_endpoint says so, and no worker serves POST /ask itself.
 */
#pragma once

#include "app/gateway.h"

/* False: the request is none of these, and still the caller's. */
bool oldask_handle(struct gateway *, struct exchange *);
