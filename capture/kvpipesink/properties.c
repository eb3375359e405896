/* The table of properties. Relies on GObject. Leaves their meaning to uplink.c and times.c. */
#include "capture/kvpipesink/properties.h"

#include <string.h>

enum kind { NUMBER, FLAG, CHOICE, TEXT, SECRET };

struct row {
    const char *name;
    enum kind kind;
    guint number;     /* default of all but texts */
    const char *text; /* default of a text */
    const char *word; /* begins with "honoured: " or "ignored: " */
};

/* Others see the line with ps. */
#define SIGNS                                                                                      \
    "ignored: the uploader signs (kvpipe.yaml, endpoint.credentials); take it off the line"

static const struct row table[PROPERTY_COUNT] = {
    [PROPERTY_STREAM_NAME] = {"stream-name", TEXT, 0, NULL,
                              "honoured: stream at the endpoint; required"},
    [PROPERTY_ABSOLUTE_FRAGMENT_TIMES] = {"absolute-fragment-times", FLAG, TRUE, NULL,
                                          "ignored: kvpipe.yaml, absolute of the stream"},
    [PROPERTY_ACCESS_KEY] = {"access-key", SECRET, 0, NULL, SIGNS},
    [PROPERTY_AVG_BANDWIDTH_BPS] = {"avg-bandwidth-bps", NUMBER, 4194304, NULL,
                                    "ignored: nothing is laid out by an expected bandwidth"},
    [PROPERTY_AWS_REGION] = {"aws-region", TEXT, 0, "us-west-2",
                             "ignored: kvpipe.yaml, endpoint.region"},
    [PROPERTY_BUFFER_DURATION] = {"buffer-duration", NUMBER, 180, NULL,
                                  "honoured: seconds of frames that are held until the spool has "
                                  "them"},
    [PROPERTY_CODEC_ID] =
        {"codec-id", TEXT, 0, "V_MPEG4/ISO/AVC",
         "honoured: checked against the caps, which decide; another value is warned of"},
    [PROPERTY_CONNECTION_STALENESS] = {"connection-staleness", NUMBER, 60, NULL,
                                       "ignored: kvpipe.yaml, endpoint.staleness_s"},
    [PROPERTY_CONTENT_TYPE] =
        {"content-type", TEXT, 0, "video/h264",
         "honoured: checked against the caps, which decide; another value is warned of"},
    [PROPERTY_CREDENTIAL_FILE] = {"credential-file", TEXT, 0, NULL,
                                  "ignored: the uploader reads it; kvpipe.yaml, "
                                  "endpoint.credentials.file"},
    [PROPERTY_FRAGMENT_ACKS] = {"fragment-acks", FLAG, TRUE, NULL,
                                "ignored: the uploader always goes by the acks"},
    [PROPERTY_FRAGMENT_DURATION] = {"fragment-duration", NUMBER, 2000, NULL,
                                    "honoured: milliseconds after which the next key frame begins "
                                    "a fragment, when key-frame-fragmentation is false"},
    [PROPERTY_FRAMERATE] = {"framerate", NUMBER, 25, NULL,
                            "honoured: frames per second of video without time stamps"},
    [PROPERTY_FRAME_TIMECODES] = {"frame-timecodes", FLAG, TRUE, NULL,
                                  "honoured: time stamps of the frames; false: time of arrival"},
    [PROPERTY_IOT_CERTIFICATE] = {"iot-certificate", SECRET, 0, NULL,
                                  "ignored: the uploader signs; kvpipe.yaml, "
                                  "endpoint.credentials.iot_endpoint and its neighbours"},
    [PROPERTY_KEY_FRAME_FRAGMENTATION] = {"key-frame-fragmentation", FLAG, TRUE, NULL,
                                          "honoured: every key frame at least 1 s after the last "
                                          "start begins a fragment"},
    [PROPERTY_LOG_CONFIG] = {"log-config", TEXT, 0, "./kvs_log_configuration",
                             "ignored: GST_DEBUG=kvpipesink:6 for the element; kvpipe.yaml, log"},
    [PROPERTY_MAX_LATENCY] = {"max-latency", NUMBER, 60, NULL,
                              "honoured: more seconds than this on their way to the endpoint are "
                              "warned of; 0: never"},
    [PROPERTY_RECALCULATE_METRICS] = {"recalculate-metrics", FLAG, TRUE, NULL,
                                      "ignored: kvpipe status always has them"},
    [PROPERTY_REPLAY_DURATION] = {"replay-duration", NUMBER, 40, NULL,
                                  "ignored: the uploader sends again what has no ack, from its "
                                  "spool"},
    [PROPERTY_RESTART_ON_ERROR] = {"restart-on-error", FLAG, TRUE, NULL,
                                   "ignored: the uploader always tries again"},
    [PROPERTY_RETENTION_PERIOD] = {"retention-period", NUMBER, 2, NULL,
                                   "ignored: hours; kvpipe.yaml, endpoint.retention_hours"},
    [PROPERTY_ROTATION_PERIOD] = {"rotation-period", NUMBER, 2400, NULL,
                                  "ignored: seconds; kvpipe.yaml, endpoint.rotation_s"},
    [PROPERTY_SECRET_KEY] = {"secret-key", SECRET, 0, NULL, SIGNS},
    [PROPERTY_SESSION_TOKEN] = {"session-token", SECRET, 0, NULL, SIGNS},
    [PROPERTY_STORAGE_SIZE] = {"storage-size", NUMBER, 128, NULL,
                               "honoured: megabytes of frames that are held until the spool has "
                               "them"},
    [PROPERTY_STREAMING_TYPE] = {"streaming-type", CHOICE, STREAMING_REALTIME, NULL,
                                 "honoured: realtime gives up the oldest frames of a live source "
                                 "when too much is held, offline waits; as kvssink it refuses "
                                 "near-realtime"},
    [PROPERTY_TIMECODE_SCALE] = {"timecode-scale", NUMBER, 1, NULL,
                                 "ignored: milliseconds; kvpipe.yaml, timecode_scale_us of the "
                                 "stream"},
    [PROPERTY_TRACK_NAME] = {"track-name", TEXT, 0, "kinesis_video",
                             "ignored: the muxer names tracks by what they are"},
    [PROPERTY_RUN] =
        {"run", TEXT, 0, NULL,
         "honoured, not kvssink's: folder `run` of the pipeline; default KVPIPE_RUN of "
         "the environment, then \"run\""},
    [PROPERTY_LISTEN] =
        {"listen", TEXT, 0, NULL,
         "honoured, not kvssink's: address where a muxer on another host finds this "
         "element, tcp://HOST:PORT"},
    [PROPERTY_KEYS] = {"keys", TEXT, 0, NULL,
                       "honoured, not kvssink's: folder of the keys for tcp:// (kvpipe keys init)"},
};

