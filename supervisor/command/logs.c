/*
 * `nodey logs`: what programs wrote, out of their files, whether nodey is up or not.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "app/rotate.h"
#include "client/logfile.h"
#include "client/logrecord.h"
#include "client/moment.h"
#include "client/options.h"
#include "client/session.h"
#include "client/show.h"
#include "command/command.h"
#include "config/config.h"
#include "config/value.h"

enum {
    LAST_DEFAULT = 200,
    LAST_MAX = 10 * 1000 * 1000,
    WIDTH_MAX = 24,
    FLUSH_BYTES = 64 << 10,
    LOOK_MS = 250,  /* between two looks when nothing happens */
    SETTLE_MS = 15, /* nodey writes one file after the other: so that all lines are there */
    EXIT_KILLED = 128,
};

const char command_logs_help[] =
    "Prints what programs wrote to stdout and stderr, and what nodey said about them, in the\n"
    "order of time: the last 200 lines of each program. It reads the files in DATA_DIR/logs, "
    "so\n"
    "that it works when nodey is down, too. Without a name: of all programs, and of nodey.\n"
    "\n"
    "  -f, --follow          go on with what comes, until Ctrl-C; also through restarts\n"
    "  -n, --tail N          the last N lines of each; \"all\": every one, which is the "
    "default\n"
    "                        with --since, --until, --grep and --request\n"
    "  -t, --timestamps      the time in front, in UTC\n"
    "  --since T, --until T  10m or 2h (so long ago), 18:40, \"2026-11-21 10:00\",\n"
    "                        2026-11-21T10:00:00Z\n"
    "  --err, --out          only what was written to stderr, to stdout\n"
    "  --level LEVEL         debug, info, warn or error, and what is worse\n"
    "  --grep REGEX          only lines in which this POSIX extended expression is found\n"
    "  --request ID          only lines that belong to this request; its end is enough\n"
    "  --json                one object a line, as it stands in the file\n"
    "  --raw                 what was written, and nothing else\n"
    "  --no-log-prefix       no names in front\n"
    "  --no-color\n"
    "  --truncate            empties the files of the programs that are named\n"
    "  --file FILE           the configuration; ./nodey.toml when nothing is said\n"
    "\n"
    "Exit code: 0, 1 when there is no such program or --grep has found no line, 2 for wrong\n"
    "usage, 130 after Ctrl-C.\n";

/* What one program's files say next. */
struct source {
    char *name;
    struct logfile *file;
    struct logrecord record;
    bool has; /* `record` is to be printed */
};

struct logs {
    char *dir;
    struct source *sources;
    size_t count;
    struct logfilter filter;
    struct logstyle style;
    regex_t grep;
    char since[MOMENT_TEXT], until[MOMENT_TEXT];
    size_t last; /* SIZE_MAX: all */
    bool all;    /* programs, those too that come */
    struct buf out;
    bool found;  /* a line was printed */
    bool broken; /* nobody reads what is printed */
    int signals; /* descriptor; -1: not following */
    int signum;  /* that has come; 0 = none */
};

struct words {
    const char *file, *last, *since, *until, *level, *grep, *request;
    bool follow, time, err, out, json, raw, no_color, no_prefix, truncate;
    struct word_list names;
};

/* ------------------------------------------------------------------------- printing */

static void flush(struct logs *l)
{
    size_t done = 0;
    while (done < l->out.len && !l->broken) {
        ssize_t n = write(STDOUT_FILENO, l->out.ptr + done, l->out.len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, LOOK_MS);
        else
            l->broken = errno != EINTR;
    }
    buf_clear(&l->out);
}

static bool is_over(struct logs *l)
{
    struct signalfd_siginfo info;
    if (l->signals >= 0 && !l->signum && read(l->signals, &info, sizeof(info)) > 0)
        l->signum = (int)info.ssi_signo;
    return l->broken || l->signum;
}

/* To its next line that is wanted. */
static void advance(struct logs *l, struct source *s)
{
    struct slice line;
    s->has = false;
    while (!s->has && logfile_next(s->file, &line)) {
        IGNORE(logrecord_read(line, &s->record)); /* somebody else's line is shown, too */
        s->has = logfilter_matches(&l->filter, &s->record);
    }
}

