/* A producer on libkvpipe: gives a file of H.264 access units to a running kvpipe, as a program
 * that uses the producer SDK of Kinesis Video Streams does. Make one with ffmpeg -i in.mp4 -c:v
 * copy -an -bsf:v h264_mp4toannexb,h264_metadata=aud=insert -f h264 out.h264
 */
#include <errno.h>
#include <kvpipe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

struct file {
    unsigned char *data;
    size_t len, at;
};

static int load(const char *path, struct file *f)
{
    FILE *in = fopen(path, "rb");
    long len = -1;
    if (in && fseek(in, 0, SEEK_END) == 0)
        len = ftell(in);
    f->data = len > 0 ? malloc((size_t)len) : NULL;
    if (f->data) {
        rewind(in);
        f->len = fread(f->data, 1, (size_t)len, in);
    }
    if (in)
        fclose(in);
    return f->data && f->len == (size_t)len ? 0 : -1;
}

/* The offset of the next start code from `at` on, or the end. */
static size_t start_code(const struct file *f, size_t at)
{
    for (; at + 4 < f->len; at++)
        if (f->data[at] == 0 && f->data[at + 1] == 0 && f->data[at + 2] == 1)
            return at;
    return f->len;
}

/* An access unit reaches from one access unit delimiter (9) to the next. */
static int next_unit(struct file *f, struct kvpipe_frame *frame)
{
    size_t begin = start_code(f, f->at), at = begin;
    if (begin == f->len)
        return 0;
    frame->key = false;
    do {
        frame->key = frame->key || (f->data[at + 3] & 31) == 5;
        at = start_code(f, at + 3);
    } while (at < f->len && (f->data[at + 3] & 31) != 9);
    frame->data = f->data + begin;
    frame->bytes = at - begin;
    f->at = at;
    return 1;
}

static void on_event(void *arg, struct kvpipe_stream *stream, const struct kvpipe_event *e)
{
    (void)arg, (void)stream;
    if (e->type == KVPIPE_CONNECTED)
        fprintf(stderr, "connected\n");
    if (e->type == KVPIPE_WAITING)
        fprintf(stderr, "waiting for the pipeline\n");
    if (e->type == KVPIPE_LOST)
        fprintf(stderr, "lost %llu frames\n", (unsigned long long)e->frames);
    if (e->type == KVPIPE_REPLACED)
        fprintf(stderr, "another program has the stream\n");
}

static void wait_until(int64_t mono_ns)
{
    struct timespec ts = {.tv_sec = mono_ns / NS_PER_S, .tv_nsec = mono_ns % NS_PER_S};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int send_all(struct kvpipe_stream *stream, struct file *f, int fps, int live)
{
    struct kvpipe_frame frame = {
        .track = 1, .dts_ns = KVPIPE_NO_TIME, .duration_ns = NS_PER_S / fps};
    struct timespec now;
    char number[32];
    long n = 0;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t began_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
    while (r == 0 && next_unit(f, &frame)) {
        frame.pts_ns = n * NS_PER_S / fps;
        if (live)
            wait_until(began_ns + frame.pts_ns);
        do
            r = kvpipe_put_frame(stream, &frame, 1000);
        while (r == -ETIMEDOUT);
        if (frame.key && r == 0) {
            snprintf(number, sizeof number, "%ld", n);
            kvpipe_put_metadata(stream, "frame", number, false);
        }
        n++;
    }
    fprintf(stderr, "put %ld\n", n);
    return r;
}

int main(int argc, char **argv)
{
    const struct kvpipe_track track = {.codec = KVPIPE_H264};
    struct kvpipe_stream_options options = {.tracks = &track, .ntracks = 1, .event = on_event};
    struct kvpipe_options us = {0};
    struct kvpipe *kvpipe = NULL;
    struct kvpipe_stream *stream = NULL;
    struct file file = {0};
    int opt, fps = 30, live = 0, r;
    const char *site = NULL;

    while ((opt = getopt(argc, argv, "r:f:s:a:k:l")) != -1)
        switch (opt) {
        case 'r':
            us.run = optarg;
            break;
        case 'f':
            fps = atoi(optarg);
            break;
        case 's':
            site = optarg;
            break;
        case 'a':
            us.listen = optarg;
            break;
        case 'k':
            us.keys = optarg;
            break;
        case 'l':
            live = 1;
            break;
        default:
            optind = argc;
        }
    if (argc - optind != 2 || fps < 1) {
        fputs("usage: producer [-r RUN] [-f FPS] [-s SITE] [-a ADDRESS] [-k KEYS] [-l] STREAM "
              "FILE.h264\n"
              "  -r  folder `run` of the pipeline          -f  pictures a second, 30\n"
              "  -s  metadata site=SITE of each fragment   -l  at the pace of the pictures, not as "
              "fast as it goes\n"
              "  -a  tcp://HOST:PORT in place of a socket in RUN/sinks, named in muxer.connect; -k "
              "with keys\n",
              stderr);
        return 2;
    }
    if (load(argv[optind + 1], &file) < 0) {
        fprintf(stderr, "%s cannot be read\n", argv[optind + 1]);
        return 1;
    }
    us.name = options.name = argv[optind];
    options.can_wait = !live;
    r = kvpipe_open(&us, &kvpipe);
    if (r == 0)
        r = kvpipe_stream_open(kvpipe, &options, &stream);
    if (r == 0 && site)
        r = kvpipe_put_metadata(stream, "site", site, true);
    if (r == 0)
        r = send_all(stream, &file, fps, live);
    int closed = kvpipe_stream_close(&stream, 10000);
    r = r ? r : closed;
    kvpipe_close(&kvpipe);
    free(file.data);
    if (r < 0)
        fprintf(stderr, "producer: %s\n", strerror(-r));
    return r < 0;
}
