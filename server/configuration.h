/* A stream's configurations that are replaced whole: image generation and notifications.
 * Relies on settings.h and field.h.
 * Leaves each one's members to its operation. */
#ifndef KVPIPE_SERVER_CONFIGURATION_H
#define KVPIPE_SERVER_CONFIGURATION_H

#include <stdbool.h>

#include <jansson.h>

struct fields;
struct http_exchange;
struct server;
struct stream;

/* ENABLED, DISABLED, for field_enum(). */
extern const char *const configuration_status[];

/* Answers an Update operation: stores the object under `member` as the setting, removes it when it
 * is absent or null. check answers a violation and returns false. */
void configuration_update(struct server *server, struct http_exchange *ex, json_t *body,
                          const char *member, const char *setting,
                          bool (*check)(struct fields *f, struct stream *st));
/* Answers a Describe operation. */
void configuration_describe(struct server *server, struct http_exchange *ex, json_t *body,
                            const char *member, const char *setting);

#endif
