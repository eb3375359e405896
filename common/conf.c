/* The keys of the YAML file: one table per section, with type, default and range of each.
 * Relies on conf_yaml for the walk, on conf_defaults and conf_check for what depends on more than
 * one key.
 * Leaves the explanation of each key to kvpipe.yaml(5). */
#include "common/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf_check.h"
#include "common/conf_defaults.h"
#include "common/conf_yaml.h"
#include "common/mem.h"

#define FILE_MAX_BYTES (1u << 20)
#define STREAMS_MAX 1024
#define ROLES_MAX 100
#define TAGS_READ_MAX 64 /* more than allowed, so that the check can say what is allowed */

#define STRING(S, m, dflt)                                                                         \
    {                                                                                              \
        .key = #m, .type = CONF_STRING, .offset = offsetof(struct S, m), .string = dflt            \
    }
#define WORD(S, m, dflt, list)                                                                     \
    {                                                                                              \
        .key = #m, .type = CONF_STRING, .offset = offsetof(struct S, m), .string = dflt,           \
        .choices = list                                                                            \
    }
#define U32(S, m, dflt, lo, hi)                                                                    \
    {                                                                                              \
        .key = #m, .type = CONF_U32, .offset = offsetof(struct S, m), .number = dflt, .min = lo,   \
        .max = hi                                                                                  \
    }
#define U64(S, m, dflt, lo, hi)                                                                    \
    {                                                                                              \
        .key = #m, .type = CONF_U64, .offset = offsetof(struct S, m), .number = dflt, .min = lo,   \
        .max = hi                                                                                  \
    }
#define BOOL(S, m, dflt)                                                                           \
    {                                                                                              \
        .key = #m, .type = CONF_BOOL, .offset = offsetof(struct S, m), .number = dflt              \
    }
#define ENUM(S, m, dflt, first, list)                                                              \
    {                                                                                              \
        .key = #m, .type = CONF_ENUM, .offset = offsetof(struct S, m), .number = dflt,             \
        .min = first, .choices = list                                                              \
    }
#define MAP(S, m, table)                                                                           \
    {                                                                                              \
        .key = #m, .type = CONF_MAP, .offset = offsetof(struct S, m), .sub = table                 \
    }
