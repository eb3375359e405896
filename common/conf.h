/* The one YAML file of a pipeline as typed structs: every default filled in, every cross-field rule
 * checked. Relies on libyaml (conf_yaml.c walks one table of keys); an error names file, line and
 * what was expected. Leaves secrets to files and the environment: none is in here. */
#ifndef KVPIPE_COMMON_CONF_H
#define KVPIPE_COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_SOCKETS "sockets" /* folder in RUN of the sockets that get no other name */

enum conf_source_type {
    CONF_SOURCE_NONE,
    CONF_SOURCE_TEST,      /* pattern and tone; width, height, rate, audio */
    CONF_SOURCE_FILE,      /* path: mp4, mov, mkv, ts */
    CONF_SOURCE_RTSP,      /* url, transport, credentials_file / credentials_env */
    CONF_SOURCE_V4L2,      /* device */
    CONF_SOURCE_LIBCAMERA, /* device: camera name, empty = first */
    CONF_SOURCE_LAUNCH,    /* line: GStreamer launch line; appsinks named video, audio, data */
    CONF_SOURCE_EXTERNAL,  /* another program gives it to the muxer: libkvpipe, kvpipesink */
};
enum conf_transport { CONF_TRANSPORT_TCP, CONF_TRANSPORT_UDP };
enum conf_fragment_by { CONF_FRAGMENT_KEYFRAME, CONF_FRAGMENT_DURATION };
enum conf_sync {
    CONF_SYNC_NONE,
    CONF_SYNC_FRAGMENT
}; /* fsync of the spool: never, or after each fragment */
enum conf_full {
    CONF_FULL_DROP_OLDEST,
    CONF_FULL_DROP_NEWEST
}; /* full disk: delete oldest archived-or-not / refuse new */
enum conf_credentials_type {
    CONF_CRED_AUTO,
    CONF_CRED_ENV,
    CONF_CRED_PROFILE,
    CONF_CRED_FILE,
    CONF_CRED_IOT
};

struct conf_tag {
    char *name, *value;
    bool persistent; /* default true: on every fragment; false: on the first one only */
};

struct conf_source {
    enum conf_source_type type;
    char *path, *url, *device, *line;
    char *credentials_file; /* one line user:password */
    char *credentials_env;  /* name of an environment variable with user:password */
    enum conf_transport transport;
    bool realtime; /* file, test, launch: pace by timestamps (default true); false: as fast as the
                      pipeline takes it */
    bool loop;     /* file: start again at its end (default false) */
    bool audio;    /* test, v4l2: audio too (default true for test) */
    uint32_t width, height, rate; /* test, v4l2, libcamera; defaults 1280x720 at 30 */
    uint64_t frames;              /* test: stop after so many video frames; 0 = for ever */
    uint32_t timeout_s;           /* no data for so long = connection lost (default 5) */
    unsigned line_number;         /* of path or source in the file, for messages; 0 = unknown */
};

struct conf_adapt {            /* the bitrate follows what the uplink carries */
    uint32_t min_bitrate_kbps; /* 0 (default): it does not */
    uint32_t backlog_s;        /* lowered while more than this waits and grows (default 10) */
    uint32_t restore_s;        /* a step up after so long without backlog (default 30) */
};

struct conf_video {
    char *encoder;         /* auto, nvenc, vaapi, v4l2, qsv, x264, openh264 */
    uint32_t bitrate_kbps; /* default 2000 */
    uint32_t keyframe_ms;  /* default 2000 */
    char *profile;         /* baseline, main, high (default main) */
    char *preset;          /* x264's name: ultrafast … medium (default veryfast) */
    uint32_t bframes; /* default 0; others are refused for now by the check, see the man page */
    struct conf_adapt adapt;
};

struct conf_audio {
    uint32_t bitrate_kbps; /* AAC, default 96 */
};

struct conf_fragment {
    enum conf_fragment_by
        by; /* default keyframe: every key frame that is at least 1 s after the last start */
    uint32_t duration_ms; /* by duration: the first key frame so long after the last start; audio
                             only: length. Default 2000 */
};

struct conf_window {    /* what capture keeps of a stream until it is durable downstream */
    uint32_t frames;    /* per track, default 1000 */
    uint32_t megabytes; /* default 256 */
    uint32_t seconds;   /* default 30 */
};

