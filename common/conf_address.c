/* Where each stage's link is bound and found on one machine.
 * Relies on struct conf alone, so that monitor and stages come to the same answer without talking.
 * Leaves names that resolve to several machines to the link's own lookup. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "common/mem.h"

static const char *const order[] = {"capture", "encoder", "muxer", "uploader"};

struct conf_stage *conf_stage(struct conf *conf, const char *stage)
{
    struct conf_stage *const stages[] = {&conf->capture, &conf->encoder, &conf->muxer,
                                         &conf->uploader};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(stage, order[i]) == 0)
            return stages[i];
    return NULL;
}

const char *conf_stage_beside(const char *stage, int step)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(stage, order[i]) == 0)
            return i + step >= 0 && i + step < 4 ? order[i + step] : NULL;
    return NULL;
}

int conf_host_port(const char *listen, char *host, size_t host_size, uint16_t *port)
{
    const char *colon = strrchr(listen, ':');
    size_t len = colon ? (size_t)(colon - listen) : 0;
    char *end;
    if (!colon || colon[1] < '0' || colon[1] > '9')
        return -EINVAL;
    unsigned long n = strtoul(colon + 1, &end, 10);
    if (*end || n > 65535)
        return -EINVAL;
    if (len >= 2 && listen[0] == '[' && listen[len - 1] == ']') {
        listen++;
        len -= 2;
    } else if (memchr(listen, ':', len)) {
        return -EINVAL;
    }
    if (len == 0 || len >= host_size)
        return -EINVAL;
    memcpy(host, listen, len);
    host[len] = '\0';
    *port = (uint16_t)n;
    return 0;
}

static char *own_listen(const struct conf *conf, const char *stage)
{
    const struct conf_stage *s = conf_stage((struct conf *)conf, stage);
    return s->listen ? xstrdup(s->listen)
                     : xasprintf("ipc://%s/" CONF_SOCKETS "/%s.sock", conf->run, stage);
}

/* "ipc://a/capture.sock" and "street" give "ipc://a/capture.street.sock"; "tcp://0.0.0.0:7001"
 * and index 2 give port 7003. */
static char *variant(const char *address, const char *word, unsigned index)
{
    const char *colon = strrchr(address, ':');
    size_t len = strlen(address);
    if (strncmp(address, "tcp://", 6) == 0 && colon)
        return xasprintf("%.*s:%lu", (int)(colon - address), address,
                         strtoul(colon + 1, NULL, 10) + index);
    if (len > 5 && strcmp(address + len - 5, ".sock") == 0)
        return xasprintf("%.*s.%s.sock", (int)(len - 5), address, word);
    return xasprintf("%s.%s", address, word);
}

static char *stream_listen(const struct conf *conf, const char *stage, const char *stream)
{
    char *base = own_listen(conf, stage);
    unsigned i = 0;
    while (i < conf->streams_count && strcmp(conf->streams[i].name, stream) != 0)
        i++;
    char *address = variant(base, stream, i);
    free(base);
    return address;
}

static char *replica_listen(const struct conf *conf, const char *stage, unsigned replica)
{
    char *base = own_listen(conf, stage), word[16];
    snprintf(word, sizeof word, "%u", replica);
    char *address = variant(base, word, replica - 1);
    free(base);
    return address;
}

static unsigned replica_of(const char *instance)
{
    const char *dash = instance ? strrchr(instance, '-') : NULL;
    unsigned long n = dash ? strtoul(dash + 1, NULL, 10) : 1;
    return n >= 1 && n <= 64 ? (unsigned)n : 1;
}

char *conf_stage_listen(const struct conf *conf, const char *stage, const char *stream,
                        const char *instance)
{
    const struct conf_stage *s = conf_stage((struct conf *)conf, stage);
    if (!s || s == &conf->uploader)
        return NULL;
    if (s->isolate && stream)
        return stream_listen(conf, stage, stream);
    if (s->replicas > 1)
        return replica_listen(conf, stage, replica_of(instance));
    return own_listen(conf, stage);
}

static void add(char **list, char *address)
{
    char *longer = xasprintf("%s%s%s", *list, **list ? " " : "", address);
    free(address);
    free(*list);
    *list = longer;
}

char *conf_stage_connect(const struct conf *conf, const char *stage, const char *stream)
{
    const struct conf_stage *s = conf_stage((struct conf *)conf, stage);
    if (!s || s == &conf->capture)
        return NULL;
    if (s->connect)
        return xstrdup(s->connect);
    size_t i = 1;
    while (strcmp(order[i], stage) != 0)
        i++;
    const char *up_name = order[i - 1];
    const struct conf_stage *up = conf_stage((struct conf *)conf, up_name);
    char *list = xstrdup("");
    if (up->isolate) {
        for (unsigned k = 0; k < conf->streams_count; k++)
            if (!stream || strcmp(conf->streams[k].name, stream) == 0)
                add(&list, stream_listen(conf, up_name, conf->streams[k].name));
    } else if (up->replicas > 1) {
        for (unsigned k = 1; k <= up->replicas; k++)
            add(&list, replica_listen(conf, up_name, k));
    } else {
        add(&list, own_listen(conf, up_name));
    }
    if (s == &conf->muxer && !s->isolate)
        add(&list, xasprintf("ipc://%s/" CONF_SINKS "/*.sock", conf->run));
    return list;
}

void conf_localize(struct conf *conf, const char *stage, const char *stream, const char *instance)
{
    struct conf_stage *s = conf_stage(conf, stage);
    conf->link.stage = stage;
    if (!s)
        return;
    char *listen = conf_stage_listen(conf, stage, stream, instance);
    char *connect = conf_stage_connect(conf, stage, stream);
    free(s->listen);
    free(s->connect);
    s->listen = listen;
    s->connect = connect;
}
