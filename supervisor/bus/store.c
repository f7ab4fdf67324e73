/* The embedded engine's face to the loop, and its thread's turn. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bus/store_core.h"
#include "bus/store_log.h"

int64_t store_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void store_refuse(struct op *op, enum engine_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    op->status = status;
    vsnprintf(op->error, sizeof(op->error), format, args);
    va_end(args);
}

void store_tell(struct store *s, int level, const char *format, ...)
{
    struct tell *t = xcalloc(1, sizeof(*t));
    t->op.kind = (enum op_kind)LETTER_TELL;
    t->level = level;
    va_list args;
    va_start(args, format);
    vsnprintf(t->sentence, sizeof(t->sentence), format, args);
    va_end(args);
    if (s->open)
        offload_reply(&s->offload, &t->op.node);
    else
        list_add(&s->early, &t->op.node);
}

struct parcel *parcel_new(void)
{
    struct parcel *p = xcalloc(1, sizeof(*p));
    p->op.kind = (enum op_kind)LETTER_PARCEL;
    return p;
}

void parcel_note(struct parcel *p, struct message *held, const struct consumer *c,
                 uint32_t tries)
{
    if (p->note_count == p->note_cap) {
        p->note_cap = p->note_cap ? 2 * p->note_cap : 64;
        p->notes = xrealloc(p->notes, p->note_cap * sizeof(*p->notes));
    }
    p->notes[p->note_count++] = (struct delivery_note){held, c->id, c->epoch, tries};
}

void parcel_gap(struct parcel *p, uint32_t consumer, uint64_t from, uint64_t to)
{
    if (p->gap_count == p->gap_cap) {
        p->gap_cap = p->gap_cap ? 2 * p->gap_cap : 4;
        p->gaps = xrealloc(p->gaps, p->gap_cap * sizeof(*p->gaps));
    }
    p->gaps[p->gap_count++] = (struct gap){consumer, from, to};
}

static void parcel_free(struct parcel *p)
{
    for (size_t i = 0; i < p->stored_count; i++)
        message_release(p->stored[i]);
    xfree(p->stored);
    xfree(p->notes);
    xfree(p->gaps);
    xfree(p);
}

/* ------------------------------------------------------------------- faults */

static const char *const FAULTS[] = {
    [FAULT_AFTER_INSERT] = "after_insert",     [FAULT_BEFORE_COMMIT] = "before_commit",
    [FAULT_AFTER_COMMIT] = "after_commit",     [FAULT_BEFORE_REPLY] = "before_reply",
    [FAULT_MID_CHECKPOINT] = "mid_checkpoint", [FAULT_MID_SWEEP] = "mid_sweep",
};

/* NODEY_FAULT=POINT[:N]: only tests set it. */
static void read_fault(struct store *s)
{
    const char *text = getenv("NODEY_FAULT");
    if (!text)
        return;
    size_t len = strcspn(text, ":");
    for (unsigned i = 1; i < ARRAY_LEN(FAULTS); i++)
        if (strlen(FAULTS[i]) == len && memcmp(FAULTS[i], text, len) == 0)
            s->fault = i;
    s->fault_passes = text[len] ? strtoull(text + len + 1, NULL, 10) : 1;
}

void store_fault(struct store *s, enum fault_point point)
{
    if (s->fault == point && s->fault_passes && --s->fault_passes == 0)
        raise(SIGKILL);
}

static void on_page_written(struct store_page_vfs *vfs)
{
    struct db *db = container_of(vfs, struct db, page);
    store_fault(container_of(db, struct store, db), FAULT_MID_CHECKPOINT);
}

/* --------------------------------------------------------------- the thread */

static void send_parcel(struct store *s)
{
    struct parcel *p = s->batch.parcel;
    if (!p->note_count && !p->stored_count && !p->gap_count)
        return;
    s->batch.parcel = parcel_new();
    offload_reply(&s->offload, &p->op.node);
}

static void tell_damaged_page(struct store *s)
{
    if (!s->db.page.damaged)
        return;
    s->failures++;
    store_tell(s, LOG_ERROR,
               "page %llu of %s is damaged (checksum): what of it is still what was stored is "
               "served, the rest is refused",
               (unsigned long long)s->db.page.damaged, s->db.path);
    s->db.page.damaged = 0;
}

