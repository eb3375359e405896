/* What the clients of one stream have used of its limits. Relies on rate, http and error.h: what is
 * too much is answered here. Leaves the limits themselves to the config (struct conf_limits). */
#ifndef KVPIPE_SERVER_QUOTA_H
#define KVPIPE_SERVER_QUOTA_H

#include <stdbool.h>

#include "server/rate.h"

struct http_exchange;

struct quota { /* in struct stream; zeroed: nothing was used */
    struct rate put_calls, put_fragments, get_calls, media_points, metadata_points;
    unsigned get_connections, list_connections;
};

/* Takes n of per_s a second, or answers with ClientLimitExceededException and returns false. what:
 * for the answer, as "GetMedia calls". */
bool quota_admit(struct http_exchange *ex, struct rate *r, unsigned per_s, unsigned n,
                 const char *what);
/* Counts one more connection, to be given back by --*n; or answers with
 * ConnectionLimitExceededException and returns false. max 0: no limit. */
bool quota_connect(struct http_exchange *ex, unsigned *n, unsigned max, const char *operation);

#endif
