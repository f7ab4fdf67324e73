#include "import/servicekeys.h"

#include "import/measure.h"
#include "import/serviceitem.h"

bool item_has_variable(struct slice text)
{
    return memchr(text.ptr, '$', text.len) != NULL;
}

void item_lost(const struct item *i, const struct tree *value)
{
    draft_lost(i->draft, value, "%s: \"%.80s\" is not understood", i->key,
               value->type == TREE_TEXT ? value->text.ptr : "a list or map");
}

/* ------------------------------------------------------------------ single values */

static void write_text(const struct item *i, const char *key)
{
    if (tree_is_text(i->value))
        draft_string(i->draft, key, i->value->text);
    else
        item_lost(i, i->value);
}

void item_write_size(const struct item *i, const char *key, const struct tree *value)
{
    struct buf size = {0};
    uint64_t bytes = 0;
    if (!tree_is_text(value))
        item_lost(i, value);
    else if (item_has_variable(value->text))
        draft_string(i->draft, key, value->text);
    else if (!measure_size(&size, value->text, &bytes))
        item_lost(i, value);
    else if (bytes)
        draft_string(i->draft, key, buf_slice(&size));
    buf_deinit(&size);
}

void item_write_cpus(const struct item *i, const struct tree *value)
{
    double cpus;
    if (!tree_is_text(value))
        item_lost(i, value);
    else if (item_has_variable(value->text))
        draft_string(i->draft, "cpus", value->text);
    else if (!measure_number(value->text, &cpus))
        item_lost(i, value);
    else if (cpus > 0)
        draft_line(i->draft, "cpus = %g", cpus);
}

void item_write_number(const struct item *i, const char *key, const struct tree *value)
{
    uint64_t n;
    if (!tree_is_text(value))
        item_lost(i, value);
    else if (slice_to_u64(value->text, INT32_MAX, &n))
        draft_line(i->draft, "%s = %llu", key, (unsigned long long)n);
    else if (item_has_variable(value->text))
        draft_string(i->draft, key, value->text);
    else if (!slice_is(value->text, "-1"))
        item_lost(i, value);
}

/* As compose has it, the policy of deploy counts where there are both. */
static void do_restart(const struct item *i)
{
    if (tree_is_null(tree_path(i->service->node, "deploy.restart_policy")))
        write_text(i, "restart");
}

static void do_stop_signal(const struct item *i)
{
    write_text(i, "stop_signal");
}

static void do_grace(const struct item *i)
{
    struct buf time = {0};
    if (tree_is_text(i->value) && item_has_variable(i->value->text))
        write_text(i, "stop_grace_period");
    else if (tree_is_text(i->value) && measure_duration(&time, i->value->text))
        draft_string(i->draft, "stop_grace_period", buf_slice(&time));
    else
        item_lost(i, i->value);
    buf_deinit(&time);
}

static void do_mem_limit(const struct item *i)
{
    item_write_size(i, "memory", i->value);
}

static void do_mem_reservation(const struct item *i)
{
    item_write_size(i, "memory_reservation", i->value);
}

static void do_cpus(const struct item *i)
{
    item_write_cpus(i, i->value);
}

static void do_cpu_quota(const struct item *i)
{
    const struct tree *period = tree_get(i->service->node, "cpu_period");
    double quota, whole = 100000;
    if (!tree_is_text(i->value) || !measure_number(i->value->text, &quota) ||
        (tree_is_text(period) && !measure_number(period->text, &whole)) || whole <= 0)
        item_lost(i, i->value);
    else if (quota > 0)
        draft_line(i->draft, "cpus = %g", quota / whole);
}

static void do_pids(const struct item *i)
{
    item_write_number(i, "pids", i->value);
}

static void do_user(const struct item *i)
{
    if (!tree_is_text(i->value)) {
        item_lost(i, i->value);
        return;
    }
    const char *parts[2];
    struct arena *a = &i->draft->arena;
    size_t count = stack_split(a, i->value->text, parts, 2);
    if (strcmp(parts[0], "0") == 0 || strcmp(parts[0], "root") == 0)
        return;
    draft_to_do(i->draft, i->value,
                "%s ran as user " SLICE_FMT
                ": where nodey runs as root, make sure that user is "
                "there, and take the # away",
                i->service->name, SLICE_ARG(i->value->text));
    buf_adds(&i->draft->out, "# ");
    draft_string(i->draft, "user", slice_of(parts[0]));
    if (count > 1) {
        buf_adds(&i->draft->out, "# ");
        draft_string(i->draft, "group", slice_of(parts[1]));
    }
}

