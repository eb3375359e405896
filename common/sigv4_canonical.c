/* The canonical request of Signature Version 4: path, query and headers in the one form that both
 * ends hash. Relies on buf. Follows the "Signature Version 4 signing process" for services other
 * than S3. */
#include "common/sigv4_private.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_PARAMS 256

struct param {
    size_t name, name_len, value, value_len; /* offsets in the scratch buffer */
};

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
        struct slice seg = slice_part(&path, '/');
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

size_t sigv4_decode(struct slice in, uint8_t *out)
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
    int r = put_encoded(out, plain, sigv4_decode(raw, plain), "");
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
        struct slice value = slice_part(&query, '&');
        if (value.len == 0)
            continue;
        struct slice name = slice_part(&value, '=');
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

bool sigv4_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The value without blanks at its ends, inner runs of them as one space. */
static int put_folded(struct buf *out, struct slice v)
{
    bool any = false, gap = false;
    int r = 0;
    for (size_t i = 0; i < v.len && r == 0; i++) {
        if (sigv4_is_space(v.s[i])) {
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

int sigv4_put_canonical(struct buf *out, const struct sigv4_request *req,
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
        r = put_header(out, req, slice_part(&rest, ';'), cut_port);
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
    return sigv4_put_canonical(out, req, signed_headers, presigned, false);
}
