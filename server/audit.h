/* The audit log: a JSON record a line, in the form of CloudTrail's, in a file that is renamed when
 * it is full and thrown away when it is the oldest. Relies on a thread of its own, so that a slow
 * disk holds nothing up. Leaves what is in a record to call.h. */
#ifndef KVPIPE_SERVER_AUDIT_H
#define KVPIPE_SERVER_AUDIT_H

#include <jansson.h>

#define AUDIT_FILE_BYTES (16u << 20)
#define AUDIT_FILES 5 /* PATH, PATH.1 (newer) to PATH.4 */

struct audit;
struct event_base;

/* Opens PATH for appending. Returns 0 or a negative errno after logging what to do. */
int audit_open(struct event_base *base, const char *path, struct audit **out);
/* Writes what waits. Blocks. */
void audit_close(struct audit **a);
/* Queues a record; takes it. Never blocks. More than 4 MiB that wait, and what cannot be written,
 * is lost and said so in the log. */
void audit_write(struct audit *a, json_t *record);

#endif
