/* AWS Signature Version 4, both ends: signs requests as a client, checks them as a server. Never
 * blocks. Relies on OpenSSL for SHA-256 and HMAC. Pure: the time is passed in, nothing is kept
 * between calls. Leaves the choice of headers to sign, the finding of the secret and the HTTP
 * answer to its users. */
#ifndef KVPIPE_COMMON_SIGV4_H
#define KVPIPE_COMMON_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct buf;

#define SIGV4_HEX_LEN 65       /* 64 hex digits and NUL */
#define SIGV4_DATE_LEN 17      /* "20150830T123600Z" and NUL */
#define SIGV4_MAX_HEADERS 100  /* in a request that is signed or checked */
#define SIGV4_MAX_BYTES 262144 /* of a canonical request */
#define SIGV4_WINDOW_S 900     /* clock difference a server accepts, both ways */

#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct sigv4_header {
    const char *name, *value;
};

/* A request as it is on the wire. All strings are borrowed for the call. */
struct sigv4_request {
    const char *method;
    const char *path;  /* as sent, already percent-encoded once; "" counts as "/" */
    const char *query; /* as sent, without '?'; NULL or "" when there is none */
    const struct sigv4_header *headers; /* in the order sent; a name may come more than once */
    size_t nheaders;
    const char *payload_hash; /* hex SHA-256 of the body, SIGV4_UNSIGNED_PAYLOAD, or
                               * SIGV4_EMPTY_SHA256 (PutMedia, and the default when NULL) */
};

/* Borrowed strings. session_token is NULL for long-term keys. */
struct sigv4_key {
    const char *access_key, *secret_key, *session_token;
};

/* What an Authorization header or a presigned query says. Bounded; nothing in it is verified. */
struct sigv4_auth {
    char access_key[129];
    char date[9], region[65], service[65]; /* the credential scope */
    char signed_headers[2048];             /* "host;x-amz-date": lower case, ';' between */
    char signature[SIGV4_HEX_LEN];
    bool presigned;                /* the query form; the three members below are set only then */
    char amz_date[SIGV4_DATE_LEN]; /* X-Amz-Date */
    unsigned expires_s;            /* X-Amz-Expires, 1 to 604800 */
    char session_token[4097];      /* X-Amz-Security-Token, decoded; "" when absent */
};

enum sigv4_result {
    SIGV4_OK = 0,
    SIGV4_INCOMPLETE,    /* no date, host not signed, or a header is named as signed but absent */
    SIGV4_BAD_SIGNATURE, /* the calculated signature differs */
    SIGV4_EXPIRED,       /* outside the 15 minute window, or a presigned URL past its time */
    SIGV4_BAD_SCOPE,     /* date, region or service of the credential scope is not ours */
};

/* Writes `now` in the form of x-amz-date ("20150830T123600Z") to out. */
void sigv4_format_date(time_t now, char out[SIGV4_DATE_LEN]);
/* Reads that form. Returns 0 or -EINVAL. */
int sigv4_parse_date(const char *text, time_t *out);

/* Writes the SHA-256 of `len` bytes as lower-case hex. data may be NULL when len is 0. */
void sigv4_sha256_hex(const void *data, size_t len, char out[SIGV4_HEX_LEN]);

/* Signs every header of the request (give only those to be signed; host, x-amz-date =
 * sigv4_format_date(now) and, with a session token, x-amz-security-token must be among them) and
 * appends the value of the Authorization header to `authorization`. Returns 0, -EINVAL for a
 * request without method, host or x-amz-date, -E2BIG past the limits above, -ENOBUFS when the
 * buffer's maximum is too small. */
int sigv4_sign(const struct sigv4_request *req, const struct sigv4_key *key, const char *region,
               const char *service, time_t now, struct buf *authorization);

/* Reads the value of an Authorization header (hostile). Returns 0, -ENOENT when it is of another
 * scheme, -EINVAL when it is malformed, a part is missing or one is too long. Fills *auth only with
 * 0. */
int sigv4_parse_authorization(const char *value, struct sigv4_auth *auth);
/* The same for the query form, X-Amz-Algorithm and so on (hostile; query as sent). -ENOENT when the
 * query has none. */
int sigv4_parse_query(const char *query, struct sigv4_auth *auth);

/* Checks the request against what it claims, over exactly the headers that auth->signed_headers
 * names. A host header with a port is also tried without it. The comparison takes constant time.
 * region and service: what the scope must name, NULL accepts any. req->payload_hash: the hash of
 * the body as received; for a presigned URL usually SIGV4_EMPTY_SHA256 or SIGV4_UNSIGNED_PAYLOAD.
 * The scope and time are checked before the signature, as AWS does. */
enum sigv4_result sigv4_verify(const struct sigv4_request *req, const struct sigv4_auth *auth,
                               const char *secret_key, const char *region, const char *service,
                               time_t now);

/* Appends the canonical request (for tests and for the 403 message): parts are signed_headers'
 * headers, presigned leaves X-Amz-Signature out of the query. Returns as sigv4_sign(). */
int sigv4_canonical_request(const struct sigv4_request *req, const char *signed_headers,
                            bool presigned, struct buf *out);

#endif