static void do_profiles(const struct item *i)
{
    struct string_list list = {0};
    for (const struct tree *at = i->value->first; at; at = at->next)
        if (at->type == TREE_TEXT)
            text_list_add(&i->draft->arena, &list, at->text.ptr);
    if (list.count)
        draft_list(i->draft, "profiles", &list);
}

static void do_ulimits(const struct item *i)
{
    for (const struct tree *at = i->value->first; at; at = at->next) {
        const struct tree *soft = at->type == TREE_MAP ? tree_get(at, "soft") : at;
        if (slice_is(at->key, "nofile") && tree_is_text(soft))
            item_write_number(i, "nofile", soft);
        else if (slice_is(at->key, "core") && tree_is_text(soft))
            item_write_size(i, "core", soft);
        else if (slice_is(at->key, "nproc") && tree_is_text(soft))
            item_write_number(i, "pids", soft);
        else
            draft_lost(i->draft, at, "ulimits: %s", at->key.ptr);
    }
}

/* ------------------------------------------------------------------- depends_on */

static const struct service *dependency(const struct item *i, const struct tree *at,
                                        struct slice name)
{
    const struct service *other = stack_find(i->stack, name);
    if (other && service_runs(other))
        return other;
    if (!other)
        draft_lost(i->draft, at, "depends_on: there is no service " SLICE_FMT, SLICE_ARG(name));
    else if (other->role == ROLE_LOST)
        draft_comment(i->draft, "It waited for %s, which is not carried over.", other->name);
    return NULL;
}

static void add_dependency(struct buf *out, const struct service *other, const struct tree *at)
{
    const struct tree *condition = tree_get(at, "condition");
    const struct tree *required = tree_get(at, "required"), *restart = tree_get(at, "restart");
    buf_adds(out, out->len ? ", " : "");
    text_add_key(out, slice_of(other->name));
    buf_adds(out, " = { condition = ");
    text_add_toml(out, tree_is_text(condition) ? condition->text : SLICE("service_started"));
    if (tree_is_text(required) && !tree_is_true(required))
        buf_adds(out, ", required = false");
    if (tree_is_true(restart))
        buf_adds(out, ", restart = true");
    buf_adds(out, " }");
}

static void do_depends_on(const struct item *i)
{
    struct string_list names = {0};
    struct buf table = {0};
    bool map = i->value->type == TREE_MAP;
    for (const struct tree *at = i->value->first; at; at = at->next) {
        const struct service *other = dependency(i, at, map ? at->key : at->text);
        if (other && map)
            add_dependency(&table, other, at);
        else if (other)
            text_list_add(&i->draft->arena, &names, other->name);
    }
    if (names.count)
        draft_list(i->draft, "depends_on", &names);
    else if (table.len)
        draft_line(i->draft, "depends_on = { %s }", buf_cstr(&table));
    buf_deinit(&table);
}

/* The sizes are for all programs together: see the head of the file. */
static void do_logging(const struct item *i)
{
    const struct tree *driver = tree_get(i->value, "driver");
    const struct tree *options = tree_get(i->value, "options");
    bool is_file = !tree_is_text(driver) || slice_is(driver->text, "json-file") ||
                   slice_is(driver->text, "local");
    if (!is_file) {
        draft_lost(i->draft, i->value, "the log driver %s: nodey keeps files (nodey logs %s)",
                   driver->text.ptr, i->service->name);
        return;
    }
    for (const struct tree *at = options ? options->first : NULL; at; at = at->next)
        if (!slice_is(at->key, "max-size") && !slice_is(at->key, "max-file") &&
            !slice_is(at->key, "compress"))
            draft_lost(i->draft, at, "logging: %s", at->key.ptr);
}

