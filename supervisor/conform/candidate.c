#include "conform/candidate.h"

#include <signal.h>
#include <stdio.h>

enum {
    LINES_MAX = 10000,
    SHOWN_MAX = 200,  /* bytes of an unfinished line that are kept */
    WORDS_MAX = 4096, /* bytes of stderr that are kept */
    GONE_MS = 5000,   /* for the handles of a killed process */
};

/* ------------------------------------------------------------------ what comes */

static struct candidate *candidate_of(struct proc *p)
{
    return container_of(p, struct candidate, proc);
}

static void add_line(struct candidate *c, struct slice text, bool overlong)
{
    if (c->line_count == LINES_MAX)
        return;
    struct candidate_line *line = xcalloc(1, sizeof(*line));
    struct buf mended = {0};
    line->overlong = overlong;
    line->verdict = frame_read(text, &line->frame);
    line->dirty = line->frame.dirty;
    if (line->dirty)
        text = frame_line_clean(text, &mended);
    line->text = xstrndup(text.ptr, text.len);
    line->len = text.len;
    line->verdict = frame_read((struct slice){line->text, line->len}, &line->frame);
    buf_deinit(&mended);
    list_add(&c->lines, &line->node);
    c->line_count++;
}

static size_t on_out(struct proc *p, struct slice bytes)
{
    struct candidate *c = candidate_of(p);
    size_t used = 0;
    const char *lf;
    while (used < bytes.len && (lf = memchr(bytes.ptr + used, '\n', bytes.len - used))) {
        size_t len = (size_t)(lf - bytes.ptr) - used;
        if (!c->discarding)
            add_line(c, (struct slice){bytes.ptr + used, len}, len > CANDIDATE_MAX_LINE);
        c->discarding = false;
        used += len + 1;
    }
    if (bytes.len - used > CANDIDATE_MAX_LINE) {
        if (!c->discarding)
            add_line(c, slice_from(bytes, used), true);
        c->discarding = true;
        used = bytes.len;
    }
    buf_clear(&c->unfinished);
    buf_append(&c->unfinished, bytes.ptr + used, MIN(bytes.len - used, (size_t)SHOWN_MAX));
    loop_stop(&c->loop);
    return used;
}

static size_t on_err(struct proc *p, struct slice bytes)
{
    struct buf *words = &candidate_of(p)->last_words;
    buf_add(words, bytes);
    if (words->len > WORDS_MAX)
        buf_consume(words, words->len - WORDS_MAX);
    return bytes.len;
}

static void on_broken(struct proc *p, const char *which)
{
    (void)which; /* a check that needs the pipe will tell */
    loop_stop(&candidate_of(p)->loop);
}

static void on_exited(struct proc *p, const struct proc_exit *exit)
{
    struct candidate *c = candidate_of(p);
    c->ended = true;
    c->exit = *exit;
    loop_stop(&c->loop);
}

static void on_gone(struct proc *p)
{
    struct candidate *c = candidate_of(p);
    c->gone = true;
    loop_stop(&c->loop);
}

static const struct proc_ops ops = {
    .out = on_out,
    .err = on_err,
    .broken = on_broken,
    .exited = on_exited,
    .gone = on_gone,
};

/* -------------------------------------------------------------------- waiting */

static void on_limit(struct timer *timer)
{
    struct candidate *c = container_of(timer, struct candidate, limit);
    c->limit_over = true;
    loop_stop(&c->loop);
}

static bool has_line(const struct candidate *c)
{
    return c->ended || !list_empty(&c->lines);
}

static bool has_ended(const struct candidate *c)
{
    return c->ended;
}

static bool is_gone(const struct candidate *c)
{
    return c->gone;
}

static void wait_for(struct candidate *c, bool (*done)(const struct candidate *),
                     uint64_t wait_ms)
{
    c->limit_over = false;
    timer_start(&c->loop, &c->limit, wait_ms, on_limit);
    while (!done(c) && !c->limit_over)
        loop_run(&c->loop);
    timer_stop(&c->loop, &c->limit);
}

/* ----------------------------------------------------------------- conversation */

static void release(struct candidate *c)
{
    wait_for(c, is_gone, GONE_MS);
    list_each_safe (at, &c->lines)
        candidate_line_free(container_of(at, struct candidate_line, node));
    IGNORE(loop_deinit(&c->loop)); /* what a process that cannot be killed holds */
    buf_deinit(&c->unfinished);
    buf_deinit(&c->last_words);
    xfree(c);
}

struct candidate *candidate_start(const struct candidate_spec *spec, int *code)
{
    struct candidate *c = xcalloc(1, sizeof(*c));
    list_init(&c->lines);
    *code = loop_init(&c->loop);
    if (*code) {
        xfree(c);
        return NULL;
    }
    *code = proc_spawn(&c->proc, &c->loop,
                       &(struct proc_spec){.argv = spec->argv,
                                           .env = spec->env,
                                           .cwd = spec->cwd,
                                           .mark = 1,
                                           .line_limit = SIZE_MAX},
                       &ops);
    if (*code) {
        release(c);
        return NULL;
    }
    return c;
}

void candidate_free(struct candidate *c)
{
    if (!c)
        return;
    if (!c->ended) {
        proc_signal(&c->proc, SIGKILL);
        wait_for(c, has_ended, GONE_MS);
    }
    if (c->ended)
        proc_close(&c->proc);
    release(c);
}

void candidate_write(struct candidate *c, struct slice bytes)
{
    if (!c->ended && !c->input_ended)
        stream_write(proc_in(&c->proc), bytes);
}

void candidate_end_input(struct candidate *c)
{
    if (!c->ended)
        proc_end_input(&c->proc);
    c->input_ended = true;
}

struct candidate_line *candidate_next(struct candidate *c, uint64_t wait_ms)
{
    wait_for(c, has_line, wait_ms);
    if (list_empty(&c->lines))
        return NULL;
    struct candidate_line *line = list_first(&c->lines, struct candidate_line, node);
    list_del(&line->node);
    c->line_count--;
    return line;
}

void candidate_line_free(struct candidate_line *line)
{
    if (!line)
        return;
    list_del(&line->node);
    xfree(line->text);
    xfree(line);
}

bool candidate_wait_end(struct candidate *c, uint64_t wait_ms)
{
    wait_for(c, has_ended, wait_ms);
    return c->ended;
}

void candidate_describe_end(const struct candidate *c, char *text, size_t size)
{
    if (c->exit.signal)
        snprintf(text, size, "was killed by signal %d (%s)", c->exit.signal,
                 strsignal(c->exit.signal));
    else
        snprintf(text, size, "exited with status %lld", (long long)c->exit.code);
}
