/*
 * store_core: what the parts of the embedded engine share; all of it is the thread's.
 *
 *   store            the engine's face to the loop, and the thread's turn
 *   store_commit     one transaction for all ops that wait
 *   store_outage     what to do when the file fails
 *   store_ops        which ops go together, and who does them
 *   store_publish    messages in            store_settle    messages over
 *   store_stream     streams and topics     store_consumer  consumers
 *   store_feed       messages out           store_sweep     what nobody needs any more
 *   store_read, store_info, store_query     questions
 *   store_tail       the newest messages    store_dedupe    the msgids of late
 *   store_row        messages as rows       store_blob      big ones as files
 *   store_db, store_page, store_log         SQLite          store_disk      room and the lock
 *
 * A message of a stream is a row of the table msg_ID: appended at its right edge, read in
 * order, and nothing of other streams is in between.  For each consumer and each message that
 * matches with seq <= hi, the message is settled unless its seq is in `open` or in the table
 * `pending`; above hi nothing has been settled.  This holds in every committed state.  A
 * delivery changes memory only; a settle writes hi and open.
 *
 * A transaction changes the structs here as it goes.  What it changes first remembers what it
 * was (`saved`), so that all is as before when it fails.
 */
#pragma once

#include "base/buf.h"
#include "base/histogram.h"
#include "base/idmap.h"
#include "base/keymap.h"
#include "base/log.h"
#include "base/siphash.h"
#include "bus/store_blob.h"
#include "bus/store_db.h"
#include "bus/store_dedupe.h"
#include "bus/store_disk.h"
#include "bus/store_tail.h"
#include "loop/offload.h"

enum {
    STORE_STREAMS_MAX = 4096,
    STORE_TOPICS_MAX = 100000, /* of one stream */
    STORE_BATCH_OPS = 4096,
    STORE_BATCH_BYTES = 8 << 20,
    STORE_TURN_ROWS = 256,   /* that one consumer reads from the file before another's turn */
    STORE_READ_NS = 250000,  /* and no longer than this */
    STORE_TURN_NS = 1000000, /* of all of them, before that of ops */
    STORE_PUBLISHED_NS = 1000000000, /* who did within this time is not to be kept waiting */
    STORE_READ_SHARE = 8,          /* while they do, 1/8 of the time is for reading the file */
    STORE_READ_BURST_NS = 8000000, /* and so much is saved up while nobody reads */
    STORE_SWEEP_ROWS = 1000,       /* deleted in one transaction */
    STORE_WHY_MAX = 1024,
    STORE_TICK_MS = 1000,    /* between looks at what is to be swept, while something happens */
    STORE_IDLE_MS = 60000,   /* and else */
    STORE_ROW_OVERHEAD = 64, /* bytes that a message counts for besides its own */
    STORE_MARKS = 1,         /* of stream N: topic N+1 of what is the store's, see MIGRATIONS */
};

struct store;
struct store_backup;

/* How many messages of one topic came, are there, and how many bytes these have. */
struct tally {
    uint64_t total, stored, bytes;
};

struct topic {
    struct keymap_node node; /* in the stream's */
    struct list dirty;       /* in the batch, when it is not as on disk */
    struct stream *stream;
    char *name;
    uint32_t id; /* in its stream: 1, 2, ...; 0: of messages for one group only */
    struct tally now, saved;
};

enum stream_statement {
    STREAM_INSERT,
    STREAM_GET,
    STREAM_AFTER,
    STREAM_BEFORE,
    STREAM_DELETE,
    STREAM_EDGES,
    STREAM_HEAD,
    STREAM_COUNT,
    STREAM_OLDEST,
    STREAM_CUT,
    STREAM_STATEMENTS,
};

