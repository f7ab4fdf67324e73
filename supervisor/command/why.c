/*
 * `nodey why`: what became of a program, for somebody who was woken by it.
 *
 * Reports are read from their folder, so that it works when nodey is down, too; a nodey that is
 * up says how the program is now.
 */
#include <stdio.h>

#include "app/incidents.h"
#include "base/printable.h"
#include "client/members.h"
#include "client/options.h"
#include "client/programs.h"
#include "client/reach.h"
#include "client/show.h"
#include "command/command.h"
#include "command/whytext.h"
#include "config/config.h"
#include "config/value.h"

enum { LIST_MAX = 100000 };

const char command_why_help[] =
    "Tells why a program crashed, froze or was killed: the last report of all programs, or of\n"
    "one. A report says what happened, which requests it had, what it wrote last, where it "
    "was\n"
    "(its stack), what nodey did then, and what to do about it. When nodey is up it also says\n"
    "how the program is now.\n"
    "\n"
    "  nodey why                 the latest report\n"
    "  nodey why NAME            the latest of one program\n"
    "  nodey why [NAME] ID       this one; an answer to a client says which: \"incident\"\n"
    "  -n, --tail N              a list of the last N, a line each\n"
    "  -f, --file FILE           the configuration; ./nodey.toml when nothing is said\n"
    "  --format json             the reports as they are kept, newest first\n"
    "\n"
    "Reports are kept in DATA_DIR/incidents, as many as `incidents` in [server] says.\n"
    "\n"
    "Exit code: 0, 1 when there is no such program or report, 2 for wrong usage.\n";

/* What was asked for, and where the answers are. */
struct why {
    const char *file;
    const char *name; /* NULL: of all */
    const char *id;   /* NULL: the latest */
    uint64_t count;   /* 0: one, in full */
    bool as_json;
    struct config *config;
    char *folder;
};

/* ------------------------------------------------------------------------- now */

static void print_program(const struct program_view *p)
{
    struct buf out = {0};
    buf_addf(&out, "%s is %s: %llu of %llu instance%s ready", p->name, p->state,
             (unsigned long long)p->ready, (unsigned long long)p->wanted,
             p->wanted == 1 ? "" : "s");
    if (p->restarts)
        buf_addf(&out, ", %llu restart%s", (unsigned long long)p->restarts,
                 p->restarts == 1 ? "" : "s");
    buf_adds(&out, p->why[0] ? "\n  " : "");
    printable_add(&out, slice_of(p->why), &(struct printable){.indent = 2});
    buf_adds(&out, "\n\n");
    show_write(stdout, buf_slice(&out));
    buf_deinit(&out);
}

/* How the program is, when there is a nodey to ask. */
static void print_state(const struct why *w)
{
    struct session session;
    struct programs_view all;
    struct err err;
    if (session_open(&session, w->file, /* may_start= */ false, &err)) {
        puts("nodey is not up.\n");
        return;
    }
    if (programs_fetch(&session, /* with_usage= */ false, &all) == 0) {
        const struct program_view *p = programs_find(&all, w->name);
        if (p)
            print_program(p);
        programs_deinit(&all);
    }
    session_close(&session);
}

/* --------------------------------------------------------------------- answers */

static int tell_none(const struct why *w)
{
    if (w->as_json)
        puts("[]");
    else if (w->name)
        printf("There is no report of %s: it has not crashed, frozen or been killed.\n",
               w->name);
    else
        puts("There is no report: nothing has crashed, frozen or been killed.");
    return 0;
}

static int show_one(const struct why *w, struct slice json)
{
    struct json_value report;
    struct buf text = {0};
    if (!members_read(json, &report)) {
        fputs("nodey: the report is damaged\n", stderr);
        return EXIT_REFUSED;
    }
    if (w->as_json)
        IGNORE(!show_json(&text, json, show_colour(stdout, false))); /* it was read before */
    else
        whytext_report(&report, show_colour(stdout, false), &text);
    show_write(stdout, buf_slice(&text));
    buf_deinit(&text);
    return 0;
}

