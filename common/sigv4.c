/* AWS Signature Version 4: canonical request, string to sign, signing key, and the reading of what
 * a client claims. Relies on OpenSSL for SHA-256 and HMAC; follows the "Signature Version 4 signing
 * process" for services other than S3. Leaves the choice of headers, the finding of the secret and
 * the HTTP answer to its users. */
#include "common/sigv4.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "common/buf.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define MAX_PARAMS 256
#define MAX_SECRET 256
#define MAX_EXPIRES_S 604800

struct slice {
    const char *s;
    size_t len;
};

struct param {
    size_t name, name_len, value, value_len; /* offsets in the scratch buffer */
};

static struct slice slice_of(const char *s)
{
    return (struct slice){s, strlen(s)};
}

static bool slice_is(struct slice a, const char *s)
{
    return a.len == strlen(s) && memcmp(a.s, s, a.len) == 0;
}

/* Cuts the part before `sep` off the front of *rest. */
static struct slice next_part(struct slice *rest, char sep)
{
    const char *end = memchr(rest->s, sep, rest->len);
    struct slice part = {rest->s, end ? (size_t)(end - rest->s) : rest->len};
    size_t used = part.len + (end ? 1 : 0);
    rest->s += used;
    rest->len -= used;
    return part;
}

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

/* ---- canonical request ---- */

static bool unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static int put_encoded(struct buf *out, const uint8_t *s, size_t len, const char *keep)
{
    int r = 0;
    for (size_t i = 0; i < len && r == 0; i++) {
        if (unreserved(s[i]) || (s[i] && strchr(keep, s[i]))) {
            r = buf_append(out, &s[i], 1);
        } else {
            char esc[4];
            snprintf(esc, sizeof(esc), "%%%02X", s[i]);
            r = buf_append(out, esc, 3);
        }
    }
    return r;
}

/* RFC 3986 5.2.4 (dot segments), and "//" counts as "/", as AWS has it for all services but S3. */
static int normalise_path(struct slice path, struct buf *out)
{
    bool slash_at_end = path.len && path.s[path.len - 1] == '/';
    int r = 0;
    while (path.len && r == 0) {
        struct slice seg = next_part(&path, '/');
        if (seg.len == 0 || slice_is(seg, "."))
            continue;
        if (slice_is(seg, "..")) {
            while (out->len && out->data[--out->len] != '/')
                ;
            continue;
        }
        r = buf_append(out, "/", 1);
        if (r == 0)
            r = buf_append(out, seg.s, seg.len);
    }
    if (r == 0 && (out->len == 0 || slash_at_end))
        r = buf_append(out, "/", 1);
    return r;
}

static int put_path(struct buf *out, const char *path)
{
    struct buf plain;
    buf_init(&plain, SIGV4_MAX_BYTES);
    int r = normalise_path(slice_of(path ? path : ""), &plain);
    if (r == 0)
        r = put_encoded(out, plain.data, plain.len, "/");
    buf_fini(&plain);
    return r;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes %XX to out (room for in.len bytes) and returns how many bytes that gave. A lone '%'
 * stands for itself. */
static size_t decode(struct slice in, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        int hi = in.s[i] == '%' && i + 2 < in.len ? hex_value(in.s[i + 1]) : -1;
        int lo = hi >= 0 ? hex_value(in.s[i + 2]) : -1;
        if (lo >= 0) {
            out[n++] = (uint8_t)(hi << 4 | lo);
            i += 2;
        } else {
            out[n++] = (uint8_t)in.s[i];
        }
    }
    return n;
}

static int put_reencoded(struct buf *out, struct slice raw, size_t *off, size_t *len)
{
    uint8_t *plain = malloc(raw.len + 1);
    if (!plain)
        return -ENOMEM;
    *off = out->len;
    int r = put_encoded(out, plain, decode(raw, plain), "");
    *len = out->len - *off;
    free(plain);
    return r;
}

static int compare_bytes(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
    size_t n = alen < blen ? alen : blen;
    int d = n ? memcmp(a, b, n) : 0;
    return d ? d : (alen > blen) - (alen < blen);
}

