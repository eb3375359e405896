/* Short calls to sqlite3: bind by a format, run, map errors to errno.
 * Relies on sqlite3.
 * Leaves the statements to its users. */
#include "server/sql.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"

int sql_error(sqlite3 *db, const char *sql)
{
    int code = sqlite3_errcode(db) & 0xff;
    if (code == SQLITE_CONSTRAINT)
        return -EEXIST;
    log_error("server.index", "error=\"%s\" statement=\"%.60s\"", sqlite3_errmsg(db), sql);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return -EBADMSG;
    return code == SQLITE_FULL ? -ENOSPC : -EIO;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql, const char *fmt, va_list ap)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) {
        sql_error(db, sql);
        return NULL;
    }
    for (int i = 1; *fmt; fmt++, i++) {
        if (*fmt == 'i') {
            sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
        } else if (*fmt == 'b') {
            const void *bytes = va_arg(ap, const void *);
            sqlite3_bind_blob(st, i, bytes, (int)va_arg(ap, size_t), SQLITE_STATIC);
        } else {
            sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
        }
    }
    return st;
}

sqlite3_stmt *sql_prepare(sqlite3 *db, const char *sql, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sqlite3_stmt *st = prepare(db, sql, fmt, ap);
    va_end(ap);
    return st;
}

int sql_run(sqlite3 *db, const char *sql, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sqlite3_stmt *st = prepare(db, sql, fmt, ap);
    va_end(ap);
    if (!st)
        return -EIO;
    int r = sqlite3_step(st) == SQLITE_DONE ? 0 : sql_error(db, sql);
    sqlite3_finalize(st);
    return r;
}

int sql_script(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_error(db, sql);
}
