/* Slices of a config: all keys but those that are known to be nothing to a stage. So a key that is
 * new concerns everybody until it stands in a table here. */
#include "common/conf_slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "common/mem.h"

#define KEYS_MAX 12

struct slice {
    const char *stage;
    const char *process[KEYS_MAX]; /* top-level keys that it does not see */
    const char *stream[KEYS_MAX];  /* keys of a stream that it does not see */
    bool streamless;               /* nor any stream */
};

/* Every stage: `streams` and `log` may change while it runs; of `monitor` see add_monitor(), of the
 * stages' own sections add_stage(). */
static const char *const always[] = {"streams", "log",      "monitor", "capture",
                                     "encoder", "uploader", "muxer",   NULL};
static const struct slice slices[] = {
    {"capture",
     {"endpoint", "spool", "server"},
     {"video", "audio", "tags", "timecode_scale_us", "absolute"},
     false},
    {"encoder",
     {"endpoint", "spool", "server"},
     {"source", "window", "tags", "timecode_scale_us", "absolute"},
     false},
    {"muxer", {"endpoint", "spool", "server"}, {"source", "window", "video", "audio"}, false},
    {"uploader",
     {"server"},
     {"source", "window", "video", "audio", "fragment", "tags", "timecode_scale_us"},
     false},
    {"server", {"endpoint", "spool", "link"}, {0}, true},
    {"monitor", {"endpoint", "spool", "server", "link"}, {0}, true},
};

static const struct slice *find(const char *stage)
{
    static const struct slice everything = {0};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        if (strcmp(slices[i].stage, stage) == 0)
            return &slices[i];
    return &everything;
}

static bool in(const char *const *keys, const char *key)
{
    for (; *keys; keys++)
        if (strcmp(*keys, key) == 0)
            return true;
    return false;
}

static bool skip_process(void *arg, const char *key)
{
    const struct slice *s = arg;
    return in(always, key) || in(s->process, key);
}

static bool skip_stream(void *arg, const char *key)
{
    const struct slice *s = arg;
    return in(s->stream, key);
}

static void digest(const char *text, size_t len, char hex[CONF_SLICE_HEX])
{
    unsigned char md[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, len, md);
    for (int i = 0; i < (CONF_SLICE_HEX - 1) / 2; i++)
        sprintf(hex + 2 * i, "%02x", md[i]);
}

static void add_monitor(const struct conf *conf, const char *stage, FILE *out)
{
    const struct conf_monitor *m = &conf->monitor;
    if (strcmp(stage, "monitor") == 0) {
        conf_write_monitor(m, out);
        fprintf(out, "%s\n", conf->link.keys ? conf->link.keys : "-");
        return;
    }
    fprintf(out, "%s %u %d %s\n", m->socket, m->hang_s, m->outlive == CONF_OUTLIVE_NEVER,
            conf->endpoint.region);
}

static void add_process(const struct conf_process *p, FILE *out)
{
    fprintf(out, "%u %u %s\n", p->memory_megabytes, p->nice, p->cpus ? p->cpus : "-");
}

/* The section itself says how many there are; to one of them, its ends count. */
static void add_stage(const struct conf *conf, const char *stage, const char *stream,
                      const char *instance, FILE *out)
{
    const struct conf_stage *s = conf_stage((struct conf *)conf, stage);
    if (!s)
        return;
    char *listen = conf_stage_listen(conf, stage, stream, instance);
    char *connect = conf_stage_connect(conf, stage, stream);
    fprintf(out, "%s|%s|%s\n", listen ? listen : "-", connect ? connect : "-",
            s->exec ? s->exec : "-");
    add_process(&s->process, out);
    free(listen);
    free(connect);
}

void conf_slice_process(const struct conf *conf, const char *stage, const char *stream,
                        const char *instance, char hex[CONF_SLICE_HEX])
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = xmemstream(&text, &len);
    conf_write(conf, skip_process, (void *)find(stage), out);
    add_monitor(conf, stage, out);
    add_stage(conf, stage, stream, instance, out);
    fclose(out);
    digest(text, len, hex);
    free(text);
}

static char *stream_text(const struct conf *conf, const char *stage, const char *name)
{
    const struct conf_stream *s = conf_stream(conf, name);
    char *text = NULL;
    size_t len = 0;
    if (!s)
        return xstrdup("");
    FILE *out = xmemstream(&text, &len);
    conf_write_stream(s, skip_stream, (void *)find(stage), out);
    fclose(out);
    return text;
}

void conf_slice_streams(const struct conf *conf, const char *stage, const char *stream,
                        char hex[CONF_SLICE_HEX])
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = xmemstream(&text, &len);
    fprintf(out, "%s\n", conf->log);
    for (unsigned i = 0; !find(stage)->streamless && i < conf->streams_count; i++) {
        if (stream && strcmp(stream, conf->streams[i].name) != 0)
            continue;
        char *one = stream_text(conf, stage, conf->streams[i].name);
        fprintf(out, "%s\n", one);
        free(one);
    }
    fclose(out);
    digest(text, len, hex);
    free(text);
}

bool conf_slice_same_stream(const struct conf *a, const struct conf *b, const char *stage,
                            const char *name)
{
    char *one = stream_text(a, stage, name), *other = stream_text(b, stage, name);
    bool same = strcmp(one, other) == 0;
    free(one);
    free(other);
    return same;
}
