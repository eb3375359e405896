/* Encoding of the spool's log records.
 * Relies on zlib for the checksum.
 * Leaves writing and finding the elements to spool.c and spool_scan.c. */
#include "uploader/spool_record.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#define SUM_BYTES 4u

static const uint8_t magic[4] = {'k', 'v', 'p', '1'};

static uint8_t *put(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *p++ = (uint8_t)(v >> (8 * i));
    return p;
}

static uint64_t get(const uint8_t **p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)(*p)[i] << (8 * i);
    *p += bytes;
    return v;
}

static bool has_vector(enum spool_record_type type)
{
    return type == SPOOL_RECORD_BEGIN || type == SPOOL_RECORD_VECTOR;
}

size_t spool_record_encode(const struct spool_record *rec, uint8_t out[SPOOL_RECORD_MAX_BYTES])
{
    uint8_t *p = out;
    memcpy(p, magic, sizeof magic);
    p = put(p + sizeof magic, rec->type, 1);
    if (has_vector(rec->type)) {
        p = put(p, rec->vector.n, 1);
        for (unsigned i = 0; i < rec->vector.n; i++)
            p = put(p, rec->vector.v[i], 8);
        for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
            p = put(p, rec->next[i], 8);
        p = put(p, (uint64_t)rec->base_ns, 8);
        if (rec->type == SPOOL_RECORD_BEGIN)
            p = put(p, rec->sum, SUM_BYTES);
    } else if (rec->type == SPOOL_RECORD_GAP) {
        p = put(p, rec->track, 1);
        p = put(p, rec->reason, 1);
        p = put(p, rec->first, 8);
        p = put(p, rec->last, 8);
    } else if (rec->type == SPOOL_RECORD_SUM) {
        p = put(p, rec->first, 8);
        for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
            p = put(put(p, rec->from[i], 8), rec->next[i], 8);
        p = put(p, rec->sum, 4);
    }
    p = put(p, crc32(0, out, (uInt)(p - out)), 4);
    return (size_t)(p - out);
}

/* The length that a record of this type must have, checksum included; 0 for no such type. BEGIN may
 * have SUM_BYTES more. */
static size_t length_of(enum spool_record_type type, unsigned vector_n)
{
    switch (type) {
    case SPOOL_RECORD_BEGIN:
    case SPOOL_RECORD_VECTOR:
        return 6 + 8 * vector_n + 8 * LINK_TRACKS_MAX + 8 + 4;
    case SPOOL_RECORD_GAP:
        return 5 + 2 + 16 + 4;
    case SPOOL_RECORD_SUM:
        return SPOOL_RECORD_SUM_BYTES;
    case SPOOL_RECORD_ENDED:
    case SPOOL_RECORD_CLOSED:
    case SPOOL_RECORD_CONTINUES:
        return 5 + 4;
    case SPOOL_RECORD_NONE:
        break;
    }
    return 0;
}

static int check(const struct spool_record *rec)
{
    if (rec->type != SPOOL_RECORD_GAP)
        return 0;
    bool track_ok = rec->track >= 1 && rec->track <= LINK_TRACKS_MAX;
    return track_ok && rec->first <= rec->last && rec->last < UINT64_MAX ? 0 : -EBADMSG;
}

int spool_record_decode(const uint8_t *p, size_t len, struct spool_record *rec)
{
    const uint8_t *start = p;
    if (len < sizeof magic || memcmp(p, magic, sizeof magic) != 0)
        return -ENOENT;
    if (len < 9 || len > SPOOL_RECORD_MAX_BYTES)
        return -EBADMSG;
    *rec = (struct spool_record){.type = p[4]};
    unsigned n = has_vector(rec->type) ? p[5] : 0;
    size_t least = length_of(rec->type, n);
    bool summed = rec->type == SPOOL_RECORD_BEGIN && len == least + SUM_BYTES;
    if (n > LINK_VECTOR_MAX || (len != least && !summed))
        return -EBADMSG;
    const uint8_t *crc = p + len - 4;
    if (get(&crc, 4) != crc32(0, start, (uInt)(len - 4)))
        return -EBADMSG;
    p += 5;
    if (has_vector(rec->type)) {
        rec->vector.n = (unsigned)get(&p, 1);
        for (unsigned i = 0; i < n; i++)
            rec->vector.v[i] = get(&p, 8);
        for (unsigned i = 0; i < LINK_TRACKS_MAX; i++)
            rec->next[i] = get(&p, 8);
        rec->base_ns = (int64_t)get(&p, 8);
        rec->sum = summed ? (uint32_t)get(&p, SUM_BYTES) : 0;
    } else if (rec->type == SPOOL_RECORD_GAP) {
        rec->track = (uint8_t)get(&p, 1);
        rec->reason = (enum link_gap_reason)get(&p, 1);
        rec->first = get(&p, 8);
        rec->last = get(&p, 8);
    } else if (rec->type == SPOOL_RECORD_SUM) {
        rec->first = get(&p, 8);
        for (unsigned i = 0; i < LINK_TRACKS_MAX; i++) {
            rec->from[i] = get(&p, 8);
            rec->next[i] = get(&p, 8);
        }
        rec->sum = (uint32_t)get(&p, 4);
    }
    return check(rec);
}
