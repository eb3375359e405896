/* link_sink ADDRESS: stands below a stage, takes every stream, acks all at once and prints a line
 * per item: "frame STREAM TRACK SEQ KEY PTS_NS DTS_NS LEN MD5 FORMAT CODEC LAYOUT FRAGMENT_NS" or
 * "gap STREAM TRACK FIRST LAST REASON". Exits when every stream it saw has ended, or after -t S. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/evp.h>

#include "common/link_socket.h"
#include "common/log.h"

struct sink {
    struct event_base *base;
    struct link_client *client;
    struct link_positions at[64];
    unsigned n, ended;
};

static void on_open(void *arg, struct inlet_session *s, const struct link_msg *msg)
{
    struct sink *k = arg;
    struct link_positions *at = inlet_session_user(s);

    if (!at && k->n < 64) {
        at = &k->at[k->n++];
        for (unsigned i = 0; i < msg->open.ntracks; i++)
            at->next[msg->open.tracks[i].track - 1] = msg->open.tracks[i].base;
    }
    for (unsigned i = 0; i < msg->open.ntracks; i++) {
        const struct link_format *f = msg->open.tracks[i].format;
        unsigned t = msg->open.tracks[i].track - 1;
        at->tracks |= (uint8_t)(1u << t);
        at->credit[t] = 128;
        printf("open %s %u %s %s %ux%u %u/%u %u %u config=%zu base=%llu\n", msg->stream, t + 1,
               link_codec_name(f->codec), f->layout, f->width, f->height, f->rate_num, f->rate_den,
               f->sample_rate, f->channels, f->config ? f->config->len : 0,
               (unsigned long long)msg->open.tracks[i].base);
    }
    inlet_session_set_user(s, at);
    inlet_resume(link_client_inlet(k->client), s, at);
}

static void print_md5(const struct blob *b)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    EVP_Digest(b->data, b->len, sum, &n, EVP_md5(), NULL);
    for (unsigned i = 0; i < n; i++)
        printf("%02x", sum[i]);
}

static int on_item(void *arg, struct inlet_session *s, struct link_item *item)
{
    struct sink *k = arg;
    struct link_positions *at = inlet_session_user(s);

    if (item->gap) {
        printf("gap %s %u %llu %llu %s\n", inlet_session_stream(s), item->track,
               (unsigned long long)item->seq, (unsigned long long)item->last,
               link_gap_reason_name(item->reason));
    } else {
        printf("frame %s %u %llu %d %lld %lld %zu ", inlet_session_stream(s), item->track,
               (unsigned long long)item->seq, item->key, (long long)item->pts_ns,
               (long long)item->dts_ns, item->payload->len);
        print_md5(item->payload);
        printf(" %llu %s %s %lld\n", (unsigned long long)item->format->number,
               link_codec_name(item->format->codec), item->format->layout,
               (long long)item->fragment_ns);
    }
    at->next[item->track - 1] = item->last + 1;
    inlet_ack(link_client_inlet(k->client), s, at);
    link_item_fini(item);
    return 0;
}

static void on_ended(void *arg, struct inlet_session *s)
{
    struct sink *k = arg;
    const struct timeval soon = {.tv_usec = 300000};

    printf("ended %s\n", inlet_session_stream(s));
    fflush(stdout);
    if (++k->ended == k->n)
        event_base_loopexit(k->base, &soon);
}

int main(int argc, char **argv)
{
    static const struct inlet_ops ops = {.open = on_open, .item = on_item, .ended = on_ended};
    const struct conf_link link = {
        .heartbeat_ms = 250, .silence_ms = 1000, .resolve_ms = 5000, .credit = 128};
    struct sink k = {0};
    struct timeval limit = {.tv_sec = 60};

    if (argc == 4 && strcmp(argv[2], "-t") == 0)
        limit.tv_sec = atoi(argv[3]);
    else if (argc != 2)
        return 2;
    log_init("link_sink", LOG_INFO);
    k.base = event_base_new();
    if (link_client_create(k.base, argv[1], &link, "sink-1", &ops, &k, &k.client) < 0)
        return 1;
    event_base_loopexit(k.base, &limit);
    event_base_dispatch(k.base);
    link_client_destroy(&k.client, true);
    event_base_free(k.base);
    return 0;
}