struct conf_stream {
    char *name;
    struct conf_source source;
    struct conf_video video;
    struct conf_audio audio;
    struct conf_fragment fragment;
    struct conf_window window;
    struct conf_tag *tags;
    unsigned tags_count;
    uint32_t timecode_scale_us; /* default 1000 (1 ms) */
    bool absolute;              /* absolute cluster timecodes, default true */
};

enum conf_driver {
    CONF_DRIVER_LOCAL,  /* the monitor starts the stages as its children */
    CONF_DRIVER_DOCKER, /* they are in containers; a hung one is restarted through Docker */
    CONF_DRIVER_NONE,   /* somebody else does it all: Kubernetes, systemd */
};
enum conf_outlive {                      /* do stages go on when their monitor ends? */
                    CONF_OUTLIVE_CRASH,  /* when it is killed, not when it is stopped */
                    CONF_OUTLIVE_ALWAYS, /* also then */
                    CONF_OUTLIVE_NEVER,  /* the kernel ends them */
};

struct conf_process {          /* of each process of a stage; set by the monitor's local driver */
    uint32_t memory_megabytes; /* resident; more: restarted. 0 (default): any */
    uint32_t nice;             /* default 0 */
    char *cpus;                /* "0-2,5"; NULL: all */
};

struct conf_stage {
    char *listen;  /* where this stage's outlet binds; default ipc://RUN/sockets/capture.sock …
                      (capture,  encoder, muxer) */
    char *connect; /* where its inlet finds the stage above; default that stage's listen (encoder,
                      muxer, uploader), for the muxer also ipc://RUN/sinks */
    bool isolate;  /* one process per stream */
    uint32_t replicas; /* default 1 */
    char *exec; /* program to start instead of kvpipe-NAME (a replacement stage), NULL = ours */
    struct conf_process process;
};

struct conf_link {
    uint32_t heartbeat_ms; /* default 250 */
    uint32_t silence_ms;   /* default 1000: a peer that is silent so long is gone */
    uint32_t resolve_ms;   /* default 5000: how often names are looked up again */
    uint32_t credit; /* items per track on the way to the spool, default 128 (raw video: a third) */
    char *keys; /* folder of CURVE keys for tcp:// (curve_keys.h), NULL: links are not encrypted */
    bool plaintext;    /* tcp:// to other hosts without keys is wanted (default false) */
    const char *stage; /* not a key: whose pair and neighbours count; set by conf_localize */
};

struct conf_credentials {
    enum conf_credentials_type type;
    char *profile, *profile_file; /* shared credentials file */
    char *file;                   /* kvssink's CREDENTIALS line */
    char *iot_endpoint, *iot_cert, *iot_key, *iot_ca, *iot_role_alias, *iot_thing;
};

struct conf_endpoint {
    /* control plane: http(s)://host:port. Default: with `region` in the file
     * https://kinesisvideo.REGION.amazonaws.com, else our own server at server.listen */
    char *url;
    char *region; /* default AWS_DEFAULT_REGION / AWS_REGION / us-west-2 */
    char *ca_file;
    bool create;              /* create streams that are not there (default true) */
    uint32_t retention_hours; /* for created streams, default 24 */
    bool own;                 /* not a key: url is our own server's */
    uint32_t staleness_s;     /* no ack for so long while sending = new session (default 60) */
    uint32_t max_latency_s; /* more media than this wait = latency pressure (default 60; 0 never) */
    uint32_t rotation_s; /* new session after so long (default 2400; the service closes at 2700) */
    struct conf_credentials credentials;
};

struct conf_spool {
    char *dir;                /* default RUN/spool */
    enum conf_sync sync;      /* default fragment */
    uint32_t file_seconds;    /* a new file after so long (default 120) */
    uint32_t max_megabytes;   /* per stream, default 4096 */
    uint32_t keep_seconds;    /* keep what is archived so long (default 0) */
    enum conf_full when_full; /* default drop_oldest */
};

struct conf_role {        /* that a device may take with its certificate */
    char *alias, *policy; /* policy: an IAM policy in JSON */
    char *things;         /* pattern of thing names it is for (default *) */
    uint32_t duration_s;  /* of its credentials (default 3600) */
};

