/* put_load HOST:PORT HEADS OPTIONS: many producers in one cheap process, for benchmarks. HEADS is a
 * file of whole request heads, one connection each, with an empty line behind each.
 *   -t            TLS (the certificate is not checked)
 *   -s SECONDS    how long (default 10); with -i: open, print "open", hold until stdin ends
 *   -r BITS       paced: bits a second and connection in 25 frames a second; 0: as fast as it goes
 *   -f BYTES      a fragment when not paced (default 1048576)
 *   -p            each fragment is a PUT request of its own with Content-Length (a plain web
 * server) Prints JSON: fragments sent and PERSISTED, ERROR acks, bytes, percentiles of PERSISTED in
 * ms after the fragment's last byte was handed to the socket's buffer. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>

#include "common/buf.h"
#include "common/clock.h"
#include "media/mkv_writer.h"

#define FRAMES 25 /* a second and a fragment */
#define FRAME_NS (NS_PER_S / FRAMES)
#define TICK_MS 10
#define UNSENT_MAX (256u << 10)
#define SENT_MAX 4096 /* fragments of a connection whose ack is remembered */
#define LATENCIES_MAX (1u << 20)

struct connection {
    struct load *load;
    struct bufferevent *be;
    const char *head;
    size_t head_len;
    bool open, over;
    int64_t next_ns;
    unsigned frame;
    uint64_t fragments;
    int64_t sent_ns[SENT_MAX];
    bool waiting; /* -p: for the answer */
};

struct load {
    struct event_base *base;
    struct connection *connections;
    unsigned n, nopen;
    bool paced, idle, put;
    size_t frame_bytes;
    int64_t base_ms, end_ns;
    uint64_t sent, persisted, errors, bytes, broken;
    float *ms;
    size_t nms;
    struct buf scratch;
    bool stopping;
};

static uint8_t noise[1 << 20];

static void die(const char *what)
{
    fprintf(stderr, "put_load: %s\n", what);
    exit(1);
}

/* ---- what is sent ---- */

static void write_chunk(struct connection *c, const void *data, size_t len)
{
    struct evbuffer *out = bufferevent_get_output(c->be);
    if (!c->load->put)
        evbuffer_add_printf(out, "%zx\r\n", len);
    evbuffer_add(out, data, len);
    if (!c->load->put)
        evbuffer_add(out, "\r\n", 2);
    c->load->bytes += len;
}

static void matroska_head(struct buf *b)
{
    struct mkv_header h = {.ntracks = 1};
    h.tracks[0].number = 1;
    h.tracks[0].type = MKV_TRACK_VIDEO;
    snprintf(h.tracks[0].codec_id, sizeof h.tracks[0].codec_id, "V_UNCOMPRESSED");
    if (mkv_write_header(b, &h) < 0)
        die("no head");
}

static void frame(struct connection *c)
{
    static const struct mkv_tag end = {"AWS_KINESISVIDEO_END_OF_FRAGMENT", ""};
    struct load *l = c->load;
    buf_clear(&l->scratch);
    if (c->frame == 0)
        mkv_write_cluster(&l->scratch, (uint64_t)(l->base_ms + (int64_t)c->fragments * 1000));
    mkv_write_block_header(&l->scratch, 1, (int16_t)(c->frame * 1000 / FRAMES), c->frame == 0,
                           false, l->frame_bytes);
    buf_append(&l->scratch, noise, l->frame_bytes);
    bool last = ++c->frame == FRAMES;
    if (last)
        mkv_write_tags(&l->scratch, &end, 1);
    write_chunk(c, l->scratch.data, l->scratch.len);
    if (!last)
        return;
    c->frame = 0;
    c->sent_ns[c->fragments % SENT_MAX] = clock_mono_ns();
    c->fragments++;
    l->sent++;
}

/* A fragment as a file: `head` becomes its path's end. */
static void put_fragment(struct connection *c)
{
    struct load *l = c->load;
    struct evbuffer *out = bufferevent_get_output(c->be);
    size_t len = FRAMES * l->frame_bytes;
    evbuffer_add_printf(
        out, "PUT %.*s/%llu HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
        (int)strcspn(c->head, "\r"), c->head, (unsigned long long)c->fragments, len);
    for (int i = 0; i < FRAMES; i++)
        write_chunk(c, noise, l->frame_bytes);
    c->sent_ns[c->fragments % SENT_MAX] = clock_mono_ns();
    c->fragments++;
    c->waiting = true;
    l->sent++;
}