struct stream {
    struct keymap_node node; /* in the store's, by name */
    struct list all;         /* in the store's */
    uint32_t id;
    enum db_place place;
    struct slice name;
    bool work;
    enum durability durability;
    uint64_t max_bytes, max_age, dedupe_window; /* of the declaration; 0 before it: no bound */
    bool discard_old;
    bool declared;
    uint64_t last;       /* the newest seq that ever was; 0 = none */
    struct tally sum;    /* of all topics */
    uint64_t removed;    /* seq: the newest that went as too old or for room; 0 = none */
    uint64_t delayed;    /* messages whose time has not come */
    struct list changed; /* in the batch, when what follows is what was */
    struct tally saved;
    uint64_t saved_last, saved_removed, saved_delayed;
    size_t saved_topics;
    struct topic **topics; /* by id */
    size_t topic_count, topic_cap;
    struct keymap by_name;
    struct list consumers; /* struct consumer.node */
    struct tail_stream tail;
    int64_t next_sweep_ms; /* when the oldest may be too old */
    sqlite3_stmt *sql[STREAM_STATEMENTS];
};

struct consumer {
    struct list node; /* in its stream's */
    struct list all;  /* in the store's */
    struct list dirty;
    struct stream *stream;
    uint32_t id;
    struct slice name;
    struct buf config;
    char **patterns;
    size_t pattern_count;
    unsigned char *takes; /* by topic: does it match? */
    size_t takes_count;
    bool declared; /* in this life of the store */
    uint32_t epoch;
    uint64_t credit;
    uint64_t hi;    /* the last that was taken up */
    uint64_t *open; /* seq << 1, by seq; the lowest bit: settled by the batch */
    size_t open_count, open_cap, settling;
    size_t again;     /* of the first that many of `open`: to be delivered anew */
    size_t again_at;  /* so many of them are delivered */
    int64_t settled;  /* sum of `total` of what matches, less what is not settled */
    uint64_t put_off; /* rows in pending */
    int64_t saved_settled;
    uint64_t saved_put_off;
    uint64_t saved_hi;
};

/* A message that the batch stores. */
struct fresh {
    struct message *message; /* held */
    struct stream *stream;
    uint32_t topic;
};

/* A message that the batch deletes. */
struct stale {
    struct stream *stream;
    uint64_t seq;
};

/* What a transaction is about, until it is known how it ended. */
struct batch {
    struct list ops;
    bool began, committing;
    bool file; /* something on disk is changed */
    bool due;  /* some that were put off until now go to their streams */
    uint64_t number;
    struct list topics, streams, consumers; /* dirty ones */
    struct fresh *fresh;
    size_t fresh_count, fresh_cap;
    struct stale *stale;
    size_t stale_count, stale_cap;
    uint64_t seq;
    int64_t time_ms;
    uint64_t delayed;
    uint64_t ids;
    struct blob_changes blobs;
    struct parcel *parcel; /* what the loop gets after it: gaps */
    bool refuse;           /* a second try, with the disk full: nothing is published */
    void (*apply)(struct store *, void *change, bool ok); /* of a change of structure */
    void *change;
};

/* To the loop, besides ops that are done. */
enum { LETTER_PARCEL = 1000, LETTER_TELL, LETTER_CLOSE };

struct gap {
    uint32_t consumer;
    uint64_t from, to;
};

struct parcel {
    struct op op; /* its kind is LETTER_PARCEL */
    struct message **stored;
    size_t stored_count;
    struct delivery_note *notes;
    size_t note_count, note_cap;
    struct gap *gaps;
    size_t gap_count, gap_cap;
};

struct tell {
    struct op op; /* its kind is LETTER_TELL */
    int level;
    char sentence[400];
};

/* Something that may fail each second for hours, and must not fill the log. */
struct outage {
    int64_t since_ms;          /* 0: there is none */
    int64_t over_ms;           /* 0: it goes on */
    int64_t told_ms, ended_ms; /* when that it goes on, or its end, was last told */
    uint64_t times, told;      /* how often so far, and what of that was told */
};

/* Points at which a test lets the process die. */
enum fault_point {
    FAULT_NONE,
    FAULT_AFTER_INSERT,
    FAULT_BEFORE_COMMIT,
    FAULT_AFTER_COMMIT,
    FAULT_BEFORE_REPLY,
    FAULT_MID_CHECKPOINT,
    FAULT_MID_SWEEP,
};

