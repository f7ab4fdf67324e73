/* deploy: of a compose service. */
#include "import/serviceitem.h"

static void write_policy(const struct item *i, const struct tree *policy)
{
    const struct tree *condition = tree_get(policy, "condition");
    const struct tree *most = tree_get(policy, "max_attempts");
    bool failure = tree_is_text(condition) && slice_is(condition->text, "on-failure");
    if (tree_is_text(condition) && slice_is(condition->text, "none"))
        draft_line(i->draft, "restart = \"no\"");
    else if (failure && tree_is_text(most))
        draft_line(i->draft, "restart = \"on-failure:%s\"", most->text.ptr);
    else
        draft_line(i->draft, "restart = \"%s\"", failure ? "on-failure" : "always");
    for (const struct tree *at = policy->first; at; at = at->next)
        if (slice_is(at->key, "delay") || slice_is(at->key, "window"))
            draft_comment(i->draft,
                          "restart_policy.%s: nodey waits by itself, longer each time "
                          "(backoff_min, backoff_max).",
                          at->key.ptr);
}

static void write_limits(const struct item *i, const struct tree *limits)
{
    for (const struct tree *at = limits->first; at; at = at->next)
        if (slice_is(at->key, "memory"))
            item_write_size(i, "memory", at);
        else if (slice_is(at->key, "cpus"))
            item_write_cpus(i, at);
        else if (slice_is(at->key, "pids"))
            item_write_number(i, "pids", at);
        else
            draft_lost(i->draft, at, "deploy.resources.limits: %s", at->key.ptr);
}

static void write_reservations(const struct item *i, const struct tree *kept)
{
    for (const struct tree *at = kept->first; at; at = at->next)
        if (slice_is(at->key, "memory"))
            item_write_size(i, "memory_reservation", at);
        else if (slice_is(at->key, "cpus"))
            draft_lost(i->draft, at, "a reserved share of the CPUs (%s): nodey has limits only",
                       at->type == TREE_TEXT ? at->text.ptr : "?");
        else
            draft_lost(i->draft, at, "deploy.resources.reservations: %s", at->key.ptr);
}

void item_deploy(const struct item *i)
{
    for (const struct tree *at = i->value->first; at; at = at->next) {
        const struct tree *limits = tree_get(at, "limits");
        const struct tree *kept = tree_get(at, "reservations");
        if (slice_is(at->key, "resources")) {
            if (limits)
                write_limits(i, limits);
            if (kept)
                write_reservations(i, kept);
        } else if (slice_is(at->key, "restart_policy")) {
            if (!tree_is_null(at))
                write_policy(i, at);
        } else if (slice_is(at->key, "update_config") || slice_is(at->key, "rollback_config")) {
            draft_comment(i->draft,
                          "%s: nodey reload begins the new one before the old one "
                          "goes, and keeps the old one if the new one fails.",
                          at->key.ptr);
        } else if (slice_is(at->key, "mode") || slice_is(at->key, "placement") ||
                   slice_is(at->key, "endpoint_mode")) {
            draft_comment(i->draft, "deploy.%s is for several machines.", at->key.ptr);
        } else if (!slice_is(at->key, "replicas") && !slice_is(at->key, "labels")) {
            draft_lost(i->draft, at, "deploy: %s", at->key.ptr);
        }
    }
}
