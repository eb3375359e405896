/* A stream as the API shows it: StreamInfo. Relies on jansson and the store. Leaves the answers
 * around it to the operations. */
#ifndef KVPIPE_SERVER_STREAM_INFO_H
#define KVPIPE_SERVER_STREAM_INFO_H

#include <jansson.h>

struct stream;

/* A new object. */
json_t *stream_info(const struct stream *st);

#endif