static void fill(struct connection *c)
{
    struct load *l = c->load;
    if (!c->open || c->over || l->idle || l->paced)
        return;
    if (l->put) {
        if (!c->waiting && !l->stopping)
            put_fragment(c);
        return;
    }
    while ((!l->stopping || c->frame) &&
           evbuffer_get_length(bufferevent_get_output(c->be)) < UNSENT_MAX)
        frame(c);
}

/* ---- what comes back ---- */

static void took(struct load *l, int64_t since_ns)
{
    if (l->nms < LATENCIES_MAX)
        l->ms[l->nms++] = (float)((double)(clock_mono_ns() - since_ns) / 1e6);
}

static void on_line(struct connection *c, const char *line)
{
    struct load *l = c->load;
    const char *at = strstr(line, "\"FragmentTimecode\":");
    if (strstr(line, "\"PERSISTED\"") && at) {
        long long k = (strtoll(at + 19, NULL, 10) - l->base_ms) / 1000;
        took(l, c->sent_ns[k % SENT_MAX]);
        l->persisted++;
    } else if (strstr(line, "\"ERROR\"")) {
        if (!l->errors++)
            fprintf(stderr, "put_load: %s\n", line);
    } else if (!strncmp(line, "HTTP/1.1 ", 9)) {
        if (line[9] != '2') {
            fprintf(stderr, "put_load: %s\n", line);
            l->broken++;
        }
        if (l->put) {
            took(l, c->sent_ns[(c->fragments - 1) % SENT_MAX]);
            l->persisted++;
            c->waiting = false;
        } else if (!c->open) {
            c->open = true;
            l->nopen++;
        }
    }
}

static void on_read(struct bufferevent *be, void *arg)
{
    struct connection *c = arg;
    char *line;
    while ((line = evbuffer_readln(bufferevent_get_input(be), NULL, EVBUFFER_EOL_CRLF))) {
        on_line(c, line);
        free(line);
    }
    fill(c);
}

static void on_write(struct bufferevent *be, void *arg)
{
    fill(arg);
}

