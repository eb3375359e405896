/* Finds the newest key frame without reading whole files: the header from the front, then Clusters
 * from near the end. Relies on media/mkv_reader: a Cluster's id within a frame's bytes is no
 * Cluster to it. Leaves decoding to still_decode.c. */
#include "cli/still_frame.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "media/mkv_reader.h"

#define HEADER_MAX_BYTES (1u << 20)
#define ELEMENT_MAX_BYTES (9u << 20)
#define FILES_LOOKED_AT 3
/* How much of a file's end is looked at: at first little, as most key frames are small. */
static const size_t tails[] = {2u << 20, 10u << 20};

struct search {
    struct still_frame *frame;
    uint32_t track;
    uint64_t scale_ns, timecode;
    uint8_t *header;
    size_t header_len;
};

static int on_header(void *arg, const struct mkv_header *header, const uint8_t *raw, size_t len)
{
    struct search *s = arg;
    for (unsigned i = 0; i < header->ntracks && !s->track; i++) {
        const struct mkv_track *t = &header->tracks[i];
        if (t->type != MKV_TRACK_VIDEO)
            continue;
        s->track = t->number;
        s->scale_ns = header->timecode_scale_ns;
        snprintf(s->frame->codec_id, sizeof s->frame->codec_id, "%s", t->codec_id);
        s->frame->codec_private = xmalloc(t->codec_private_len + 1);
        s->frame->codec_private_len = t->codec_private_len;
        if (t->codec_private_len)
            memcpy(s->frame->codec_private, t->codec_private, t->codec_private_len);
    }
    s->header = xmalloc(len);
    s->header_len = len;
    memcpy(s->header, raw, len);
    return -ECANCELED; /* that is all of this reading */
}

static int on_cluster(void *arg, uint64_t offset, uint64_t timecode)
{
    ((struct search *)arg)->timecode = timecode;
    return 0;
}

static int on_block(void *arg, const struct mkv_block *block)
{
    struct search *s = arg;
    if (!block->key || block->track != s->track || !block->payload_len)
        return 0;
    free(s->frame->data);
    s->frame->data = xmalloc(block->payload_len);
    s->frame->len = block->payload_len;
    memcpy(s->frame->data, block->payload, block->payload_len);
    s->frame->wall_ms =
        (int64_t)((double)((int64_t)s->timecode + block->relative) * (double)s->scale_ns / 1e6);
    return 0;
}

/* Returns the bytes [from, from + most) of a file as far as there are; caller frees. */
static uint8_t *piece(int fd, off_t from, size_t most, size_t *len)
{
    uint8_t *bytes = xmalloc(most);
    ssize_t n = 0;
    *len = 0;
    while (*len < most && (n = pread(fd, bytes + *len, most - *len, from + (off_t)*len)) > 0)
        *len += (size_t)n;
    return bytes;
}

static void read_header(int fd, struct search *s)
{
    static const struct mkv_reader_ops ops = {.header = on_header};
    struct mkv_reader r;
    size_t len;
    uint8_t *bytes = piece(fd, 0, HEADER_MAX_BYTES, &len);
    mkv_reader_init(&r, &ops, s, ELEMENT_MAX_BYTES);
    mkv_reader_feed(&r, bytes, len);
    mkv_reader_fini(&r);
    free(bytes);
}

/* Reads from a place that looks like a Cluster to the end. */
static void read_clusters(struct search *s, const uint8_t *at, size_t len)
{
    static const struct mkv_reader_ops ops = {.cluster = on_cluster, .block = on_block};
    struct mkv_reader r;
    mkv_reader_init(&r, &ops, s, ELEMENT_MAX_BYTES);
    if (mkv_reader_feed(&r, s->header, s->header_len) == 0)
        mkv_reader_feed(&r, at, len);
    mkv_reader_fini(&r);
}

static void read_tail(int fd, off_t size, size_t most, struct search *s)
{
    static const uint8_t id[] = {0x1f, 0x43, 0xb6, 0x75};
    off_t from = size > (off_t)most ? size - (off_t)most : (off_t)s->header_len;
    size_t len;
    uint8_t *bytes = piece(fd, from, most, &len), *at = bytes;
    while (!s->frame->data && (at = memmem(at, len - (size_t)(at - bytes), id, sizeof id))) {
        read_clusters(s, at, len - (size_t)(at - bytes));
        at++;
    }
    free(bytes);
}

static int look(const char *path, struct still_frame *out)
{
    struct search s = {.frame = out};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    off_t size = lseek(fd, 0, SEEK_END);
    read_header(fd, &s);
    for (size_t i = 0; s.track && !out->data && i < sizeof tails / sizeof *tails; i++)
        read_tail(fd, size, tails[i], &s);
    close(fd);
    free(s.header);
    if (out->data)
        return 0;
    still_frame_fini(out);
    return -ENOENT;
}

static int is_mkv(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');
    return dot && dot != e->d_name && strcmp(dot, ".mkv") == 0;
}

int still_frame_newest(const char *dir, struct still_frame *out)
{
    struct dirent **names;
    int n = scandir(dir, &names, is_mkv, versionsort), r = -ENOENT;
    *out = (struct still_frame){0};
    if (n < 0)
        return -errno;
    for (int i = n - 1; i >= 0; i--) {
        char *path = xasprintf("%s/%s", dir, names[i]->d_name);
        if (r < 0 && i >= n - FILES_LOOKED_AT)
            r = look(path, out);
        free(path);
        free(names[i]);
    }
    free(names);
    return r;
}

void still_frame_fini(struct still_frame *f)
{
    free(f->codec_private);
    free(f->data);
    *f = (struct still_frame){0};
}