static int show_id(const struct why *w)
{
    struct buf json = {0};
    struct err err;
    int rc = EXIT_REFUSED;
    if (incident_read(w->folder, w->id, &json, &err))
        fprintf(stderr, "nodey: there is no report %s; nodey why -n 20 lists the last\n",
                w->id);
    else
        rc = show_one(w, buf_slice(&json));
    buf_deinit(&json);
    return rc;
}

/* Of an array of reports. */
static int show_some(const struct why *w, struct slice json)
{
    struct json_value all, report;
    struct buf text = {0};
    size_t count = 0;
    if (!members_read(json, &all))
        return EXIT_REFUSED;
    struct json_scan it = json_iter(&all);
    while (json_next_item(&it, &report)) {
        count++;
        if (!w->count && !w->as_json)
            return show_one(w, report.raw);
        whytext_line(&report, &text);
    }
    if (!count) {
        buf_deinit(&text);
        return tell_none(w);
    }
    if (w->as_json) {
        buf_clear(&text);
        IGNORE(!show_json(&text, json, show_colour(stdout, false))); /* it was read before */
    }
    show_write(stdout, buf_slice(&text));
    buf_deinit(&text);
    return 0;
}

static int show_latest(const struct why *w)
{
    struct incident_ids ids;
    struct err err;
    struct buf json = {0};
    if (incident_ids_read(&ids, w->folder, &err)) { /* none is another thing than no right */
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_REFUSED;
    }
    incident_ids_deinit(&ids);
    incidents_write_list(w->folder, slice_of(w->name), w->count ? w->count : 1, &json);
    int rc = show_some(w, buf_slice(&json));
    buf_deinit(&json);
    return rc;
}

/* One that was removed from the configuration may have left reports. */
static bool is_known(const struct why *w)
{
    struct buf json = {0};
    if (config_worker(w->config, w->name))
        return true;
    incidents_write_list(w->folder, slice_of(w->name), 1, &json);
    bool any = json.len > 3;
    buf_deinit(&json);
    return any;
}

static int unknown(const struct why *w)
{
    struct nearest nearest = nearest_init(slice_of(w->name));
    for (size_t i = 0; i < w->config->worker_count; i++)
        nearest_offer(&nearest, w->config->workers[i].name);
    fprintf(stderr, "nodey: no program is called \"%s\"", w->name);
    if (nearest.best)
        fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
    fputc('\n', stderr);
    return EXIT_REFUSED;
}

static int answer(struct why *w)
{
    if (w->id)
        return show_id(w);
    if (w->name && !is_known(w))
        return unknown(w);
    if (w->name && !w->as_json && !w->count)
        print_state(w);
    return show_latest(w);
}

/* ----------------------------------------------------------------------- words */

static int read_words(struct why *w, const struct word_list *words)
{
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];
        const char **to = incident_is_id(slice_of(word)) ? &w->id : &w->name;
        if (*to)
            return usage_error("why", "one name and one report at a time: what is \"%s\"?",
                               word);
        *to = word;
    }
    return 0;
}

static int run(struct why *w)
{
    struct err err;
    w->config = config_load(w->file, &err);
    if (!w->config) {
        fprintf(stderr, "nodey: %s\n", err.text);
        return EXIT_REFUSED;
    }
    w->folder = incident_folder(w->config->server.data_dir);
    int rc = answer(w);
    xfree(w->folder);
    config_release(w->config);
    return rc;
}

int command_why(int argc, char **argv)
{
    const char *format = NULL, *count = NULL;
    struct why w = {0};
    const struct option table[] = {{"-f --file --config", OPTION_VALUE, &w.file},
                                   {"-n --tail", OPTION_VALUE, &count},
                                   {"--format", OPTION_VALUE, &format}};
    struct options options = {
        .verb = "why", .table = table, .count = ARRAY_LEN(table), .words_max = 2};
    int rc = options_read(&options, argc, argv);
    if (rc == 0)
        rc = reach_format("why", format, &w.as_json);
    if (rc == 0 && count &&
        (!slice_to_u64(slice_of(count), LIST_MAX, &w.count) || w.count == 0))
        rc = usage_error("why", "-n is a number from 1 to %d, not \"%s\"", LIST_MAX, count);
    if (rc == 0)
        rc = read_words(&w, &options.words);
    if (rc == 0)
        rc = run(&w);
    word_list_deinit(&options.words);
    return rc;
}