/* The one whose line was written first. */
static struct source *earliest(struct logs *l)
{
    struct source *first = NULL;
    for (size_t i = 0; i < l->count; i++) {
        struct source *s = &l->sources[i];
        if (!s->has)
            continue;
        if (!s->record.time)
            return s;
        if (!first || memcmp(s->record.time, first->record.time, LOGFILE_TIME) < 0)
            first = s;
    }
    return first;
}

static void print_all(struct logs *l)
{
    struct source *s;
    for (size_t i = 0; i < l->count; i++)
        advance(l, &l->sources[i]);
    while ((s = earliest(l))) {
        logrecord_show(&l->out, &s->record, &l->style);
        l->found = true;
        advance(l, s);
        if (l->out.len < FLUSH_BYTES)
            continue;
        flush(l);
        if (is_over(l))
            break;
    }
    flush(l);
}

/* ------------------------------------------------------------------------- programs */

static bool has_source(const struct logs *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->sources[i].name, name) == 0)
            return true;
    return false;
}

static struct source *add_source(struct logs *l, const char *name)
{
    l->sources = xrealloc(l->sources, (l->count + 1) * sizeof(*l->sources));
    struct source *s = &l->sources[l->count++];
    *s = (struct source){.name = xstrdup(name), .file = logfile_open(l->dir, name)};
    l->style.width = MAX(l->style.width, MIN(strlen(name) + 2, (size_t)WIDTH_MAX));
    return s;
}

static bool matches(void *arg, struct slice line)
{
    struct logs *l = arg;
    struct logrecord record;
    IGNORE(logrecord_read(line, &record));
    return logfilter_matches(&l->filter, &record);
}

/* To where printing begins. */
static void seek(struct logs *l, struct source *s)
{
    if (l->filter.since)
        logfile_since(s->file, l->filter.since);
    if (l->last != SIZE_MAX)
        logfile_last(s->file, l->last, matches, l);
}

/* Programs whose files are there; new ones are read from their begin. */
static void find_sources(struct logs *l)
{
    struct slice name;
    struct rotated which;
    DIR *folder = opendir(l->dir);
    for (struct dirent *at; folder && (at = readdir(folder));) {
        if (!rotate_parse(at->d_name, &name, &which))
            continue;
        char *text = xstrndup(name.ptr, name.len);
        if (!has_source(l, text))
            add_source(l, text);
        xfree(text);
    }
    if (folder)
        closedir(folder);
}

static int unknown_name(const struct logs *l, const struct config *config, const char *name)
{
    struct nearest nearest = nearest_init(slice_of(name));
    for (size_t i = 0; config && i < config->worker_count; i++)
        nearest_offer(&nearest, config->workers[i].name);
    for (size_t i = 0; i < l->count; i++)
        nearest_offer(&nearest, l->sources[i].name);
    fprintf(stderr, "nodey: there is no program \"%s\", and no log of one", name);
    if (nearest.best)
        fprintf(stderr, "; did you mean \"%s\"?", nearest.best);
    fputc('\n', stderr);
    return EXIT_REFUSED;
}

static int check_names(struct logs *l, const struct config *config, const struct words *w)
{
    for (size_t i = 0; i < w->names.count; i++) {
        const char *name = w->names.items[i];
        bool known = (config && config_worker(config, name)) || has_source(l, name) ||
                     strcmp(name, "nodey") == 0;
        if (!known)
            return unknown_name(l, config, name);
    }
    return 0;
}

static void free_source(struct source *s)
{
    logfile_close(s->file);
    xfree(s->name);
}

static bool is_wanted(const struct words *w, const char *name)
{
    for (size_t i = 0; i < w->names.count; i++)
        if (strcmp(w->names.items[i], name) == 0)
            return true;
    return w->names.count == 0;
}

/* Those that the words name, which may have no file as yet. */
static void choose(struct logs *l, const struct words *w)
{
    size_t kept = 0;
    l->style.width = 0;
    for (size_t i = 0; i < l->count; i++)
        if (is_wanted(w, l->sources[i].name))
            l->sources[kept++] = l->sources[i];
        else
            free_source(&l->sources[i]);
    l->count = kept;
    for (size_t i = 0; i < w->names.count; i++)
        if (!has_source(l, w->names.items[i]))
            add_source(l, w->names.items[i]);
    for (size_t i = 0; i < l->count; i++)
        l->style.width =
            MAX(l->style.width, MIN(strlen(l->sources[i].name) + 2, (size_t)WIDTH_MAX));
}

