/* The uploader's state, shared by this folder's process files.
 * Relies on spool and session.
 * Leaves the life of the process to common/stage. */
#ifndef KVPIPE_UPLOADER_STAGE_H
#define KVPIPE_UPLOADER_STAGE_H

#include <sys/queue.h>

#include "common/link_socket.h"
#include "common/stage.h"
#include "common/api.h"
#include "uploader/pressure.h"
#include "uploader/ledger.h"
#include "uploader/session.h"
#include "uploader/spool.h"
#include "uploader/syncer.h"

struct upload { /* one stream */
    TAILQ_ENTRY(upload) entry;
    struct uploader *owner;
    const struct conf *held; /* conf is in it, but for a guest's */
    const struct conf_stream *conf;
    struct conf_stream
        *guest; /* the config does not know the stream: conf, all defaults; or NULL */
    int64_t left_ns, frames_left; /* when it left the config, and frames_in then; 0: it has not */
    int64_t alone_ns;             /* guest: since when no muxer has it */
    struct metrics *metrics;      /* the report's */
    struct spool *spool;
    struct session *session;
    struct inlet_session *inlet; /* of the last Open, NULL when the stream moved away */
    uint8_t tracks;              /* of that Open */
    uint64_t base[LINK_TRACKS_MAX];
    bool asks;             /* the Open is not answered yet: the disk refused */
    bool disk_failed;      /* said in the log */
    int64_t disk_retry_ns; /* not before */
    uint64_t frames_in;
    uint64_t backlog_ms, backlog_bytes; /* a second ago or less; acks carry them upstream */
    struct pressure pressure;
    char state[16], note[512]; /* of the session to the endpoint */
};

struct uploader {
    struct stage *stage;
    struct syncer *syncer;
    struct http_client *http;
    struct credentials *credentials;
    struct api api;
    struct link_client *client;
    TAILQ_HEAD(, upload) uploads;
    struct event *tick;
    int64_t drain_ns; /* when the drain began; 0: not draining */
};

extern const struct stage_ops uploader_stage;

#endif
