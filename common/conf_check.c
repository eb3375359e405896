/* Rules between keys. Relies on conf_yaml for lines. Each fault says what is wrong and what was
 * expected. Leaves single keys (type, range) to the tables in conf.c, defaults to conf_defaults.c.
 */
#include "common/conf_check.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cpus.h"
#include "common/fragmenter.h"
#include "common/log.h"
#include "common/link.h"
#include "common/mem.h"

#define TAGS_MAX 10
#define TAG_NAME_MAX_BYTES 128
#define TAG_VALUE_MAX_BYTES 256
#define ISOLATED_NAME_MAX 100 /* an instance name ("capture-NAME") has at most 128 bytes */
#define ROLE_TEXT_MAX 128
#define IPC_PATH_MAX 107      /* sockaddr_un */
#define FRAGMENT_MAX_MS 20000 /* the service's bound */

/* A fault at "streams[3].KEY"; i < 0: at KEY itself. */
#define FAULT(y, i, key, ...)                                                                      \
    do {                                                                                           \
        char *path_ = (i) < 0 ? xstrdup(key) : xasprintf("streams[%d].%s", (int)(i), key);         \
        conf_yaml_fault(y, conf_yaml_line(y, path_), __VA_ARGS__);                                 \
        free(path_);                                                                               \
    } while (0)

static bool has(struct conf_yaml *y, int i, const char *key)
{
    char *path = xasprintf("streams[%d].%s", i, key);
    bool yes = conf_yaml_has(y, path);
    free(path);
    return yes;
}

static bool given(const char *s)
{
    return s && *s;
}

static void check_name(struct conf_yaml *y, const struct conf *c, int i)
{
    const char *name = c->streams[i].name;
    size_t len = name ? strlen(name) : 0;
    if (!len) {
        FAULT(y, i, "name", "streams[%d]: no name; expected 'name: NAME'", i);
        return;
    }
    if (!link_stream_name_ok(name))
        FAULT(y, i, "name",
              "stream name '%.64s' is not allowed; expected 1 to 256 of letters, digits, '_', '.', "
              "'-', not dots alone",
              name);
    for (int k = 0; k < i; k++)
        if (c->streams[k].name && strcmp(c->streams[k].name, name) == 0)
            FAULT(y, i, "name", "stream name '%.64s' is there twice; expected each name once",
                  name);
    if (len > ISOLATED_NAME_MAX && (c->capture.isolate || c->encoder.isolate || c->muxer.isolate))
        FAULT(y, i, "name", "stream name '%.16s...' is too long; expected at most %d with isolate",
              name, ISOLATED_NAME_MAX);
}

/* Which keys of a source mean something for which type; others are mistakes and said to be. */
static const struct {
    const char *key;
    unsigned types; /* bit per enum conf_source_type */
    bool required;
} source_keys[] = {
    {"path", 1u << CONF_SOURCE_FILE, true},
    {"url", 1u << CONF_SOURCE_RTSP, true},
    {"line", 1u << CONF_SOURCE_LAUNCH, true},
    {"device", 1u << CONF_SOURCE_V4L2 | 1u << CONF_SOURCE_LIBCAMERA, false},
    {"credentials_file", 1u << CONF_SOURCE_RTSP, false},
    {"credentials_env", 1u << CONF_SOURCE_RTSP, false},
    {"transport", 1u << CONF_SOURCE_RTSP, false},
    {"realtime", 1u << CONF_SOURCE_FILE | 1u << CONF_SOURCE_TEST | 1u << CONF_SOURCE_LAUNCH, false},
    {"loop", 1u << CONF_SOURCE_FILE, false},
    {"frames", 1u << CONF_SOURCE_TEST, false},
    {"audio", 1u << CONF_SOURCE_TEST | 1u << CONF_SOURCE_V4L2, false},
    {"width", 1u << CONF_SOURCE_TEST | 1u << CONF_SOURCE_V4L2 | 1u << CONF_SOURCE_LIBCAMERA, false},
    {"height", 1u << CONF_SOURCE_TEST | 1u << CONF_SOURCE_V4L2 | 1u << CONF_SOURCE_LIBCAMERA,
     false},
    {"rate", 1u << CONF_SOURCE_TEST | 1u << CONF_SOURCE_V4L2 | 1u << CONF_SOURCE_LIBCAMERA, false},
};
static const char *const type_names[] = {"",     "test",      "file",   "rtsp",
                                         "v4l2", "libcamera", "launch", "external"};

