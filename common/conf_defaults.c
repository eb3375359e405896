/* Defaults that depend on other keys, on the environment or on where the file lies.
 * Relies on conf_yaml to tell what was given.
 * Leaves all others to the tables in conf.c. */
#include "common/conf_defaults.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/mem.h"

static bool given(const char *s)
{
    return s && *s;
}

static void set_default(char **at, char *value)
{
    if (*at)
        free(value);
    else
        *at = value;
}

/* Files that are read lie relative to the config file, so that a config and its files can move
 * together. */
static void from_file(const struct conf *conf, char **path)
{
    const char *slash = strrchr(conf->file, '/');
    if (!given(*path) || **path == '/' || !slash)
        return;
    char *joined = xasprintf("%.*s/%s", (int)(slash - conf->file), conf->file, *path);
    free(*path);
    *path = joined;
}

static void override(char **at, const char *variable)
{
    const char *value = getenv(variable);
    if (!given(value))
        return;
    free(*at);
    *at = xstrdup(value);
}

static char *host_in_url(const struct conf *conf, uint16_t *port)
{
    char host[256];
    if (conf_host_port(conf->server.listen, host, sizeof host, port) < 0)
        return NULL;
    if (strcmp(host, "0.0.0.0") == 0 || strcmp(host, "*") == 0 || strcmp(host, "::") == 0)
        return xstrdup("127.0.0.1");
    return strchr(host, ':') ? xasprintf("[%s]", host) : xstrdup(host);
}

static char *own_url(const struct conf *conf)
{
    uint16_t port;
    char *host = host_in_url(conf, &port);
    char *url =
        host ? xasprintf("%s://%s:%u", conf->server.tls ? "https" : "http", host, port) : NULL;
    free(host);
    return url;
}

static bool is_own(const char *url, const char *own)
{
    size_t len = own ? strlen(own) : 0;
    if (!own)
        return false;
    if (strncasecmp(url, own, len) == 0 && (url[len] == '\0' || strcmp(url + len, "/") == 0))
        return true;
    /* localhost is how people write it */
    const char *own_port = strrchr(own, ':'), *rest = strstr(url, "://localhost:");
    if (!strstr(own, "://127.0.0.1:") || !rest)
        return false;
    rest += strlen("://localhost");
    len = strlen(own_port);
    return strncmp(rest, own_port, len) == 0 && (!rest[len] || strcmp(rest + len, "/") == 0);
}

static void endpoint_defaults(struct conf_yaml *y, struct conf *c)
{
    struct conf_endpoint *e = &c->endpoint;
    bool aws = e->region !=
               NULL; /* a region in the file means the service, one in the environment does not */
    char *own = own_url(c);

    if (!e->region) {
        override(&e->region, "AWS_REGION");
        override(&e->region, "AWS_DEFAULT_REGION");
        set_default(&e->region, xstrdup("us-west-2"));
    }
    override(&e->url, "KVPIPE_ENDPOINT_URL");
    if (!e->url && aws)
        e->url = xasprintf("https://kinesisvideo.%s.amazonaws.com", e->region);
    else if (!e->url)
        e->url = xstrdup(own ? own : "");
    e->own = is_own(e->url, own);
    free(own);
    if (!conf_yaml_has(y, "server.enabled"))
        c->server.enabled = e->own;
    if (!e->own)
        return;
    if (e->credentials.type == CONF_CRED_AUTO && !conf_yaml_has(y, "endpoint.credentials")) {
        e->credentials.type = CONF_CRED_PROFILE;
        e->credentials.profile = xstrdup("default");
        e->credentials.profile_file = xstrdup(c->server.keys);
    }
    if (!c->server.tls)
        return;
    set_default(&e->ca_file, xstrdup(c->server.tls_cert));
    if (e->credentials.iot_endpoint)
        set_default(&e->credentials.iot_ca, xstrdup(c->server.tls_cert));
}

