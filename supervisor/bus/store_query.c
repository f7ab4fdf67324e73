/* Questions in SQL, and copies: what people do with the file, who must not open it themselves.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "bus/store_core.h"

enum {
    QUERY_NS = 500000000,
    QUERY_BYTES = 4 << 20,
    QUERY_ROWS = 10000,
    BACKUP_PAGES = 64, /* between two commits */
};

/* Nothing but reading: no pragmas, no files, no settings of the connection. */
static int allowed(void *arg, int action, const char *a, const char *b, const char *schema,
                   const char *trigger)
{
    (void)arg, (void)a, (void)b, (void)schema, (void)trigger;
    bool reads = action == SQLITE_SELECT || action == SQLITE_READ ||
                 action == SQLITE_FUNCTION || action == SQLITE_RECURSIVE;
    return reads ? SQLITE_OK : SQLITE_DENY;
}

static int too_long(void *until)
{
    return loop_clock_ns() > *(uint64_t *)until;
}

static void write_cell(sqlite3_stmt *stmt, int column, struct buf *out)
{
    struct slice text;
    double number;
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_NULL:
        buf_adds(out, "null");
        break;
    case SQLITE_INTEGER:
        buf_addf(out, "%lld", (long long)sqlite3_column_int64(stmt, column));
        break;
    case SQLITE_FLOAT:
        number = sqlite3_column_double(stmt, column);
        if (number - number == 0)
            buf_addf(out, "%.17g", number);
        else
            buf_adds(out, "null");
        break;
    default:
        text = db_blob(stmt, column);
        json_write(out, text);
        break;
    }
}

static void write_row(sqlite3_stmt *stmt, bool names, struct buf *out)
{
    int columns = sqlite3_column_count(stmt);
    for (int i = 0; i < columns; i++) {
        buf_addc(out, i ? ',' : '[');
        if (names)
            json_write(out, slice_of(sqlite3_column_name(stmt, i)));
        else
            write_cell(stmt, i, out);
    }
    buf_adds(out, "]\n");
}

static void ask(struct store *s, struct op_query *op, sqlite3_stmt *stmt)
{
    size_t limit = MIN(op->limit ? op->limit : QUERY_ROWS, QUERY_ROWS);
    int rc = SQLITE_ROW;
    write_row(stmt, true, op->rows);
    for (size_t rows = 0; rows < limit && op->rows->len < QUERY_BYTES; rows++) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        write_row(stmt, false, op->rows);
    }
    if (rc == SQLITE_INTERRUPT)
        store_refuse(&op->op, ENGINE_INVALID,
                     "the question takes more than half a second: ask for less");
    else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        store_refuse(&op->op, ENGINE_INVALID, "%s", sqlite3_errmsg(s->db.sql));
}

void store_do_query(struct store *s, struct op_query *op)
{
    sqlite3_stmt *stmt = NULL;
    const char *rest = NULL;
    uint64_t until = loop_clock_ns() + QUERY_NS;
    sqlite3_set_authorizer(s->db.sql, allowed, NULL);
    sqlite3_progress_handler(s->db.sql, 1000, too_long, &until);
    int rc = sqlite3_prepare_v2(s->db.sql, op->text.ptr, (int)MIN(op->text.len, 1 << 20), &stmt,
                                &rest);
    if (rc == SQLITE_AUTH)
        store_refuse(&op->op, ENGINE_INVALID, "only questions that read are answered");
    else if (rc != SQLITE_OK)
        store_refuse(&op->op, ENGINE_INVALID, "%s", sqlite3_errmsg(s->db.sql));
    else if (!stmt || sqlite3_column_count(stmt) == 0 || !sqlite3_stmt_readonly(stmt))
        store_refuse(&op->op, ENGINE_INVALID, "this is no question");
    else if (slice_trim((struct slice){rest, (size_t)(op->text.ptr + op->text.len - rest)}).len)
        store_refuse(&op->op, ENGINE_INVALID, "one question at a time");
    else
        ask(s, op, stmt);
    sqlite3_finalize(stmt);
    sqlite3_progress_handler(s->db.sql, 0, NULL, NULL);
    sqlite3_set_authorizer(s->db.sql, NULL, NULL);
}

/* ------------------------------------------------------------------- backup */

struct store_backup {
    struct op_backup *op;
    sqlite3 *to;
    sqlite3_backup *copy;
};

void store_do_backup(struct store *s, struct op_backup *op)
{
    if (s->backup) {
        store_refuse(&op->op, ENGINE_INVALID, "a copy is being made already");
        return;
    }
    if (access(op->path, F_OK) == 0) {
        store_refuse(&op->op, ENGINE_INVALID, "%s is there already", op->path);
        return;
    }
    struct store_backup *b = xcalloc(1, sizeof(*b));
    b->op = op;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(op->path, &b->to, flags, s->db.page.name) == SQLITE_OK)
        b->copy = sqlite3_backup_init(b->to, "main", s->db.sql, "main");
    if (b->copy) {
        s->backup = b;
        return;
    }
    store_refuse(&op->op, ENGINE_INVALID, "%s cannot be written: %s", op->path,
                 sqlite3_errmsg(b->to));
    sqlite3_close(b->to);
    xfree(b);
}

void store_backup_end(struct store *s, const char *why)
{
    struct store_backup *b = s->backup;
    if (!b)
        return;
    s->backup = NULL;
    int rc = sqlite3_backup_finish(b->copy);
    if (!why && rc != SQLITE_OK)
        why = sqlite3_errmsg(b->to);
    if (why)
        store_refuse(&b->op->op, ENGINE_BROKEN, "%s is not complete: %s", b->op->path, why);
    sqlite3_close(b->to);
    if (why)
        unlink(b->op->path);
    char *blobs = xasprintf("%s.blobs", b->op->path);
    rc = why ? 0 : blobs_copy(&s->blobs, blobs);
    if (rc)
        store_refuse(&b->op->op, ENGINE_BROKEN, "%s is not complete: %s", blobs,
                     loop_strerror(rc));
    xfree(blobs);
    struct list done;
    list_init(&done);
    list_add(&done, &b->op->op.node);
    offload_reply_all(&s->offload, &done);
    xfree(b);
}

bool store_backup_turn(struct store *s)
{
    if (!s->backup)
        return false;
    int rc = sqlite3_backup_step(s->backup->copy, BACKUP_PAGES);
    if (rc == SQLITE_OK)
        return true;
    store_backup_end(s, rc == SQLITE_DONE ? NULL : sqlite3_errstr(rc));
    return false;
}