static void do_labels(const struct item *i)
{
    const struct tree *labels = composefile_map(&i->draft->arena, i->value);
    for (const struct tree *at = labels->first; at; at = at->next)
        if (!slice_starts(at->key, SLICE("traefik.")) &&
            !slice_starts(at->key, SLICE("com.centurylinklabs.watchtower.")) &&
            !slice_starts(at->key, SLICE("autoheal")))
            draft_comment(i->draft, "The label %s is for programs that ask Docker.",
                          at->key.ptr);
}

static void do_security(const struct item *i)
{
    for (const struct tree *at = i->value->first; at; at = at->next) {
        if (at->type == TREE_TEXT && slice_starts(at->text, SLICE("no-new-privileges"))) {
            if (strstr(at->text.ptr, "false"))
                draft_line(i->draft, "no_new_privileges = false");
        } else {
            draft_lost(i->draft, at, "security_opt: %s",
                       at->type == TREE_TEXT ? at->text.ptr : "?");
        }
    }
}

/* ----------------------------------------------------------------- ports, builds */

static void do_ports(const struct item *i)
{
    const struct service *v = i->service;
    for (const struct tree *at = i->value->first; at; at = at->next) {
        struct published p = stack_port(&i->draft->arena, at);
        if (p.range)
            draft_lost(i->draft, at, "a range of ports: %s listens on one, %u", v->name,
                       v->port);
        else if (p.udp)
            draft_lost(i->draft, at,
                       "port %u for UDP: nothing is forwarded; if %s listens there "
                       "by itself, all is well",
                       p.target, v->name);
        else if (!p.target)
            draft_lost(i->draft, at, "ports: not understood");
        else if (at != v->ports && p.published && p.published != p.target)
            draft_lost(i->draft, at,
                       "its further port %u is not open as %u: nothing is forwarded", p.target,
                       p.published);
        else if (at != v->ports)
            draft_comment(i->draft, "It listens on port %u, too, by itself.", p.target);
    }
}

static void do_build(const struct item *i)
{
    static const char *const known[] = {
        "context", "dockerfile", "args",    "target", "cache_from", "cache_to", "platforms",
        "tags",    "labels",     "network", "pull",   "no_cache",   "shm_size"};
    for (const struct tree *at = i->value->type == TREE_MAP ? i->value->first : NULL; at;
         at = at->next) {
        size_t n = 0;
        while (n < ARRAY_LEN(known) && !slice_is(at->key, known[n]))
            n++;
        if (n == ARRAY_LEN(known))
            draft_lost(i->draft, at, "build: %s", at->key.ptr);
    }
}

static void do_secrets(const struct item *i)
{
    draft_lost(i->draft, i->value,
               "%s: there is no /run/%s here: tell %s where its files are, "
               "or give it variables by env_file",
               i->key, i->key, i->service->name);
}

/* ------------------------------------------------------------------------ the table */

