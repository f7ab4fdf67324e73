#include "config/secrets.h"

#include <unistd.h>

void config_secrets(const struct config *config, struct secrets *secrets)
{
    const char *const *patterns = config->server.secrets.items;
    for (char **at = environ; at && *at; at++)
        secrets_add(secrets, *at, patterns);
    for (size_t i = 0; i < config->worker_count; i++)
        for (size_t j = 0; j < config->workers[i].env.count; j++)
            secrets_add(secrets, config->workers[i].env.items[j], patterns);
}
