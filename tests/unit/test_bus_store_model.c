/*
 * Ops by chance, told to the store and to the model of it: after each, both must be the same;
 * now and then the store is closed, or dies.  What fails is made shorter before it is shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine_model.h"
#include "folder.h"
#include "store_kind.h"
#include "vfs_power.h"

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SEEDS = 6 };
#else
enum { SEEDS = 40 };
#endif

enum { OPS = 250 };

struct step {
    unsigned kind, a, b, c;
};

/* Where a game is played, and with which store. */
struct table {
    const char *folder;
    struct engine_kind kind;
};

struct game {
    const struct engine_kind *kind;
    struct power power;
    struct desk desk;
    struct model model;
    char *dir;
    uint32_t ids[MODEL_CONSUMERS]; /* the engine's; 0 = not declared in this life */
    bool open;
    char bad[256];
};

static const char *const STREAMS[] = {"log", "work"};
static const char *const TOPICS[] = {"a", "b.x", "c"};
static const char *const PATTERNS[] = {"none", "a", "b.*", "a b.*", "c", "a c", "b.x c", ">"};

/* False, with what is wrong. */
static bool must(struct game *g, bool right, const char *what, uint64_t is, uint64_t wanted)
{
    if (!right && !g->bad[0])
        snprintf(g->bad, sizeof(g->bad), "%s is %llu and must be %llu", what,
                 (unsigned long long)is, (unsigned long long)wanted);
    return right;
}

static bool same(struct game *g, const char *what, uint64_t is, uint64_t wanted)
{
    return must(g, is == wanted, what, is, wanted);
}

static void streams(struct game *g)
{
    desk_stream(&g->desk, "log");
    desk_queue(&g->desk, "work");
}

static struct start from(struct game *g, unsigned chance, uint64_t *seq)
{
    if (chance % 3 == 0) {
        *seq = g->model.seq + 1;
        return FROM_NEW;
    }
    *seq = chance % 3 == 1 ? 1 : 1 + chance % (unsigned)(g->model.seq + 1);
    return (struct start){chance % 3 == 1 ? START_FIRST : START_SEQ, *seq, 0};
}

static bool publish(struct game *g, const struct step *s)
{
    struct message *messages[3];
    unsigned count = 1 + s->a % 3, stream = s->b % MODEL_STREAMS;
    bool right = true;
    for (unsigned i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%u", (s->c + i) % 40);
        messages[i] = message_new(
            &(struct message_parts){.stream = slice_of(STREAMS[stream]),
                                    .topic = slice_of(TOPICS[(s->b / 2 + i) % MODEL_TOPICS]),
                                    .msgid = s->c % 3 ? (struct slice){0} : slice_of(id),
                                    .data = SLICE("{}")});
    }
    struct op_publish op = {.messages = messages, .count = count};
    right &= same(g, "publish", desk_do(&g->desk, &op.op, OP_PUBLISH), ENGINE_OK);
    for (unsigned i = 0; i < count; i++) {
        int id = s->c % 3 ? -1 : (int)((s->c + i) % 40);
        uint64_t seq = model_publish(&g->model, stream, (s->b / 2 + i) % MODEL_TOPICS, id);
        right &= same(g, "seq", messages[i]->seq, seq);
        message_release(messages[i]);
    }
    return right;
}

static bool declare(struct game *g, unsigned c, const struct step *s)
{
    uint64_t seq;
    struct op_consumer op;
    unsigned stream = c % MODEL_STREAMS;
    char name[8];
    struct start start = from(g, s->b, &seq);
    snprintf(name, sizeof(name), "c%u", c);
    bool is_new = !g->model.consumers[c].exists;
    bool again = false;
    for (uint64_t i = 1; i <= g->model.seq; i++)
        again |= g->model.messages[i].again[c];
    /* Other patterns only when nothing of another life is left. */
    unsigned topics =
        is_new || (g->ids[c] && !again) ? 1 + s->c % 7 : g->model.consumers[c].topics;
    g->ids[c] = desk_consumer(&g->desk, STREAMS[stream], name, PATTERNS[topics], start, &op);
    model_declare(&g->model, c, stream, topics, seq);
    bool right = same(g, "created", op.created, is_new);
    for (size_t i = 0; i < op.put_off_count; i++) {
        const struct model_message *m = &g->model.messages[op.put_off[i].seq];
        right &= same(g, "place of what is put off", m->place[c], MODEL_OFF) &&
                 same(g, "tries", op.put_off[i].tries, m->tries[c]);
    }
    desk_forget_put_off(&op);
    return right;
}

