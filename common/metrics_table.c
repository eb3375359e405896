/* Every number that a kvpipe process has: the one table behind reports, /metrics, CloudWatch and
 * the manual (kvpipe-metrics.7). Relies on metrics.h. Names of PutMedia numbers are those of the
 * service's own metrics, measured from the producer's side.
 * Leaves measuring to the stages. */
#include "common/metrics.h"

#include <string.h>

#define COUNTER .kind = METRICS_COUNTER, .unit = "Count"
#define GAUGE .kind = METRICS_GAUGE
#define TIMES .kind = METRICS_HISTOGRAM, .unit = "Seconds", .scale = 1e-9

enum {
    CAPTURE = METRICS_CAPTURE,
    ENCODER = METRICS_ENCODER,
    MUXER = METRICS_MUXER,
    UPLOADER = METRICS_UPLOADER,
    SERVER = METRICS_SERVER,
    MONITOR = METRICS_MONITOR,
    MEDIA = CAPTURE | ENCODER | MUXER,
    ALL = MEDIA | UPLOADER | SERVER | MONITOR,
};

static const struct metrics_def table[METRICS] = {
    /* --- what passes --- */
    [METRIC_FRAMES_IN] = {"frames_in", COUNTER, .from = MEDIA | UPLOADER, .cloudwatch = "FramesIn",
                          .help = "Frames that came in, all tracks"},
    [METRIC_FRAMES_OUT] = {"frames_out", COUNTER, .from = MEDIA, .cloudwatch = "FramesOut",
                           .help = "Frames given to the next stage, all tracks"},
    [METRIC_VIDEO_FRAMES] = {"video_frames", COUNTER, .from = CAPTURE, .cloudwatch = "VideoFrames",
                             .help = "Video frames captured"},
    [METRIC_BYTES_OUT] = {"bytes_out", .kind = METRICS_COUNTER, .unit = "Bytes",
                          .from = MEDIA | UPLOADER, .cloudwatch = "BytesOut",
                          .help = "Bytes given to the next stage, or sent to the endpoint"},
    [METRIC_FRAMES_DROPPED] = {"frames_dropped", COUNTER, .from = MEDIA | UPLOADER,
                               .cloudwatch = "FramesDropped",
                               .help = "Frames that became gaps here; of the uploader: all in the "
                                       "gap ledger"},
    [METRIC_SEGMENTS] = {"segments", COUNTER, .from = MUXER, .cloudwatch = "Segments",
                         .help = "Matroska segments begun: one for each change of format"},
    /* --- what waits --- */
    [METRIC_WINDOW_FRAMES] = {"window_frames", GAUGE, .unit = "Count", .from = MEDIA,
                              .cloudwatch = "WindowFrames",
                              .help = "Frames held until they are durable downstream"},
    [METRIC_WINDOW_BYTES] = {"window_bytes", GAUGE, .unit = "Bytes", .from = MEDIA,
                             .cloudwatch = "WindowBytes",
                             .help = "Bytes held until they are durable downstream"},
    [METRIC_WINDOW_AGE] = {"window_age_seconds", GAUGE, .unit = "Seconds", .from = MEDIA,
                           .cloudwatch = "WindowAge",
                           .help = "Age of the oldest frame held, since its capture"},
    [METRIC_BACKLOG] = {"backlog_seconds", GAUGE, .unit = "Seconds", .from = UPLOADER,
                        .cloudwatch = "Backlog",
                        .help = "Media in the spool that the endpoint has not persisted"},
    [METRIC_BACKLOG_BYTES] = {"backlog_bytes", GAUGE, .unit = "Bytes", .from = UPLOADER,
                              .cloudwatch = "BacklogBytes",
                              .help = "Bytes in the spool that the endpoint has not persisted"},
    [METRIC_BACKLOG_FRAGMENTS] = {"backlog_fragments", GAUGE, .unit = "Count", .from = UPLOADER,
                                  .cloudwatch = "BacklogFragments",
                                  .help = "Fragments that the endpoint has not persisted"},
    [METRIC_SPOOL_AGE] =
        {"spool_age_seconds", GAUGE, .unit = "Seconds", .from = UPLOADER, .cloudwatch = "SpoolAge",
         .help = "Age of the oldest frame in the spool that the endpoint has not persisted"},
    [METRIC_OFFSITE] = {"offsite_seconds", GAUGE, .unit = "Seconds", .from = MONITOR,
                        .cloudwatch = "SecondsUntilOffsite",
                        .help = "Age of the oldest frame, in any stage, that the endpoint has not "
                                "persisted: what would be lost with this machine"},
    [METRIC_SPOOL_USED] = {"spool_used_bytes", GAUGE, .unit = "Bytes", .from = UPLOADER,
                           .cloudwatch = "SpoolUsed", .help = "Bytes of the stream's spool"},
    [METRIC_SPOOL_FREE] = {"spool_free_bytes", GAUGE, .unit = "Bytes", .from = UPLOADER,
                           .cloudwatch = "SpoolFree",
                           .help = "Bytes that the stream's spool can still take"},
    [METRIC_SPOOL_CAPACITY] = {"spool_capacity_bytes", GAUGE, .unit = "Bytes", .from = UPLOADER,
                               .cloudwatch = "SpoolCapacity",
                               .help = "spool.max_megabytes, or less where the disk has less"},
    /* --- how long it takes --- */
    [METRIC_ENCODE] = {"encode_seconds", TIMES, .from = ENCODER, .cloudwatch = "EncodeTime",
                       .help = "From a raw frame that goes into the encoder to what comes out"},
    [METRIC_ENCODE_QUEUE] = {"encode_queue_frames", GAUGE, .unit = "Count", .from = ENCODER,
                             .cloudwatch = "EncodeQueue",
                             .help = "Frames that wait for an encoder or are in it"},
    [METRIC_SEND_LATENCY] = {"send_latency_seconds", TIMES, .from = UPLOADER,
                             .cloudwatch = "SendLatency",
                             .help = "From capture to the last byte of a live frame given to the "
                                     "endpoint's connection"},
    [METRIC_PERSIST_LATENCY] = {"persist_latency_seconds", TIMES, .from = UPLOADER,
                                .cloudwatch = "PersistLatency",
                                .help = "End to end: from the capture of a fragment's first frame "
                                        "to its PERSISTED ack"},
    /* --- fragments --- */
    [METRIC_FRAGMENTS] = {"fragments", COUNTER, .from = MUXER | UPLOADER, .cloudwatch = "Fragments",
                          .help = "Fragments completed"},
    [METRIC_FRAGMENT_DURATION] = {"fragment_duration_seconds", TIMES, .from = UPLOADER,
                                  .cloudwatch = "FragmentDuration",
                                  .help = "Media in a fragment, from its first frame to its last"},
    [METRIC_FRAGMENT_BYTES] = {"fragment_size_bytes", .kind = METRICS_HISTOGRAM, .unit = "Bytes",
                               .scale = 1, .from = UPLOADER, .cloudwatch = "FragmentSize",
                               .help = "Size of a fragment"},
    [METRIC_FRAGMENTS_PERSISTED] = {"fragments_persisted", COUNTER, .from = UPLOADER | SERVER,
                                    .cloudwatch = "FragmentsPersisted",
                                    .help = "Fragments that the endpoint has persisted; of the "
                                            "server: archived"},
    [METRIC_ARCHIVED_BYTES] = {"bytes", .kind = METRICS_COUNTER, .unit = "Bytes", .from = SERVER,
                               .cloudwatch = "ArchivedBytes", .help = "Bytes archived"},
    /* --- PutMedia, from the producer's side --- */
    [METRIC_PUT_CONNECTIONS] = {"put_media_connections", GAUGE, .unit = "Count", .from = UPLOADER,
                                .cloudwatch = "PutMedia.ActiveConnections",
                                .help = "PutMedia requests that are open"},
    [METRIC_PUT_REQUESTS] = {"put_media_requests", COUNTER, .from = UPLOADER,
                             .cloudwatch = "PutMedia.Requests", .help = "PutMedia requests begun"},
    [METRIC_PUT_BYTES] = {"put_media_bytes", .kind = METRICS_COUNTER, .unit = "Bytes",
                          .from = UPLOADER, .cloudwatch = "PutMedia.IncomingBytes",
                          .help = "Bytes of PutMedia requests sent"},
    [METRIC_PUT_CONNECTION_ERRORS] = {"put_media_connection_errors", COUNTER, .from = UPLOADER,
                                      .cloudwatch = "PutMedia.ConnectionErrors",
                                      .help = "PutMedia requests that ended before an answer 200"},
    [METRIC_PUT_LATENCY] = {"put_media_latency_seconds", TIMES, .from = UPLOADER,
                            .cloudwatch = "PutMedia.Latency",
                            .help = "From a PutMedia request to its answer 200"},
    [METRIC_PUT_FRAGMENT] = {"put_media_fragment_seconds", TIMES, .from = UPLOADER,
                             .cloudwatch = "PutMedia.FragmentIngestionLatency",
                             .help = "From the first byte of a fragment sent to its last"},
    [METRIC_PUT_FRAGMENTS] = {"put_media_fragments", COUNTER, .from = UPLOADER,
                              .cloudwatch = "PutMedia.IncomingFragments",
                              .help = "Fragments sent whole"},
    [METRIC_PUT_FRAMES] = {"put_media_frames", COUNTER, .from = UPLOADER,
                           .cloudwatch = "PutMedia.IncomingFrames",
                           .help = "Frames of the fragments sent whole"},
    [METRIC_ACK_BUFFERING] = {"ack_buffering_seconds", TIMES, .from = UPLOADER,
                              .cloudwatch = "PutMedia.BufferingAckLatency",
                              .help = "From the first byte of a fragment sent to its BUFFERING "
                                      "ack"},
    [METRIC_ACK_RECEIVED] = {"ack_received_seconds", TIMES, .from = UPLOADER,
                             .cloudwatch = "PutMedia.ReceivedAckLatency",
                             .help = "From the last byte of a fragment sent to its RECEIVED ack"},
    [METRIC_ACK_PERSISTED] = {"ack_persisted_seconds", TIMES, .from = UPLOADER,
                              .cloudwatch = "PutMedia.PersistedAckLatency",
                              .help = "From the last byte of a fragment sent to its PERSISTED "
                                      "ack"},
    [METRIC_ACK_ERRORS] = {"ack_errors", COUNTER, .from = UPLOADER,
                           .cloudwatch = "PutMedia.ErrorAckCount", .help = "ERROR acks"},
    [METRIC_PUT_SUCCESS] = {"put_media_success", .kind = METRICS_HISTOGRAM, .unit = "Count",
                            .scale = 1, .from = UPLOADER, .cloudwatch = "PutMedia.Success",
                            .help = "1 for a fragment that was persisted, 0 for an ERROR ack: the "
                                    "sum is a number, the average a share"},
    /* --- what goes wrong --- */
    [METRIC_RECONNECTS] = {"reconnects", COUNTER, .from = CAPTURE | UPLOADER,
                           .cloudwatch = "Reconnects",
                           .help = "Connections that failed: to the camera, to the endpoint"},
    [METRIC_ERRORS] = {"errors", COUNTER, .label = "id", .from = UPLOADER, .cloudwatch = "Errors",
                       .help = "What the endpoint refused and what broke, by error: the id of an "
                               "ERROR ack, or a word of the log"},
    [METRIC_TIME_CORRECTIONS] = {"time_corrections", COUNTER, .from = CAPTURE,
                                 .cloudwatch = "TimeCorrections",
                                 .help = "Times the source's clock was set right"},
    [METRIC_GAPS] = {"gaps", COUNTER, .label = "cause", .from = UPLOADER, .cloudwatch = "Gaps",
                     .help = "Intervals that are missing from the archive, by cause"},
    [METRIC_GAP_FRAMES] = {"gap_frames", COUNTER, .label = "cause", .from = UPLOADER,
                           .cloudwatch = "GapFrames",
                           .help = "Frames that are missing from the archive, by cause"},
    [METRIC_STORAGE_PRESSURE] = {"storage_pressure", GAUGE, .unit = "None", .from = UPLOADER,
                                 .cloudwatch = "StoragePressure",
                                 .help = "1 while the spool is nearly full"},
    [METRIC_STORAGE_PRESSURE_EVENTS] = {"storage_pressure_events", COUNTER, .from = UPLOADER,
                                        .cloudwatch = "StoragePressureEvents",
                                        .help = "Times that storage pressure began"},
    [METRIC_LATENCY_PRESSURE] = {"latency_pressure", GAUGE, .unit = "None", .from = UPLOADER,
                                 .cloudwatch = "LatencyPressure",
                                 .help = "1 while more than endpoint.max_latency_s of media wait"},
    [METRIC_LATENCY_PRESSURE_EVENTS] = {"latency_pressure_events", COUNTER, .from = UPLOADER,
                                        .cloudwatch = "LatencyPressureEvents",
                                        .help = "Times that latency pressure began"},
    [METRIC_STALE] = {"connection_stale", GAUGE, .unit = "None", .from = UPLOADER,
                      .cloudwatch = "ConnectionStale",
                      .help = "1 while media are sent and nothing is acked"},
    [METRIC_STALE_EVENTS] = {"connection_stale_events", COUNTER, .from = UPLOADER,
                             .cloudwatch = "ConnectionStaleEvents",
                             .help = "Times that the connection to the endpoint went stale"},
    /* --- states and settings --- */
    [METRIC_STREAM_LIVE] = {"stream_live", GAUGE, .unit = "None", .from = MEDIA | UPLOADER | SERVER,
                            .cloudwatch = "StreamLive",
                            .help = "1 while the stage says of the stream that it is live"},
    [METRIC_BITRATE] = {"bitrate_kbps", GAUGE, .unit = "Kilobits/Second", .from = ENCODER,
                        .cloudwatch = "Bitrate", .help = "Bitrate that the encoder aims at"},
    /* --- processes --- */
    [METRIC_REFUSED] = {"messages_refused", COUNTER, .process = true, .from = MEDIA | UPLOADER,
                        .cloudwatch = "MessagesRefused", .help = "Bad messages on links"},
    [METRIC_CONNECTIONS] = {"connections", GAUGE, .unit = "Count", .process = true, .from = SERVER,
                            .cloudwatch = "Connections", .help = "HTTP connections that are open"},
    [METRIC_PROCESS_UP] = {"process_up", GAUGE, .unit = "None", .process = true, .from = ALL,
                           .cloudwatch = "ProcessUp",
                           .help = "1 while the process is ready and reports"},
    [METRIC_PROCESS_UPTIME] = {"process_uptime_seconds", GAUGE, .unit = "Seconds", .process = true,
                               .from = ALL, .cloudwatch = "ProcessUptime",
                               .help = "Time since the process started"},
    [METRIC_PROCESS_CPU] = {"process_cpu_seconds", .kind = METRICS_COUNTER, .unit = "Seconds",
                            .process = true, .from = ALL, .cloudwatch = "ProcessCpu",
                            .help = "CPU time used, user and system"},
    [METRIC_PROCESS_MEMORY] = {"process_resident_bytes", GAUGE, .unit = "Bytes", .process = true,
                               .from = ALL, .cloudwatch = "ProcessMemory",
                               .help = "Resident memory"},
    [METRIC_PROCESS_RESTARTS] = {"process_restarts", COUNTER, .process = true,
                                 .from = ALL & ~MONITOR, .cloudwatch = "ProcessRestarts",
                                 .help = "Restarts by the monitor"},
};

const struct metrics_def *metrics_def(enum metric id)
{
    return &table[id];
}

const struct metrics_def *metrics_def_by_name(const char *name)
{
    for (unsigned i = METRIC_NONE + 1; i < METRICS; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}
