/* PutMedia sessions as the stage sees them.
 * Relies on nothing.
 * Leaves the operation to op_put_media.c. */
#ifndef KVPIPE_SERVER_PUT_MEDIA_H
#define KVPIPE_SERVER_PUT_MEDIA_H

struct server;

/* Ends every session cleanly: open fragments are dropped, acks of whole ones still go out. */
void put_media_end_all(struct server *server);

/* Reads x-amzn-producer-start-timestamp: decimal seconds since 1970 as ms. Returns 0 or -EINVAL. */
int put_media_parse_start(const char *text, long long *ms);

#endif
