/* What the disk gave back otherwise than it was written: fragments against their checksums, and
 * where a broken file can be read again. Relies on zlib and spool_record. Leaves counting what is
 * lost to its callers in spool_files.c and spool_load.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/mem.h"
#include "uploader/spool_private.h"

#define READ_BYTES (256u << 10)
#define VOID_HEAD 2u /* id and size of a Void as short as a checksum record's */

int spool_damage_sum(int fd, uint64_t from, uint64_t to, uint32_t *sum)
{
    uint8_t *part = xmalloc(READ_BYTES);
    uLong crc = crc32(0, NULL, 0);
    int r = 0;
    while (r == 0 && from < to) {
        ssize_t n = pread(fd, part, to - from < READ_BYTES ? to - from : READ_BYTES, (off_t)from);
        if (n > 0) {
            crc = crc32(crc, part, (uInt)n);
            from += (uint64_t)n;
        } else if (n == 0 || errno != EINTR) {
            r = n == 0 ? -EIO : -errno;
        }
    }
    *sum = (uint32_t)crc;
    free(part);
    return r;
}

/* True when a checksum record begins at p that says where to go on. */
static bool stands(int fd, const uint8_t *p, uint64_t at, uint64_t from, uint64_t broken,
                   struct spool_record *rec)
{
    uint32_t sum;
    if (spool_record_decode(p, SPOOL_RECORD_SUM_BYTES, rec) < 0 || rec->type != SPOOL_RECORD_SUM)
        return false;
    if (broken && rec->first == broken)
        return true;
    return rec->first >= from && rec->first < at - VOID_HEAD &&
           spool_damage_sum(fd, rec->first, at - VOID_HEAD, &sum) == 0 && sum == rec->sum;
}

uint64_t spool_damage_next(int fd, uint64_t from, uint64_t end, uint64_t broken,
                           struct spool_record *rec)
{
    uint8_t *part = xmalloc(READ_BYTES);
    uint64_t at = from, found = 0;
    while (!found && at + SPOOL_RECORD_SUM_BYTES <= end) {
        ssize_t n = pread(fd, part, READ_BYTES, (off_t)at);
        if (n < (ssize_t)SPOOL_RECORD_SUM_BYTES) {
            if (n < 0 && errno != EINTR)
                at += READ_BYTES / 2; /* a bad sector, perhaps: behind it there may be more */
            else if (n >= 0)
                break;
            continue;
        }
        size_t places = (size_t)n - SPOOL_RECORD_SUM_BYTES + 1;
        for (const uint8_t *p = part; !found && p < part + places; p++) {
            p = memchr(p, 'k', (size_t)(part + places - p));
            if (!p)
                break;
            uint64_t here = at + (uint64_t)(p - part);
            if (stands(fd, p, here, from, broken, rec))
                found = here + SPOOL_RECORD_SUM_BYTES;
        }
        at += places;
    }
    free(part);
    return found;
}
