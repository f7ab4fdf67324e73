/*
 * `nodey call`: one request to a worker, from the command line.
 */
#include <stdio.h>

#include "client/answer.h"
#include "client/input.h"
#include "client/members.h"
#include "client/options.h"
#include "client/session.h"
#include "client/typed.h"
#include "command/command.h"

enum { FIELDS_MAX = 100 };

const char command_call_help[] =
    "Sends one request to the worker NAME, whatever its routes say of the path, and prints\n"
    "the answer's body. Without NAME the path decides, as it does for clients. REQUEST is\n"
    "'GET /path?a=1', or only one of its two parts; a body may follow: what begins with\n"
    "{ [ or \" is one.\n"
    "\n"
    "When a nodey is up for this folder, it is asked; otherwise the programs are started for\n"
    "this one request, and what they log goes to stderr.\n"
    "\n"
    "  -H, --header 'K: V'   a request header; may be repeated\n"
    "  -d, --data BODY       a body; @FILE reads it from a file, - from stdin. Makes it a "
    "POST\n"
    "  -i, --include         print the status line and the headers too\n"
    "  --timeout TIME        give up after this long (5s, 1m)\n"
    "  --format json         print {\"status\", \"headers\", \"json\" or \"body\"}\n"
    "  --no-color            no colours on a terminal\n"
    "  -f, --file FILE       the configuration\n"
    "\n"
    "Exit code: 0, 1 for a status from 400 on, 2 for wrong usage, 3 when there is nobody to\n"
    "answer or the program does not start.\n"
    "\n"
    "  nodey call fib 'GET /fib?num=10'\n"
    "  nodey call users POST /users '{\"name\":\"Ann\"}'\n"
    "  nodey call users POST /users -d @ann.json\n";

struct call_words {
    const char *file, *data, *timeout, *format;
    bool include, no_color;
    struct word_list headers;
    const char *worker; /* "*": by its path */
};

/* What the command line makes of a request; everything it points to is in the arena. */
struct prepared {
    struct arena arena;
    struct buf body;
    struct typed typed;
    struct field fields[FIELDS_MAX + 2];
    size_t field_count;
    uint64_t timeout_ms;
};

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* Framing is the client's own business. */
static bool is_framing(struct slice name)
{
    return slice_eq_nocase(name, SLICE("content-length")) ||
           slice_eq_nocase(name, SLICE("transfer-encoding")) ||
           slice_eq_nocase(name, SLICE("connection"));
}

static int add_header(struct prepared *p, const char *text)
{
    const char *colon = strchr(text, ':');
    struct slice name = {text, colon ? (size_t)(colon - text) : 0};
    bool valid = name.len > 0 && !strpbrk(text, "\r\n");
    for (size_t i = 0; i < name.len; i++)
        valid = valid && is_token_char(name.ptr[i]);
    if (!valid)
        return usage_error("call", "-H takes 'Name: value', not \"%s\"", text);
    if (is_framing(name))
        return usage_error("call", SLICE_FMT " is set by nodey itself", SLICE_ARG(name));
    if (p->field_count == FIELDS_MAX)
        return usage_error("call", "at most %d headers can be given", FIELDS_MAX);
    p->fields[p->field_count++] = (struct field){name, slice_trim(slice_of(colon + 1))};
    return 0;
}

static bool has_header(const struct prepared *p, const char *name)
{
    for (size_t i = 0; i < p->field_count; i++)
        if (slice_eq_nocase(p->fields[i].name, slice_of(name)))
            return true;
    return false;
}

/* The first word is a worker's name, unless it begins a request. */
static const char *worker_of(const struct word_list *words, size_t *used)
{
    const char *first = words->items[0];
    bool is_request = first[0] == '/' || strpbrk(first, " \t") ||
                      (typed_is_method(first) && words->count > 1 && words->items[1][0] == '/');
    *used = is_request ? 0 : 1;
    return is_request ? "*" : first;
}

static bool begins_body(const char *word)
{
    return *word && strchr("{[\"", *word);
}

/* A method and a target, in one word or in two; behind them a body, if -d has none. */
static int read_request(struct prepared *p, struct call_words *call,
                        const struct word_list *words, size_t from)
{
    struct buf text = {0};
    struct err err;
    int rc = 0;
    bool has_target = false, has_body = false;
    for (size_t i = from; rc == 0 && i < words->count; i++) {
        const char *word = words->items[i];
        if (has_body || (has_target && !begins_body(word)))
            rc = usage_error("call",
                             "\"%s\" is neither a method, a path nor a body: a body begins "
                             "with { [ or \", any other goes behind -d",
                             word);
        has_body = has_body || begins_body(word);
        has_target = has_target || word[0] == '/' || strstr(word, " /");
        if (!begins_body(word))
            buf_addf(&text, "%s%s", text.len ? " " : "", word);
        else if (call->data)
            rc = usage_error("call", "one body is enough: \"%s\" or -d", word);
        else
            call->data = word;
    }
    if (rc == 0 && text.len &&
        typed_read(&p->typed, &p->arena, buf_slice(&text), /* has_body= */ false, &err))
        rc = usage_error("call", "%s", err.text);
    buf_deinit(&text);
    return rc;
}