static void check_source_keys(struct conf_yaml *y, int i, enum conf_source_type type)
{
    for (size_t k = 0; k < sizeof source_keys / sizeof *source_keys; k++) {
        bool means = source_keys[k].types >> type & 1;
        char *path = xasprintf("source.%s", source_keys[k].key);
        bool there = has(y, i, path);
        if (there && !means)
            FAULT(y, i, path, "source.%s means nothing for type %s; expected it to be left out",
                  source_keys[k].key, type_names[type]);
        if (!there && means && source_keys[k].required)
            FAULT(y, i, "source", "source of type %s has no %s; expected '%s: ...'",
                  type_names[type], source_keys[k].key, source_keys[k].key);
        free(path);
    }
}

static void check_rtsp(struct conf_yaml *y, int i, const struct conf_source *s)
{
    const char *rest = s->url ? strstr(s->url, "://") : NULL;
    if (!s->url)
        return;
    if (!rest || (strncmp(s->url, "rtsp://", 7) != 0 && strncmp(s->url, "rtsps://", 8) != 0)) {
        FAULT(y, i, "source.url",
              "source.url is not one of RTSP; expected rtsp://HOST[:PORT]/PATH");
        return;
    }
    size_t authority = strcspn(rest + 3, "/");
    if (memchr(rest + 3, '@', authority))
        FAULT(
            y, i, "source.url",
            "source.url holds a user or password; expected them in a file (credentials_file) or an "
            "environment variable (credentials_env)");
    if (s->credentials_file && s->credentials_env)
        FAULT(y, i, "source.credentials_env",
              "source has credentials_file and credentials_env; expected one of them");
}

static void check_source(struct conf_yaml *y, const struct conf *c, int i)
{
    const struct conf_source *s = &c->streams[i].source;
    if (s->type == CONF_SOURCE_NONE) {
        FAULT(y, i, "source",
              "streams[%d]: no source type; expected 'source: {type: TYPE, ...}' with test, file, "
              "rtsp, v4l2, libcamera, launch or external",
              i);
        return;
    }
    check_source_keys(y, i, s->type);
    if (s->type == CONF_SOURCE_EXTERNAL && c->muxer.isolate)
        FAULT(y, i, "source.type",
              "source of type external, and muxer.isolate; expected the muxer not to be isolated, "
              "since it takes such streams from any program");
    if (s->type == CONF_SOURCE_RTSP)
        check_rtsp(y, i, s);
    if (s->width % 2 || s->height % 2)
        FAULT(y, i, s->width % 2 ? "source.width" : "source.height",
              "source of %ux%u pixels; expected an even width and height (4:2:0 video)", s->width,
              s->height);
}

static void check_tag(struct conf_yaml *y, const struct conf_stream *s, int i, unsigned k)
{
    const struct conf_tag *t = &s->tags[k];
    char *key = xasprintf("tags[%u]", k);
    if (!given(t->name) || strlen(t->name) > TAG_NAME_MAX_BYTES)
        FAULT(y, i, key, "%s: expected a name of 1 to %d bytes", key, TAG_NAME_MAX_BYTES);
    else if (strncasecmp(t->name, "AWS", 3) == 0)
        FAULT(y, i, key, "%s: name '%s' is reserved; expected one that does not begin with AWS",
              key, t->name);
    if (!t->value || strlen(t->value) > TAG_VALUE_MAX_BYTES)
        FAULT(y, i, key, "%s: expected a value of at most %d bytes", key, TAG_VALUE_MAX_BYTES);
    for (unsigned j = 0; j < k && t->name; j++)
        if (s->tags[j].name && strcmp(s->tags[j].name, t->name) == 0)
            FAULT(y, i, key, "%s: name '%.128s' is there twice; expected each name once", key,
                  t->name);
    free(key);
}

/* One fragment is always there unfinished and another may wait for its ack, so less than three of
 * them say nothing. */
