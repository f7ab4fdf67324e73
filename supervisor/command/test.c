/*
 * `nodey test`: does a story still end as it did?
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/options.h"
#include "client/reach_text.h"
#include "client/show.h"
#include "command/command.h"
#include "command/flowview.h"
#include "command/storyfile.h"

const char command_test_help[] =
    "Plays each story in a run of its own, with an empty bus and only the programs that the\n"
    "story names, and compares what they publish with what they published then. Another nodey\n"
    "may be up or not: it notices nothing.\n"
    "\n"
    "  nodey record -o stories/comment.ndjson --for 10s\n"
    "  nodey test stories/*.ndjson\n"
    "\n"
    "What came from outside is given, one message after the other; what programs published "
    "for\n"
    "another message is expected. Messages of one key must come in their order, others in "
    "any.\n"
    "Ids, times and traces are others each time; \"*\" in a story stands for any value. What\n"
    "handlers of `each` publish counts when it comes within a tenth of a second.\n"
    "\n"
    "  --only NAME           only this program runs; what the others told it is given, too\n"
    "  --update              writes what came into the story: then that is expected\n"
    "  --timeout TIME        for what one message leads to; 10s when left out\n"
    "  -f, --file FILE       the configuration\n"
    "\n"
    "The programs see NODEY_STORY, a folder that is removed afterwards: for what they store.\n"
    "\n"
    "Exit code: 0, 1 when a story ended otherwise, 2 for wrong usage, 3 when it cannot be "
    "played.\n";

enum { TIMEOUT_USUAL_MS = 10000, TIMEOUT_MAX_MS = 600000 };

struct test_words {
    const char *only, *timeout;
    struct storyplay play;
    bool update;
};

static int save(const struct storyfile *s, const json_t *pubs)
{
    struct buf text = {0};
    const char *name, *before = "";
    json_t *value;
    size_t n;
    const json_t *pub;
    long long begun = json_integer_value(json_object_get(json_array_get(pubs, 0), "t"));
    buf_adds(&text, "{\"kind\":\"story\",\"version\":1,\"programs\":[");
    json_object_foreach(s->programs, name, value)
    {
        buf_adds(&text, before);
        json_t *string = json_string(name);
        flow_dump(string, &text);
        json_decref(string);
        before = ",";
    }
    buf_adds(&text, "]}\n");
    json_array_foreach(pubs, n, pub) storyfile_write_pub(pub, begun, &text);
    char *next = xasprintf("%s.new", s->path);
    FILE *file = fopen(next, "we");
    bool good = file && fwrite(text.ptr, 1, text.len, file) == text.len;
    good = (!file || fclose(file) == 0) && good && rename(next, s->path) == 0;
    if (good)
        printf("%s: written anew, %zu messages\n", s->path, json_array_size(pubs));
    else
        fprintf(stderr, "nodey: %s cannot be written: %s\n", s->path, strerror(errno));
    xfree(next);
    buf_deinit(&text);
    return good ? 0 : EXIT_REFUSED;
}

static int judge(const struct storyfile *s, const json_t *pubs, uint64_t took_ms)
{
    struct buf differences = {0};
    size_t n, expected = 0;
    const json_t *pub;
    size_t count = storyfile_compare(s, pubs, &differences);
    json_array_foreach(s->pubs, n, pub) expected += storyfile_expects(s, pub);
    if (count)
        printf("%s: %zu difference%s\n", s->path, count, count == 1 ? "" : "s");
    else
        printf("%s: as it was, %zu given, %zu expected, %.2f s\n", s->path,
               json_array_size(s->pubs) - expected, expected, (double)took_ms / 1000);
    show_write(stdout, buf_slice(&differences));
    buf_deinit(&differences);
    return count ? EXIT_REFUSED : 0;
}

static int test(const struct test_words *w, const char *path)
{
    struct storyfile story;
    json_t *pubs;
    uint64_t begun = loop_clock_ns();
    int rc = storyfile_load(&story, path);
    if (rc)
        return rc;
    if (w->only)
        rc = storyfile_only(&story, w->only);
    if (rc == 0)
        rc = storyfile_play(&story, &w->play, &pubs);
    if (rc == 0) {
        rc = w->update ? save(&story, pubs)
                       : judge(&story, pubs, (loop_clock_ns() - begun) / 1000000);
        json_decref(pubs);
    }
    storyfile_free(&story);
    fflush(stdout);
    return rc;
}

int command_test(int argc, char **argv)
{
    struct test_words w = {.play = {.timeout_ms = TIMEOUT_USUAL_MS}};
    const struct option table[] = {
        {"-f --file --config", OPTION_VALUE, &w.play.file},
        {"--only", OPTION_VALUE, &w.only},
        {"--update", OPTION_FLAG, &w.update},
        {"--timeout", OPTION_VALUE, &w.timeout},
    };
    struct options options = {
        .verb = "test", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_time("test", "--timeout", w.timeout, TIMEOUT_MAX_MS, &w.play.timeout_ms);
    if (rc == 0 && options.words.count == 0)
        rc = usage_error("test", "nodey test needs a story, as nodey record writes it");
    if (rc == 0 && w.only && w.update)
        rc = usage_error("test", "--update writes a whole story: not with --only");
    for (size_t i = 0; rc != 2 && i < options.words.count; i++) {
        int one = test(&w, options.words.items[i]);
        rc = MAX(rc, one);
    }
    word_list_deinit(&options.words);
    return rc;
}
