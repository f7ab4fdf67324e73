/*
 * `nodey record`: what happens to messages, kept as a story.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "client/options.h"
#include "client/reach_text.h"
#include "command/command.h"
#include "command/flowview.h"
#include "command/storyfile.h"

const char command_record_help[] =
    "Writes what happens from now on, until Ctrl-C: each message with where it came from, who\n"
    "was given it, and how that went, a line of JSON each; for nodey replay and nodey test.\n"
    "\n"
    "  -o, --output FILE     where to; its folder is made when it is not there\n"
    "  --for TIME            and for how long\n"
    "  --corr ID             only the story with this correlation\n"
    "  -f, --file FILE       the configuration that nodey was started with\n"
    "\n"
    "Exit code: 0, 1 when it did not work, 2 for wrong usage, 3 when no nodey is up.\n";

enum { LOOK_MS = 100 };

struct recording {
    const char *file, *output, *corr, *time;
    FILE *to;
    json_t *seqs; /* of the story that is wanted */
    long long begun_ms;
    size_t count;
};

static bool is_wanted(struct recording *r, const json_t *line)
{
    char seq[32];
    const json_t *end = json_object_get(line, "end");
    const json_t *of = end ? end : line;
    snprintf(seq, sizeof(seq), "%lld", json_integer_value(json_object_get(of, "seq")));
    if (!r->corr)
        return true;
    bool pub = strcmp(flow_text(line, "kind"), "pub") == 0;
    if (pub && (strcmp(flow_text(line, "correlation"), r->corr) == 0 ||
                strcmp(flow_text(line, "id"), r->corr) == 0))
        json_object_set_new(r->seqs, seq, json_true());
    return json_object_get(r->seqs, seq) != NULL;
}

static void write_line(struct recording *r, json_t *line)
{
    struct buf out = {0};
    long long t = json_integer_value(json_object_get(line, "t"));
    if (!is_wanted(r, line))
        return;
    if (strcmp(flow_text(line, "kind"), "pub") == 0) {
        storyfile_write_pub(line, r->begun_ms, &out);
    } else {
        json_object_set_new(line, "t", json_integer(t - r->begun_ms));
        flow_dump(line, &out);
        buf_addc(&out, '\n');
    }
    fwrite(out.ptr, 1, out.len, r->to);
    buf_deinit(&out);
    r->count++;
}

/* Takes what has happened, from line *next on. */
static int look(struct recording *r, struct session *session, uint64_t *next)
{
    struct client_response answer;
    json_error_t error;
    char target[64];
    size_t n;
    json_t *line;
    snprintf(target, sizeof(target), "/v1/record?after=%llu", (unsigned long long)*next);
    int rc = reach_text(session, target, SLICE(""), &answer);
    if (rc)
        return rc;
    json_t *o = json_loadb(answer.body.ptr, answer.body.len, 0, &error);
    json_array_foreach(json_object_get(o, "lines"), n, line) write_line(r, line);
    *next = (uint64_t)json_integer_value(json_object_get(o, "next"));
    if (json_integer_value(json_object_get(o, "lost")) || !o) {
        fputs("nodey: more happened than was written in time: the story has holes\n", stderr);
        rc = EXIT_REFUSED;
    }
    json_decref(o);
    client_response_deinit(&answer);
    return rc;
}

static int record(struct recording *r, struct session *session, uint64_t limit_ms)
{
    uint64_t next = 0, until = loop_clock_ns() / 1000000 + limit_ms;
    sigset_t ends;
    struct timespec nap = {0, LOOK_MS * 1000000L};
    bool ended = false;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int rc = look(r, session, &next);
    while (rc == 0 && !ended) {
        ended = sigtimedwait(&ends, NULL, &nap) > 0 ||
                (limit_ms && loop_clock_ns() / 1000000 >= until);
        rc = look(r, session, &next);
    }
    return rc;
}

/* The first story may be recorded into a folder that is not there yet. */
static FILE *open_output(const char *path)
{
    FILE *file = fopen(path, "we");
    const char *slash = strrchr(path, '/');
    if (file || errno != ENOENT || !slash)
        return file;
    char *folder = xstrndup(path, (size_t)(slash - path));
    bool made = mkdir(folder, 0777) == 0;
    xfree(folder);
    if (!made)
        errno = ENOENT;
    return made ? fopen(path, "we") : NULL;
}

static int run(struct recording *r, uint64_t limit_ms)
{
    struct session session;
    struct timespec now;
    int rc = reach_open(&session, r->file);
    if (rc)
        return rc;
    clock_gettime(CLOCK_REALTIME, &now);
    r->begun_ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    r->to = open_output(r->output);
    if (!r->to) {
        fprintf(stderr, "nodey: %s: %s\n", r->output, strerror(errno));
        session_close(&session);
        return EXIT_REFUSED;
    }
    r->seqs = json_object();
    fprintf(stderr, "recording into %s%s\n", r->output, limit_ms ? "" : ", until Ctrl-C");
    rc = record(r, &session, limit_ms);
    if (fclose(r->to) && rc == 0) {
        fprintf(stderr, "nodey: %s: %s\n", r->output, strerror(errno));
        rc = EXIT_REFUSED;
    }
    if (r->count)
        fprintf(stderr, "%zu lines; nodey test %s plays it again\n", r->count, r->output);
    else
        fputs("nothing has happened\n", stderr);
    json_decref(r->seqs);
    session_close(&session);
    return rc;
}

int command_record(int argc, char **argv)
{
    enum { LIMIT_MAX_MS = 24 * 60 * 60 * 1000 };
    struct recording r = {0};
    uint64_t limit_ms = 0;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &r.file},
        {"-o --output", OPTION_VALUE, &r.output},
        {"--for", OPTION_VALUE, &r.time},
        {"--corr", OPTION_VALUE, &r.corr},
    };
    struct options options = {.verb = "record", .table = table, .count = ARRAY_LEN(table)};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_time("record", "--for", r.time, LIMIT_MAX_MS, &limit_ms);
    if (rc == 0 && !r.output)
        rc = usage_error("record", "nodey record needs a file: -o story.ndjson");
    if (rc == 0)
        rc = run(&r, limit_ms);
    word_list_deinit(&options.words);
    return rc;
}