#define LIST(S, m, T, table, most)                                                                 \
    {                                                                                              \
        .key = #m, .type = CONF_LIST, .offset = offsetof(struct S, m), .sub = table,               \
        .size = sizeof(struct T), .count_offset = offsetof(struct S, m##_count), .max = most       \
    }
#define END                                                                                        \
    {                                                                                              \
        .key = NULL                                                                                \
    }

static const char *const source_types[] = {"test",      "file",   "rtsp",     "v4l2",
                                           "libcamera", "launch", "external", NULL};
static const char *const transports[] = {"tcp", "udp", NULL};
static const char *const fragment_bys[] = {"keyframe", "duration", NULL};
static const char *const syncs[] = {"none", "fragment", NULL};
static const char *const fulls[] = {"drop_oldest", "drop_newest", NULL};
static const char *const credential_types[] = {"auto", "env", "profile", "file", "iot", NULL};
static const char *const encoders[] = {"auto", "nvenc", "vaapi",    "v4l2",
                                       "qsv",  "x264",  "openh264", NULL};
static const char *const profiles[] = {"baseline", "main", "high", NULL};
static const char *const presets[] = {"ultrafast", "superfast", "veryfast", "faster",   "fast",
                                      "medium",    "slow",      "slower",   "veryslow", NULL};
static const char *const drivers[] = {"local", "docker", "none", NULL};
static const char *const outlives[] = {"crash", "always", "never", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug", NULL};

/* A table reads best with one key a line. */
/* clang-format off */
static const struct conf_option source_options[] = {
    ENUM(conf_source, type, CONF_SOURCE_NONE, CONF_SOURCE_TEST, source_types),
    STRING(conf_source, path, NULL),
    STRING(conf_source, url, NULL),
    STRING(conf_source, device, NULL),
    STRING(conf_source, line, NULL),
    STRING(conf_source, credentials_file, NULL),
    STRING(conf_source, credentials_env, NULL),
    ENUM(conf_source, transport, CONF_TRANSPORT_TCP, CONF_TRANSPORT_TCP, transports),
    BOOL(conf_source, realtime, true),
    BOOL(conf_source, loop, false),
    BOOL(conf_source, audio, false), /* true for test: conf_defaults */
    U32(conf_source, width, 1280, 16, 8192),
    U32(conf_source, height, 720, 16, 8192),
    U32(conf_source, rate, 30, 1, 240),
    U64(conf_source, frames, 0, 0, UINT64_C(1) << 62),
    U32(conf_source, timeout_s, 5, 1, 3600),
    END,
};
static const struct conf_option adapt_options[] = {
    U32(conf_adapt, min_bitrate_kbps, 0, 50, 200000),
    U32(conf_adapt, backlog_s, 10, 1, 3600),
    U32(conf_adapt, restore_s, 30, 1, 3600),
    END,
};
static const struct conf_option video_options[] = {
    WORD(conf_video, encoder, "auto", encoders),
    U32(conf_video, bitrate_kbps, 2000, 50, 200000),
    U32(conf_video, keyframe_ms, 2000, 100, 10000),
    WORD(conf_video, profile, "main", profiles),
    WORD(conf_video, preset, "veryfast", presets),
    U32(conf_video, bframes, 0, 0, 16),
    MAP(conf_video, adapt, adapt_options),
    END,
};
static const struct conf_option audio_options[] = {
    U32(conf_audio, bitrate_kbps, 96, 8, 512),
    END,
};
static const struct conf_option fragment_options[] = {
    ENUM(conf_fragment, by, CONF_FRAGMENT_KEYFRAME, CONF_FRAGMENT_KEYFRAME, fragment_bys),
    U32(conf_fragment, duration_ms, 2000, 1000, 19000),
    END,
};
static const struct conf_option window_options[] = {
    U32(conf_window, frames, 1000, 1, 1000000),
    U32(conf_window, megabytes, 256, 1, 65536),
    U32(conf_window, seconds, 30, 1, 3600),
    END,
};
static const struct conf_option tag_options[] = {
    STRING(conf_tag, name, NULL),
    STRING(conf_tag, value, NULL),
    BOOL(conf_tag, persistent, true),
    END,
};
static const struct conf_option stream_options[] = {
    STRING(conf_stream, name, NULL),
    MAP(conf_stream, source, source_options),
    MAP(conf_stream, video, video_options),
    MAP(conf_stream, audio, audio_options),
    MAP(conf_stream, fragment, fragment_options),
    MAP(conf_stream, window, window_options),
    LIST(conf_stream, tags, conf_tag, tag_options, TAGS_READ_MAX),
    U32(conf_stream, timecode_scale_us, 1000, 1000, 100000),
    BOOL(conf_stream, absolute, true),
    END,
};
static const struct conf_option process_options[] = {
    U32(conf_process, memory_megabytes, 0, 0, 1u << 20),
    U32(conf_process, nice, 0, 0, 19),
    STRING(conf_process, cpus, NULL),
    END,
};
static const struct conf_option stage_options[] = {
    STRING(conf_stage, listen, NULL), STRING(conf_stage, connect, NULL),
    BOOL(conf_stage, isolate, false), U32(conf_stage, replicas, 1, 1, 64),
    STRING(conf_stage, exec, NULL),   MAP(conf_stage, process, process_options),
    END,
};
static const struct conf_option link_options[] = {
    U32(conf_link, heartbeat_ms, 250, 10, 60000),
    U32(conf_link, silence_ms, 1000, 50, 300000),
    U32(conf_link, resolve_ms, 5000, 100, 3600000),
    U32(conf_link, credit, 128, 1, 100000),
    STRING(conf_link, keys, NULL),
    BOOL(conf_link, plaintext, false),
    END,
};
static const struct conf_option credentials_options[] = {
    ENUM(conf_credentials, type, CONF_CRED_AUTO, CONF_CRED_AUTO, credential_types),
    STRING(conf_credentials, profile, NULL),
    STRING(conf_credentials, profile_file, NULL),
    STRING(conf_credentials, file, NULL),
    STRING(conf_credentials, iot_endpoint, NULL),
    STRING(conf_credentials, iot_cert, NULL),
    STRING(conf_credentials, iot_key, NULL),
    STRING(conf_credentials, iot_ca, NULL),
    STRING(conf_credentials, iot_role_alias, NULL),
    STRING(conf_credentials, iot_thing, NULL),
    END,
};
static const struct conf_option endpoint_options[] = {
    STRING(conf_endpoint, url, NULL),
    STRING(conf_endpoint, region, NULL),
    STRING(conf_endpoint, ca_file, NULL),
    BOOL(conf_endpoint, create, true),
    U32(conf_endpoint, retention_hours, 24, 0, 87600),
    U32(conf_endpoint, staleness_s, 60, 1, 3600),
    U32(conf_endpoint, max_latency_s, 60, 0, 86400),
    U32(conf_endpoint, rotation_s, 2400, 5, 2690),
    MAP(conf_endpoint, credentials, credentials_options),
    END,
};
static const struct conf_option spool_options[] = {
    STRING(conf_spool, dir, NULL),
    ENUM(conf_spool, sync, CONF_SYNC_FRAGMENT, CONF_SYNC_NONE, syncs),
    U32(conf_spool, file_seconds, 120, 1, 86400),
    U32(conf_spool, max_megabytes, 4096, 1, 1u << 30),
    U32(conf_spool, keep_seconds, 0, 0, UINT32_MAX),
    ENUM(conf_spool, when_full, CONF_FULL_DROP_OLDEST, CONF_FULL_DROP_OLDEST, fulls),
    END,
};
static const struct conf_option role_options[] = {
    STRING(conf_role, alias, NULL),
    STRING(conf_role, policy, NULL),
    STRING(conf_role, things, "*"),
    U32(conf_role, duration_s, 3600, 60, 43200),
    END,
};
static const struct conf_option limits_options[] = {
    U32(conf_limits, put_media_connections, 1, 0, 1000),
    BOOL(conf_limits, put_media_newest, true),
    U32(conf_limits, put_media_calls, 5, 0, 10000),
    U32(conf_limits, put_media_fragments, 5, 0, 10000),
    U32(conf_limits, put_media_mbits, 100, 0, 100000),
    U32(conf_limits, connection_s, 2700, 1, 604800),
    U32(conf_limits, silence_s, 30, 1, 3600),
    U32(conf_limits, idle_ack_s, 5, 1, 3600),
    U32(conf_limits, fragment_ms, 20000, 100, 600000),
    U32(conf_limits, fragment_min_ms, 0, 0, 20000),
    U32(conf_limits, fragment_megabytes, 50, 1, 1000),
    U32(conf_limits, fragment_tags, 10, 0, 100),
    U32(conf_limits, tracks, 3, 1, 16),
    U32(conf_limits, ahead_s, 86400, 0, 315360000),
    U32(conf_limits, get_media_connections, 3, 0, 10000),
    U32(conf_limits, get_media_calls, 5, 0, 10000),
    U32(conf_limits, get_media_fragments, 6, 0, 100000),
    U32(conf_limits, get_media_mbits, 200, 0, 100000),
    U32(conf_limits, fragment_list_connections, 5, 0, 10000),
    U32(conf_limits, media_points, 500, 0, 1000000),
    U32(conf_limits, metadata_points, 10000, 0, 10000000),
    U32(conf_limits, burst_s, 20, 1, 3600),
    U32(conf_limits, streams, 0, 0, 1000000),
    U32(conf_limits, control_percent, 100, 0, 100000),
    END,
};
static const struct conf_option server_options[] = {
    STRING(conf_server, listen, "127.0.0.1:8480"),
    STRING(conf_server, data, NULL),
    STRING(conf_server, keys, NULL),
    BOOL(conf_server, tls, false), /* true with tls_cert: conf_defaults */
    STRING(conf_server, tls_cert, NULL),
    STRING(conf_server, tls_key, NULL),
    STRING(conf_server, master_keys, NULL),
    STRING(conf_server, tls_names, NULL),
    STRING(conf_server, device_ca, NULL),
    LIST(conf_server, roles, conf_role, role_options, ROLES_MAX),
    BOOL(conf_server, enabled, false), /* true when endpoint.url points at it: conf_defaults */
    MAP(conf_server, process, process_options),
    MAP(conf_server, limits, limits_options),
    END,
};
static const struct conf_option prometheus_options[] = {
    BOOL(conf_prometheus, enabled, true),
    END,
};
static const struct conf_option cloudwatch_options[] = {
    BOOL(conf_cloudwatch, enabled, false),
    STRING(conf_cloudwatch, url, NULL),
    STRING(conf_cloudwatch, region, NULL),
    STRING(conf_cloudwatch, ca_file, NULL),
    STRING(conf_cloudwatch, metrics, "*"),
    {.key = "namespace",
     .type = CONF_STRING,
     .offset = offsetof(struct conf_cloudwatch, space),
     .string = "kvpipe"},
    U32(conf_cloudwatch, interval_s, 60, 1, 3600),
    BOOL(conf_cloudwatch, edge_agent, false),
    STRING(conf_cloudwatch, thing, NULL),
    END,
};
static const struct conf_option emf_options[] = {
    STRING(conf_emf, output, "off"),
    {.key = "namespace",
     .type = CONF_STRING,
     .offset = offsetof(struct conf_emf, space),
     .string = "kvpipe"},
    STRING(conf_emf, log_group, NULL),
    U32(conf_emf, interval_s, 60, 1, 3600),
    END,
};
static const struct conf_option monitor_options[] = {
    STRING(conf_monitor, listen, "127.0.0.1:8481"),
    STRING(conf_monitor, names, ""),
    MAP(conf_monitor, prometheus, prometheus_options),
    MAP(conf_monitor, cloudwatch, cloudwatch_options),
    MAP(conf_monitor, emf, emf_options),
    STRING(conf_monitor, socket, NULL),
    ENUM(conf_monitor, driver, CONF_DRIVER_LOCAL, CONF_DRIVER_LOCAL, drivers),
    STRING(conf_monitor, docker_socket, "/var/run/docker.sock"),
    ENUM(conf_monitor, outlive, CONF_OUTLIVE_CRASH, CONF_OUTLIVE_CRASH, outlives),
    U32(conf_monitor, hang_s, 5, 2, 3600),
    U32(conf_monitor, start_s, 300, 5, 86400),
    U32(conf_monitor, log_megabytes, 10, 1, 100000),
    U32(conf_monitor, log_files, 1, 1, 100),
    STRING(conf_monitor, bind, NULL),
    END,
};
static const struct conf_option options[] = {
    STRING(conf, run, "run"),
    WORD(conf, log, "info", levels),
    BOOL(conf, sandbox, true),
    MAP(conf, capture, stage_options),
    MAP(conf, encoder, stage_options),
    MAP(conf, muxer, stage_options),
    MAP(conf, uploader, stage_options),
    MAP(conf, link, link_options),
    MAP(conf, endpoint, endpoint_options),
    MAP(conf, spool, spool_options),
    MAP(conf, server, server_options),
    MAP(conf, monitor, monitor_options),
    LIST(conf, streams, conf_stream, stream_options, STREAMS_MAX),
    END,
};
/* clang-format on */

int conf_parse(const char *text, size_t len, const char *name, void *out, struct conf **conf)
{
    struct conf_yaml y;
    struct conf *c = xcalloc(1, sizeof *c);

    *conf = NULL;
    c->file = xstrdup(name);
    c->text = xmalloc(len + 1);
    memcpy(c->text, text, len);
    c->text_bytes = len;
    c->holders = 1;
    conf_yaml_init(&y, name, out, text, len);
    if (!y.faults)
        conf_yaml_read(&y, options, c);
    if (!y.faults) {
        conf_defaults(&y, c);
        conf_check(&y, c);
    }
    conf_yaml_fini(&y);
    if (y.faults) {
        conf_free(&c);
        return -EINVAL;
    }
    *conf = c;
    return 0;
}

static int read_file(const char *path, char **text, size_t *len)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    *text = xmalloc(FILE_MAX_BYTES + 1);
    *len = fread(*text, 1, FILE_MAX_BYTES + 1, f);
    int r = ferror(f) ? -(errno ? errno : EIO) : *len > FILE_MAX_BYTES ? -EFBIG : 0;
    fclose(f);
    if (r < 0) {
        free(*text);
        *text = NULL;
    }
    return r;
}

int conf_load(const char *path, struct conf **conf)
{
    return conf_load_copy(path, path, conf, stderr);
}

int conf_load_copy(const char *path, const char *copy, struct conf **conf, void *out)
{
    char *text = NULL;
    size_t len = 0;
    *conf = NULL;
    int r = read_file(copy, &text, &len);
    if (r < 0) {
        fprintf(out, "%s: cannot be read: %s; expected a YAML file of at most 1 MiB\n", copy,
                strerror(-r));
        return r;
    }
    r = conf_parse(text, len, path, out, conf);
    free(text);
    return r;
}

void conf_free(struct conf **conf)
{
    if (!*conf || --(*conf)->holders) {
        *conf = NULL;
        return;
    }
    conf_yaml_free(options, *conf);
    free((*conf)->file);
    free((*conf)->text);
    free(*conf);
    *conf = NULL;
}

const struct conf *conf_hold(const struct conf *conf)
{
    ((struct conf *)conf)->holders++;
    return conf;
}

void conf_release(const struct conf **conf)
{
    struct conf *c = (struct conf *)*conf;
    *conf = NULL;
    conf_free(&c);
}

void conf_write(const struct conf *conf, conf_skip_fn skip, void *arg, void *out)
{
    conf_yaml_write(options, conf, skip, arg, out);
}

void conf_write_monitor(const struct conf_monitor *monitor, void *out)
{
    conf_yaml_write(monitor_options, monitor, NULL, NULL, out);
}

void conf_write_stream(const struct conf_stream *stream, conf_skip_fn skip, void *arg, void *out)
{
    conf_yaml_write(stream_options, stream, skip, arg, out);
}

const struct conf_stream *conf_stream(const struct conf *conf, const char *name)
{
    for (unsigned i = 0; i < conf->streams_count; i++)
        if (strcmp(conf->streams[i].name, name) == 0)
            return &conf->streams[i];
    return NULL;
}
