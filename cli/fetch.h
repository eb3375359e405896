/* Requests to the monitor's status server.
 * Relies on libcurl and Jansson.
 * Leaves the looks to view.c. */
#ifndef KVPIPE_CLI_FETCH_H
#define KVPIPE_CLI_FETCH_H

#include <jansson.h>

#include "cli/ask.h"
#include "common/buf.h"

/* Reads BASE/status ("http://host:port"). Blocks at most 3 s. Returns 0 and *status (json_decref),
 * -ECONNREFUSED when nothing listens, or another negative errno; never prints. */
int fetch_status(const char *base, json_t **status);
/* Reads BASE/gaps of a stream (common/gaps.h), those that end at since_ns or later. Returns the
 * HTTP status and, with 200, *gaps (json_decref); or a negative errno. */
int fetch_gaps(const char *base, const char *stream, int64_t since_ns, json_t **gaps);
/* Reads BASE/events: {"last", "events"}, those above `since`. Returns 0 and *events, or a negative
 * errno. */
int fetch_events(const char *base, json_int_t since, json_t **events);
/* Reads BASE/still of a stream. Returns the HTTP status (503: ask again), or a negative errno. */
int fetch_still(const char *base, const char *stream, struct buf *jpeg);
/* POST BASE/VERB with the monitor's token. Returns the HTTP status, its text in *answer, or a
 * negative errno. */
int fetch_post(const char *base, const char *verb, const char *token,
               const struct ask_field *fields, size_t n, struct buf *answer);
/* The monitor's base URL from a config's monitor.listen; caller frees. */
char *fetch_base(const char *listen);

#endif
