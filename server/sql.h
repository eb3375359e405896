/* Short calls to sqlite3: bind by a format, run, map errors to errno.
 * Relies on sqlite3.
 * Leaves the statements to its users. */
#ifndef KVPIPE_SERVER_SQL_H
#define KVPIPE_SERVER_SQL_H

#include <sqlite3.h>

/* Prepares `sql` and binds one argument for each letter of fmt: 'i' int64_t, 's' const char * (NULL
 * = NULL), 'b' const void * and size_t (NULL = NULL); texts and bytes must outlive the statement.
 * Returns NULL after logging an error. */
sqlite3_stmt *sql_prepare(sqlite3 *db, const char *sql, const char *fmt, ...);
/* Runs a statement without rows. Returns 0, -EEXIST (constraint), or after logging it -ENOSPC,
 * -EBADMSG (the file is damaged) or -EIO. */
int sql_run(sqlite3 *db, const char *sql, const char *fmt, ...);
/* Runs several statements without arguments. */
int sql_script(sqlite3 *db, const char *sql);
/* Negative errno of the connection's last result, logged unless it is a constraint. */
int sql_error(sqlite3 *db, const char *sql);

#endif