static void check_adapt(struct conf_yaml *y, const struct conf_stream *s, int i)
{
    const struct conf_adapt *a = &s->video.adapt;
    uint32_t fragment_ms = fragmenter_longest_ms(&s->fragment, s->video.keyframe_ms);

    if (!a->min_bitrate_kbps) {
        if (has(y, i, "video.adapt.backlog_s") || has(y, i, "video.adapt.restore_s"))
            FAULT(y, i, "video.adapt",
                  "video.adapt has no min_bitrate_kbps; expected the lowest bitrate to go to");
        return;
    }
    if (a->min_bitrate_kbps > s->video.bitrate_kbps)
        FAULT(y, i, "video.adapt.min_bitrate_kbps",
              "video.adapt.min_bitrate_kbps is %u; expected at most video.bitrate_kbps (%u)",
              a->min_bitrate_kbps, s->video.bitrate_kbps);
    if (a->backlog_s * 1000 < 3 * fragment_ms)
        FAULT(y, i, "video.adapt.backlog_s",
              "video.adapt.backlog_s is %u; expected at least three fragments (%u): that much "
              "waits at any time",
              a->backlog_s, (3 * fragment_ms + 999) / 1000);
}

static void check_stream(struct conf_yaml *y, const struct conf *c, int i)
{
    const struct conf_stream *s = &c->streams[i];
    check_name(y, c, i);
    check_source(y, c, i);
    if (s->video.bframes)
        FAULT(y, i, "video.bframes",
              "video.bframes is %u; expected 0: reordered frames cannot yet be numbered, acked and "
              "resumed one by one",
              s->video.bframes);
    check_adapt(y, s, i);
    if (s->fragment.by == CONF_FRAGMENT_DURATION &&
        s->fragment.duration_ms + s->video.keyframe_ms > FRAGMENT_MAX_MS)
        FAULT(
            y, i, "fragment.duration_ms",
            "fragment.duration_ms and video.keyframe_ms are %u together; expected at most %d, the "
            "longest fragment the service takes",
            s->fragment.duration_ms + s->video.keyframe_ms, FRAGMENT_MAX_MS);
    if (s->tags_count > TAGS_MAX)
        FAULT(y, i, "tags", "%u tags; expected at most %d", s->tags_count, TAGS_MAX);
    for (unsigned k = 0; k < s->tags_count; k++)
        check_tag(y, s, i, k);
}

static void check_addresses(struct conf_yaml *y, const char *key, const char *list)
{
    for (const char *p = list; p && *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        bool ipc = strncmp(p, "ipc://", 6) == 0, tcp = strncmp(p, "tcp://", 6) == 0;
        if (!ipc && !tcp)
            FAULT(y, -1, key,
                  "%s: '%.*s' is not an address; expected ipc://PATH or tcp://HOST:PORT", key,
                  (int)len, p);
        else if (len <= 6 || (tcp && !memchr(p + 6, ':', len - 6)))
            FAULT(y, -1, key, "%s: '%.*s' is not whole; expected ipc://PATH or tcp://HOST:PORT",
                  key, (int)len, p);
        else if (ipc && len - 6 > IPC_PATH_MAX)
            FAULT(y, -1, key,
                  "%s: the path of '%.*s' has %zu bytes; expected at most %d (choose a shorter "
                  "'run')",
                  key, (int)len, p, len - 6, IPC_PATH_MAX);
        p += len;
    }
}

static void check_process(struct conf_yaml *y, const char *name, const struct conf_process *p)
{
    cpu_set_t cpus;
    char *key = xasprintf("%s.process.cpus", name);
    if (given(p->cpus) && cpus_parse(p->cpus, &cpus) < 0)
        FAULT(y, -1, key, "%s: '%.64s' is not allowed; expected CPU numbers like 0-2,5", key,
              p->cpus);
    free(key);
}

/* Whether an address leads off this machine: tcp:// to or on anything but loopback. */
static bool is_remote(const char *address, size_t len)
{
    static const char *const local[] = {"127.", "localhost:", "[::1]:"};
    if (len < 6 || strncmp(address, "tcp://", 6) != 0)
        return false;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (strncmp(address + 6, local[i], strlen(local[i])) == 0)
            return false;
    return true;
}