static void on_event(struct bufferevent *be, short what, void *arg)
{
    struct connection *c = arg;
    if (what & BEV_EVENT_CONNECTED) {
        int one = 1;
        setsockopt(bufferevent_getfd(be), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (c->load->put) {
            c->open = true;
            c->load->nopen++;
            fill(c);
            return;
        }
        bufferevent_write(be, c->head, c->head_len);
        buf_clear(&c->load->scratch);
        matroska_head(&c->load->scratch);
        write_chunk(c, c->load->scratch.data, c->load->scratch.len);
    } else if (!c->load->stopping) {
        c->load->broken++;
        c->over = true;
    }
}

/* ---- the run ---- */

static void paced(struct load *l, int64_t now)
{
    for (unsigned i = 0; i < l->n; i++) {
        struct connection *c = &l->connections[i];
        while (!c->over && c->next_ns <= now && (!l->stopping || c->frame)) {
            frame(c);
            c->next_ns += FRAME_NS;
        }
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct load *l = arg;
    int64_t now = clock_mono_ns();
    if (l->nopen < l->n)
        return;
    if (l->idle) {
        if (!l->end_ns) {
            puts("open");
            fflush(stdout);
        }
        l->end_ns = 1;
        return;
    }
    if (!l->end_ns)
        return;
    l->stopping = now >= l->end_ns;
    if (l->paced)
        paced(l, now);
    bool done = l->persisted + l->errors >= l->sent || now > l->end_ns + 20 * NS_PER_S;
    if (l->stopping && (done || l->broken))
        event_base_loopbreak(l->base);
}

static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
    char c;
    struct load *l = arg;
    if (read(fd, &c, 1) <= 0)
        event_base_loopbreak(l->base);
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(const struct load *l, double p)
{
    return l->nms ? l->ms[(size_t)((double)(l->nms - 1) * p)] : 0;
}

static void connect_one(struct connection *c, SSL_CTX *tls, const struct addrinfo *to)
{
    int options = BEV_OPT_CLOSE_ON_FREE;
    c->be = tls ? bufferevent_openssl_socket_new(c->load->base, -1, SSL_new(tls),
                                                 BUFFEREVENT_SSL_CONNECTING, options)
                : bufferevent_socket_new(c->load->base, -1, options);
    bufferevent_setcb(c->be, on_read, on_write, on_event, c);
    bufferevent_setwatermark(c->be, EV_WRITE, UNSENT_MAX / 2, 0);
    bufferevent_enable(c->be, EV_READ | EV_WRITE);
    if (bufferevent_socket_connect(c->be, to->ai_addr, (int)to->ai_addrlen) < 0)
        die("cannot connect");
}

static char *read_heads(const char *path)
{
    FILE *f = fopen(path, "r");
    static char text[4 << 20];
    if (!f || !fread(text, 1, sizeof text - 1, f))
        die("cannot read the heads");
    fclose(f);
    return text;
}

static void split_heads(struct load *l, char *text)
{
    for (char *at = text, *end; (end = strstr(at, "\r\n\r\n")); at = end + 4) {
        struct connection *c = &l->connections[l->n++];
        *c = (struct connection){.load = l, .head = at, .head_len = (size_t)(end + 4 - at)};
    }
}

static void wait_open(struct load *l)
{
    int64_t until = clock_mono_ns() + 60 * NS_PER_S;
    while (l->nopen < l->n && clock_mono_ns() < until)
        event_base_loop(l->base, EVLOOP_ONCE);
    if (l->nopen < l->n)
        die("not all connections opened within 60 s");
}

int main(int argc, char **argv)
{
    static struct load l;
    bool tls = false;
    double seconds = 10, bits = 0;
    size_t fragment = 1 << 20;
    for (int o; (o = getopt(argc, argv, "ts:r:f:ip")) != -1;) {
        tls |= o == 't';
        l.idle |= o == 'i';
        l.put |= o == 'p';
        seconds = o == 's' ? atof(optarg) : seconds;
        bits = o == 'r' ? atof(optarg) : bits;
        fragment = o == 'f' ? (size_t)atol(optarg) : fragment;
    }
    if (argc - optind != 2)
        die("usage: put_load [-tip] [-s SECONDS] [-r BITS] [-f BYTES] HOST:PORT HEADS");
    char *port = strrchr(argv[optind], ':');
    struct addrinfo *to, hints = {.ai_socktype = SOCK_STREAM};
    if (!port || (*port = 0, getaddrinfo(argv[optind], port + 1, &hints, &to)))
        die("no such address");
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 13);
    l.paced = bits > 0;
    l.frame_bytes = l.paced ? (size_t)(bits / 8 / FRAMES) : fragment / FRAMES;
    l.base_ms =
        clock_wall_ns() / NS_PER_MS - 3600000; /* without pace, times run ahead of the clock */
    l.base = event_base_new();
    l.ms = malloc(LATENCIES_MAX * sizeof *l.ms);
    l.connections = calloc(4096, sizeof *l.connections);
    buf_init(&l.scratch, 16 << 20);
    split_heads(&l, read_heads(argv[optind + 1]));
    SSL_CTX *ctx = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    for (unsigned i = 0; i < l.n; i++)
        connect_one(&l.connections[i], ctx, to);
    struct timeval tick = {0, TICK_MS * 1000};
    event_add(event_new(l.base, -1, EV_PERSIST, on_tick, &l), &tick);
    if (l.idle)
        event_add(event_new(l.base, 0, EV_READ | EV_PERSIST, on_stdin, &l), NULL);
    wait_open(&l);
    int64_t start = clock_mono_ns();
    for (unsigned i = 0; i < l.n; i++) /* spread over a second */
        l.connections[i].next_ns = start + (int64_t)i * NS_PER_S / l.n;
    if (!l.idle)
        l.end_ns = start + (int64_t)(seconds * 1e9);
    for (unsigned i = 0; i < l.n; i++)
        fill(&l.connections[i]);
    event_base_dispatch(l.base);
    double took_s = (double)(clock_mono_ns() - start) / 1e9;
    qsort(l.ms, l.nms, sizeof *l.ms, by_size);
    printf("{\"connections\":%u,\"seconds\":%.2f,\"sent\":%llu,\"persisted\":%llu,\"errors\":%llu,"
           "\"broken\":%llu,\"bytes\":%llu,\"p50_ms\":%.1f,\"p99_ms\":%.1f,\"max_ms\":%.1f}\n",
           l.n, took_s, (unsigned long long)l.sent, (unsigned long long)l.persisted,
           (unsigned long long)l.errors, (unsigned long long)l.broken, (unsigned long long)l.bytes,
           percentile(&l, 0.5), percentile(&l, 0.99), percentile(&l, 1));
    return l.broken || l.errors || l.persisted < l.sent ? 1 : 0;
}
