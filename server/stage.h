/* The server's state: what its operations share.
 * Relies on common/stage.
 * Leaves each operation's own state to its file. */
#ifndef KVPIPE_SERVER_STAGE_H
#define KVPIPE_SERVER_STAGE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "server/auth.h"

struct audit;
struct conf_limits;
struct event;
struct event_base;
struct http_server;
struct kms;
struct put_media;
struct rate;
struct stage;
struct stage_ops;
struct store;

struct server {
    struct event_base *base;
    struct stage *stage; /* NULL in unit tests */
    const struct conf_limits *limits;
    struct http_server *http;
    struct store *store;
    struct kms *kms; /* NULL: no master keys are configured */
    struct auth auth;
    const struct auth_caller *caller; /* of the request whose operation is called; else NULL */
    struct audit *audit;              /* NULL in unit tests */
    struct rate *calls;               /* of each control operation */
    struct event *sweep, *drained;
    TAILQ_HEAD(, put_media) put_sessions;
    bool draining;
};

extern const struct stage_ops server_stage;

#endif
