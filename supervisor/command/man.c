/*
 * `nodey man`: the manual pages nodey(1) and nodey.toml(5), made of the tables of verbs and of
 * settings.
 */
#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "client/options.h"
#include "client/session.h"
#include "client/show.h"
#include "command/command.h"
#include "command/takes.h"
#include "config/config.h"
#include "config/settings.h"

const char command_man_help[] =
    "On a terminal shows the manual by man; else prints the page, in man's own language:\n"
    "nodey(1), all commands, or nodey.toml(5), all settings.\n"
    "\n"
    "  nodey man\n"
    "  nodey man nodey.toml > /usr/local/share/man/man5/nodey.toml.5\n";

/* ---------------------------------------------------------------------------- roff */

static void add_text(struct buf *out, struct slice text)
{
    if (text.len && (text.ptr[0] == '.' || text.ptr[0] == '\''))
        buf_adds(out, "\\&");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\\')
            buf_adds(out, "\\e");
        else if (c == '-')
            buf_adds(out, "\\-");
        else if (c == '\'')
            buf_adds(out, "\\(aq");
        else if (c == '`')
            buf_adds(out, "\\(ga");
        else if (c == '^')
            buf_adds(out, "\\(ha");
        else if (c == '~')
            buf_adds(out, "\\(ti");
        else
            buf_addc(out, c);
    }
}

/* The argument of a macro. */
static void add_macro(struct buf *out, const char *macro, const char *text)
{
    buf_addf(out, "%s \"", macro);
    for (; *text; text++) {
        if (*text == '"')
            buf_adds(out, "\\(dq");
        else
            add_text(out, (struct slice){text, 1});
    }
    buf_adds(out, "\"\n");
}

/* Lines that are indented stay as they are; others are sentences, and are filled. */
static void add_help(struct buf *out, const char *help)
{
    bool fixed = false, gap = false;
    for (const char *end; *help; help = *end ? end + 1 : end) {
        end = help + strcspn(help, "\n");
        struct slice line = {help, (size_t)(end - help)};
        bool indented = line.len && line.ptr[0] == ' ';
        if (line.len == 0) {
            buf_adds(out, fixed ? "" : ".PP\n");
            gap = fixed;
            continue;
        }
        if (indented != fixed)
            buf_adds(out, fixed ? ".fi\n.RE\n.PP\n" : ".RS 0\n.nf\n");
        else if (gap)
            buf_adds(out, ".sp\n");
        gap = false;
        fixed = indented;
        add_text(out, line);
        buf_addc(out, '\n');
    }
    buf_adds(out, fixed ? ".fi\n.RE\n" : "");
}

/* Two empty paragraphs in a row, or one before a heading, are a warning. */
static void drop_empty(struct buf *page)
{
    struct buf kept = {0};
    struct slice rest = buf_slice(page);
    static const struct slice empty = {".PP\n", 4};
    while (rest.len) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) + 1 : rest.len;
        struct slice line = {rest.ptr, len};
        rest = slice_from(rest, len);
        bool useless =
            slice_eq(line, empty) &&
            (!rest.len || slice_eq((struct slice){rest.ptr, MIN(rest.len, 4)}, empty) ||
             slice_starts(rest, SLICE(".S")) || slice_starts(rest, SLICE(".RS")));
        if (!useless)
            buf_add(&kept, line);
    }
    buf_deinit(page);
    *page = kept;
}

static void add_head(struct buf *out, const char *name, int section, const char *what)
{
    buf_addf(out, ".TH %s %d \"\" \"nodey %s\" \"nodey\"\n.SH NAME\n", name, section,
             NODEY_VERSION);
    buf_addf(out, "%s \\- %s\n", name, what);
}

/* ------------------------------------------------------------------------- nodey(1) */

static void add_other_names(struct buf *out, const struct verb *shown)
{
    const struct verb *verb;
    const char *before = "Also ";
    for (size_t i = 0; (verb = cli_verb(i)); i++) {
        if (verb->usage || verb->run != shown->run || verb->name[0] == '_')
            continue;
        buf_adds(out, before);
        add_text(out, slice_of(verb->name));
        before = ", ";
    }
    if (before[0] == ',')
        buf_adds(out, ".\n");
}

static void write_commands(struct buf *out)
{
    const struct verb *verb;
    for (size_t i = 0; (verb = cli_verb(i)); i++) {
        if (!verb->usage)
            continue;
        add_macro(out, ".SS", verb->usage);
        if (verb->more) {
            add_help(out, verb->more);
            buf_adds(out, ".PP\n");
        } else {
            buf_addc(out, (char)toupper((unsigned char)verb->help[0]));
            add_text(out, slice_of(verb->help + 1));
            buf_adds(out, ".\n");
        }
        add_other_names(out, verb);
    }
}

