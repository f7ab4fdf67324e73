#include "engine_model.h"

static bool takes(const struct model *m, unsigned c, const struct model_message *msg)
{
    const struct model_consumer *consumer = &m->consumers[c];
    return consumer->exists && consumer->stream == msg->stream &&
           consumer->topics >> msg->topic & 1;
}

uint64_t model_publish(struct model *m, unsigned stream, unsigned topic, int id)
{
    for (uint64_t seq = 1; seq <= m->seq && id >= 0; seq++)
        if (m->messages[seq].id == id && m->messages[seq].stream == stream)
            return seq;
    m->messages[++m->seq] =
        (struct model_message){.stream = stream, .topic = topic, .id = id, .stored = true};
    return m->seq;
}

enum engine_status model_forget(struct model *m, uint64_t seq)
{
    if (seq == 0 || seq > m->seq || !m->messages[seq].stored)
        return ENGINE_UNKNOWN;
    m->messages[seq].stored = false;
    for (unsigned c = 0; c < MODEL_CONSUMERS; c++)
        m->messages[seq].place[c] = MODEL_SETTLED;
    return ENGINE_OK;
}

static void begin(struct model *m, unsigned c, uint64_t from)
{
    m->consumers[c].hi = from - 1;
    for (uint64_t seq = 1; seq <= m->seq; seq++) {
        m->messages[seq].place[c] = seq < from ? MODEL_SETTLED : MODEL_AHEAD;
        m->messages[seq].again[c] = false;
    }
}

void model_declare(struct model *m, unsigned c, unsigned stream, unsigned topics, uint64_t from)
{
    struct model_consumer *consumer = &m->consumers[c];
    bool is_new = !consumer->exists;
    consumer->exists = true;
    consumer->topics = topics;
    if (!is_new)
        return;
    consumer->stream = stream;
    consumer->credit = 0;
    begin(m, c, from);
}

void model_drop(struct model *m, unsigned c)
{
    m->consumers[c].exists = false;
}

void model_seek(struct model *m, unsigned c, uint64_t from)
{
    begin(m, c, from);
}

/* Deleted, when nobody has anything to do about it. */
static void delete_job(struct model *m, struct model_message *msg)
{
    for (unsigned c = 0; c < MODEL_CONSUMERS; c++)
        if (takes(m, c, msg) && msg->place[c] != MODEL_SETTLED)
            return;
    msg->stored = false;
}

enum engine_status model_settle(struct model *m, unsigned c, uint64_t seq, bool later,
                                uint32_t tries)
{
    struct model_message *msg = &m->messages[seq];
    if (!m->consumers[c].exists || seq > m->seq || msg->stream != m->consumers[c].stream ||
        (msg->place[c] != MODEL_OPEN && msg->place[c] != MODEL_OFF))
        return ENGINE_UNKNOWN;
    msg->place[c] = later ? MODEL_OFF : MODEL_SETTLED;
    msg->tries[c] = tries;
    if (!later && msg->stream == 1)
        delete_job(m, msg);
    return ENGINE_OK;
}

enum engine_status model_take(struct model *m, unsigned c, uint64_t seq)
{
    const struct model_message *msg = &m->messages[seq];
    bool off = m->consumers[c].exists && seq <= m->seq &&
               msg->stream == m->consumers[c].stream && msg->place[c] == MODEL_OFF &&
               msg->stored;
    return off ? ENGINE_OK : ENGINE_UNKNOWN;
}

uint64_t model_next(struct model *m, unsigned c)
{
    struct model_consumer *consumer = &m->consumers[c];
    if (!consumer->exists || !consumer->credit)
        return 0;
    for (uint64_t seq = 1; seq <= m->seq; seq++) {
        struct model_message *msg = &m->messages[seq];
        if (!msg->again[c] || msg->place[c] != MODEL_OPEN)
            continue;
        msg->again[c] = false;
        consumer->credit--;
        return seq;
    }
    while (consumer->hi < m->seq) {
        struct model_message *msg = &m->messages[++consumer->hi];
        if (msg->stream != consumer->stream)
            continue;
        if (!msg->stored || !takes(m, c, msg)) {
            msg->place[c] = MODEL_SETTLED;
            continue;
        }
        msg->place[c] = MODEL_OPEN;
        consumer->credit--;
        return consumer->hi;
    }
    return 0;
}

void model_restart(struct model *m)
{
    for (unsigned c = 0; c < MODEL_CONSUMERS; c++) {
        m->consumers[c].credit = 0;
        for (uint64_t seq = 1; seq <= m->seq; seq++)
            m->messages[seq].again[c] = m->messages[seq].place[c] == MODEL_OPEN;
    }
}

uint64_t model_lag(const struct model *m, unsigned c)
{
    uint64_t lag = 0;
    for (uint64_t seq = 1; seq <= m->seq; seq++) {
        const struct model_message *msg = &m->messages[seq];
        if (msg->stream != m->consumers[c].stream)
            continue;
        lag += msg->place[c] == MODEL_OPEN || msg->place[c] == MODEL_OFF;
        lag += msg->place[c] == MODEL_AHEAD && msg->stored && takes(m, c, msg);
    }
    return lag;
}

uint64_t model_count(const struct model *m, unsigned stream)
{
    uint64_t count = 0;
    for (uint64_t seq = 1; seq <= m->seq; seq++)
        count += m->messages[seq].stored && m->messages[seq].stream == stream;
    return count;
}