/* What the server allows; defaults are the service's quotas. 0 = no limit, where 0 is allowed. */
struct conf_limits {
    uint32_t put_media_connections; /* of a stream at a time, default 1 */
    bool put_media_newest;    /* default true: one too many ends the oldest; else it is refused */
    uint32_t put_media_calls; /* a second and stream, default 5 */
    uint32_t put_media_fragments; /* a second and stream, default 5: above it, reading slows down */
    uint32_t put_media_mbits;     /* a second and session, default 100: as above */
    uint32_t connection_s;        /* a PutMedia request is closed after so long, default 2700 */
    uint32_t silence_s;           /* and after so long without data, default 30 */
    uint32_t idle_ack_s;          /* an IDLE ack each time without data, default 5 */
    uint32_t fragment_ms;         /* longest fragment, default 20000 */
    uint32_t fragment_min_ms;     /* shortest but for the last of a request, default 0 */
    uint32_t fragment_megabytes;  /* largest fragment in MiB, default 50 */
    uint32_t fragment_tags;       /* metadata items of a fragment, default 10 */
    uint32_t tracks;              /* default 3 */
    uint32_t ahead_s;             /* how far a fragment may lie in the future, default 86400 */
    uint32_t get_media_connections; /* default 3 */
    uint32_t get_media_calls;       /* default 5 */
    uint32_t
        get_media_fragments;  /* a second and session, default 6: above it, sending slows down */
    uint32_t get_media_mbits; /* of GetMedia and GetMediaForFragmentList, default 200 */
    uint32_t fragment_list_connections;     /* of GetMediaForFragmentList, default 5 */
    uint32_t media_points, metadata_points; /* of archived reads a second, 500 and 10000 */
    uint32_t burst_s;         /* fragments and megabits are means over so long, default 20 */
    uint32_t streams;         /* default 0: as many as the service allows in the region */
    uint32_t control_percent; /* of the service's rates of control calls, default 100 */
};

struct conf_server {
    char *listen; /* host:port, default 127.0.0.1:8480 */
    char *data;   /* archive directory, default RUN/archive */
    char *keys;   /* profile-form file of access keys, default RUN/keys; made with a random key on
                     first start */
    bool tls;     /* default when tls_cert is given */
    char *tls_cert,
        *tls_key;    /* default with tls: RUN/tls/cert.pem and key.pem, made on first start */
    char *tls_names; /* more names for a certificate that is made, separated by spaces */
    bool tls_made;   /* not a key: tls_cert is one that is made */
    char *device_ca; /* certificates of devices: turns the credentials provider on */
    struct conf_role *roles;
    unsigned roles_count;
    char *master_keys; /* file of the keys that encrypt archives; NULL: there are none */
    bool enabled;      /* default true when endpoint.url points at it; the monitor starts it then */
    struct conf_limits limits;
    struct conf_process process;
};

struct conf_prometheus {
    bool enabled; /* default true: /metrics at monitor.listen */
};

struct conf_cloudwatch {
    bool enabled;        /* default false */
    char *url;           /* default https://monitoring.REGION.amazonaws.com */
    char *region;        /* default endpoint.region */
    char *ca_file;       /* default endpoint.ca_file */
    char *space;         /* namespace, default kvpipe */
    char *metrics;       /* names to send, separated by spaces, * for any; default all */
    uint32_t interval_s; /* default 60 */
    bool edge_agent;     /* the metrics of the EdgeRuntimeAgent namespace as well */
    char *thing;         /* its ThingName, default endpoint.credentials.iot_thing, then this host */
};

struct conf_emf {
    char *output;        /* stdout, tcp://host:port, or off (default) */
    char *space;         /* namespace, default kvpipe */
    char *log_group;     /* for the agent's TCP port; NULL: the agent's own */
    uint32_t interval_s; /* default 60 */
};

struct conf_monitor {
    char *listen; /* status over HTTP, host:port, default 127.0.0.1:8481 */
    char *names;  /* more names it may be asked by, separated by spaces */
    struct conf_prometheus prometheus;
    struct conf_cloudwatch cloudwatch;
    struct conf_emf emf;
    char *socket;              /* where stages report, default ipc://RUN/sockets/monitor.sock */
    enum conf_driver driver;   /* default local */
    enum conf_outlive outlive; /* default crash */
    char *docker_socket;       /* default /var/run/docker.sock */
    uint32_t hang_s;  /* a stage that reports nothing for so long hangs; also of its own watchdog.
                         Default 5 */
    uint32_t start_s; /* one that was started and has not reported after so long, default 300 */
    uint32_t log_megabytes; /* of each log file, default 10 */
    uint32_t log_files;     /* older ones that are kept, default 1 */
    char *bind;             /* where the monitor hears them, default socket */
};

