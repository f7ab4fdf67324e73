#include "import/procfile.h"

#include <ctype.h>
#include <errno.h>

#include "base/utf8.h"
#include "config/file.h"

/* foreman gives the first 5000, the next 5100, and so on. */
enum { FIRST_PORT = 5000, PORT_STEP = 100 };

struct process {
    struct slice name, command;
    unsigned line;
};

static bool reads_port(struct slice command)
{
    return memmem(command.ptr, command.len, "$PORT", 5) ||
           memmem(command.ptr, command.len, "${PORT", 6);
}

static bool is_web(const struct process *p)
{
    return slice_is(p->name, "web") || reads_port(p->command);
}

/* A line for a shell goes to one; `exec`, where it is one command, leaves none behind. */
static void write_command(struct draft *d, struct slice command)
{
    struct string_list argv = {0};
    bool one = true;
    for (size_t i = 0; i < command.len; i++)
        one = one && !strchr(";&|()\n", command.ptr[i]);
    if (!text_needs_shell(command)) {
        draft_string(d, "command", text_literal(&d->arena, command));
        return;
    }
    size_t word = 0;
    while (word < command.len && !isspace((unsigned char)command.ptr[word]))
        word++;
    bool assigns = memchr(command.ptr, '=', word) != NULL;
    bool plain = one && !assigns && !slice_starts(command, SLICE("exec ")) &&
                 !slice_starts(command, SLICE("cd "));
    text_list_add(&d->arena, &argv, "/bin/sh");
    text_list_add(&d->arena, &argv, "-c");
    text_list_add(&d->arena, &argv,
                  text_format(&d->arena, "%s%s", plain ? "exec " : "",
                              text_literal(&d->arena, command).ptr));
    draft_list(d, "command", &argv);
}

static void write_process(struct draft *d, const struct process *p, unsigned port,
                          bool waits_for_release)
{
    const char *name = draft_name(d, p->name);
    struct string_list env = {0};
    bool release = slice_is(p->name, "release");
    draft_section(d, name);
    write_command(d, p->command);
    if (is_web(p) && !release)
        draft_line(d, "port = %u", port);
    if (release)
        draft_line(d, "restart = \"no\"");
    else if (waits_for_release)
        draft_line(d, "depends_on = { release = { condition = "
                      "\"service_completed_successfully\" } }");
    text_list_add(&d->arena, &env, text_format(&d->arena, "PORT=%u", port));
    draft_env(d, name, &env);
}

/* "name: command".  False: it is none. */
static bool split(struct slice line, struct process *p)
{
    size_t len = 0;
    while (len < line.len && (isalnum((unsigned char)line.ptr[len]) || line.ptr[len] == '_' ||
                              line.ptr[len] == '-'))
        len++;
    p->name = (struct slice){line.ptr, len};
    if (len == 0 || len == line.len || line.ptr[len] != ':')
        return false;
    p->command = slice_trim(slice_from(line, len + 1));
    return p->command.len > 0;
}

static int read_lines(struct draft *d, struct slice text, const char *shown,
                      struct process *all, size_t *count)
{
    for (unsigned number = 1; text.len; number++) {
        size_t len = 0;
        while (len < text.len && text.ptr[len] != '\n')
            len++;
        struct slice line = slice_trim((struct slice){text.ptr, len});
        if (line.len && line.ptr[line.len - 1] == '\r')
            line = slice_trim((struct slice){line.ptr, line.len - 1});
        text = slice_from(text, len + (len < text.len));
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (*count == PROCFILE_MAX_PROCESSES)
            return err_set(d->err, -E2BIG, "%s:%u:1: more than %d processes", shown, number,
                           PROCFILE_MAX_PROCESSES);
        struct process *p = &all[*count];
        p->line = number;
        if (!split(line, p))
            return err_set(d->err, -EINVAL,
                           "%s:%u:1: a line of a Procfile is \"name: command\"", shown, number);
        for (size_t i = 0; i < *count; i++)
            if (slice_eq(all[i].name, p->name))
                return err_set(d->err, -EEXIST, "%s:%u:1: there are two processes " SLICE_FMT,
                               shown, number, SLICE_ARG(p->name));
        ++*count;
    }
    return *count ? 0 : err_set(d->err, -EINVAL, "%s: there is no process in it", shown);
}

static void write_all(struct draft *d, const struct process *all, size_t count,
                      const char *folder)
{
    bool release = false;
    draft_comment(d,
                  "As foreman did, nodey reads .env by itself, and what ends is started again; "
                  "there all would end with it.");
    if (strcmp(folder, d->dir) != 0)
        draft_lost(d, NULL, "the programs ran in %s: set cwd in each section",
                   path_from(&d->arena, d->dir, folder));
    buf_adds(&d->out, "\n[server]\nlisten = \"127.0.0.1:8000\"\n");
    draft_comment(d,
                  "Only what stands here runs; without this line, what lies in workers/, too.");
    draft_line(d, "discover = false");
    for (size_t i = 0; i < count; i++)
        release = release || slice_is(all[i].name, "release");
    for (size_t i = 0; i < count; i++)
        write_process(d, &all[i], FIRST_PORT + PORT_STEP * (unsigned)i, release);
    size_t webs = 0;
    for (size_t i = 0; i < count; i++)
        webs += is_web(&all[i]) && !slice_is(all[i].name, "release");
    for (size_t i = 0; i < count; i++) {
        const char *name = draft_name(d, all[i].name);
        if (!is_web(&all[i]) || slice_is(all[i].name, "release"))
            continue;
        bool first = webs == 1 || slice_is(all[i].name, "web");
        draft_route(d, first ? "/*" : text_format(&d->arena, "/%s/*", name), name,
                    first ? NULL : text_format(&d->arena, "/%s", name));
    }
}

int procfile_import(struct draft *d, const char *path, const char *shown)
{
    struct process all[PROCFILE_MAX_PROCESSES];
    struct buf text = {0};
    size_t count = 0;
    int code = file_read(path, PROCFILE_MAX_FILE, true, &text);
    const char *folder = file_folder(&d->arena, path);
    if (code < 0 || !folder)
        code = err_set(d->err, -1, "%s: %s", shown, strerror(code < 0 ? -code : errno));
    else if (text.len > PROCFILE_MAX_FILE)
        code =
            err_set(d->err, -E2BIG, "%s: larger than %d KiB", shown, PROCFILE_MAX_FILE / 1024);
    else if (!utf8_valid(buf_slice(&text)) || (text.len && memchr(text.ptr, '\0', text.len)))
        code = err_set(d->err, -EINVAL, "%s: this is no text", shown);
    else
        code = read_lines(d, buf_slice(&text), shown, all, &count);
    if (code == 0)
        write_all(d, all, count, folder);
    buf_deinit(&text);
    return code;
}
