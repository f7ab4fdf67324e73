/*
 * app: the composition root of `nodey up`: what exists, and the order in which it
 * starts and stops.
 *
 *   start: data folder, SDKs, keeper, loop, pools; when every pool has settled, the port
 *   stop:  the port, requests under way, pools, loop
 */
#pragma once

#include "config/config.h"

/*
 * Serves until it is told to stop (SIGTERM, SIGINT; a second one stops at once).
 * Returns the exit code: 0 after an orderly end, 1 when it could not start, 130 or
 * 143 when it was told twice.
 */
int app_run(const struct config *);