/* The folder in `run` where programs that give streams to the muxer have their sockets. */
#define CONF_SINKS "sinks"

struct conf {
    char *file; /* the path it came from */
    char *text; /* its bytes as they were read */
    size_t text_bytes;
    unsigned holders; /* conf_hold */
    char *run;    /* directory for sockets, spool, archive; default ./run, relative to the current
                     directory */
    char *log;    /* error, warn, info, debug */
    bool sandbox; /* processes give up what they do not need (default true) */
    struct conf_stage capture, encoder, muxer, uploader;
    struct conf_link link;
    struct conf_endpoint endpoint;
    struct conf_spool spool;
    struct conf_server server;
    struct conf_monitor monitor;
    struct conf_stream *streams;
    unsigned streams_count;
};

/* Reads, fills defaults, checks. Blocks on the file. Returns 0 and *conf (conf_free), or -EINVAL /
 * errno of the file after printing each fault to stderr as "FILE:LINE: what is wrong; what was
 * expected" (no line where none applies). */
int conf_load(const char *path, struct conf **conf);
/* The same from memory, `name` in the messages; messages go to `out` (a FILE), for tests and
 * fuzzing. */
int conf_parse(const char *text, size_t len, const char *name, void *out, struct conf **conf);
/* The same as conf_load, but reads `copy` in place of `path`, which names it in messages and tells
 * where relative files lie; faults go to `out` (a FILE). */
int conf_load_copy(const char *path, const char *copy, struct conf **conf, void *out);
/* Another one needs this config: it lives until the last conf_release or conf_free. From one thread
 * alone. */
const struct conf *conf_hold(const struct conf *conf);
void conf_release(const struct conf **conf);
/* Gives up one hold, as conf_release. */
void conf_free(struct conf **conf);
const struct conf_stream *conf_stream(const struct conf *conf, const char *name);
/* Looks whether the files that the config names are there and readable; prints each fault to `out`
 * (a FILE) as conf_parse does. Returns 0 or -ENOENT. Blocks on the disk. Not part of conf_load: one
 * missing file must not stop other streams. */
int conf_check_files(const struct conf *conf, void *out);

/* Writes keys and values in a fixed form, each in a line: the same for the same settings. Leaves
 * out keys of the first level for which `skip` is true. */
typedef bool (*conf_skip_fn)(void *arg, const char *key);
void conf_write(const struct conf *conf, conf_skip_fn skip, void *arg, void *out);
void conf_write_monitor(const struct conf_monitor *monitor, void *out);
void conf_write_stream(const struct conf_stream *stream, conf_skip_fn skip, void *arg, void *out);

/* Addresses of links on this machine (conf_address.c). `stage` is "capture", "encoder", "muxer" or
 * "uploader"; `stream` the one stream that an isolated process serves, else NULL; `instance` its
 * name: with replicas, "-N" at its end chooses the address. Return a malloc'ed string, NULL when
 * the stage has no such end. */
char *conf_stage_listen(const struct conf *conf, const char *stage, const char *stream,
                        const char *instance);
/* Every address the stage's inlet connects to, separated by single spaces. */
char *conf_stage_connect(const struct conf *conf, const char *stage, const char *stream);
/* Puts the two above in place of `listen` and `connect` of the stage: stage_main does so before
 * setup, so that a stage just uses conf->STAGE.listen and conf->STAGE.connect (which may hold
 * several addresses separated by spaces). */
void conf_localize(struct conf *conf, const char *stage, const char *stream, const char *instance);
/* The stage above (-1) or below (1) in the pipeline, NULL where there is none. */
const char *conf_stage_beside(const char *stage, int step);
/* The stage's section by name, NULL for an unknown one. */
struct conf_stage *conf_stage(struct conf *conf, const char *stage);
/* Splits "host:port" or "[v6]:port". Returns 0 or -EINVAL. */
int conf_host_port(const char *listen, char *host, size_t host_size, uint16_t *port);

#endif