static GType streaming_type(void)
{
    static const GEnumValue values[] = {
        {STREAMING_REALTIME, "streaming type realtime", "realtime"},
        {STREAMING_NEAR_REALTIME, "streaming type near realtime", "near-realtime"},
        {STREAMING_OFFLINE, "streaming type offline", "offline"},
        {0, NULL, NULL},
    };
    static GType type;
    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("KvpipeSinkStreamingType", values));
    return type;
}

static GParamSpec *spec_of(const struct row *r)
{
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

    switch (r->kind) {
    case NUMBER:
        return g_param_spec_uint(r->name, r->name, r->word, 0, G_MAXUINT, r->number, flags);
    case FLAG:
        return g_param_spec_boolean(r->name, r->name, r->word, (gboolean)r->number, flags);
    case CHOICE:
        return g_param_spec_enum(r->name, r->name, r->word, streaming_type(), (gint)r->number,
                                 flags);
    case SECRET:
        return g_param_spec_string(r->name, r->name, r->word, NULL,
                                   G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS);
    default:
        return g_param_spec_string(r->name, r->name, r->word, r->text, flags);
    }
}

void properties_install(GObjectClass *class)
{
    for (guint id = 1; id < PROPERTY_COUNT; id++)
        g_object_class_install_property(class, id, spec_of(&table[id]));
}

void properties_init(struct properties *p)
{
    memset(p, 0, sizeof *p);
    for (guint id = 1; id < PROPERTY_COUNT; id++) {
        p->number[id] = table[id].number;
        p->text[id] = g_strdup(table[id].text);
    }
}

void properties_fini(struct properties *p)
{
    for (guint id = 1; id < PROPERTY_COUNT; id++)
        g_clear_pointer(&p->text[id], g_free);
}

void properties_set(struct properties *p, guint id, const GValue *value)
{
    p->given[id] = true;
    switch (table[id].kind) {
    case NUMBER:
        p->number[id] = g_value_get_uint(value);
        break;
    case FLAG:
        p->number[id] = (guint)g_value_get_boolean(value);
        break;
    case CHOICE:
        p->number[id] = (guint)g_value_get_enum(value);
        break;
    case SECRET:
        break;
    case TEXT:
        g_free(p->text[id]);
        p->text[id] = g_value_dup_string(value);
    }
}

void properties_get(const struct properties *p, guint id, GValue *value)
{
    switch (table[id].kind) {
    case NUMBER:
        g_value_set_uint(value, p->number[id]);
        break;
    case FLAG:
        g_value_set_boolean(value, (gboolean)p->number[id]);
        break;
    case CHOICE:
        g_value_set_enum(value, (gint)p->number[id]);
        break;
    case SECRET:
        break;
    case TEXT:
        g_value_set_string(value, p->text[id]);
    }
}

const char *properties_ignored(const struct properties *p, enum property id, const char **name)
{
    const struct row *r = &table[id];
    bool as_it_was = r->kind == SECRET ? false
                     : r->kind == TEXT ? g_strcmp0(p->text[id], r->text) == 0
                                       : p->number[id] == r->number;

    *name = r->name;
    return p->given[id] && !as_it_was && g_str_has_prefix(r->word, "ignored: ") ? r->word : NULL;
}
