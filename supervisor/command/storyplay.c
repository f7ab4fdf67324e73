/*
 * Playing a story in a run of its own: a part of storyfile.h.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app.h"
#include "client/reach_text.h"
#include "command/flowview.h"
#include "command/storyfile.h"

enum { SPARE_MS = 5000 };

/* --------------------------------------------------------------------- the run itself */

int storyfile_run(int argc, char **argv)
{
    struct err err;
    if (argc < 4)
        return EXIT_UNREACHABLE;
    const char *file = *argv[2] ? argv[2] : NULL;
    struct app_options options = {.private_socket = argv[0],
                                  .plays = true,
                                  .no_dev = true,
                                  .no_watch = true,
                                  .only = (const char *const *)argv + 3,
                                  .file = file};
    struct config *config = config_load(file, &err);
    if (!config || config->empty) {
        fprintf(stderr, "nodey: %s\n", config ? config->empty : err.text);
        config_release(config);
        return EXIT_UNREACHABLE;
    }
    char *dir = xasprintf("%s/bus", argv[1]);
    app_prepare_story(config, dir);
    setenv("NODEY_STORY", argv[1], 1);
    int rc = app_run(config, &options);
    xfree(dir);
    return rc;
}

/* ----------------------------------------------------------------------- its folder */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    IGNORE(remove(path)); /* what stays is in the folder for what is temporary */
    return 0;
}

static char *make_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = xasprintf("%s/nodey-story-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(dir))
        return dir;
    fprintf(stderr, "nodey: no folder can be made in %s: %s\n", tmp && *tmp ? tmp : "/tmp",
            strerror(errno));
    xfree(dir);
    return NULL;
}

static void remove_folder(char *dir)
{
    if (dir)
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    xfree(dir);
}

/* What the programs and their nodey have said, when it went wrong. */
static void show_log(const char *dir)
{
    char *path = xasprintf("%s/log", dir), line[1024];
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        fputs(line, stderr);
    if (file)
        fclose(file);
    xfree(path);
}

/* ---------------------------------------------------------------------------- playing */

static bool knows(const json_t *all, const char *name)
{
    size_t n;
    const json_t *program;
    json_array_foreach(all, n,
                       program) if (strcmp(flow_text(program, "name"), name) == 0) return true;
    return false;
}

/* Each that takes part is there, and has become ready. */
static int check_programs(struct session *session, const struct storyfile *s)
{
    struct client_response answer;
    const char *name;
    json_t *value;
    json_error_t error;
    size_t n;
    json_t *program;
    int rc = reach_text(session, "/v1/programs", SLICE(""), &answer);
    if (rc)
        return rc;
    json_t *all = json_loadb(answer.body.ptr, answer.body.len, 0, &error);
    json_object_foreach(s->programs, name, value) if (!knows(all, name))
    {
        fprintf(stderr, "nodey: %s: there is no program \"%s\" here\n", s->path, name);
        rc = EXIT_REFUSED;
    }
    json_array_foreach(all, n, program)
    {
        const char *trouble = json_string_value(json_object_get(program, "trouble"));
        if (!json_object_get(s->programs, flow_text(program, "name")) || !trouble)
            continue;
        fprintf(stderr, "nodey: %s: %s\n", flow_text(program, "name"), trouble);
        rc = EXIT_REFUSED;
    }
    json_decref(all);
    client_response_deinit(&answer);
    return rc;
}

/* What has happened is added to `pubs`; 0 when all of it was handled in time. */
static int take(const struct client_response *answer, json_t *pubs)
{
    json_error_t error;
    size_t n;
    json_t *line;
    json_t *o = json_loadb(answer->body.ptr, answer->body.len, 0, &error);
    json_array_foreach(json_object_get(o, "lines"), n,
                       line) if (strcmp(flow_text(line, "kind"), "pub") == 0)
        json_array_append(pubs, line);
    bool idle = json_is_true(json_object_get(o, "idle"));
    json_decref(o);
    return idle ? 0 : EXIT_REFUSED;
}

/* `pub` NULL: only what is still under way is waited for. */
static int give(struct session *session, const json_t *pub, uint64_t wait_ms, json_t *pubs,
                bool *handled)
{
    struct client_response answer;
    struct buf body = {0};
    char target[64];
    snprintf(target, sizeof(target), "/v1/story?wait=%llu", (unsigned long long)wait_ms);
    if (pub)
        flow_dump(pub, &body);
    else
        buf_adds(&body, "null");
    int rc = reach_text(session, target, buf_slice(&body), &answer);
    if (rc == 0) {
        *handled = take(&answer, pubs) == 0;
        client_response_deinit(&answer);
    }
    buf_deinit(&body);
    return rc;
}

static void nap_until(uint64_t at_ns)
{
    uint64_t now = loop_clock_ns();
    uint64_t left = at_ns > now ? at_ns - now : 0;
    struct timespec time = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    nanosleep(&time, NULL);
}

static int play_all(struct session *session, const struct storyfile *s,
                    const struct storyplay *how, json_t *pubs)
{
    size_t n;
    const json_t *pub;
    uint64_t begun = loop_clock_ns();
    long long first = -1;
    bool handled = true, paced = how->speed > 0;
    int rc = 0;
    json_array_foreach(s->pubs, n, pub)
    {
        if (storyfile_expects(s, pub))
            continue;
        long long t = json_integer_value(json_object_get(pub, "t"));
        first = first < 0 ? t : first;
        if (paced && t > first)
            nap_until(begun + (uint64_t)((double)(t - first) / how->speed * 1e6));
        rc = give(session, pub, paced ? 0 : how->timeout_ms, pubs, &handled);
        if (rc || (!paced && !handled))
            break;
    }
    if (rc == 0 && paced)
        rc = give(session, NULL, how->timeout_ms, pubs, &handled);
    if (rc == 0 && !handled) {
        fprintf(stderr,
                "nodey: %s: what message %zu led to was not handled within %llu ms; see "
                "--timeout\n",
                s->path, n + 1, (unsigned long long)how->timeout_ms);
        rc = EXIT_REFUSED;
    }
    return rc;
}

static int open_run(struct session *session, const struct storyfile *s, const char *dir,
                    const char *file)
{
    struct err err;
    const char *name;
    json_t *value;
    size_t count = 0;
    const char **names = xcalloc(json_object_size(s->programs) + 1, sizeof(*names));
    json_object_foreach(s->programs, name, value) names[count++] = name;
    int rc = session_open_story(session, dir, file, names, &err);
    if (rc == 0 && session_wait(session, &(struct session_goal){.worker = NULL}, &err)) {
        session_close(session);
        rc = -1;
    }
    if (rc)
        fprintf(stderr, "nodey: %s: %s\n", s->path, err.text);
    xfree(names);
    return rc ? EXIT_UNREACHABLE : 0;
}

int storyfile_play(const struct storyfile *s, const struct storyplay *how, json_t **pubs)
{
    struct session session;
    char *dir = make_folder();
    if (!dir)
        return EXIT_REFUSED;
    int rc = open_run(&session, s, dir, how->file);
    *pubs = json_array();
    if (rc == 0) {
        rc = check_programs(&session, s);
        if (rc == 0)
            rc = play_all(&session, s, how, *pubs);
        session_close(&session);
    }
    if (rc) {
        show_log(dir);
        json_decref(*pubs);
        *pubs = NULL;
    }
    remove_folder(dir);
    return rc;
}