/* A clock that was set back does not put the tick off for hours. */
static void tick(struct store *s)
{
    int64_t now = store_wall_ms();
    bool soon = s->next_tick_ms > now + STORE_IDLE_MS;
    if (!s->sweeping && !soon && now < s->next_tick_ms)
        return;
    s->next_tick_ms = now + (s->active ? STORE_TICK_MS : STORE_IDLE_MS);
    s->active = false;
    store_tell_past(s, now);
    if (store_sweep(s, now) || store_commit_own(s))
        store_own_failed(s);
}

/* It costs two fsyncs: few where each commit has one, many where none has. */
static bool checkpoint(struct store *s)
{
    int most =
        s->db.level == DURABILITY_FSYNC ? STORE_CHECKPOINT_PAGES : STORE_CHECKPOINT_PAGES_OS;
    if (s->db.wal_pages < most || db_checkpoint(&s->db, false) == 0)
        return true;
    if ((s->db.rc & 0xff) == SQLITE_FULL) {
        disk_room_exhausted(&s->room);
        return true; /* the log keeps what the file has no room for */
    }
    store_recover(s);
    return !s->down;
}

static void shut(struct store *s)
{
    if (s->shut)
        return;
    s->shut = true;
    store_backup_end(s, "nodey ends");
    list_each (at, &s->streams)
        stream_forget_statements(container_of(at, struct stream, all));
    db_close(&s->db);
}

/* Ops first, what they brought to consumers next, then what can wait. */
static bool turn(struct store *s)
{
    bool more = false;
    if (!list_empty(&s->queue) || s->next_due_ms <= store_wall_ms())
        store_commit_turn(s);
    if (s->down || s->closing)
        return !list_empty(&s->queue);
    more = store_feed(s, s->batch.parcel);
    send_parcel(s);
    if (s->down || !checkpoint(s))
        return false;
    if (list_empty(&s->queue))
        tick(s);
    if (!s->down)
        more |= store_backup_turn(s);
    tell_damaged_page(s);
    return more || s->sweeping || !list_empty(&s->queue);
}

static uint64_t on_run(struct offload *o, struct list *letters)
{
    struct store *s = container_of(o, struct store, offload);
    list_splice(&s->queue, letters);
    if (s->down && !s->shut && store_wall_ms() >= s->retry_ms)
        store_reopen(s);
    bool more = turn(s);
    if (s->closing && list_empty(&s->queue)) {
        send_parcel(s);
        shut(s);
        return UINT64_MAX;
    }
    if (s->down)
        return (uint64_t)MAX(s->retry_ms, 1);
    int64_t next_ms = MIN(MIN(s->next_due_ms, s->next_tick_ms), s->next_feed_ms);
    return more ? 0 : (uint64_t)MAX(next_ms, 1);
}

/* ------------------------------------------------------------------ the loop */

static void open_parcel(struct store *s, struct parcel *p)
{
    const struct engine_events *events = s->engine.events;
    for (size_t i = 0; i < p->gap_count && events->gap; i++)
        events->gap(&s->engine, p->gaps[i].consumer, p->gaps[i].from, p->gaps[i].to);
    if (p->stored_count)
        events->stored(&s->engine, p->stored, p->stored_count);
    if (p->note_count)
        events->deliver(&s->engine, p->notes, p->note_count);
    parcel_free(p);
}

static void open_letter(struct store *s, struct op *op)
{
    struct tell *t;
    switch ((int)op->kind) {
    case LETTER_PARCEL:
        open_parcel(s, container_of(op, struct parcel, op));
        break;
    case LETTER_TELL:
        t = container_of(op, struct tell, op);
        if (s->engine.events->tell)
            s->engine.events->tell(&s->engine, t->level, t->sentence);
        xfree(t);
        break;
    case LETTER_CLOSE:
        xfree(op);
        break;
    default:
        if (op->done)
            op->done(op);
    }
}

static void on_back(struct offload *o, struct list *letters)
{
    struct store *s = container_of(o, struct store, offload);
    while (!list_empty(letters)) {
        struct op *op = list_first(letters, struct op, node);
        list_del(&op->node);
        open_letter(s, op);
    }
}

static void on_closed(struct offload *o)
{
    struct store *s = container_of(o, struct store, offload);
    if (s->engine.events->closed)
        s->engine.events->closed(&s->engine);
}

static const struct offload_ops OFFLOAD_OPS = {on_run, on_back, on_closed};

enum { OS_BATCH = 16 };

