/* kvpipe-capture: the state that this folder's files share.
 * Relies on common/stage.h.
 * Leaves each stream to stream.h. */
#ifndef KVPIPE_CAPTURE_STAGE_H
#define KVPIPE_CAPTURE_STAGE_H

#include "common/link_socket.h"
#include "common/stage.h"

struct stream;

struct capture {
    struct stage *stage;
    struct link_server *server;
    struct outlet *outlet;
    char *epoch_dir;
    struct stream **streams;
    unsigned nstreams;
    struct event *tick;
    int64_t drain_mono_ns; /* when draining began, 0 before */
};

extern const struct stage_ops capture_stage;

#endif
