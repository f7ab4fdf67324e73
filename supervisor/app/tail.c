#include "app/tail.h"

#include <stdio.h>
#include <time.h>

enum { TAILS_MAX = CONFIG_MAX_WORKERS, ENTRY_MAX = 4096 };

void tails_init(struct tails *t)
{
    *t = (struct tails){.keeps = true};
    list_init(&t->list);
}

static void tail_free(struct tails *t, struct tail *tail)
{
    list_del(&tail->node);
    t->count--;
    buf_deinit(&tail->lines);
    buf_deinit(&tail->words);
    buf_deinit(&tail->reason);
    xfree(tail->name);
    xfree(tail);
}

void tails_deinit(struct tails *t)
{
    if (!t->keeps)
        return;
    list_each_safe (at, &t->list)
        tail_free(t, container_of(at, struct tail, node));
}

static struct tail *find(const struct tails *t, const char *name)
{
    if (!t->keeps)
        return NULL;
    list_each (at, &t->list) {
        struct tail *tail = container_of(at, struct tail, node);
        if (strcmp(tail->name, name) == 0)
            return tail;
    }
    return NULL;
}

const struct tail *tails_find(const struct tails *t, const char *name)
{
    return find(t, name);
}

/* The one that spoke last stands last; names come and go, so the first one makes room. */
static struct tail *have(struct tails *t, const char *name)
{
    struct tail *tail = find(t, name);
    if (!tail) {
        if (t->count == TAILS_MAX)
            tail_free(t, list_first(&t->list, struct tail, node));
        tail = xcalloc(1, sizeof(*tail));
        tail->name = xstrdup(name);
        t->count++;
    } else {
        list_del(&tail->node);
    }
    list_add(&t->list, &tail->node);
    return tail;
}

/* From the front, whole lines. */
static void shorten(struct buf *text, size_t lines_max, size_t bytes_max)
{
    size_t lines = 0, from = 0;
    for (size_t at = text->len; at > 0; at--) {
        lines += text->ptr[at - 1] == '\n';
        if (lines > lines_max || text->len - at >= bytes_max) {
            from = at;
            break;
        }
    }
    while (from > 0 && from < text->len && text->ptr[from - 1] != '\n')
        from++;
    buf_consume(text, from);
}

static struct slice without_last_lf(struct slice text)
{
    while (text.len && text.ptr[text.len - 1] == '\n')
        text.len--;
    return text;
}

static void add_entry(struct tail *tail, const char *who, struct slice text)
{
    char when[16];
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&now, &tm));
    text.len = MIN(text.len, (size_t)ENTRY_MAX);
    text = without_last_lf(text);
    buf_addf(&tail->lines, "%s %s ", when, who);
    buf_add(&tail->lines, text);
    buf_addc(&tail->lines, '\n');
    shorten(&tail->lines, TAIL_LINES, TAIL_BYTES);
}

/* A process that is not ready: what it says may become the reason. */
static void add_words(struct tail *tail, const struct worker_line *line)
{
    bool is_error = strcmp(line->stream, "error") == 0;
    if (tail->life != line->worker->life) {
        tail->life = line->worker->life;
        tail->explained = false;
        buf_clear(&tail->words);
    }
    if (tail->explained)
        return;
    if (is_error) {
        buf_clear(&tail->words);
        tail->explained = true;
    }
    buf_add(&tail->words, line->text);
    buf_addc(&tail->words, '\n');
    if (line->stack.len) {
        buf_add(&tail->words, line->stack);
        buf_addc(&tail->words, '\n');
    }
    shorten(&tail->words, SIZE_MAX, TAIL_BYTES);
}

bool tails_repeats(const struct tails *t, const struct worker_line *line)
{
    const struct tail *tail = find(t, line->worker->pool->config->name);
    return tail && strcmp(line->stream, "error") == 0 && line->text.len &&
           tail->generation == line->worker->generation &&
           slice_starts(buf_slice(&tail->reason), without_last_lf(line->text));
}

void tails_wrote(struct tails *t, const struct worker_line *line)
{
    if (!t->keeps)
        return;
    bool repeats = tails_repeats(t, line);
    struct tail *tail = have(t, line->worker->pool->config->name);
    if (!repeats)
        add_entry(tail, line->worker->name, line->text);
    if (!line->worker->ready_ms)
        add_words(tail, line);
}

void tails_told(struct tails *t, const struct pool *pool, const struct worker *w,
                enum log_level level, const char *sentence)
{
    if (!t->keeps || level == LOG_DEBUG)
        return;
    struct tail *tail = have(t, pool->config->name);
    add_entry(tail, w ? w->name : pool->config->name, slice_of(sentence));
    if (level != LOG_ERROR || !w || w->ready_ms)
        return;
    buf_clear(&tail->reason);
    tail->generation = w->generation;
    if (tail->life == w->life)
        buf_add(&tail->reason, buf_slice(&tail->words));
    if (tail->reason.len == 0)
        buf_addf(&tail->reason, "%s\n", sentence);
}

void tails_ready(struct tails *t, const struct pool *pool)
{
    struct tail *tail = find(t, pool->config->name);
    if (tail)
        buf_clear(&tail->reason);
}
