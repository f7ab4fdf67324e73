/*
 * `nodey replay`: a story once more, in a run of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/options.h"
#include "client/reach_text.h"
#include "client/show.h"
#include "command/command.h"
#include "command/storyfile.h"

const char command_replay_help[] =
    "Plays a story in a run of its own, with an empty bus, and prints what the programs "
    "publish\n"
    "instead of publishing it: a line of JSON each, as nodey record writes them. What came "
    "from\n"
    "outside is given at the times at which it came.\n"
    "\n"
    "  --only NAME           only this program runs; what the others told it is given, too\n"
    "  --speed N             so many times as fast; max: each message as soon as all that the\n"
    "                        one before led to is handled\n"
    "  --timeout TIME        for what a message leads to; 10s when left out\n"
    "  -f, --file FILE       the configuration\n"
    "\n"
    "Exit code: 0, 1 when it did not work, 2 for wrong usage, 3 when it cannot be played.\n";

enum { TIMEOUT_USUAL_MS = 10000, TIMEOUT_MAX_MS = 600000 };

static void print_outputs(const struct storyfile *s, const json_t *pubs)
{
    struct buf out = {0};
    size_t n;
    const json_t *pub;
    long long begun = json_integer_value(json_object_get(json_array_get(pubs, 0), "t"));
    json_array_foreach(pubs, n, pub) if (storyfile_expects(s, pub))
        storyfile_write_pub(pub, begun, &out);
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
}

static int replay(const char *path, const char *only, const struct storyplay *how)
{
    struct storyfile story;
    json_t *pubs;
    int rc = storyfile_load(&story, path);
    if (rc)
        return rc;
    if (only)
        rc = storyfile_only(&story, only);
    if (rc == 0)
        rc = storyfile_play(&story, how, &pubs);
    if (rc == 0) {
        print_outputs(&story, pubs);
        json_decref(pubs);
    }
    storyfile_free(&story);
    return rc;
}

static int read_speed(const char *text, double *speed)
{
    char *end;
    *speed = 1;
    if (!text)
        return 0;
    if (strcmp(text, "max") == 0) {
        *speed = 0;
        return 0;
    }
    *speed = strtod(text, &end);
    if (*end || end == text || !(*speed >= 0.001 && *speed <= 1e6))
        return usage_error("replay",
                           "--speed is max or a number from 0.001 to 1000000, not "
                           "\"%s\"",
                           text);
    return 0;
}

int command_replay(int argc, char **argv)
{
    struct storyplay how = {.timeout_ms = TIMEOUT_USUAL_MS};
    const char *only = NULL, *timeout = NULL, *speed = NULL;
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &how.file},
        {"--only", OPTION_VALUE, &only},
        {"--speed", OPTION_VALUE, &speed},
        {"--timeout", OPTION_VALUE, &timeout},
    };
    struct options options = {
        .verb = "replay", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_time("replay", "--timeout", timeout, TIMEOUT_MAX_MS, &how.timeout_ms);
    if (rc == 0)
        rc = read_speed(speed, &how.speed);
    if (rc == 0 && options.words.count == 0)
        rc = usage_error("replay", "nodey replay needs a story, as nodey record writes it");
    if (rc == 0)
        rc = replay(options.words.items[0], only, &how);
    word_list_deinit(&options.words);
    return rc;
}