static int compare_params(const void *pa, const void *pb, void *base)
{
    const struct param *a = pa, *b = pb;
    const uint8_t *s = base;
    int d = compare_bytes(s + a->name, a->name_len, s + b->name, b->name_len);
    return d ? d : compare_bytes(s + a->value, a->value_len, s + b->value, b->value_len);
}

static int collect_params(struct slice query, bool presigned, struct param *params, size_t *n,
                          struct buf *scratch)
{
    *n = 0;
    while (query.len) {
        struct slice value = next_part(&query, '&');
        if (value.len == 0)
            continue;
        struct slice name = next_part(&value, '=');
        if (presigned && slice_is(name, "X-Amz-Signature"))
            continue;
        if (*n == MAX_PARAMS)
            return -E2BIG;
        struct param *p = &params[(*n)++];
        int r = put_reencoded(scratch, name, &p->name, &p->name_len);
        if (r == 0)
            r = put_reencoded(scratch, value, &p->value, &p->value_len);
        if (r)
            return r;
    }
    return 0;
}

static int put_query(struct buf *out, const char *query, bool presigned)
{
    struct param params[MAX_PARAMS];
    size_t n;
    struct buf scratch;
    buf_init(&scratch, SIGV4_MAX_BYTES);
    int r = collect_params(slice_of(query ? query : ""), presigned, params, &n, &scratch);
    if (r == 0)
        qsort_r(params, n, sizeof(*params), compare_params, scratch.data);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = buf_append(out, i ? "&" : "", i ? 1 : 0);
        if (r == 0)
            r = buf_append(out, scratch.data + params[i].name, params[i].name_len);
        if (r == 0)
            r = buf_append(out, "=", 1);
        if (r == 0)
            r = buf_append(out, scratch.data + params[i].value, params[i].value_len);
    }
    buf_fini(&scratch);
    return r;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The value without blanks at its ends, inner runs of them as one space. */
static int put_folded(struct buf *out, struct slice v)
{
    bool any = false, gap = false;
    int r = 0;
    for (size_t i = 0; i < v.len && r == 0; i++) {
        if (is_space(v.s[i])) {
            gap = any;
            continue;
        }
        if (gap)
            r = buf_append(out, " ", 1);
        if (r == 0)
            r = buf_append(out, &v.s[i], 1);
        any = true;
        gap = false;
    }
    return r;
}

static struct slice without_port(struct slice host)
{
    size_t i = host.len;
    while (i > 0 && isdigit((unsigned char)host.s[i - 1]))
        i--;
    if (i > 0 && i < host.len && host.s[i - 1] == ':')
        host.len = i - 1;
    return host;
}

/* "name:value,value\n" from all headers of that name. -ENOENT when there is none. */
static int put_header(struct buf *out, const struct sigv4_request *req, struct slice name,
                      bool cut_port)
{
    bool found = false;
    int r = buf_append(out, name.s, name.len);
    for (size_t i = 0; i < req->nheaders && r == 0; i++) {
        const struct sigv4_header *h = &req->headers[i];
        if (strlen(h->name) != name.len || strncasecmp(h->name, name.s, name.len) != 0)
            continue;
        struct slice value = slice_of(h->value);
        if (cut_port && slice_is(name, "host"))
            value = without_port(value);
        r = buf_append(out, found ? "," : ":", 1);
        if (r == 0)
            r = put_folded(out, value);
        found = true;
    }
    if (r == 0)
        r = found ? buf_append(out, "\n", 1) : -ENOENT;
    return r;
}

static int put_canonical(struct buf *out, const struct sigv4_request *req,
                         const char *signed_headers, bool presigned, bool cut_port)
{
    int r = buf_printf(out, "%s\n", req->method);
    if (r == 0)
        r = put_path(out, req->path);
    if (r == 0)
        r = buf_append(out, "\n", 1);
    if (r == 0)
        r = put_query(out, req->query, presigned);
    if (r == 0)
        r = buf_append(out, "\n", 1);
    for (struct slice rest = slice_of(signed_headers); rest.len && r == 0;)
        r = put_header(out, req, next_part(&rest, ';'), cut_port);
    if (r == 0)
        r = buf_printf(out, "\n%s\n%s", signed_headers,
                       req->payload_hash ? req->payload_hash : SIGV4_EMPTY_SHA256);
    return r;
}