static void stream_defaults(struct conf_yaml *y, struct conf *c, int i)
{
    struct conf_source *s = &c->streams[i].source;
    char *path = xasprintf("streams[%d].source.path", i);
    char *audio = xasprintf("streams[%d].source.audio", i);
    s->line_number = conf_yaml_line(y, path);
    if (s->type == CONF_SOURCE_TEST && !conf_yaml_has(y, audio))
        s->audio = true;
    free(path);
    free(audio);
    if (s->type == CONF_SOURCE_V4L2)
        set_default(&s->device, xstrdup("/dev/video0"));
    from_file(c, &s->path);
    from_file(c, &s->credentials_file);
}

static void server_defaults(struct conf_yaml *y, struct conf *c)
{
    struct conf_server *s = &c->server;
    from_file(c, &s->tls_cert);
    from_file(c, &s->tls_key);
    from_file(c, &s->device_ca);
    for (unsigned i = 0; i < s->roles_count; i++)
        from_file(c, &s->roles[i].policy);
    if (!conf_yaml_has(y, "server.tls"))
        s->tls = s->tls_cert || s->tls_key;
    s->tls_made = s->tls && !s->tls_cert && !s->tls_key;
    if (!s->tls_made)
        return;
    s->tls_cert = xasprintf("%s/tls/cert.pem", c->run);
    s->tls_key = xasprintf("%s/tls/key.pem", c->run);
}

static void cloudwatch_defaults(struct conf *c)
{
    struct conf_cloudwatch *w = &c->monitor.cloudwatch;
    const char *edge = getenv("AWS_KVS_EDGE_CLOUD_WATCH_ENABLED");
    const char *thing = c->endpoint.credentials.iot_thing;
    char host[256] = "";
    if (edge && strcasecmp(edge, "TRUE") == 0)
        w->enabled = w->edge_agent = true;
    from_file(c, &w->ca_file);
    if (c->endpoint.ca_file)
        set_default(&w->ca_file, xstrdup(c->endpoint.ca_file));
    set_default(&w->region, xstrdup(c->endpoint.region));
    set_default(&w->url, xasprintf("https://monitoring.%s.amazonaws.com", w->region));
    gethostname(host, sizeof host - 1);
    set_default(&w->thing, xstrdup(given(thing) ? thing : host));
}

static char *socket_in(const struct conf *c, const char *name)
{
    return xasprintf("ipc://%s/" CONF_SOCKETS "/%s.sock", c->run, name);
}

void conf_defaults(struct conf_yaml *y, struct conf *c)
{
    override(&c->run, "KVPIPE_RUN");
    override(&c->log, "KVPIPE_LOG");
    set_default(&c->capture.listen, socket_in(c, "capture"));
    set_default(&c->encoder.listen, socket_in(c, "encoder"));
    set_default(&c->muxer.listen, socket_in(c, "muxer"));
    set_default(&c->spool.dir, xasprintf("%s/spool", c->run));
    set_default(&c->server.data, xasprintf("%s/archive", c->run));
    set_default(&c->server.keys, xasprintf("%s/keys", c->run));
    set_default(&c->monitor.socket, socket_in(c, "monitor"));
    set_default(&c->monitor.bind, xstrdup(c->monitor.socket));
    from_file(c, &c->link.keys);
    from_file(c, &c->server.master_keys);
    server_defaults(y, c);
    from_file(c, &c->endpoint.ca_file);
    from_file(c, &c->endpoint.credentials.profile_file);
    from_file(c, &c->endpoint.credentials.file);
    from_file(c, &c->endpoint.credentials.iot_cert);
    from_file(c, &c->endpoint.credentials.iot_key);
    from_file(c, &c->endpoint.credentials.iot_ca);
    endpoint_defaults(y, c);
    cloudwatch_defaults(c);
    for (unsigned i = 0; i < c->streams_count; i++)
        stream_defaults(y, c, (int)i);
}
