/* What a stream keeps besides its data: one JSON object under a name each.
 * Relies on jansson and the store.
 * Leaves the meaning to the operations. */
#ifndef KVPIPE_SERVER_SETTINGS_H
#define KVPIPE_SERVER_SETTINGS_H

#include <jansson.h>

#define SETTING_IMAGE "image"
#define SETTING_NOTIFICATION "notification"
#define SETTING_EDGE "edge"

struct stream;

/* A new reference, or NULL when there is none. */
json_t *settings_get(const struct stream *st, const char *name);
/* Replaces it in memory, value borrowed, NULL removes it; store_update() makes it last. */
void settings_put(struct stream *st, const char *name, json_t *value);

#endif
