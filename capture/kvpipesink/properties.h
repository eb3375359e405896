/* kvssink's properties, each with what becomes of it here, and three of our own.
 * Relies on GObject. One table is the source: names, kinds, defaults, and for each "honoured: how"
 * or "ignored: why, and where that setting lives". README.md beside this repeats it for people.
 * Leaves locking to the caller: properties are set before the element runs. */
#ifndef KVPIPE_CAPTURE_KVPIPESINK_PROPERTIES_H
#define KVPIPE_CAPTURE_KVPIPESINK_PROPERTIES_H

#include <glib-object.h>
#include <stdbool.h>

enum property {
    PROPERTY_NONE, /* GObject counts from 1 */
    PROPERTY_STREAM_NAME,
    PROPERTY_ABSOLUTE_FRAGMENT_TIMES,
    PROPERTY_ACCESS_KEY,
    PROPERTY_AVG_BANDWIDTH_BPS,
    PROPERTY_AWS_REGION,
    PROPERTY_BUFFER_DURATION,
    PROPERTY_CODEC_ID,
    PROPERTY_CONNECTION_STALENESS,
    PROPERTY_CONTENT_TYPE,
    PROPERTY_CREDENTIAL_FILE,
    PROPERTY_FRAGMENT_ACKS,
    PROPERTY_FRAGMENT_DURATION,
    PROPERTY_FRAMERATE,
    PROPERTY_FRAME_TIMECODES,
    PROPERTY_IOT_CERTIFICATE,
    PROPERTY_KEY_FRAME_FRAGMENTATION,
    PROPERTY_LOG_CONFIG,
    PROPERTY_MAX_LATENCY,
    PROPERTY_RECALCULATE_METRICS,
    PROPERTY_REPLAY_DURATION,
    PROPERTY_RESTART_ON_ERROR,
    PROPERTY_RETENTION_PERIOD,
    PROPERTY_ROTATION_PERIOD,
    PROPERTY_SECRET_KEY,
    PROPERTY_SESSION_TOKEN,
    PROPERTY_STORAGE_SIZE,
    PROPERTY_STREAMING_TYPE,
    PROPERTY_TIMECODE_SCALE,
    PROPERTY_TRACK_NAME,
    PROPERTY_RUN,
    PROPERTY_LISTEN,
    PROPERTY_KEYS,
    PROPERTY_COUNT
};

enum streaming_type { STREAMING_REALTIME, STREAMING_NEAR_REALTIME, STREAMING_OFFLINE };

struct properties {
    guint number[PROPERTY_COUNT]; /* of booleans and enums, too */
    gchar *text[PROPERTY_COUNT];  /* never of a secret */
    bool given[PROPERTY_COUNT];   /* somebody set it */
};

/* Makes the properties known to the class. */
void properties_install(GObjectClass *class);
void properties_init(struct properties *p); /* defaults */
void properties_fini(struct properties *p);
/* id from the table; a secret's value is not kept. */
void properties_set(struct properties *p, guint id, const GValue *value);
void properties_get(const struct properties *p, guint id, GValue *value);
/* The table's word on a property that was set to another value than its default and is ignored, or
 * NULL. Static text; *name is the property's. */
const char *properties_ignored(const struct properties *p, enum property id, const char **name);

#endif
