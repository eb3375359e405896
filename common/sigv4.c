/* AWS Signature Version 4: string to sign, signing key, and the checking of what a client claims.
 * Relies on OpenSSL for SHA-256 and HMAC, on sigv4_canonical.c for what is hashed. Leaves the
 * choice of headers, the finding of the secret and the HTTP answer to its users. */
#include "common/sigv4_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define MAX_SECRET 256

/* ---- hashes ---- */

static void put_hex(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = '\0';
}

void sigv4_sha256_hex(const void *data, size_t len, char out[SIGV4_HEX_LEN])
{
    unsigned char md[SHA256_DIGEST_LENGTH];
    SHA256(len ? data : "", len, md);
    put_hex(md, sizeof(md), out);
}

static void hmac(const void *key, size_t key_len, const void *data, size_t len,
                 unsigned char out[32])
{
    unsigned out_len = 32;
    HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &out_len);
}

/* ---- time ---- */

void sigv4_format_date(time_t now, char out[SIGV4_DATE_LEN])
{
    struct tm tm;
    if (!gmtime_r(&now, &tm) || strftime(out, SIGV4_DATE_LEN, "%Y%m%dT%H%M%SZ", &tm) == 0)
        strcpy(out, "19700101T000000Z");
}

int sigv4_parse_date(const char *text, time_t *out)
{
    if (strlen(text) != SIGV4_DATE_LEN - 1)
        return -EINVAL;
    for (size_t i = 0; i < SIGV4_DATE_LEN - 1; i++) {
        bool ok = i == 8    ? text[i] == 'T'
                  : i == 15 ? text[i] == 'Z'
                            : isdigit((unsigned char)text[i]);
        if (!ok)
            return -EINVAL;
    }
    struct tm tm = {0};
    sscanf(text, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
           &tm.tm_min, &tm.tm_sec);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t t = timegm(&tm);
    char again[SIGV4_DATE_LEN];
    sigv4_format_date(t, again); /* timegm() takes the 31st of February; the round trip does not */
    if (strcmp(again, text) != 0)
        return -EINVAL;
    *out = t;
    return 0;
}

/* ---- signature ---- */

static int signing_key(const char *secret, const char *date, const char *region,
                       const char *service, unsigned char out[32])
{
    char first[4 + MAX_SECRET + 1];
    size_t len = strlen(secret);
    if (len > MAX_SECRET)
        return -E2BIG;
    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret, len);
    unsigned char a[32], b[32];
    hmac(first, len + 4, date, 8, a);
    hmac(a, 32, region, strlen(region), b);
    hmac(b, 32, service, strlen(service), a);
    hmac(a, 32, "aws4_request", 12, out);
    explicit_bzero(first, sizeof(first));
    explicit_bzero(a, sizeof(a));
    explicit_bzero(b, sizeof(b));
    return 0;
}

struct claim {
    const char *date, *region, *service, *signed_headers; /* date: all 16 characters */
    bool presigned, cut_port;
};

static int signature(const struct sigv4_request *req, const struct claim *c, const char *secret,
                     char out[SIGV4_HEX_LEN])
{
    struct buf text;
    buf_init(&text, SIGV4_MAX_BYTES);
    unsigned char key[32], mac[32];
    char hash[SIGV4_HEX_LEN];
    int r = sigv4_put_canonical(&text, req, c->signed_headers, c->presigned, c->cut_port);
    if (r)
        goto out;
    sigv4_sha256_hex(text.data, text.len, hash);
    buf_clear(&text);
    r = buf_printf(&text, SIGV4_ALGORITHM "\n%s\n%.8s/%s/%s/aws4_request\n%s", c->date, c->date,
                   c->region, c->service, hash);
    if (r == 0)
        r = signing_key(secret, c->date, c->region, c->service, key);
    if (r)
        goto out;
    hmac(key, sizeof(key), text.data, text.len, mac);
    explicit_bzero(key, sizeof(key));
    put_hex(mac, sizeof(mac), out);
out:
    buf_fini(&text);
    return r == -ENOBUFS ? -E2BIG : r;
}

static const char *find_header(const struct sigv4_request *req, const char *name)
{
    for (size_t i = 0; i < req->nheaders; i++)
        if (strcasecmp(req->headers[i].name, name) == 0)
            return req->headers[i].value;
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    const struct sigv4_header *const *x = a, *const *y = b;
    return strcasecmp((*x)->name, (*y)->name);
}

static int list_headers(const struct sigv4_request *req, struct buf *out)
{
    const struct sigv4_header *sorted[SIGV4_MAX_HEADERS];
    if (req->nheaders > SIGV4_MAX_HEADERS)
        return -E2BIG;
    for (size_t i = 0; i < req->nheaders; i++)
        sorted[i] = &req->headers[i];
    qsort(sorted, req->nheaders, sizeof(*sorted), compare_names);
    for (size_t i = 0; i < req->nheaders; i++) {
        if (i && compare_names(&sorted[i - 1], &sorted[i]) == 0)
            continue;
        int r = buf_printf(out, "%s%s", i ? ";" : "", sorted[i]->name);
        if (r)
            return -E2BIG;
    }
    for (size_t i = 0; i < out->len; i++)
        out->data[i] = (uint8_t)tolower(out->data[i]);
    return buf_append(out, "", 1) ? -E2BIG : 0;
}

