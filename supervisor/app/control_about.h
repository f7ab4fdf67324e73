/*
 * control_about: what a program was started with, for `nodey describe`.  Values that are secret
 * by their names do not leave nodey.
 */
#pragma once

#include "app/control.h"

/* Appends `,"about":{...}`. */
void control_write_about(const struct control_host *, const struct pool *, struct buf *);
