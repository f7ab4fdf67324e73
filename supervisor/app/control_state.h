/*
 * control_state: what runs, as the control socket tells it, in JSON.
 */
#pragma once

#include "app/control.h"

/* GET /v1 and GET /v1/workers, see control.h. */
void control_write_self(const struct control_host *, struct buf *);
void control_write_workers(const struct control_host *, struct buf *);
