/* Statements about tables that there are one of, in the file and in memory. */
#include <stdio.h>

#include "bus/store_core.h"

static const char *const STATEMENTS[FIXED_STATEMENTS] = {
    [FIXED_BEGIN] = "BEGIN IMMEDIATE",
    [FIXED_COMMIT] = "COMMIT",
    [FIXED_TALLY] = "INSERT INTO %s.tally VALUES(?,?,?,?,?,?) ON CONFLICT(stream, topic)"
                    " DO UPDATE SET total=excluded.total, stored=excluded.stored,"
                    " bytes=excluded.bytes",
    [FIXED_CONSUMER] = "UPDATE %s.consumer SET settled=?, hi=?, open=? WHERE id=?",
    [FIXED_PENDING_PUT] = "INSERT INTO %s.pending VALUES(?,?,?,?,?)",
    [FIXED_PENDING_SET] = "UPDATE %s.pending SET tries=?3, due=?4, why=?5"
                          " WHERE consumer=?1 AND seq=?2",
    [FIXED_PENDING_DELETE] = "DELETE FROM %s.pending WHERE consumer=? AND seq=?",
    [FIXED_PENDING_GET] = "SELECT tries FROM %s.pending WHERE consumer=? AND seq=?",
    [FIXED_PENDING_FIRST] = "SELECT min(seq) FROM %s.pending WHERE consumer=?",
    [FIXED_PENDING_CUT] = "DELETE FROM %s.pending WHERE consumer=? AND seq BETWEEN ? AND ?",
    [FIXED_DELAYED_PUT] = "INSERT INTO %s.delayed VALUES(?,?,?)",
    [FIXED_DELAYED_DUE] = "SELECT due, n, frame FROM %s.delayed WHERE due<=? ORDER BY due, n",
    [FIXED_DELAYED_DELETE] = "DELETE FROM %s.delayed WHERE due=? AND n=?",
    [FIXED_DELAYED_NEXT] = "SELECT min(due) FROM %s.delayed",
    [FIXED_DEDUPE_PUT] = "INSERT INTO %s.dedupe VALUES(?,?,?,?)",
    [FIXED_DEDUPE_CUT] = "DELETE FROM %s.dedupe WHERE n IN"
                         " (SELECT n FROM main.dedupe WHERE n<=? LIMIT 4096)",
    [FIXED_BLOB_PUT] = "INSERT OR IGNORE INTO %s.blob VALUES(?)",
    [FIXED_BLOB_DELETE] = "DELETE FROM %s.blob WHERE name=?",
    [FIXED_BLOB_GET] = "SELECT 1 FROM %s.blob WHERE name=?",
    [FIXED_VACUUM] = "PRAGMA %s.incremental_vacuum(64)",
};

sqlite3_stmt *fixed_statement(struct store *s, enum fixed_statement which, enum db_place place)
{
    sqlite3_stmt **slot = &s->db.fixed[which][place];
    if (*slot)
        return *slot;
    char sql[320];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof(sql), STATEMENTS[which], db_schema(place));
#pragma GCC diagnostic pop
    return db_prepare(&s->db, slot, "%s", sql);
}

int store_doom_blob(struct store *s, struct slice name)
{
    if (!name.len)
        return 0;
    sqlite3_stmt *stmt = fixed_statement(s, FIXED_BLOB_DELETE, DB_FILE);
    if (!stmt)
        return -1;
    blob_doom(&s->batch.blobs, name);
    db_bind_text(stmt, 1, name);
    return db_run(&s->db, stmt);
}
