/*
 * secrets: the values in a configuration that must not be shown.
 */
#pragma once

#include "base/secret.h"
#include "config/config.h"

/*
 * Adds every secret value that the programs' environments hold, and nodey's own, to a set that
 * texts are searched for: those of variables with a secret name, by [server] secrets too.
 */
void config_secrets(const struct config *, struct secrets *);