struct store {
    struct engine engine;
    struct offload offload;
    char caps_name[24];
    bool open;         /* the thread runs */
    struct list early; /* struct tell: from before */
    /* What follows is the thread's. */
    char *dir;
    uint64_t min_free;
    bool wants_stored;
    struct siphash_key hash_key;
    struct db db;
    struct disk_room room;
    struct blobs blobs;
    struct tail tail;
    struct dedupe dedupe;
    struct list streams, consumers;
    struct keymap stream_names;
    struct idmap consumer_ids;
    uint32_t last_consumer, last_stream;
    uint64_t seq; /* the newest */
    int64_t time_ms;
    uint64_t delayed;
    int64_t next_due_ms;   /* INT64_MAX: none */
    uint64_t published_ns; /* when somebody last did */
    uint64_t rested_ns;    /* until then nobody reads the file; see rest() */
    int64_t next_feed_ms;  /* when they may again; INT64_MAX: nobody waits for it */
    uint64_t commits_on_disk;
    struct list queue; /* ops that are not begun */
    struct batch batch;
    bool down;        /* the connection is closed; `batch` may be undecided */
    bool undecided;   /* the last commit failed so that only a reopening can tell */
    int64_t retry_ms; /* when to try to open it again */
    unsigned retries;
    struct outage failing, filled;
    bool closing, shut;
    bool sweeping; /* more is to be swept at once */
    int64_t next_tick_ms;
    bool active;      /* something happened since the last tick */
    uint64_t expired; /* ids up to this one leave their table */
    struct store_backup *backup;
    uint64_t commits, committed, failures;
    struct histogram *commit_us;
    struct histogram *batch_sizes; /* messages */
    enum fault_point fault;
    uint64_t fault_passes;
};

enum fixed_statement {
    FIXED_BEGIN,
    FIXED_COMMIT,
    FIXED_TALLY,
    FIXED_CONSUMER,
    FIXED_PENDING_PUT,
    FIXED_PENDING_SET,
    FIXED_PENDING_DELETE,
    FIXED_PENDING_GET,
    FIXED_PENDING_FIRST,
    FIXED_PENDING_CUT,
    FIXED_DELAYED_PUT,
    FIXED_DELAYED_DUE,
    FIXED_DELAYED_DELETE,
    FIXED_DELAYED_NEXT,
    FIXED_DEDUPE_PUT,
    FIXED_DEDUPE_CUT,
    FIXED_BLOB_PUT,
    FIXED_BLOB_DELETE,
    FIXED_BLOB_GET,
    FIXED_VACUUM,
    FIXED_STATEMENTS,
};

/* NULL is a fault. */
sqlite3_stmt *fixed_statement(struct store *, enum fixed_statement, enum db_place);

int64_t store_wall_ms(void);

/* Dies here, if a test wants it. */
void store_fault(struct store *, enum fault_point);

/* A sentence for the log. */
void store_tell(struct store *, int level, const char *format, ...) PRINTF_LIKE(3, 4);

/* The op's end, but for the reply. */
void store_refuse(struct op *, enum engine_status, const char *format, ...) PRINTF_LIKE(3, 4);

struct parcel *parcel_new(void);
void parcel_note(struct parcel *, struct message *held, const struct consumer *,
                 uint32_t tries);
void parcel_gap(struct parcel *, uint32_t consumer, uint64_t from, uint64_t to);

/* ------------------------------------------------- store_load: from the disk at start */

int store_load(struct store *, struct err *) MUST_CHECK;
int store_read_commits(struct store *, uint64_t *commits) MUST_CHECK;

/* After the connection was closed, and with it what was in memory: it is forgotten. */
int store_reload_memory(struct store *) MUST_CHECK;
void store_unload(struct store *);

/* --------------------------------------------------------- store_stream */

struct stream *store_stream(struct store *, struct slice name);
struct stream *stream_new(struct store *, uint32_t id, struct slice name, enum durability);
void stream_free(struct store *, struct stream *);
void stream_forget_statements(struct stream *);
sqlite3_stmt *stream_statement(struct store *, struct stream *, enum stream_statement);

