/*
 * `nodey new`: a small program to begin with.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/embedded.h"
#include "base/buf.h"
#include "client/options.h"
#include "client/session.h"
#include "command/command.h"
#include "config/discover.h"

const char command_new_help[] =
    "Writes workers/NAME.py (or .js, .ts, .sh): a small program with one route, to begin "
    "with.\n"
    "NAME may also end in the extension that says the language. Nothing is ever overwritten.\n"
    "\n"
    "  -l, --lang py|js|ts|sh    the language; py when nothing is said\n"
    "\n"
    "  nodey new greet\n"
    "  nodey new shop.js\n";

static const struct language {
    const char *name;
    const char *words; /* what people call it */
    const char *needs; /* NULL: nothing beyond what nodey needs anyway */
} languages[] = {
    {"py", "py python python3", NULL},
    {"js", "js node javascript", NULL},
    {"ts", "ts typescript", "TypeScript needs Node 22.6 or newer"},
    {"sh", "sh shell bash", NULL},
};

static const struct language *find_language(const char *given)
{
    struct slice wanted = slice_of(given);
    for (size_t i = 0; i < ARRAY_LEN(languages); i++)
        for (const char *at = languages[i].words; *at;) {
            struct slice word = {at, strcspn(at, " ")};
            if (slice_eq_nocase(word, wanted))
                return &languages[i];
            at += word.len + (at[word.len] != '\0');
        }
    return NULL;
}

/* The language that the name's extension says; the name loses it.  NULL: it says none. */
static const struct language *split_extension(struct slice *name)
{
    for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
        size_t len = strlen(languages[i].name);
        if (name->len > len + 1 && name->ptr[name->len - len - 1] == '.' &&
            strncmp(name->ptr + name->len - len, languages[i].name, len) == 0) {
            name->len -= len + 1;
            return &languages[i];
        }
    }
    return NULL;
}

/* A file or folder of workers/ that would be a worker of that name too; the caller frees it. */
static char *find_rival(struct slice name)
{
    DIR *folder = opendir("workers");
    char *found = NULL;
    for (struct dirent *e; folder && !found && (e = readdir(folder));) {
        const char *dot = strrchr(e->d_name, '.');
        struct slice stem = {e->d_name, dot && dot != e->d_name ? (size_t)(dot - e->d_name)
                                                                : strlen(e->d_name)};
        if (slice_eq(stem, name))
            found = xasprintf("workers/%s", e->d_name);
    }
    if (folder)
        closedir(folder);
    return found;
}

static void fill_in(const struct embedded_file *template, struct slice name, struct buf *out)
{
    static const struct slice mark = {"@NAME@", 6};
    struct slice left = {(const char *)template->bytes, template->len};
    for (const char *at; (at = memmem(left.ptr, left.len, mark.ptr, mark.len));) {
        size_t len = (size_t)(at - left.ptr);
        buf_append(out, left.ptr, len);
        buf_add(out, name);
        left = slice_from(left, len + mark.len);
    }
    buf_add(out, left);
}

static const struct embedded_file *template_of(const struct language *language)
{
    const struct embedded_file *file = embedded_templates;
    while (strcmp(strrchr(file->path, '.') + 1, language->name) != 0)
        file++; /* there is one for each language */
    return file;
}

/* 0 or an exit code. */
static int write_new(const char *path, const struct language *language, struct slice name)
{
    struct buf text = {0};
    fill_in(template_of(language), name, &text);
    bool is_program = strcmp(language->name, "sh") == 0;
    IGNORE(mkdir("workers", 0777)); /* open() tells */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, is_program ? 0777 : 0666);
    bool written = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len;
    if (fd >= 0)
        written = close(fd) == 0 && written;
    if (!written)
        fprintf(stderr, "nodey: cannot write %s: %s\n", path, strerror(errno));
    buf_deinit(&text);
    return written ? 0 : EXIT_REFUSED;
}

static void say_what_next(const char *path, const struct language *language, struct slice name)
{
    printf("wrote %s\n", path);
    if (language->needs)
        printf("(%s)\n", language->needs);
    printf("\nnow type:\n  nodey call " SLICE_FMT " '/" SLICE_FMT
           "?name=Ann'    to try it\n  nodey up%*s    to serve it\n",
           SLICE_ARG(name), SLICE_ARG(name), (int)(2 * name.len + 16), "");
}

static int make_new(const char *given, const char *lang)
{
    struct slice name = slice_of(given);
    if (slice_starts(name, SLICE("workers/")))
        name = slice_from(name, strlen("workers/"));
    const struct language *by_name = split_extension(&name);
    const struct language *language = lang ? find_language(lang) : by_name;
    if (lang && !language)
        return usage_error("new", "--lang is py, js, ts or sh, not \"%s\"", lang);
    if (lang && by_name && by_name != language)
        return usage_error("new", "\"%s\" is no %s file", given, language->name);
    if (slice_starts(name, SLICE("_")))
        return usage_error("new", "what begins with \"_\" is nobody's worker: \"%s\"", given);
    if (!worker_name_valid(name))
        return usage_error("new",
                           "a name has 1 to 64 letters, digits, \"_\", \".\" and \"-\", and "
                           "begins with a letter or digit: not \"%s\"",
                           given);
    language = language ? language : &languages[0];
    char *rival = find_rival(name);
    if (rival) {
        fprintf(stderr, "nodey: %s is there already: nothing was written\n", rival);
        xfree(rival);
        return EXIT_REFUSED;
    }
    char *path = xasprintf("workers/" SLICE_FMT ".%s", SLICE_ARG(name), language->name);
    int rc = write_new(path, language, name);
    if (rc == 0)
        say_what_next(path, language, name);
    xfree(path);
    return rc;
}

int command_new(int argc, char **argv)
{
    const char *lang = NULL;
    const struct option table[] = {{"-l --lang --language", OPTION_VALUE, &lang}};
    struct options options = {
        .verb = "new", .table = table, .count = ARRAY_LEN(table), .words_max = 1};
    int rc = options_read(&options, argc, argv);
    if (rc == 0 && options.words.count == 0)
        rc = usage_error("new", "nodey new needs a name");
    if (rc == 0)
        rc = make_new(options.words.items[0], lang);
    word_list_deinit(&options.words);
    return rc;
}