int sigv4_canonical_request(const struct sigv4_request *req, const char *signed_headers,
                            bool presigned, struct buf *out)
{
    if (!req->method || req->nheaders > SIGV4_MAX_HEADERS)
        return req->method ? -E2BIG : -EINVAL;
    return put_canonical(out, req, signed_headers, presigned, false);
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
    int r = put_canonical(&text, req, c->signed_headers, c->presigned, c->cut_port);
    if (r)
        goto out;
    sigv4_sha256_hex(text.data, text.len, hash);
    buf_clear(&text);
    r = buf_printf(&text, ALGORITHM "\n%s\n%.8s/%s/%s/aws4_request\n%s", c->date, c->date,
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
                       ALGORITHM
                       " Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
                       key->access_key, date, region, service, (const char *)names.data, sig);
    buf_fini(&names);
    return r;
}

/* ---- what a client claims ---- */

/* Copies printable ASCII without blanks. -EINVAL when it is empty, too long or has anything else.
 */
static int copy_token(struct slice in, char *out, size_t size)
{
    if (in.len == 0 || in.len >= size)
        return -EINVAL;
    for (size_t i = 0; i < in.len; i++)
        if (in.s[i] <= ' ' || in.s[i] >= 0x7f)
            return -EINVAL;
    memcpy(out, in.s, in.len);
    out[in.len] = '\0';
    return 0;
}

static int parse_credential(struct slice in, struct sigv4_auth *a)
{
    struct slice access = next_part(&in, '/'), date = next_part(&in, '/'),
                 region = next_part(&in, '/'), service = next_part(&in, '/');
    if (date.len != 8 || !slice_is(in, "aws4_request") ||
        copy_token(access, a->access_key, sizeof(a->access_key)) ||
        copy_token(date, a->date, sizeof(a->date)) ||
        copy_token(region, a->region, sizeof(a->region)) ||
        copy_token(service, a->service, sizeof(a->service)))
        return -EINVAL;
    return 0;
}

static int parse_signed_headers(struct slice in, struct sigv4_auth *a)
{
    if (copy_token(in, a->signed_headers, sizeof(a->signed_headers)))
        return -EINVAL;
    size_t names = 1;
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.s[i];
        if (c == ';') {
            names++;
            if (i == 0 || i + 1 == in.len || in.s[i - 1] == ';')
                return -EINVAL;
        } else if (!islower(c) && !isdigit(c) && !strchr("-_.!#$%&'*+^`|~", c)) {
            return -EINVAL;
        }
    }
    return names <= SIGV4_MAX_HEADERS ? 0 : -EINVAL;
}

static int parse_signature(struct slice in, struct sigv4_auth *a)
{
    if (in.len != SIGV4_HEX_LEN - 1)
        return -EINVAL;
    for (size_t i = 0; i < in.len; i++)
        if (!isdigit((unsigned char)in.s[i]) && !(in.s[i] >= 'a' && in.s[i] <= 'f'))
            return -EINVAL;
    return copy_token(in, a->signature, sizeof(a->signature));
}

static int parse_expires(struct slice in, struct sigv4_auth *a)
{
    unsigned n = 0;
    if (in.len == 0 || in.len > 6)
        return -EINVAL;
    for (size_t i = 0; i < in.len; i++) {
        if (!isdigit((unsigned char)in.s[i]))
            return -EINVAL;
        n = n * 10 + (unsigned)(in.s[i] - '0');
    }
    a->expires_s = n;
    return n >= 1 && n <= MAX_EXPIRES_S ? 0 : -EINVAL;
}

static int parse_amz_date(struct slice in, struct sigv4_auth *a)
{
    return copy_token(in, a->amz_date, sizeof(a->amz_date));
}

