#include "conform/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"

enum {
    LINES_SHOWN = 6, /* of what was sent, and of what came */
    LINE_SHOWN = 160,
    KEPT_MAX = 16384, /* bytes of each that are kept */
};

void report_deinit(struct report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        buf_deinit(&r->checks[i].sent);
        buf_deinit(&r->checks[i].came);
    }
    xfree(r->checks);
    *r = (struct report){0};
}

static struct check *last(struct report *r)
{
    return &r->checks[r->count - 1];
}

void report_begin(struct report *r, const char *name, const char *section, unsigned feature)
{
    if (r->open)
        report_end(r);
    r->checks = xrealloc(r->checks, (r->count + 1) * sizeof(*r->checks));
    r->checks[r->count++] =
        (struct check){.name = name, .section = section, .feature = feature};
    r->open = true;
}

/* Long lines are shown by their beginning and their length. */
static void keep(struct buf *kept, struct slice line)
{
    while (line.len && (line.ptr[line.len - 1] == '\n'))
        line.len--;
    if (kept->len > KEPT_MAX)
        return;
    if (line.len <= LINE_SHOWN) {
        buf_add(kept, line);
        buf_addc(kept, '\n');
        return;
    }
    size_t len = LINE_SHOWN;
    while (len > 0 && ((unsigned char)line.ptr[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    buf_append(kept, line.ptr, len);
    buf_addf(kept, "... (%zu bytes)\n", line.len);
}

void report_sent(struct report *r, struct slice line)
{
    if (r->open)
        keep(&last(r)->sent, line);
}

void report_came(struct report *r, struct slice line)
{
    if (r->open)
        keep(&last(r)->came, line);
}

static void judge(struct report *r, enum check_result result, const char *mend, const char *fmt,
                  va_list args)
{
    struct check *check = last(r);
    if (check->result == CHECK_FAIL || (check->result == result && result == CHECK_NOTE))
        return; /* the first fault explains the others */
    check->result = result;
    check->mend = mend;
    vsnprintf(check->why, sizeof(check->why), fmt, args);
}

void report_fail(struct report *r, const char *mend, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    judge(r, CHECK_FAIL, mend, fmt, args);
    va_end(args);
}

void report_note(struct report *r, const char *mend, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    judge(r, CHECK_NOTE, mend, fmt, args);
    va_end(args);
}

/* Control characters must not reach a terminal; lines of a sentence stand below another. */
static void print_safely(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            printf("\n        ");
        else if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static void print_lines(const char *label, const struct buf *lines)
{
    size_t shown = 0;
    for (size_t at = 0, len; at < lines->len; at += len + 1, shown++) {
        const char *lf = memchr(lines->ptr + at, '\n', lines->len - at);
        len = (size_t)(lf - lines->ptr) - at;
        if (shown >= LINES_SHOWN)
            continue;
        printf("        %-5s ", shown ? "" : label);
        print_safely(lines->ptr + at, len);
        putchar('\n');
    }
    if (shown > LINES_SHOWN)
        printf("              ... and %zu more\n", shown - LINES_SHOWN);
}

static void print_verdict(const struct check *check)
{
    size_t len = strlen(check->why);
    while (len && check->why[len - 1] == '\n')
        len--;
    fputs("        ", stdout);
    print_safely(check->why, len);
    fputs(memchr(check->why, '\n', len) ? "\n        " : " ", stdout);
    if (check->section)
        printf("(PROTOCOL.md, section %s)\n", check->section);
    else
        puts("(protocol/vectors/transcripts.jsonl)");
    if (check->mend)
        printf("        mend: %s\n", check->mend);
}

static void print(const struct report *r, const struct check *check)
{
    static const char *const words[] = {"ok", "FAIL", "note"};
    static const char *const colours[] = {"\x1b[32m", "\x1b[31m", "\x1b[33m"};
    printf("  %s%-4s%s  %s\n", r->colour ? colours[check->result] : "", words[check->result],
           r->colour ? "\x1b[0m" : "", check->name);
    if (check->result != CHECK_OK)
        print_verdict(check);
    if (check->result != CHECK_FAIL && !r->verbose)
        return;
    print_lines("sent", &check->sent);
    print_lines("came", &check->came);
}

void report_end(struct report *r)
{
    if (!r->open)
        return;
    r->open = false;
    if (!r->quiet)
        print(r, last(r));
    fflush(stdout);
}

size_t report_count(const struct report *r, enum check_result result, unsigned feature)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->checks[i].result == result && r->checks[i].feature == feature;
    return n;
}

size_t report_count_all(const struct report *r, enum check_result result)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->checks[i].result == result;
    return n;
}

static void add_member(struct buf *out, const char *name, struct slice text)
{
    buf_addf(out, ",\"%s\":", name);
    json_write(out, text);
}

void report_write_json(const struct report *r, struct buf *out)
{
    static const char *const words[] = {"ok", "fail", "note"};
    buf_addc(out, '[');
    for (size_t i = 0; i < r->count; i++) {
        const struct check *check = &r->checks[i];
        buf_adds(out, i ? "," : "");
        buf_addf(out, "{\"result\":\"%s\"", words[check->result]);
        add_member(out, "name", slice_of(check->name));
        if (check->section)
            add_member(out, "section", slice_of(check->section));
        if (check->result != CHECK_OK) {
            add_member(out, "why", slice_of(check->why));
            add_member(out, "mend", slice_of(check->mend ? check->mend : ""));
            add_member(out, "sent", buf_slice(&check->sent));
            add_member(out, "came", buf_slice(&check->came));
        }
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}