/* Video and commands do not leave the machine in clear because somebody forgot the keys. */
static void check_secrecy(struct conf_yaml *y, const struct conf *c, const char *key,
                          const char *list)
{
    if (c->link.keys || c->link.plaintext)
        return;
    for (const char *p = list; p && *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (is_remote(p, len))
            FAULT(y, -1, key,
                  "%s: '%.*s' is open to other hosts, and links have no keys; expected link.keys "
                  "(`kvpipe keys init DIR` makes them), or link.plaintext: true where the network "
                  "is trusted",
                  key, (int)len, p);
        p += len;
    }
}

static void check_stage(struct conf_yaml *y, const struct conf *c, const char *name,
                        const struct conf_stage *s, const struct conf_stage *up)
{
    char *isolate = xasprintf("%s.isolate", name), *replicas = xasprintf("%s.replicas", name);
    char *listen = xasprintf("%s.listen", name), *connect = xasprintf("%s.connect", name);
    if (s->isolate && s->replicas > 1)
        FAULT(y, -1, isolate, "%s has isolate and replicas; expected one of them", name);
    if (s->isolate && up && !up->isolate)
        FAULT(y, -1, isolate,
              "%s is isolated but the stage above it is not; expected isolate there too, or its "
              "streams would go to any process of this stage",
              name);
    if (s->replicas > 1 && (!up || s == &c->uploader))
        FAULT(y, -1, replicas, "%s.replicas is %u; expected 1: %s", name, s->replicas,
              up ? "a spool has one uploader" : "a camera is opened once (see isolate)");
    if (s->listen && s == &c->uploader)
        FAULT(y, -1, listen, "uploader.listen means nothing; expected it to be left out");
    if (s->connect && !up)
        FAULT(y, -1, connect, "capture.connect means nothing; expected it to be left out");
    check_addresses(y, listen, s->listen);
    check_addresses(y, connect, s->connect);
    check_process(y, name, &s->process);
    check_secrecy(y, c, listen, s->listen);
    check_secrecy(y, c, connect, s->connect);
    for (unsigned i = 0; s->isolate && !y->faults && s != &c->uploader && i < c->streams_count;
         i++) {
        char *address =
            c->streams[i].name ? conf_stage_listen(c, name, c->streams[i].name, NULL) : NULL;
        check_addresses(y, listen, address);
        free(address);
    }
    free(isolate);
    free(replicas);
    free(listen);
    free(connect);
}

static void check_credentials(struct conf_yaml *y, const struct conf_credentials *k)
{
    if (k->type == CONF_CRED_FILE && !given(k->file))
        FAULT(y, -1, "endpoint.credentials",
              "endpoint.credentials of type file; expected 'file: PATH'");
    bool iot = given(k->iot_endpoint) && given(k->iot_cert) && given(k->iot_key) &&
               given(k->iot_role_alias);
    bool some = given(k->iot_endpoint) || given(k->iot_cert) || given(k->iot_key) ||
                given(k->iot_role_alias) || given(k->iot_thing);
    if ((k->type == CONF_CRED_IOT || some) && !iot)
        FAULT(
            y, -1, "endpoint.credentials",
            "endpoint.credentials for IoT are not whole; expected iot_endpoint, iot_cert, iot_key "
            "and iot_role_alias");
}

static void check_host_port(struct conf_yaml *y, const char *key, const char *value)
{
    char host[256];
    uint16_t port;
    if (conf_host_port(value, host, sizeof host, &port) < 0)
        FAULT(y, -1, key, "%s: '%.64s' is not allowed; expected HOST:PORT", key, value);
}