/* ------------------------------------------------------------------------- following */

/* Ctrl-C ends it between two lines. */
static void catch_signals(struct logs *l)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void nap(unsigned ms)
{
    struct timespec time = {0, (long)ms * 1000000};
    nanosleep(&time, NULL);
}

/* Until something happens in the folder, a signal comes, or the reader goes. */
static void wait_for_more(struct logs *l, int folder)
{
    char events[4096];
    struct pollfd ask[] = {{.fd = l->signals, .events = POLLIN},
                           {.fd = STDOUT_FILENO},
                           {.fd = folder, .events = POLLIN}};
    if (poll(ask, ARRAY_LEN(ask), LOOK_MS) <= 0)
        return;
    l->broken = l->broken || (ask[1].revents & (POLLERR | POLLNVAL));
    if (!ask[2].revents)
        return;
    nap(SETTLE_MS);
    while (read(folder, events, sizeof(events)) > 0)
        ;
}

static void follow(struct logs *l)
{
    enum { EVENTS = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE };

    int folder = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* -1: looking now and then will do */
    while (!is_over(l)) {
        if (folder >= 0) /* again, because the folder may be another one by now */
            IGNORE(inotify_add_watch(folder, l->dir, EVENTS) < 0);
        wait_for_more(l, folder);
        if (l->all)
            find_sources(l);
        for (size_t i = 0; i < l->count; i++)
            logfile_refresh(l->sources[i].file);
        print_all(l);
    }
    if (folder >= 0)
        close(folder);
}

/* ------------------------------------------------------------------------ truncating */

static int empty_one(const struct logs *l, const char *name)
{
    struct rotated *files;
    size_t count = rotate_list(l->dir, name, &files);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        char *path = rotate_path(l->dir, name, files[i]);
        if (files[i].number ? unlink(path) : truncate(path, 0)) {
            fprintf(stderr, "nodey: %s: %s\n", path, strerror(errno));
            rc = EXIT_REFUSED;
        }
        xfree(path);
    }
    xfree(files);
    return rc;
}

static int empty_all(const struct logs *l, const struct words *w)
{
    int rc = w->names.count ? 0 : usage_error("logs", "--truncate needs the names of programs");
    for (size_t i = 0; i < w->names.count && rc == 0; i++)
        rc = empty_one(l, w->names.items[i]);
    return rc;
}

/* --------------------------------------------------------------------------- words */

static int read_last(struct logs *l, const struct words *w)
{
    uint64_t n = LAST_DEFAULT;
    bool looks_for = w->since || w->until || w->grep || w->request;
    bool all = w->last ? strcmp(w->last, "all") == 0 : looks_for;
    if (w->last && !all && !slice_to_u64(slice_of(w->last), LAST_MAX, &n))
        return usage_error("logs", "-n takes a number of lines up to %d, or all, not \"%s\"",
                           LAST_MAX, w->last);
    l->last = all ? SIZE_MAX : (size_t)n;
    return 0;
}

static int read_level(struct logs *l, const struct words *w)
{
    if (!w->level)
        return 0;
    for (l->filter.level = LOG_DEBUG; l->filter.level <= LOG_ERROR; l->filter.level++)
        if (strcmp(w->level, log_level_name(l->filter.level)) == 0) {
            l->filter.by_level = true;
            return 0;
        }
    return usage_error("logs", "--level knows debug, info, warn and error, not \"%s\"",
                       w->level);
}

static int read_times(struct logs *l, const struct words *w)
{
    struct err err;
    if ((w->since && moment_read(w->since, l->since, &err)) ||
        (w->until && moment_read(w->until, l->until, &err)))
        return usage_error("logs", "%s", err.text);
    l->filter.since = w->since ? l->since : NULL;
    l->filter.until = w->until ? l->until : NULL;
    return 0;
}

static int read_grep(struct logs *l, const struct words *w)
{
    char why[128];
    int rc = w->grep ? regcomp(&l->grep, w->grep, REG_EXTENDED | REG_NOSUB) : 0;
    if (rc) {
        regerror(rc, &l->grep, why, sizeof(why));
        return usage_error("logs", "--grep %s: %s", w->grep, why);
    }
    l->filter.grep = w->grep ? &l->grep : NULL;
    return 0;
}