static bool settle(struct game *g, unsigned c, const struct step *s)
{
    uint64_t seq = 1 + s->c % (g->model.seq + 2);
    bool later = s->a % 3 == 0;
    if (g->model.messages[seq].again[c])
        return true; /* of another life: an engine may know of it, or not yet */
    enum engine_status status = later ? desk_later(&g->desk, g->ids[c], seq, s->b % 9, 5)
                                      : desk_settle(&g->desk, g->ids[c], seq);
    return same(g, "settle", status, model_settle(&g->model, c, seq, later, s->b % 9));
}

static bool take(struct game *g, unsigned c, const struct step *s)
{
    uint64_t seq = 1 + s->c % (g->model.seq + 1);
    enum engine_status wanted = model_take(&g->model, c, seq);
    bool right = same(g, "take", desk_take(&g->desk, g->ids[c], seq), wanted);
    if (wanted != ENGINE_OK || !right)
        return right;
    struct delivery_note note = desk_next(&g->desk, g->ids[c]);
    right = same(g, "seq taken", note.message->seq, seq) &&
            same(g, "tries", note.tries, g->model.messages[seq].tries[c]);
    message_release(note.message);
    return right;
}

static bool forget(struct game *g, const struct step *s)
{
    uint64_t seq = 1 + s->c % (g->model.seq + 1);
    struct op_publish op = {.forget = seq};
    return same(g, "forget", desk_do(&g->desk, &op.op, OP_PUBLISH),
                model_forget(&g->model, seq));
}

/* Closed, or left where it is: then the files are as they were a moment before. */
static void restart(struct game *g, bool dies)
{
    struct power_image image = {0};
    for (unsigned i = 0; dies && i < POWER_FILES; i++) {
        buf_add(&image.files[i], buf_slice(&g->power.files[i].now));
        image.exists[i] = g->power.files[i].exists;
    }
    desk_close(&g->desk);
    if (dies)
        power_install(&g->power, &image);
    power_image_deinit(&image);
    desk_open(&g->desk, g->kind, g->dir);
    streams(g);
    model_restart(&g->model);
    memset(g->ids, 0, sizeof(g->ids));
}

static bool play(struct game *g, const struct step *s)
{
    unsigned c = s->a % MODEL_CONSUMERS;
    uint64_t seq;
    struct op_drop drop = {.consumer = g->ids[c]};
    if (s->kind < 30)
        return publish(g, s);
    if (s->kind == 98 || s->kind == 99) {
        restart(g, s->kind == 98);
        return true;
    }
    if (s->kind > 94)
        return forget(g, s);
    if (!g->ids[c] || s->kind > 92)
        return declare(g, c, s);
    if (s->kind < 50) {
        desk_credit(&g->desk, g->ids[c], 1 + s->b % 4);
        g->model.consumers[c].credit += 1 + s->b % 4;
    } else if (s->kind < 78)
        return settle(g, c, s);
    else if (s->kind < 88)
        return take(g, c, s);
    else if (s->kind < 91) {
        desk_seek(&g->desk, g->ids[c], from(g, s->b, &seq));
        model_seek(&g->model, c, seq);
    } else {
        model_drop(&g->model, c);
        g->ids[c] = 0;
        return same(g, "drop", desk_do(&g->desk, &drop.op, OP_DROP), ENGINE_OK);
    }
    return true;
}

