/* Encrypted files of the archive: AES-256-GCM in segments of 64 KiB, each with its own tag, so that
 * any part of a fragment is read without the rest. A record (the head, a fragment) begins at an
 * offset of its file; the nonce is that offset and the segment's number, so a data key must never
 * write twice at one offset.
 * Relies on OpenSSL. Leaves where data keys come from to kms.h. */
#ifndef KVPIPE_SERVER_ARCHIVE_SEAL_H
#define KVPIPE_SERVER_ARCHIVE_SEAL_H

#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_SEGMENT_LEN 65536
#define ARCHIVE_TAG_LEN 16
#define ARCHIVE_SEAL_MAGIC "kvpipe-sealed-1\n" /* opens the file */
#define ARCHIVE_SEAL_MAGIC_LEN 16

struct archive_seal;

/* One data key of 32 bytes, copied. Never NULL. */
struct archive_seal *archive_seal_new(const uint8_t *key);
void archive_seal_free(struct archive_seal **s); /* NULL is fine */
/* The length of a record of n bytes in the file. */
uint64_t archive_sealed_len(uint64_t n);
/* Writes the record of n bytes that begins at `at` to out. Returns 0 or -EIO. */
int archive_seal(struct archive_seal *s, uint64_t at, const uint8_t *in, size_t n, uint8_t *out);
/* Opens segment i of the record of n bytes that begins at `at`; `in` has the segment and its tag,
 * out takes what archive_segment_len says. Returns 0, or -EBADMSG when it is not what was written.
 */
int archive_unseal(struct archive_seal *s, uint64_t at, size_t n, uint32_t i, const uint8_t *in,
                   uint8_t *out);
size_t archive_segment_len(size_t n, uint32_t i);

#endif