static void write_nodey(struct buf *out)
{
    add_head(out, "nodey", 1, "runs a folder of Node and Python programs as a service");
    buf_adds(
        out,
        ".SH SYNOPSIS\n"
        ".B nodey\n"
        ".I COMMAND\n"
        "[\\fIOPTIONS\\fR] [\\fIWORDS\\fR]\n"
        ".SH DESCRIPTION\n"
        "A supervisor in one program: it starts pools of processes, speaks with them in "
        "lines of JSON, shares HTTP requests between them, restarts what crashes, and runs "
        "other services beside them.\n"
        ".PP\n"
        "Without a\n.I nodey.toml\nit serves the scripts in\n.IR workers/ .\n"
        ".SH COMMANDS\n");
    write_commands(out);
    buf_adds(
        out,
        ".SH FILES\n"
        ".TP\n.I nodey.toml\nthe configuration, see\n.BR nodey.toml (5)\n"
        ".TP\n.I workers/\nprograms that are served without a word\n"
        ".TP\n.I .env\nvariables of all programs\n"
        ".TP\n.I .nodey/\nwhat nodey keeps: the SDKs, logs, incidents, the control socket\n"
        ".SH ENVIRONMENT\n"
        ".TP\n.B NO_COLOR\nno colours on a terminal\n"
        ".TP\n.BR NOTIFY_SOCKET \", \" WATCHDOG_USEC\nsystemd is told of the state of "
        "nodey, and that it lives\n"
        ".TP\n.BR LISTEN_FDS \", \" LISTEN_PID \", \" LISTEN_FDNAMES\nsockets that systemd "
        "has opened: the one for the address is served\n"
        ".SH EXIT STATUS\n"
        "0; 1 when something was refused or went wrong; 2 for wrong usage; 3 when no nodey "
        "is up. Commands that become another program have its own.\n"
        ".SH SEE ALSO\n.BR nodey.toml (5)\n");
}

/* ------------------------------------------------------------------- nodey.toml(5) */

static void write_setting(struct buf *out, const char *section, const char *key)
{
    struct buf all = {0}, name = {0};
    buf_addf(&name, "%s.%s", section, key);
    bool found = config_describe_key(&all, buf_cstr(&name));
    const char *text = buf_cstr(&all);
    text += strcspn(text, "\n"); /* its name is the heading */
    buf_adds(out, ".TP\n");
    add_macro(out, ".B", key);
    while (found && *text) {
        size_t len = strcspn(text, "\n");
        struct slice line = slice_trim((struct slice){text, len});
        if (line.len &&
            (slice_starts(line, SLICE("type ")) || slice_starts(line, SLICE("default ")) ||
             slice_starts(line, SLICE("example ")) || slice_starts(line, SLICE("change "))))
            buf_adds(out, ".br\n");
        add_text(out, line);
        buf_adds(out, line.len ? "\n" : "");
        text += len + (text[len] != '\0');
    }
    buf_deinit(&all);
    buf_deinit(&name);
}

static void write_toml(struct buf *out)
{
    static const struct {
        const char *name;
        const struct section *section;
    } sections[] = {
        {"server", &section_server},     {"workers", &section_worker},
        {"services", &section_service},  {"healthcheck", &section_healthcheck},
        {"routes", &section_route},      {"bus", &section_bus},
        {"streams", &section_stream},    {"queues", &section_queue},
        {"schedule", &section_schedule},
    };

    add_head(out, "nodey.toml", 5, "the configuration of nodey");
    buf_adds(out,
             ".SH DESCRIPTION\n"
             "A file in TOML. Every setting has a default, and without the file nodey serves "
             "the programs in\n.IR workers/ .\n"
             "Strings may hold ${NAME}, ${NAME:\\-other} and ${NAME:?why}, as in compose "
             "files; $$ is a dollar sign.\n"
             ".PP\n"
             "At the top of a file,\n.B include\nnames further files, and [defaults] has "
             "what every worker has before its own section.\n");
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        add_macro(out, ".SH", sections[i].section->title);
        for (size_t j = 0; j < sections[i].section->count; j++)
            write_setting(out, sections[i].name, sections[i].section->rows[j].key);
    }
    buf_adds(out, ".SH SEE ALSO\n.BR nodey (1)\n");
}

/* ------------------------------------------------------------------------------ all */

/* False: there is no man, and the page goes where it is asked for. */
static bool show_by_man(struct slice page)
{
    if (!isatty(STDOUT_FILENO) || access("/usr/bin/man", X_OK) != 0)
        return false;
    FILE *to = popen("man -l -", "w");
    if (!to)
        return false;
    show_write(to, page);
    return pclose(to) == 0;
}

int command_man(int argc, char **argv)
{
    struct options options = {.verb = "man", .words_max = 1};
    int rc = options_read(&options, argc, argv);
    const char *which = rc == 0 && options.words.count ? options.words.items[0] : "nodey";
    word_list_deinit(&options.words);
    bool toml = strcmp(which, "nodey.toml") == 0;
    if (rc == 0 && !toml && strcmp(which, "nodey") != 0)
        rc = usage_error("man", "there are nodey and nodey.toml, not \"%s\"", which);
    if (rc)
        return rc;
    struct buf page = {0};
    if (toml)
        write_toml(&page);
    else
        write_nodey(&page);
    drop_empty(&page);
    if (!show_by_man(buf_slice(&page)))
        show_write(stdout, buf_slice(&page));
    buf_deinit(&page);
    return 0;
}