static const struct key {
    const char *name;
    void (*write)(const struct item *); /* NULL: by somebody else, or see `lost` */
    const char *lost;                   /* why it is not carried over */
    bool needless;                      /* means nothing where there are no containers */
} keys[] = {
    {"restart", do_restart, NULL, false},
    {"profiles", do_profiles, NULL, false},
    {"depends_on", do_depends_on, NULL, false},
    {"stop_signal", do_stop_signal, NULL, false},
    {"stop_grace_period", do_grace, NULL, false},
    {"user", do_user, NULL, false},
    {"mem_limit", do_mem_limit, NULL, false},
    {"mem_reservation", do_mem_reservation, NULL, false},
    {"cpus", do_cpus, NULL, false},
    {"cpu_quota", do_cpu_quota, NULL, false},
    {"pids_limit", do_pids, NULL, false},
    {"ulimits", do_ulimits, NULL, false},
    {"deploy", item_deploy, NULL, false},
    {"ports", do_ports, NULL, false},
    {"build", do_build, NULL, false},
    {"volumes", item_volumes, NULL, false},
    {"env_file", item_env_file, NULL, false},
    {"develop", item_develop, NULL, false},
    {"logging", do_logging, NULL, false},
    {"labels", do_labels, NULL, false},
    {"security_opt", do_security, NULL, false},
    {"secrets", do_secrets, NULL, false},
    {"configs", do_secrets, NULL, false},
    {"command", NULL, NULL, false},
    {"entrypoint", NULL, NULL, false},
    {"working_dir", NULL, NULL, false},
    {"environment", NULL, NULL, false},
    {"healthcheck", NULL, NULL, false},
    {"image", NULL, NULL, false},
    {"extends", NULL, NULL, false},
    {"scale", NULL, NULL, false},
    {"cpu_period", NULL, NULL, false},
    {"annotations", NULL, NULL, true},
    {"attach", NULL, NULL, true},
    {"container_name", NULL, NULL, true},
    {"domainname", NULL, NULL, true},
    {"expose", NULL, NULL, true},
    {"external_links", NULL, NULL, true},
    {"hostname", NULL, NULL, true},
    {"init", NULL, NULL, true},
    {"isolation", NULL, NULL, true},
    {"links", NULL, NULL, true},
    {"mac_address", NULL, NULL, true},
    {"network_mode", NULL, NULL, true},
    {"networks", NULL, NULL, true},
    {"platform", NULL, NULL, true},
    {"pull_policy", NULL, NULL, true},
    {"runtime", NULL, NULL, true},
    {"shm_size", NULL, NULL, true},
    {"stdin_open", NULL, NULL, true},
    {"storage_opt", NULL, NULL, true},
    {"tty", NULL, NULL, true},
    {"blkio_config", NULL, "nodey sets no limits of input and output", false},
    {"cap_add", NULL, "a program has the rights of its user, no more", false},
    {"cap_drop", NULL, "a program has the rights of its user, no fewer", false},
    {"cpu_count", NULL, "use cpus", false},
    {"cpu_shares", NULL, "use cpus, which is a limit and no share", false},
    {"cpuset", NULL, "use taskset in the command", false},
    {"devices", NULL, "a program sees the devices of the machine as its user may", false},
    {"dns", NULL, "names are looked up as the machine does", false},
    {"dns_search", NULL, "names are looked up as the machine does", false},
    {"extra_hosts", NULL, "write them into /etc/hosts", false},
    {"gpus", NULL, "a program sees the devices of the machine as its user may", false},
    {"group_add", NULL, "make its user a member of these groups", false},
    {"ipc", NULL, "nothing is kept apart", false},
    {"memswap_limit", NULL, "nodey limits memory without swap", false},
    {"mem_swappiness", NULL, "nodey limits memory without swap", false},
    {"oom_kill_disable", NULL, "what is over its limit is killed", false},
    {"oom_score_adj", NULL, "the kernel's order stays as it is", false},
    {"pid", NULL, "nothing is kept apart", false},
    {"post_start", NULL, "start what it does in the command", false},
    {"pre_stop", NULL, "let the program do it on stop_signal", false},
    {"privileged", NULL, "a program has the rights of its user, no more", false},
    {"read_only", NULL, "a program may write what its user may", false},
    {"sysctls", NULL, "set them for the machine", false},
    {"tmpfs", NULL, "the folder is a usual one here", false},
    {"userns_mode", NULL, "nothing is kept apart", false},
    {"volumes_from", NULL, "all see the same folders: name them", false},
};

static const struct key *find_key(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (slice_is(name, keys[i].name))
            return &keys[i];
    return NULL;
}

static void write_unknown(struct stack *s, const struct service *v)
{
    struct buf needless = {0};
    for (const struct tree *at = v->node->first; at; at = at->next) {
        const struct key *key = find_key(at->key);
        if (key && key->needless)
            buf_addf(&needless, "%s%s", needless.len ? ", " : "", key->name);
        else if (key && key->lost)
            draft_lost(s->draft, at, "%s: %s", key->name, key->lost);
        else if (!key && !slice_starts(at->key, SLICE("x-")))
            draft_lost(s->draft, at, "%.60s: not known to nodey import", at->key.ptr);
    }
    if (needless.len)
        draft_comment(s->draft, "Without containers not needed: %s.", buf_cstr(&needless));
    buf_deinit(&needless);
}

void servicekeys_write(struct stack *s, const struct service *v)
{
    if (!tree_get(v->node, "restart") &&
        tree_is_null(tree_path(v->node, "deploy.restart_policy")))
        draft_line(s->draft, "restart = \"no\"");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct tree *value = tree_get(v->node, keys[i].name);
        struct item item = {s, s->draft, v, keys[i].name, value};
        if (keys[i].write && !tree_is_null(value))
            keys[i].write(&item);
    }
    write_unknown(s, v);
}
