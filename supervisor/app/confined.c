#include "app/confined.h"

#include <stdio.h>

#include "base/log.h"
#include "pool/limits.h"

static bool has_limits(const struct config *config)
{
    for (size_t i = 0; i < config->worker_count; i++) {
        const struct worker_config *w = &config->workers[i];
        if (w->memory || w->memory_reservation || w->cpus || w->pids)
            return true;
    }
    return false;
}

void confined_open(struct confined *c, const struct config *config, bool is_private)
{
    *c = (struct confined){.silent = is_private};
    if (has_limits(config) && !is_private)
        cgroups_open(&c->cgroups);
    else
        snprintf(c->cgroups.why_not, sizeof(c->cgroups.why_not),
                 "there were no limits when nodey was started: only then it prepares cgroups");
}

void confined_tell(struct confined *c, const struct pools *pools)
{
    struct buf text = {0};
    if (c->silent)
        return;
    bool strict = limits_describe(pools, &text);
    if (text.len && !(c->told && strcmp(c->told, buf_cstr(&text)) == 0)) {
        log_line(strict ? LOG_INFO : LOG_WARN, "nodey", "%s", buf_cstr(&text));
        xfree(c->told);
        c->told = xstrdup(buf_cstr(&text));
    }
    buf_deinit(&text);
}

void confined_close(struct confined *c)
{
    cgroups_close(&c->cgroups);
    xfree(c->told);
    c->told = NULL;
}