static int parse_session_token(struct slice in, struct sigv4_auth *a)
{
    return copy_token(in, a->session_token, sizeof(a->session_token));
}

static int parse_algorithm(struct slice in, struct sigv4_auth *a)
{
    (void)a;
    return slice_is(in, ALGORITHM) ? 0 : -EINVAL;
}

struct part {
    const char *name;
    int (*parse)(struct slice, struct sigv4_auth *);
    bool optional;
};

static const struct part header_parts[] = {
    {"Credential", parse_credential, false},
    {"SignedHeaders", parse_signed_headers, false},
    {"Signature", parse_signature, false},
    {NULL, NULL, false},
};

static const struct part query_parts[] = {
    {"X-Amz-Algorithm", parse_algorithm, false},
    {"X-Amz-Credential", parse_credential, false},
    {"X-Amz-Date", parse_amz_date, false},
    {"X-Amz-Expires", parse_expires, false},
    {"X-Amz-SignedHeaders", parse_signed_headers, false},
    {"X-Amz-Signature", parse_signature, false},
    {"X-Amz-Security-Token", parse_session_token, true},
    {NULL, NULL, false},
};

/* Gives the value to the part of that name; *seen has a bit for each. 1 when no part has that name.
 */
static int take_part(const struct part *parts, struct slice name, struct slice value,
                     unsigned *seen, struct sigv4_auth *auth)
{
    for (unsigned i = 0; parts[i].name; i++) {
        if (!slice_is(name, parts[i].name))
            continue;
        if (*seen & 1u << i)
            return -EINVAL;
        *seen |= 1u << i;
        return parts[i].parse(value, auth);
    }
    return 1;
}

static bool all_seen(const struct part *parts, unsigned seen)
{
    for (unsigned i = 0; parts[i].name; i++)
        if (!parts[i].optional && !(seen & 1u << i))
            return false;
    return true;
}

static struct slice trim(struct slice v)
{
    while (v.len && is_space(v.s[0])) {
        v.s++;
        v.len--;
    }
    while (v.len && is_space(v.s[v.len - 1]))
        v.len--;
    return v;
}

int sigv4_parse_authorization(const char *value, struct sigv4_auth *auth)
{
    struct slice rest = trim(slice_of(value));
    size_t scheme = strlen(ALGORITHM);
    if (rest.len < scheme || memcmp(rest.s, ALGORITHM, scheme) != 0 ||
        (rest.len > scheme && !is_space(rest.s[scheme])))
        return -ENOENT;
    rest.s += scheme;
    rest.len -= scheme;
    struct sigv4_auth a = {0};
    unsigned seen = 0;
    while (rest.len) {
        struct slice part = trim(next_part(&rest, ','));
        struct slice name = next_part(&part, '=');
        if (take_part(header_parts, name, part, &seen, &a) != 0)
            return -EINVAL;
    }
    if (!all_seen(header_parts, seen))
        return -EINVAL;
    *auth = a;
    return 0;
}

int sigv4_parse_query(const char *query, struct sigv4_auth *auth)
{
    struct slice rest = slice_of(query ? query : "");
    struct sigv4_auth a = {.presigned = true};
    unsigned seen = 0;
    int bad = 0;
    uint8_t plain[sizeof(a.session_token) * 3];
    while (rest.len) {
        struct slice value = next_part(&rest, '&');
        struct slice name = next_part(&value, '=');
        if (name.len < 6 || memcmp(name.s, "X-Amz-", 6) != 0)
            continue;
        if (value.len > sizeof(plain)) {
            bad = -EINVAL;
            continue;
        }
        struct slice decoded = {(const char *)plain, decode(value, plain)};
        if (take_part(query_parts, name, decoded, &seen, &a) < 0)
            bad = -EINVAL;
    }
    if (!(seen & 1)) /* no X-Amz-Algorithm: not a presigned request at all */
        return -ENOENT;
    if (bad || !all_seen(query_parts, seen))
        return -EINVAL;
    *auth = a;
    return 0;
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
        if (slice_is(next_part(&rest, ';'), "host"))
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
