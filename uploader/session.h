/* One stream's way to the endpoint: PutMedia requests one after the other, from the first fragment
 * that is not archived on, backlog and live alike read from the spool, acks read while sending.
 * Relies on spool, endpoint, archive_lookup, session_policy, retry, common/http_client.
 * Leaves the link to stage.c. */
#ifndef KVPIPE_UPLOADER_SESSION_H
#define KVPIPE_UPLOADER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/api.h"
#include "uploader/spool.h"

struct event_base;
struct metrics;
struct session;

struct session_stats {
    uint64_t bytes_out, sessions, reconnects; /* reconnects: sessions that ended with a failure */
    uint64_t acks;                            /* of what was sent: not IDLE */
    bool open;                                /* a request is, and was answered 200 */
};

struct session_ops {
    /* State in one word and a note for people, as report_state() wants them. */
    void (*state)(void *arg, const char *state, const char *note);
};

/* Borrows everything but `ops` for its life; takes over spool_on_drop. metrics may be NULL. */
struct session *session_create(struct event_base *base, struct api *api,
                               const struct conf_endpoint *conf, const struct conf_stream *stream,
                               struct spool *spool, struct metrics *metrics,
                               const struct session_ops *ops, void *arg);
/* Cuts a request that is open: the endpoint throws the unfinished fragment away. NULL is fine. */
void session_destroy(struct session **s);
/* There is something new in the spool. captured_ns: when the newest frame was captured, 0 unknown.
 */
void session_kick(struct session *s, int64_t captured_ns);
/* Credentials have come, or the clock was corrected: what waits for that is tried now. */
void session_signable(struct session *s);
/* Once a second. */
void session_tick(struct session *s);
/* No more items come: ends the body where a fragment is complete, waits for acks; cuts elsewhere.
 */
void session_drain(struct session *s);
/* Drained: nothing is under way. */
bool session_is_idle(const struct session *s);
/* How long media are being sent without an ack; 0 when none is waited for. */
int64_t session_unacked_ns(const struct session *s);
const struct session_stats *session_get_stats(const struct session *s);

#endif
