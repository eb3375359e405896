/* What the uploader's gap ledger (SPOOL/STREAM/gaps.log) says: causes in plain words, and reading
 * it back. Relies on jansson. Every line is taken as hostile; one that is no entry is passed over.
 * Leaves writing to uploader/ledger.c. */
#ifndef KVPIPE_COMMON_GAPS_H
#define KVPIPE_COMMON_GAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define GAPS_FILE "gaps.log"
#define GAPS_LINE_MAX 4096

enum gaps_cause {
    GAPS_UNKNOWN,
    GAPS_CAMERA, /* it was silent, or lost frames itself */
    GAPS_WINDOW_FULL,
    GAPS_DISK_FULL,
    GAPS_ENDPOINT_REFUSED,
    GAPS_CAPTURE_RESTARTED, /* it died; what it held is gone with it */
    GAPS_STOPPED,           /* the pipeline was stopped and started again */
    GAPS_NO_KEY_FRAME,
    GAPS_BAD_FORMAT,
    GAPS_BAD_TIMESTAMP,
    GAPS_FRAGMENT_LIMIT,
    GAPS_ENCODER,
    GAPS_DISK_DAMAGED, /* it had been taken, and the spool's disk gave back something else */
};
#define GAPS_CAUSES (GAPS_DISK_DAMAGED + 1)

/* The word for people, JSON and metrics. */
const char *gaps_cause_name(enum gaps_cause cause);
/* Of a link's gap reason, a refusal ("refused_4006") or one of the spool's own reasons. */
enum gaps_cause gaps_cause_of(const char *reason);

/* Reads DIR/STREAM/gaps.log: {"stream", "totals": {cause: {"intervals", "frames"}}, "gaps": [...]},
 * the gaps that end at since_ns or later (0: all), oldest first; lines that continue each other are
 * one. `totals` count the whole life of the spool. No such file: no gaps. Blocks on the file (at
 * most 2 MB). Returns 0 and *out (json_decref), or a negative errno. */
int gaps_read(const char *dir, const char *stream, int64_t since_ns, json_t **out);
/* One line of the file; NULL for what is no entry. */
json_t *gaps_parse(const char *line, size_t len);
/* A number of an entry that cannot be negative; 0 when it is not there. */
uint64_t gaps_number(const json_t *entry, const char *key);

#endif
