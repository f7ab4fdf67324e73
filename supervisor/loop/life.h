/*
 * life: when may an object made of several libuv handles be freed?
 *
 * uv_close() is asynchronous, and a handle's memory belongs to libuv until its
 * close callback has run.  An object that embeds handles therefore embeds one
 * `struct life` as well: one hold for the object itself, one for each initialised
 * handle, one for each request in flight.  When the last hold drops, `gone` runs,
 * and only `gone` may free the object.
 */
#pragma once

#include <uv.h>

#include "base/base.h"

struct life {
    unsigned holds;
    void (*gone)(struct life *);
};

/* One hold, the object's own: drop it when nothing outside needs the object. */
void life_init(struct life *, void (*gone)(struct life *));

void life_hold(struct life *);
void life_drop(struct life *);

/* Takes a hold for a handle that has just been initialised; owns handle->data. */
void life_adopt(struct life *, uv_handle_t *);

/* Closes an adopted handle; its hold drops when libuv has let go.  Safe to call twice. */
void life_close(uv_handle_t *);