static void check_endpoint(struct conf_yaml *y, const struct conf *c)
{
    const char *url = c->endpoint.url;
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : "";
    if (!*host || *host == '/')
        FAULT(y, -1, "endpoint.url",
              "endpoint.url '%.128s' is not allowed; expected http://HOST:PORT or https://HOST",
              url);
    else if (memchr(host, '@', strcspn(host, "/")))
        FAULT(y, -1, "endpoint.url",
              "endpoint.url holds a user or password; expected credentials under "
              "endpoint.credentials");
    size_t len = strlen(c->endpoint.region);
    if (!len || len > 32 ||
        strspn(c->endpoint.region, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        FAULT(y, -1, "endpoint.region",
              "region '%.64s' is not allowed; expected one like us-west-2", c->endpoint.region);
    check_credentials(y, &c->endpoint.credentials);
}

static bool role_text(const char *s, const char *more)
{
    size_t len = given(s) ? strlen(s) : 0;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr(more, s[i]))
            return false;
    return len && len <= ROLE_TEXT_MAX;
}

static void check_role(struct conf_yaml *y, const struct conf_server *s, unsigned i)
{
    const struct conf_role *r = &s->roles[i];
    char *key = xasprintf("server.roles[%u]", i);
    if (!role_text(r->alias, "_=,@-"))
        FAULT(y, -1, key, "%s: expected 'alias: NAME', 1 to %d of letters, digits and _=,@-", key,
              ROLE_TEXT_MAX);
    if (!given(r->policy))
        FAULT(y, -1, key, "%s: no policy; expected 'policy: FILE', an IAM policy in JSON", key);
    if (!role_text(r->things, ":_-*?"))
        FAULT(y, -1, key, "%s: things '%.64s' is not allowed; expected a pattern of thing names",
              key, r->things ? r->things : "");
    for (unsigned k = 0; k < i && r->alias; k++)
        if (s->roles[k].alias && strcmp(s->roles[k].alias, r->alias) == 0)
            FAULT(y, -1, key, "%s: alias '%.64s' is there twice; expected each once", key,
                  r->alias);
    free(key);
}

static void check_space(struct conf_yaml *y, const char *key, const char *space)
{
    size_t len = strlen(space);
    if (!len || len > 255 || space[0] == ':' || strncmp(space, "AWS/", 4) == 0 ||
        strspn(space, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/#:- ") !=
            len)
        FAULT(y, -1, key,
              "%s '%.64s' is not allowed; expected 1 to 255 of letters, digits and ._/#:- that do "
              "not begin with AWS/",
              key, space);
}

static void check_outputs(struct conf_yaml *y, const struct conf_monitor *m)
{
    static const char tcp[] = "tcp://";
    const char *output = m->emf.output, *url = m->cloudwatch.url;
    check_space(y, "monitor.cloudwatch.namespace", m->cloudwatch.space);
    check_space(y, "monitor.emf.namespace", m->emf.space);
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        FAULT(y, -1, "monitor.cloudwatch.url",
              "monitor.cloudwatch.url '%.64s' is not allowed; expected http:// or https://", url);
    if (strncmp(output, tcp, sizeof tcp - 1) == 0)
        check_host_port(y, "monitor.emf.output", output + sizeof tcp - 1);
    else if (strcmp(output, "off") != 0 && strcmp(output, "stdout") != 0)
        FAULT(y, -1, "monitor.emf.output",
              "monitor.emf.output '%.64s' is not allowed; expected off, stdout or tcp://HOST:PORT",
              output);
}

static void check_server(struct conf_yaml *y, const struct conf_server *s)
{
    check_host_port(y, "server.listen", s->listen);
    if (!s->tls_cert != !s->tls_key)
        FAULT(y, -1, "server", "server has only one of tls_cert and tls_key; expected both");
    else if (!s->tls && s->tls_cert)
        FAULT(y, -1, "server.tls",
              "server.tls is false but tls_cert is given; expected true, or no tls_cert");
    if (s->tls_names && !s->tls_made)
        FAULT(y, -1, "server.tls_names",
              "server.tls_names is for a certificate that is made; expected tls: true without "
              "tls_cert");
    if (!s->tls && (s->device_ca || s->roles_count))
        FAULT(y, -1, s->device_ca ? "server.device_ca" : "server.roles",
              "devices show certificates over TLS only; expected tls: true, or tls_cert and "
              "tls_key");
    if (s->roles_count && !s->device_ca)
        FAULT(y, -1, "server.roles",
              "server.roles without device_ca; expected 'device_ca: FILE', the CA of the devices");
    if (s->device_ca && !s->roles_count)
        FAULT(y, -1, "server.device_ca",
              "server.device_ca without roles; expected 'roles: [{alias: NAME, policy: FILE}]'");
    for (unsigned i = 0; i < s->roles_count; i++)
        check_role(y, s, i);
}

void conf_check(struct conf_yaml *y, struct conf *c)
{
    if (!given(c->run))
        FAULT(y, -1, "run", "run is empty; expected a directory");
    if (log_level_parse(c->log) == LOG_NONE)
        FAULT(y, -1, "log",
              "log level '%.32s' (KVPIPE_LOG) is not known; expected error, warn, info or debug",
              c->log);
    if (!c->streams_count && !(c->server.enabled && conf_yaml_has(y, "server.enabled")))
        FAULT(y, -1, "streams",
              "no streams; expected at least one '- name: NAME' under 'streams:'");
    for (unsigned i = 0; i < c->streams_count; i++)
        check_stream(y, c, (int)i);
    check_stage(y, c, "capture", &c->capture, NULL);
    check_stage(y, c, "encoder", &c->encoder, &c->capture);
    check_stage(y, c, "muxer", &c->muxer, &c->encoder);
    check_stage(y, c, "uploader", &c->uploader, &c->muxer);
    check_process(y, "server", &c->server.process);
    check_addresses(y, "monitor.socket", c->monitor.socket);
    check_addresses(y, "monitor.bind", c->monitor.bind);
    check_secrecy(y, c, "monitor.socket", c->monitor.socket);
    if (conf_yaml_has(y, "monitor.bind"))
        check_secrecy(y, c, "monitor.bind", c->monitor.bind);
    if (c->link.keys && c->link.plaintext)
        FAULT(y, -1, "link.plaintext", "link has keys and plaintext; expected one of them");
    if (c->link.silence_ms < 2 * c->link.heartbeat_ms)
        FAULT(y, -1, "link.silence_ms",
              "link.silence_ms is %u; expected at least twice heartbeat_ms (%u)",
              c->link.silence_ms, c->link.heartbeat_ms);
    check_server(y, &c->server);
    check_host_port(y, "monitor.listen", c->monitor.listen);
    check_outputs(y, &c->monitor);
    check_endpoint(y, c);
}

static unsigned check_file(const struct conf *conf, unsigned line, const char *stream,
                           const char *key, const char *path, FILE *out)
{
    const char *made = conf->server.tls_made ? conf->server.tls_cert : NULL;
    if (!given(path) || (made && !strcmp(path, made)) || access(path, R_OK) == 0)
        return 0;
    fprintf(out, line ? "%s:%u: " : "%s: ", conf->file, line);
    fprintf(out, "%s%s%s%s '%s': %s; expected a file that can be read\n", stream ? "stream " : "",
            stream ? stream : "", stream ? ": " : "", key, path, strerror(errno));
    return 1;
}

static unsigned check_server_files(const struct conf *conf, FILE *out)
{
    const struct conf_server *s = &conf->server;
    unsigned faults = check_file(conf, 0, NULL, "server.device_ca", s->device_ca, out);
    if (!s->tls_made) {
        faults += check_file(conf, 0, NULL, "server.tls_cert", s->tls_cert, out);
        faults += check_file(conf, 0, NULL, "server.tls_key", s->tls_key, out);
    }
    for (unsigned i = 0; i < s->roles_count; i++)
        faults += check_file(conf, 0, NULL, "server.roles: policy", s->roles[i].policy, out);
    return faults;
}

int conf_check_files(const struct conf *conf, void *out)
{
    const struct conf_credentials *k = &conf->endpoint.credentials;
    unsigned faults = 0;
    for (unsigned i = 0; i < conf->streams_count; i++) {
        const struct conf_stream *s = &conf->streams[i];
        faults +=
            check_file(conf, s->source.line_number, s->name, "source.path", s->source.path, out);
        faults += check_file(conf, s->source.line_number, s->name, "source.credentials_file",
                             s->source.credentials_file, out);
    }
    faults += check_file(conf, 0, NULL, "link.keys", conf->link.keys, out);
    faults += check_file(conf, 0, NULL, "endpoint.ca_file", conf->endpoint.ca_file, out);
    if (!conf->endpoint.own)
        faults += check_file(conf, 0, NULL, "credentials.profile_file", k->profile_file, out);
    faults += check_file(conf, 0, NULL, "credentials.file", k->file, out);
    faults += check_file(conf, 0, NULL, "credentials.iot_cert", k->iot_cert, out);
    faults += check_file(conf, 0, NULL, "credentials.iot_key", k->iot_key, out);
    faults += check_file(conf, 0, NULL, "credentials.iot_ca", k->iot_ca, out);
    faults += check_file(conf, 0, NULL, "server.master_keys", conf->server.master_keys, out);
    faults += check_server_files(conf, out);
    return faults ? -ENOENT : 0;
}
