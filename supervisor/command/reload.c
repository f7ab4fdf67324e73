/*
 * `nodey reload`: the nodey that is up loads its configuration again.
 */
#include <stdio.h>

#include "client/members.h"
#include "client/options.h"
#include "client/session.h"
#include "client/show.h"
#include "command/command.h"

const char command_reload_help[] =
    "Lets the nodey that is up load its configuration and workers/ again, and prints what\n"
    "changed, one thing a line. Only what changed is replaced, the new before the old goes;\n"
    "no request is lost. When the file is bad nothing changes. SIGHUP does the same.\n"
    "\n"
    "  -f, --file FILE       the configuration that it was started with\n"
    "  --format json         print {\"changes\": [...]}\n"
    "\n"
    "Exit code: 0, 1 when the configuration is bad, 3 when no nodey is up.\n";

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

static int run(const char *file, bool as_json)
{
    struct session session;
    struct client_response answer = {0};
    struct err err;
    if (session_open(&session, file, /* may_start= */ false, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_UNREACHABLE;
    }
    struct client_request request = {.method = "POST", .target = "/v1/reload"};
    int rc = session_fetch(&session, &request, &answer, &err);
    if (rc) {
        fprintf(stderr, "nodey: %s\n", err.text);
        rc = EXIT_UNREACHABLE;
    } else {
        rc = print_reload(&answer, as_json);
        client_response_deinit(&answer);
    }
    session_close(&session);
    return rc;
}

int command_reload(int argc, char **argv)
{
    const char *file = NULL, *format = NULL;
    const struct option table[] = {{"-f --file --config", OPTION_VALUE, &file},
                                   {"--format", OPTION_VALUE, &format}};
    struct options options = {.verb = "reload", .table = table, .count = ARRAY_LEN(table)};
    int rc = options_read(&options, argc, argv);
    word_list_deinit(&options.words);
    if (rc == 0 && format && strcmp(format, "json") != 0)
        rc = usage_error("reload", "--format knows json, not \"%s\"", format);
    return rc ? rc : run(file, format != NULL);
}