static int read_words(struct words *w, int argc, char **argv)
{
    const struct option table[] = {
        {"-f --follow", OPTION_FLAG, &w->follow},
        {"-n --tail --lines", OPTION_VALUE, &w->last},
        {"-t --timestamps", OPTION_FLAG, &w->time},
        {"--since", OPTION_VALUE, &w->since},
        {"--until", OPTION_VALUE, &w->until},
        {"--err", OPTION_FLAG, &w->err},
        {"--out", OPTION_FLAG, &w->out},
        {"--level", OPTION_VALUE, &w->level},
        {"--grep", OPTION_VALUE, &w->grep},
        {"--request", OPTION_VALUE, &w->request},
        {"--json", OPTION_FLAG, &w->json},
        {"--raw", OPTION_FLAG, &w->raw},
        {"--no-color", OPTION_FLAG, &w->no_color},
        {"--no-log-prefix", OPTION_FLAG, &w->no_prefix},
        {"--truncate", OPTION_FLAG, &w->truncate},
        {"--file --config", OPTION_VALUE, &w->file},
    };
    struct options options = {
        .verb = "logs", .table = table, .count = ARRAY_LEN(table), .words_max = SIZE_MAX};
    int rc = options_read(&options, argc, argv);
    w->names = options.words;
    return rc;
}

/* The folder is found for a configuration with a mistake, too: that is when logs are wanted. */
static struct config *find_dir(struct logs *l, const struct words *w)
{
    struct err err;
    struct config *config = config_load(w->file, &err);
    const char *slash = w->file ? strrchr(w->file, '/') : NULL;
    if (config)
        l->dir = xasprintf("%s/logs", config->server.data_dir);
    else if (slash)
        l->dir = xasprintf("%.*s/.nodey/logs", (int)(slash - w->file), w->file);
    else
        l->dir = xstrdup(".nodey/logs");
    if (!config)
        fprintf(stderr, "nodey: %s\nnodey: reading the logs in %s\n", err.text, l->dir);
    return config;
}

static int show(struct logs *l, const struct words *w)
{
    if (access(l->dir, F_OK))
        fprintf(stderr, "nodey: there are no logs yet: there is no folder %s\n", l->dir);
    for (size_t i = 0; i < l->count; i++)
        seek(l, &l->sources[i]);
    if (w->follow)
        catch_signals(l);
    print_all(l);
    if (w->follow)
        follow(l);
    if (l->signum)
        return EXIT_KILLED + l->signum;
    return l->filter.grep && !l->found ? EXIT_REFUSED : 0; /* as grep does */
}

/* A program may have many files, and there may be many programs. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        IGNORE(setrlimit(RLIMIT_NOFILE, &limit)); /* then fewer can be read */
    }
}

static int run(struct logs *l, const struct words *w)
{
    struct config *config = find_dir(l, w);
    raise_descriptor_limit();
    find_sources(l);
    int rc = check_names(l, config, w);
    config_release(config);
    if (rc == 0 && w->truncate)
        return empty_all(l, w);
    if (rc == 0) {
        choose(l, w);
        rc = show(l, w);
    }
    return rc;
}

int command_logs(int argc, char **argv)
{
    struct words w = {0};
    int rc = read_words(&w, argc, argv);
    struct logs l = {.signals = -1, .all = w.names.count == 0};
    l.filter = (struct logfilter){.err = w.err, .out = w.out, .request = w.request};
    l.style = (struct logstyle){.colour = show_colour(stdout, w.no_color),
                                .time = w.time,
                                .no_prefix = w.no_prefix,
                                .json = w.json,
                                .raw = w.raw};
    if (rc == 0 && w.json && w.raw)
        rc = usage_error("logs", "--json and --raw do not go together");
    if (rc == 0)
        rc = read_last(&l, &w);
    if (rc == 0)
        rc = read_level(&l, &w);
    if (rc == 0)
        rc = read_times(&l, &w);
    if (rc == 0)
        rc = read_grep(&l, &w);
    if (rc == 0)
        rc = run(&l, &w);
    for (size_t i = 0; i < l.count; i++)
        free_source(&l.sources[i]);
    if (l.filter.grep)
        regfree(&l.grep);
    if (l.signals >= 0)
        close(l.signals);
    xfree(l.sources);
    xfree(l.dir);
    buf_deinit(&l.out);
    word_list_deinit(&w.names);
    return rc;
}
