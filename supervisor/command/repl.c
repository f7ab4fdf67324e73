/*
 * `nodey repl`: requests and asks, one line after the other.
 */
#include <stdio.h>
#include <unistd.h>

#include "client/answer.h"
#include "client/lineedit.h"
#include "client/members.h"
#include "client/options.h"
#include "client/question.h"
#include "client/show.h"
#include "client/typed.h"
#include "command/command.h"

const char command_repl_help[] =
    "Takes requests and asks, one a line, and prints the answers. With NAME they all go to\n"
    "that worker; without, the path decides. From a pipe it reads lines without a prompt and\n"
    "ends with exit code 1 when one of them failed.\n"
    "\n"
    "When a nodey is up for this folder, it is asked; otherwise the programs are started for\n"
    "as long as this lasts, and what they log goes to stderr.\n"
    "\n"
    "  GET /fib?num=10           a request; /fib?num=10 alone is a GET\n"
    "  POST /users {\"a\":1}       with a body\n"
    "  ask Fib {\"num\":10}        an ask\n"
    "  routes, help, Ctrl-D\n"
    "\n"
    "  --no-color                no colours on a terminal\n"
    "  -f, --file FILE           the configuration\n";

static const char hints[] = "GET /path?a=1         a request; /path alone is a GET\n"
                            "POST /path {\"a\":1}    with a body\n"
                            "ask Token {\"a\":1}     an ask\n"
                            "routes                what there is to ask for\n"
                            "exit, or Ctrl-D       ends\n";

struct repl {
    struct session session;
    const char *worker; /* NULL: by the path */
    bool no_color;
    bool failed; /* some line did */
    bool ended;
};

/* ----------------------------------------------------------------------- lines */

static void complain(struct repl *r, const char *text)
{
    bool colour = show_colour(stderr, r->no_color);
    fprintf(stderr, "%s%s%s\n", colour ? "\x1b[31m" : "", text, colour ? "\x1b[0m" : "");
    r->failed = true;
}

static void request(struct repl *r, struct slice line)
{
    struct arena arena = {0};
    struct typed typed;
    struct client_response answer = {0};
    struct err err;
    if (typed_read(&typed, &arena, line, /* has_body= */ true, &err)) {
        complain(r, err.text);
        arena_deinit(&arena);
        return;
    }
    struct field fields[2] = {
        {SLICE("x-nodey-worker"), slice_of(r->worker ? r->worker : "*")},
        {SLICE("content-type"), slice_of(typed_content_type(typed.body))}};
    struct client_request request = {.host = "localhost",
                                     .method = typed.method     ? typed.method
                                               : typed.body.len ? "POST"
                                                                : "GET",
                                     .target = typed.target,
                                     .fields = fields,
                                     .field_count = typed.body.len ? 2 : 1,
                                     .body = typed.body};
    if (session_fetch(&r->session, &request, &answer, &err)) {
        complain(r, err.text);
    } else {
        struct answer_style style = {.no_color = r->no_color};
        r->failed = answer_print(&answer, &style) != 0 || r->failed;
        if (!isatty(STDOUT_FILENO) && answer.body.len &&
            answer.body.ptr[answer.body.len - 1] != '\n')
            putchar('\n'); /* an answer a line, for whoever reads them */
        client_response_deinit(&answer);
    }
    arena_deinit(&arena);
}

static void ask(struct repl *r, struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.ptr[len] != ' ' && line.ptr[len] != '\t')
        len++;
    struct slice args = slice_trim(slice_from(line, len));
    char *token = xstrndup(line.ptr, len);
    if (!len || len > 128)
        complain(r, "an ask names a token: ask Fib {\"num\":10}");
    else if (args.len && question_check(args))
        r->failed = true;
    else if (question_send(&r->session, token, args, 0, r->no_color))
        r->failed = true;
    xfree(token);
}

static void print_routes(struct json_value *worker)
{
    struct json_value list, item;
    char *name = members_text(worker, "name"), *state = members_text(worker, "state");
    printf("%s (%s)\n", name, state);
    struct json_scan it =
        members_get(worker, "routes", &list) ? json_iter(&list) : (struct json_scan){0};
    while (list.raw.len && json_next_item(&it, &item)) {
        char *method = members_text(&item, "method"), *path = members_text(&item, "path");
        printf("  %-7s %s\n", strcmp(method, "*") == 0 ? "any" : method, path);
        xfree(method);
        xfree(path);
    }
    if (members_get(worker, "tokens", &list)) {
        it = json_iter(&list);
        while (json_next_item(&it, &item))
            printf("  ask     " SLICE_FMT "\n", SLICE_ARG(json_inner(&item)));
    }
    xfree(name);
    xfree(state);
}

static void routes(struct repl *r)
{
    struct client_response answer = {0};
    struct json_value workers, worker;
    struct err err;
    struct client_request request = {.target = "/v1/programs"};
    if (session_fetch(&r->session, &request, &answer, &err)) {
        complain(r, err.text);
        return;
    }
    if (members_read(buf_slice(&answer.body), &workers)) {
        struct json_scan it = json_iter(&workers);
        while (json_next_item(&it, &worker)) {
            char *name = members_text(&worker, "name");
            if (!r->worker || strcmp(name, r->worker) == 0)
                print_routes(&worker);
            xfree(name);
        }
    }
    client_response_deinit(&answer);
}

static void run_line(struct repl *r, struct slice line)
{
    line = slice_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return;
    if (slice_is(line, "exit") || slice_is(line, "quit"))
        r->ended = true;
    else if (slice_is(line, "help") || slice_is(line, "?"))
        fputs(hints, stdout);
    else if (slice_is(line, "routes"))
        routes(r);
    else if (slice_is(line, "ask") || slice_starts(line, SLICE("ask ")))
        ask(r, slice_trim(slice_from(line, 3)));
    else
        request(r, line);
    fflush(stdout);
}

/* ------------------------------------------------------------------------ loop */

static void run_lines(struct repl *r)
{
    struct lineedit edit;
    const char *line;
    char prompt[80];
    lineedit_init(&edit);
    snprintf(prompt, sizeof(prompt), "%.64s> ", r->worker ? r->worker : "nodey");
    if (edit.is_terminal)
        puts("help says what can be typed; Ctrl-D ends");
    while (!r->ended && (line = lineedit_read(&edit, prompt)))
        run_line(r, slice_of(line));
    if (edit.is_terminal)
        r->failed = false; /* somebody saw it */
    lineedit_deinit(&edit);
}

static int run(const char *file, const char *worker, bool no_color)
{
    struct repl r = {.worker = worker, .no_color = no_color};
    struct err err;
    if (session_open(&r.session, file, /* may_start= */ true, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_UNREACHABLE;
    }
    int rc = 0;
    if (session_wait(&r.session, &(struct session_goal){.worker = worker}, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        rc = EXIT_UNREACHABLE;
    } else {
        run_lines(&r);
        rc = r.failed ? EXIT_REFUSED : 0;
    }
    session_close(&r.session);
    return rc;
}

int command_repl(int argc, char **argv)
{
    const char *file = NULL;
    bool no_color = false;
    const struct option table[] = {{"-f --file --config", OPTION_VALUE, &file},
                                   {"--no-color", OPTION_FLAG, &no_color}};
    struct options options = {
        .verb = "repl", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = run(file, options.words.count ? options.words.items[0] : NULL, no_color);
    word_list_deinit(&options.words);
    return rc;
}
