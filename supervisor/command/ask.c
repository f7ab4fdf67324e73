/*
 * `nodey ask`: one ask, from the command line.
 */
#include <stdio.h>

#include "client/answer.h"
#include "client/input.h"
#include "client/members.h"
#include "client/options.h"
#include "client/question.h"
#include "command/command.h"

const char command_ask_help[] =
    "Asks for TOKEN as a worker would, with JSON as the arguments (null when left out), and\n"
    "prints the value. JSON may be @FILE, or - for stdin.\n"
    "\n"
    "When a nodey is up for this folder, it is asked; otherwise the programs are started for\n"
    "this one question, and what they log goes to stderr.\n"
    "\n"
    "  --timeout TIME        give up after this long (5s, 1m); 30s when left out\n"
    "  --no-color            no colours on a terminal\n"
    "  -f, --file FILE       the configuration\n"
    "\n"
    "Exit code: 0, 1 when the ask failed, 2 for wrong usage, 3 when there is nobody to "
    "answer.\n"
    "\n"
    "  nodey ask Fib '{\"num\":10}'\n";

int question_check(struct slice text)
{
    struct json_scan scan;
    struct json_value value;
    json_scan_init(&scan, text);
    bool valid = json_scan_value(&scan, &value);
    if (valid && json_scan_done(&scan))
        return 0;
    return usage_error("ask", "the arguments are not JSON: %s, at character %zu",
                       valid ? "something follows the value" : scan.fault,
                       (size_t)(scan.ptr - text.ptr) + 1);
}

/* A failed ask is said as workers get to know it: its code, and a sentence. */
static int print_asked(const struct client_response *answer, bool no_color)
{
    struct json_value problem, data;
    struct slice body = buf_slice(&answer->body);
    if (answer->status == 200) {
        answer_print_value(body, no_color);
        return 0;
    }
    bool read = members_read(body, &problem);
    char *code = read ? members_text(&problem, "code") : NULL;
    char *detail = read ? members_text(&problem, "detail") : NULL;
    fprintf(stderr, "nodey: %s: %s\n", code ? code : "internal", detail ? detail : "");
    if (read && members_get(&problem, "data", &data))
        fprintf(stderr, SLICE_FMT "\n", SLICE_ARG(data.raw));
    xfree(code);
    xfree(detail);
    return EXIT_REFUSED;
}

int question_send(struct session *s, const char *token, struct slice args, uint64_t timeout_ms,
                  bool no_color)
{
    struct err err;
    struct client_response answer = {0};
    struct buf target = {0};
    char ms[24];
    snprintf(ms, sizeof(ms), "%llu", (unsigned long long)timeout_ms);
    struct field timeout = {SLICE("x-nodey-timeout"), slice_of(ms)};
    buf_adds(&target, "/v1/ask/");
    for (const char *c = token; *c; c++)
        buf_addf(&target, "%%%02X", (unsigned char)*c);
    struct client_request request = {.method = "POST",
                                     .target = buf_cstr(&target),
                                     .fields = &timeout,
                                     .field_count = 1,
                                     .body = args};
    int rc = session_wait(s, &(struct session_goal){.token = token}, &err);
    if (rc == 0)
        rc = session_fetch(s, &request, &answer, &err);
    if (rc) {
        fprintf(stderr, "nodey: %s\n", err.text);
        rc = EXIT_UNREACHABLE;
    } else {
        rc = print_asked(&answer, no_color);
        client_response_deinit(&answer);
    }
    buf_deinit(&target);
    return rc;
}

struct ask_words {
    const char *file, *timeout;
    bool no_color;
};

static int run_ask(const struct ask_words *ask, const struct word_list *words)
{
    struct session session;
    struct buf args = {0};
    struct err err;
    uint64_t timeout_ms = 0;
    int rc = input_timeout("ask", ask->timeout, &timeout_ms);
    if (rc == 0 && strlen(words->items[0]) > 128)
        rc = usage_error("ask", "a token has 1 to 128 bytes");
    if (rc == 0 && words->count > 1)
        rc = input_read(words->items[1], &args);
    if (rc == 0 && args.len)
        rc = question_check(buf_slice(&args));
    if (rc == 0 && session_open(&session, ask->file, /* may_start= */ true, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        rc = EXIT_UNREACHABLE;
    } else if (rc == 0) {
        rc = question_send(&session, words->items[0], buf_slice(&args), timeout_ms,
                           ask->no_color);
        session_close(&session);
    }
    buf_deinit(&args);
    return rc;
}

int command_ask(int argc, char **argv)
{
    struct ask_words ask = {0};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &ask.file},
        {"--timeout", OPTION_VALUE, &ask.timeout},
        {"--no-color", OPTION_FLAG, &ask.no_color},
    };
    struct options options = {
        .verb = "ask", .table = table, .count = ARRAY_LEN(table), .words_max = 2};
    int rc = options_read(&options, argc, argv);
    if (rc == 0 && (options.words.count == 0 || !*options.words.items[0]))
        rc = usage_error("ask", "nodey ask needs a token");
    if (rc == 0)
        rc = run_ask(&ask, &options.words);
    word_list_deinit(&options.words);
    return rc;
}