/* An fsync costs as much for one as for many; without it two small batches are done sooner. */
static void store_submit(struct engine *e, struct op *op)
{
    struct store *s = container_of(e, struct store, engine);
    if (op->kind == OP_STREAM &&
        container_of(op, struct op_stream, op)->durability == DURABILITY_OS)
        s->offload.hasty = OS_BATCH;
    offload_post(&s->offload, &op->node);
}

static void store_close(struct engine *e)
{
    struct store *s = container_of(e, struct store, engine);
    struct op *op = xcalloc(1, sizeof(*op));
    op->kind = (enum op_kind)LETTER_CLOSE;
    offload_post(&s->offload, &op->node);
    offload_close(&s->offload);
}

static const struct engine_ops ENGINE_OPS = {store_submit, store_close};

static void set_caps(struct store *s)
{
    snprintf(s->caps_name, sizeof(s->caps_name), "sqlite %s", sqlite3_libversion());
    s->engine.caps = (struct engine_caps){
        .name = s->caps_name,
        .strongest = DURABILITY_FSYNC,
        .dedupe = true,
        .replay = true,
        .delay = true,
        .atomic_outputs = true,
        .max_data = MESSAGE_DATA_MAX,
    };
}

static struct store *store_new(const struct store_config *config,
                               const struct engine_events *events, void *owner)
{
    struct store *s = xcalloc(1, sizeof(*s));
    s->engine = (struct engine){.ops = &ENGINE_OPS, .events = events, .owner = owner};
    set_caps(s);
    s->dir = xstrdup(config->dir);
    s->wants_stored = events->stored != NULL;
    s->hash_key = siphash_key_new();
    s->commit_us = xcalloc(1, sizeof(*s->commit_us));
    s->batch_sizes = xcalloc(1, sizeof(*s->batch_sizes));
    s->next_due_ms = s->next_feed_ms = INT64_MAX;
    list_init(&s->streams);
    list_init(&s->consumers);
    list_init(&s->queue);
    list_init(&s->early);
    batch_init(s);
    tail_init(&s->tail, config->tail_cache);
    blobs_init(&s->blobs, s->dir);
    char *path = xasprintf("%s/bus.db", s->dir);
    db_init(&s->db, path);
    xfree(path);
    s->db.page.wrote = on_page_written;
    read_fault(s);
    return s;
}

static int open_files(struct store *s, const struct store_config *config, struct err *err)
{
    if (disk_room_open(&s->room, s->dir, config->min_free, err))
        return -1;
    char told[256] = "";
    store_log_look(s->db.path, s->db.page.real, told, sizeof(told));
    if (told[0])
        store_tell(s, LOG_WARN, "%s", told);
    int rc = db_open(&s->db, err);
    if (rc && (s->db.rc & 0xff) == SQLITE_FULL && disk_room_exhausted(&s->room))
        rc = db_open(&s->db, err); /* with the room of the reserve */
    if (rc || store_load(s, err))
        return -1;
    if (disk_sync_dir(s->dir))
        return err_set(err, -1, "%s cannot be synced", s->dir);
    s->next_tick_ms = store_wall_ms() + STORE_TICK_MS;
    return 0;
}

struct engine *store_open(struct loop *loop, const struct store_config *config,
                          const struct engine_events *events, void *owner, struct err *err)
{
    assert(sqlite3_threadsafe());
    struct store *s = store_new(config, events, owner);
    int rc = open_files(s, config, err);
    if (rc == 0 && (rc = offload_open(&s->offload, loop, &OFFLOAD_OPS)))
        err_set(err, rc, "no thread for the store: %s", loop_strerror(rc));
    if (rc) {
        store_free(&s->engine);
        return NULL;
    }
    s->open = true;
    offload_reply_all(&s->offload, &s->early);
    return &s->engine;
}

void store_free(struct engine *e)
{
    struct store *s = container_of(e, struct store, engine);
    while (!list_empty(&s->early)) {
        struct op *op = list_first(&s->early, struct op, node);
        list_del(&op->node);
        xfree(container_of(op, struct tell, op));
    }
    store_unload(s);
    tail_deinit(&s->tail);
    blobs_deinit(&s->blobs);
    db_deinit(&s->db);
    disk_room_close(&s->room);
    parcel_free(s->batch.parcel);
    xfree(s->batch.fresh);
    xfree(s->batch.stale);
    buf_deinit(&s->batch.blobs.doomed);
    buf_deinit(&s->batch.blobs.written);
    xfree(s->commit_us);
    xfree(s->batch_sizes);
    xfree(s->dir);
    xfree(s);
}