/* Who got what, and how much there is. */
static bool compare(struct game *g)
{
    bool right = true;
    for (unsigned i = 0; i < 3; i++)
        desk_stream_info(&g->desk, "log");
    for (unsigned c = 0; c < MODEL_CONSUMERS && right; c++) {
        uint64_t wanted;
        if (!g->ids[c])
            continue;
        while (right && (wanted = model_next(&g->model, c))) {
            right = must(g, desk_awaits(&g->desk), "deliveries", 0, 1) &&
                    same(g, "delivered", desk_next_seq(&g->desk, g->ids[c]), wanted);
        }
        struct consumer_info info = desk_consumer_info(&g->desk, g->ids[c]);
        right = right && same(g, "lag", info.lag, model_lag(&g->model, c));
    }
    right = right && same(g, "deliveries too many", g->desk.note_count, 0);
    for (unsigned i = 0; i < MODEL_STREAMS && right; i++)
        right = same(g, STREAMS[i], desk_stream_info(&g->desk, STREAMS[i]).messages,
                     model_count(&g->model, i)) &&
                same(g, "read", desk_count(&g->desk, STREAMS[i]), model_count(&g->model, i));
    return right;
}

/* True when all was as it must be; else how many steps it took. */
static bool run(const struct table *table, const struct step *steps, size_t count,
                char bad[256], size_t *failed_at)
{
    struct game *g = xcalloc(1, sizeof(*g));
    g->kind = &table->kind;
    g->dir = xasprintf("%s/bus", table->folder);
    power_init(&g->power);
    desk_open(&g->desk, g->kind, g->dir);
    streams(g);
    bool right = true;
    for (size_t i = 0; i < count && right; i++) {
        right = play(g, &steps[i]) && compare(g);
        *failed_at = i + 1;
    }
    memcpy(bad, g->bad, sizeof(g->bad));
    desk_close(&g->desk);
    power_deinit(&g->power);
    xfree(g->dir);
    xfree(g);
    return right;
}

/* Without whatever it fails without, too. */
static size_t shrink(const struct table *table, struct step *steps, size_t count, char bad[256])
{
    struct step *fewer = xcalloc(count, sizeof(*fewer));
    size_t at_step;
    for (size_t size = count / 2; size; size /= 2)
        for (size_t at = 0; at + size <= count;) {
            memcpy(fewer, steps, at * sizeof(*steps));
            memcpy(fewer + at, steps + at + size, (count - at - size) * sizeof(*steps));
            if (run(table, fewer, count - size, bad, &at_step))
                at += size;
            else {
                count = at_step;
                memcpy(steps, fewer, count * sizeof(*steps));
            }
        }
    xfree(fewer);
    IGNORE(run(table, steps, count, bad, &at_step)); /* for what is wrong in the end */
    return count;
}

/* Of the newest messages few are in memory: those that are behind need the file. */
static struct engine *open_forgetful(struct loop *loop, const char *dir,
                                     const struct engine_events *events, void *owner,
                                     struct err *err)
{
    struct store_config config = {.dir = dir, .tail_cache = 500};
    return store_open(loop, &config, events, owner, err);
}

static void the_store_and_its_model_are_the_same(void **state)
{
    const char *from_seed = getenv("SEED");
    uint64_t first = from_seed ? strtoull(from_seed, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + (from_seed ? 1 : SEEDS); seed++) {
        struct table table = {*state, STORE_KIND};
        if (seed % 2)
            table.kind.open = open_forgetful;
        struct step steps[OPS];
        uint64_t chance = seed;
        char bad[256];
        size_t count = OPS;
        for (unsigned i = 0; i < OPS; i++)
            steps[i] = (struct step){(unsigned)(power_chance(&chance) % 100),
                                     (unsigned)(power_chance(&chance) >> 40),
                                     (unsigned)(power_chance(&chance) >> 40),
                                     (unsigned)(power_chance(&chance) >> 40)};
        if (run(&table, steps, OPS, bad, &count))
            continue;
        count = shrink(&table, steps, count, bad);
        for (size_t i = 0; i < count; i++)
            print_message("  {%u, %u, %u, %u},\n", steps[i].kind, steps[i].a, steps[i].b,
                          steps[i].c);
        fail_msg("SEED=%llu: %s, after these %zu steps", (unsigned long long)seed, bad, count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_store_and_its_model_are_the_same, folder_enter,
                                        folder_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
