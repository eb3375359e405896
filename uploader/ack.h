/* Incremental parser of the acks in a PutMedia answer: bytes in any pieces, one ack out at a time.
 * Relies on nothing; no I/O. Accepts what the service's own clients accept: quoted or bare numbers
 * and keys, any key order and white space, the wrapped form {Acknowledgement: {...}}, unknown keys.
 * Leaves what an ack means for a fragment to session.c. */
#ifndef KVPIPE_UPLOADER_ACK_H
#define KVPIPE_UPLOADER_ACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACK_MAX_BYTES 1024 /* of one ack */

enum ack_event { ACK_NONE, ACK_BUFFERING, ACK_RECEIVED, ACK_PERSISTED, ACK_ERROR, ACK_IDLE };

struct ack {
    enum ack_event event;
    bool has_timecode;
    int64_t timecode; /* FragmentTimecode, ms */
    char number[129]; /* FragmentNumber as text, "" when there was none */
    int error_id;     /* ERROR only; 0 when only a code came */
    char error_code[64];
};

enum ack_result { ACK_MORE, ACK_ITEM, ACK_MALFORMED };

struct ack_parser {
    /* private */
    char text[ACK_MAX_BYTES];
    size_t len;
    unsigned depth;
    bool in_string, escaped, skipping;
    const char *error;
};

void ack_parser_init(struct ack_parser *p);
/* Consumes bytes from *data / *len until one ack is whole (ACK_ITEM, *out is filled), one is
 * malformed (the parser goes on behind it) or nothing is left (ACK_MORE). */
enum ack_result ack_parser_next(struct ack_parser *p, const char **data, size_t *len,
                                struct ack *out);
/* Static text: why the last one was malformed. */
const char *ack_parser_error(const struct ack_parser *p);
const char *ack_event_name(enum ack_event event);

#endif