/* NULL when there are too many. */
struct topic *stream_topic(struct store *, struct stream *, struct slice name);
struct topic *stream_add_topic(struct store *, struct stream *, struct slice name);

/* About to change: the batch keeps what it was. */
void stream_touch(struct store *, struct stream *);
void topic_touch(struct store *, struct topic *);
void stream_undo(struct stream *);
int stream_create_table(struct store *, struct stream *) MUST_CHECK;
int store_do_stream(struct store *, struct op_stream *) MUST_CHECK;
int store_drop_stream(struct store *, struct op_drop *) MUST_CHECK;

/* The seqs of the oldest and the newest that are there; 0 = none. */
int stream_edges(struct store *, struct stream *, uint64_t *first, uint64_t *last) MUST_CHECK;

/* The first seq whose message is not older; one above the last when all are. */
int stream_at_time(struct store *, struct stream *, int64_t time_ms, uint64_t *seq) MUST_CHECK;

/* ------------------------------------------------------- store_consumer */

struct consumer *store_consumer(struct store *, uint32_t id);
struct consumer *consumer_new(struct store *, struct stream *, uint32_t id, struct slice name);
void consumer_free(struct store *, struct consumer *);
void consumer_set_patterns(struct consumer *, const struct slice *patterns, size_t count);
bool consumer_takes(struct consumer *, uint32_t topic);
bool consumer_takes_message(struct consumer *, uint32_t topic, struct slice only);
void consumer_touch(struct store *, struct consumer *);

/* Rows with from <= seq < to that match. */
int consumer_count(struct store *, struct consumer *, uint64_t from, uint64_t to,
                   uint64_t *count) MUST_CHECK;

/* Matching messages that are not settled. */
uint64_t consumer_lag(struct consumer *);

/* A statement whose first two parameters are the consumer and a seq, with these; or NULL. */
sqlite3_stmt *consumer_statement(struct store *, const struct consumer *, uint64_t seq,
                                 enum fixed_statement);

/* 1 and its attempts (NULL: never mind) if it has put off the message, 0 if not, or negative.
 */
int consumer_put_off(struct store *, const struct consumer *, uint64_t seq,
                     uint32_t *tries) MUST_CHECK;

/* The lowest seq that it may still want; UINT64_MAX is possible. */
int consumer_floor(struct store *, struct consumer *, uint64_t *seq) MUST_CHECK;
int store_do_consumer(struct store *, struct op_consumer *) MUST_CHECK;
int store_drop_consumer(struct store *, struct op_drop *) MUST_CHECK;
int store_do_seek(struct store *, struct op_seek *) MUST_CHECK;

/* ----------------------------------- store_open: the seqs a consumer has open */

void open_add(struct consumer *, uint64_t seq);
bool open_has(const struct consumer *, uint64_t seq);

/* Until open_commit() or open_undo(); false when it is not open. */
bool open_settle(struct consumer *, uint64_t seq);
void open_commit(struct consumer *);
void open_undo(struct consumer *);

/* At once; those in [from, to]. */
size_t open_remove(struct consumer *, uint64_t from, uint64_t to);
void open_encode(const struct consumer *, struct buf *out);
bool open_decode(struct consumer *, struct slice bytes);

/* -------------------------------------------- store_publish, store_settle */

int store_do_publish(struct store *, struct op_publish *) MUST_CHECK;

/* All or none; not OK in `op` when they cannot be. */
int store_insert_all(struct store *, struct op *op, struct message **messages,
                     size_t count) MUST_CHECK;

/* Those whose time has come. */
int store_do_due(struct store *, int64_t now_ms) MUST_CHECK;
int store_do_settle(struct store *, struct op_settle *) MUST_CHECK;

/* It is deleted: settled, wherever it is. */
int consumer_forgets(struct store *, struct consumer *, const struct message *) MUST_CHECK;

/* A file of data goes with the batch; an empty name is none. */
int store_doom_blob(struct store *, struct slice name) MUST_CHECK;

/* Nobody needs it: the row, what is counted, and what is kept of it in memory. */
int stream_delete(struct store *, struct stream *, uint64_t seq, bool *found) MUST_CHECK;

/* ----------------------------------------------------------- store_row */

