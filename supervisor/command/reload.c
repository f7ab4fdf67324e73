/*
 * `nodey reload`: the nodey that is up loads its configuration again.
 */
#include <inttypes.h>
#include <stdio.h>

#include "client/members.h"
#include "client/options.h"
#include "client/reach.h"
#include "client/show.h"
#include "command/act.h"
#include "command/command.h"

const char command_reload_help[] =
    "Lets the nodey that is up load its configuration and workers/ again, prints what "
    "changed,\n"
    "one thing a line, and waits until each program that changed has been replaced, or has\n"
    "not. When the file is bad nothing changes. SIGHUP does the same, and does not wait.\n"
    "With names the processes of these programs are replaced, whether anything has changed or\n"
    "not.\n"
    "Only what changed is replaced: new processes get ready, then the old ones go, and no\n"
    "request is lost. When a new one does not start the old ones go on, and the reason is\n"
    "told. Not so a service with a port of its own, or with none: two of it cannot run side "
    "by\n"
    "side, so the old one ends before it is known whether the new one starts.\n"
    "\n"
    "  -f, --file FILE       the configuration that it was started with\n"
    "  --format json         what the control socket answers, one line for each\n"
    "  --wait-timeout TIME   how long each program may take; 60s when left out\n"
    "  --no-wait             begin, and do not wait until it is done\n"
    "\n"
    "Exit code: 0, 1 when the configuration is bad or the new version does not start, 3 when "
    "no\n"
    "nodey is up.\n";

enum { WAIT_USUAL_MS = 60000, WAIT_MAX_MS = 60 * 60 * 1000 };

static void print_changes(const struct json_value *body)
{
    struct json_value changes, line;
    size_t count = 0;
    if (!members_get(body, "changes", &changes))
        return;
    struct json_scan it = json_iter(&changes);
    while (json_next_item(&it, &line)) {
        struct buf text = {0};
        json_unescape(&line, &text);
        buf_addc(&text, '\n');
        show_write(stdout, buf_slice(&text));
        buf_deinit(&text);
        count++;
    }
    if (!count)
        puts("nothing has changed");
}

static int print_reload(const struct client_response *answer, bool as_json)
{
    struct json_value body;
    bool read = members_read(buf_slice(&answer->body), &body);
    if (as_json)
        show_write(stdout, buf_slice(&answer->body));
    if (answer->status == 200 && read) {
        if (!as_json)
            print_changes(&body);
        return 0;
    }
    char *detail = read ? members_text(&body, "detail") : NULL;
    fprintf(stderr, "nodey: %s\nnothing changed: what was loaded before goes on\n",
            detail ? detail : "the configuration was not loaded again");
    xfree(detail);
    return EXIT_REFUSED;
}

static int await_one(struct session *session, const struct json_value *renewed,
                     const struct act_order *reload)
{
    char parameter[40];
    struct act_order order = *reload;
    struct json_value value;
    uint64_t life = 0;
    char *name = members_text(renewed, "name");
    int rc = 0;
    if (members_get(renewed, "life", &value))
        IGNORE(!json_to_u64(&value, UINT64_MAX, &life)); /* then any instance will do */
    snprintf(parameter, sizeof(parameter), "life=%" PRIu64, life);
    order.verb = "wait";
    order.parameter = parameter;
    if (name)
        rc = act_give(session, name, &order);
    xfree(name);
    return rc;
}

/* Each of those that changed; the first code that is not 0. */
static int await_renewed(struct session *session, const struct client_response *answer,
                         const struct act_order *order)
{
    struct json_value body, list, renewed;
    int first = 0;
    if (!order->wait_ms || !members_read(buf_slice(&answer->body), &body) ||
        !members_get(&body, "renewed", &list) || list.type != JSON_ARRAY)
        return 0;
    struct json_scan it = json_iter(&list);
    while (first != EXIT_UNREACHABLE && json_next_item(&it, &renewed)) {
        int rc = await_one(session, &renewed, order);
        first = first ? first : rc;
    }
    return first;
}

static int reload_all(struct session *session, const struct act_order *order)
{
    struct client_response answer = {0};
    struct err err;
    struct client_request request = {.method = "POST", .target = "/v1/reload"};
    if (session_fetch(session, &request, &answer, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_UNREACHABLE;
    }
    int rc = print_reload(&answer, order->as_json);
    fflush(stdout);
    if (rc == 0)
        rc = await_renewed(session, &answer, order);
    client_response_deinit(&answer);
    return rc;
}

int command_reload(int argc, char **argv)
{
    const char *file = NULL, *format = NULL, *timeout = NULL;
    bool no_wait = false;
    struct act_order order = {.verb = "reload", .wait_ms = WAIT_USUAL_MS};
    struct session session;
    const struct option table[] = {{"-f --file --config", OPTION_VALUE, &file},
                                   {"--format", OPTION_VALUE, &format},
                                   {"--wait-timeout", OPTION_VALUE, &timeout},
                                   {"--no-wait", OPTION_FLAG, &no_wait}};
    struct options options = {
        .verb = "reload", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_format("reload", format, &order.as_json);
    if (rc == 0)
        rc = reach_time("reload", "--wait-timeout", timeout, WAIT_MAX_MS, &order.wait_ms);
    if (no_wait)
        order.wait_ms = 0;
    if (rc == 0)
        rc = reach_open(&session, file);
    if (rc == 0) {
        const struct word_list *names = &options.words;
        rc = names->count ? act_give_all(&session, names->items, names->count, &order)
                          : reload_all(&session, &order);
        session_close(&session);
    }
    word_list_deinit(&options.words);
    return rc;
}