static int prepare(struct prepared *p, struct call_words *call, const struct word_list *words)
{
    size_t used = 0;
    call->worker = worker_of(words, &used);
    int rc = read_request(p, call, words, used);
    for (size_t i = 0; rc == 0 && i < call->headers.count; i++)
        rc = add_header(p, call->headers.items[i]);
    if (rc == 0)
        rc = input_timeout("call", call->timeout, &p->timeout_ms);
    if (rc == 0 && call->format && strcmp(call->format, "json") != 0)
        rc = usage_error("call", "--format knows json, not \"%s\"", call->format);
    if (rc == 0 && call->data)
        rc = input_read(call->data, &p->body);
    return rc;
}

static void finish_fields(struct prepared *p, const char *worker)
{
    if (p->body.len && !has_header(p, "content-type"))
        p->fields[p->field_count++] = (struct field){
            SLICE("content-type"), slice_of(typed_content_type(buf_slice(&p->body)))};
    p->fields[p->field_count++] = (struct field){SLICE("x-nodey-worker"), slice_of(worker)};
}

static const char *method_of(const struct prepared *p, bool has_data)
{
    return p->typed.method ? p->typed.method : has_data ? "POST" : "GET";
}

/* The first route of the worker that has no blanks to fill in, for who names none. */
static const char *first_path(struct session *s, const char *name, const char *method,
                              struct arena *arena)
{
    struct client_response answer = {0};
    struct json_value workers, worker;
    struct err err;
    const char *found = NULL;
    if (session_fetch(s, &(struct client_request){.target = "/v1/programs"}, &answer, &err))
        return "/";
    bool read = members_read(buf_slice(&answer.body), &workers);
    struct json_scan it = read ? json_iter(&workers) : (struct json_scan){0};
    while (read && !found && json_next_item(&it, &worker)) {
        char *this = members_text(&worker, "name");
        if (this && strcmp(this, name) == 0)
            found = members_route(&worker, method, arena);
        xfree(this);
    }
    client_response_deinit(&answer);
    return found ? found : "/";
}

static int send_call(struct session *s, struct prepared *p, const struct call_words *call)
{
    struct err err;
    struct client_response answer = {0};
    const char *method = method_of(p, call->data != NULL);
    bool by_path = strcmp(call->worker, "*") == 0;
    if (session_wait(s, &(struct session_goal){.worker = by_path ? NULL : call->worker},
                     &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_UNREACHABLE;
    }
    if (!p->typed.target)
        p->typed.target = first_path(s, call->worker, method, &p->arena);
    finish_fields(p, call->worker);
    struct client_request request = {.host = "localhost",
                                     .method = method,
                                     .target = p->typed.target,
                                     .fields = p->fields,
                                     .field_count = p->field_count,
                                     .body = buf_slice(&p->body),
                                     .timeout_ms = p->timeout_ms};
    if (session_fetch(s, &request, &answer, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_UNREACHABLE;
    }
    int rc = answer_print(&answer, &(struct answer_style){.no_color = call->no_color,
                                                          .with_head = call->include,
                                                          .as_json = call->format != NULL});
    client_response_deinit(&answer);
    return rc;
}

static int run_call(struct call_words *call, const struct word_list *words)
{
    struct session session;
    struct err err;
    struct prepared *p = xcalloc(1, sizeof(*p));
    int rc = prepare(p, call, words);
    if (rc == 0 && session_open(&session, call->file, /* may_start= */ true, &err)) {
        fprintf(stderr, "nodey: %s\n", err.text);
        rc = EXIT_UNREACHABLE;
    } else if (rc == 0) {
        rc = send_call(&session, p, call);
        session_close(&session);
    }
    buf_deinit(&p->body);
    arena_deinit(&p->arena);
    xfree(p);
    return rc;
}

int command_call(int argc, char **argv)
{
    struct call_words call = {0};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &call.file},
        {"-H --header", OPTION_LIST, &call.headers},
        {"-d --data", OPTION_VALUE, &call.data},
        {"-i --include", OPTION_FLAG, &call.include},
        {"--timeout", OPTION_VALUE, &call.timeout},
        {"--format", OPTION_VALUE, &call.format},
        {"--no-color", OPTION_FLAG, &call.no_color},
    };
    struct options options = {
        .verb = "call", .table = table, .count = ARRAY_LEN(table), .words_max = 4};
    int rc = options_read(&options, argc, argv);
    if (rc == 0 && options.words.count == 0)
        rc = usage_error("call", "nodey call needs a worker's name and a request");
    if (rc == 0)
        rc = run_call(&call, &options.words);
    word_list_deinit(&options.words);
    word_list_deinit(&call.headers);
    return rc;
}