int row_insert(struct store *, struct stream *, struct topic *, struct message *,
               struct slice blob) MUST_CHECK;

/*
 * The message of a statement's current row: NULL when it is not what was stored, which is told.
 */
struct message *row_message(struct store *, struct stream *, sqlite3_stmt *);

/* 1: found, 0: there is none (or it is damaged), or a fault. */
int row_get(struct store *, struct stream *, uint64_t seq, struct message **) MUST_CHECK;
uint64_t row_bytes(const struct message *);
void delayed_write(const struct message *, struct slice blob, struct buf *out);
struct message *frame_unpack(struct store *, struct slice frame);

/* What rows are read by: the columns in their order. */
#define ROW_COLUMNS                                                                            \
    "seq, topic, ts, sum, size, key, id, cause, correlation, trace, headers, only_for, "       \
    "origin,"                                                                                  \
    " data"

enum { ROW_SEQ, ROW_TOPIC, ROW_TS, ROW_SUM, ROW_SIZE, ROW_KEY };

enum { ROW_ONLY = 11, ROW_DATA = 13 };

/* ---------------------------------------------------------- store_feed */

/* Delivers what there is credit for; true when there is more for the next turn, which
 * is to come at once, else `next_feed_ms`. */
bool store_feed(struct store *, struct parcel *);
void store_do_take(struct store *, struct op_take *, struct parcel *);

/* --------------------------------------------------------- store_sweep */

/* In the batch: room for so many bytes; false when there is none to be had. */
int stream_make_room(struct store *, struct stream *, uint64_t bytes, bool *made) MUST_CHECK;

/* A transaction of its own, when something is to be swept. */
int store_sweep(struct store *, int64_t now_ms) MUST_CHECK;

/* -------------------------------------------- store_read, _info, _query */

void store_do_read(struct store *, struct op_read *);
void store_do_info(struct store *, struct op_info *);
void store_do_query(struct store *, struct op_query *);
void store_do_backup(struct store *, struct op_backup *);

/* Goes on with a copy; true while there is more to do. */
bool store_backup_turn(struct store *);
void store_backup_end(struct store *, const char *why);

/* ----------------------------------------------------------- store_ops */

/* How durable the batch's ops want their transaction. */
enum durability store_level(struct store *);

/* From the queue to the batch; true when something is published. */
bool store_take_ops(struct store *);

/* In the transaction; a fault, or 0 with the op's own status. */
int store_do_op(struct store *, struct op *) MUST_CHECK;

/* What changes nothing on disk comes after the commit, so that it is not to be undone. */
void store_after_commit(struct store *, struct op *);

/* What it was given is taken back. */
void store_clear_op(struct op *);
void store_fail_ops(struct store *, struct list *ops, enum engine_status);

/* -------------------------------------------------------- store_commit */

/* Before the first change; `touched` is NULL when it is of the store itself. */
int batch_begin(struct store *, const struct stream *touched) MUST_CHECK;

/* Runs ops of the queue as one transaction, and replies. */
void store_commit_turn(struct store *);

/* The same without ops, for what the store does by itself; when it fails, store_own_failed().
 */
int store_commit_own(struct store *) MUST_CHECK;
void store_own_failed(struct store *);

void store_rollback(struct store *);

/* How the batch has ended: everybody in it is told. */
void store_decided(struct store *, bool kept);
void batch_init(struct store *);

/* -------------------------------------------------------- store_outage */

/* The connection cannot be trusted any more: it is closed, and opened again when that can be
   done at once; else `down`. */
void store_recover(struct store *);

/* While it is down, at `retry_ms`: another try. */
void store_reopen(struct store *);

/* Once more: true when it is to be told, which is at first, and then once a minute.  What comes
   within a minute after its end belongs to it. */
bool outage_goes_on(struct outage *, int64_t now_ms);

/* It is over, for now: likewise. */
bool outage_ends(struct outage *, int64_t now_ms);

/* It has been over for a minute; true when there is something that was not told. */
bool outage_is_past(struct outage *, int64_t now_ms);
void store_tell_past(struct store *, int64_t now_ms);
