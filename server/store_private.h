/* What store.c (streams) and store_fragments.c (their fragments) share. Relies on store.h. Leaves
 * everything else to the two. */
#ifndef KVPIPE_SERVER_STORE_PRIVATE_H
#define KVPIPE_SERVER_STORE_PRIVATE_H

#include "server/store.h"

struct store {
    struct archive *archive;
    struct archive_reader *reader;
    struct job_thread *writer_thread, *reader_thread;
    char region[65];
    size_t backlog_bytes;
    bool closing;
    TAILQ_HEAD(, stream) streams;
};

/* Lets fragments go that live readers need no more. */
void stream_ring_trim(struct stream *st);

#endif