int sigv4_sign(const struct sigv4_request *req, const struct sigv4_key *key, const char *region,
               const char *service, time_t now, struct buf *authorization)
{
    char date[SIGV4_DATE_LEN], sig[SIGV4_HEX_LEN];
    sigv4_format_date(now, date);
    const char *claimed = find_header(req, "x-amz-date");
    if (!req->method || !find_header(req, "host") || !claimed || strcmp(claimed, date) != 0)
        return -EINVAL;
    struct buf names;
    buf_init(&names, SIGV4_MAX_BYTES);
    int r = list_headers(req, &names);
    if (r == 0) {
        struct claim c = {date, region, service, (const char *)names.data, false, false};
        r = signature(req, &c, key->secret_key, sig);
    }
    if (r == 0)
        r = buf_printf(authorization,
                       SIGV4_ALGORITHM
                       " Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
                       key->access_key, date, region, service, (const char *)names.data, sig);
    buf_fini(&names);
    return r;
}

/* ---- verification ---- */

/* RFC 9110 5.6.7 "Sun, 30 Aug 2015 12:36:00 GMT"; botocore ends it with "-0000". */
static int parse_http_date(const char *v, time_t *t)
{
    struct tm tm = {0};
    const char *zone = strptime(v, "%a, %d %b %Y %H:%M:%S ", &tm);
    if (!zone ||
        (strcmp(zone, "GMT") != 0 && strcmp(zone, "-0000") != 0 && strcmp(zone, "+0000") != 0))
        return -EINVAL;
    *t = timegm(&tm);
    return 0;
}

/* The request's time, in both forms: X-Amz-Date of query or header, else the Date header. */
static int request_date(const struct sigv4_request *req, const struct sigv4_auth *auth,
                        char text[SIGV4_DATE_LEN], time_t *t)
{
    const char *v = auth->presigned ? auth->amz_date : find_header(req, "x-amz-date");
    if (!v)
        v = find_header(req, "date");
    if (!v)
        return -EINVAL;
    if (sigv4_parse_date(v, t) != 0 && parse_http_date(v, t) != 0)
        return -EINVAL;
    sigv4_format_date(*t, text);
    return 0;
}

static bool names_host(const char *signed_headers)
{
    for (struct slice rest = slice_of(signed_headers); rest.len;)
        if (slice_is(slice_part(&rest, ';'), "host"))
            return true;
    return false;
}

static bool in_time(const struct sigv4_auth *auth, time_t t, time_t now)
{
    if (t > now + SIGV4_WINDOW_S)
        return false;
    return auth->presigned ? now <= t + (time_t)auth->expires_s : now <= t + SIGV4_WINDOW_S;
}

static enum sigv4_result compare_signature(const struct sigv4_request *req, const struct claim *c,
                                           const struct sigv4_auth *auth, const char *secret)
{
    char expected[SIGV4_HEX_LEN];
    int r = signature(req, c, secret, expected);
    if (r)
        return r == -ENOENT ? SIGV4_INCOMPLETE : SIGV4_BAD_SIGNATURE;
    int differ = CRYPTO_memcmp(expected, auth->signature, SIGV4_HEX_LEN - 1);
    explicit_bzero(expected, sizeof(expected));
    return differ ? SIGV4_BAD_SIGNATURE : SIGV4_OK;
}

enum sigv4_result sigv4_verify(const struct sigv4_request *req, const struct sigv4_auth *auth,
                               const char *secret_key, const char *region, const char *service,
                               time_t now)
{
    char date[SIGV4_DATE_LEN];
    time_t t;
    if (!req->method || req->nheaders > SIGV4_MAX_HEADERS || !names_host(auth->signed_headers) ||
        request_date(req, auth, date, &t) != 0)
        return SIGV4_INCOMPLETE;
    if (strncmp(auth->date, date, 8) != 0 || (region && strcmp(region, auth->region) != 0) ||
        (service && strcmp(service, auth->service) != 0))
        return SIGV4_BAD_SCOPE;
    if (!in_time(auth, t, now))
        return SIGV4_EXPIRED;
    struct claim c = {date, auth->region, auth->service, auth->signed_headers, auth->presigned,
                      false};
    enum sigv4_result result = compare_signature(req, &c, auth, secret_key);
    if (result == SIGV4_BAD_SIGNATURE) {
        c.cut_port = true; /* kvssink signs the host without the port it connects to */
        result = compare_signature(req, &c, auth, secret_key);
    }
    return result;
}
