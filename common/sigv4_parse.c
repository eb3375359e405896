/* What a client claims in its Authorization header or its presigned query (hostile). Relies on
 * slice. Leaves whether it is true to sigv4.c. */
#include "common/sigv4_private.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MAX_EXPIRES_S 604800

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
    struct slice access = slice_part(&in, '/'), date = slice_part(&in, '/'),
                 region = slice_part(&in, '/'), service = slice_part(&in, '/');
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
    return slice_is(in, SIGV4_ALGORITHM) ? 0 : -EINVAL;
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
    while (v.len && sigv4_is_space(v.s[0])) {
        v.s++;
        v.len--;
    }
    while (v.len && sigv4_is_space(v.s[v.len - 1]))
        v.len--;
    return v;
}

int sigv4_parse_authorization(const char *value, struct sigv4_auth *auth)
{
    struct slice rest = trim(slice_of(value));
    size_t scheme = strlen(SIGV4_ALGORITHM);
    if (rest.len < scheme || memcmp(rest.s, SIGV4_ALGORITHM, scheme) != 0 ||
        (rest.len > scheme && !sigv4_is_space(rest.s[scheme])))
        return -ENOENT;
    rest.s += scheme;
    rest.len -= scheme;
    struct sigv4_auth a = {0};
    unsigned seen = 0;
    while (rest.len) {
        struct slice part = trim(slice_part(&rest, ','));
        struct slice name = slice_part(&part, '=');
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
        struct slice value = slice_part(&rest, '&');
        struct slice name = slice_part(&value, '=');
        if (name.len < 6 || memcmp(name.s, "X-Amz-", 6) != 0)
            continue;
        if (value.len > sizeof(plain)) {
            bad = -EINVAL;
            continue;
        }
        struct slice decoded = {(const char *)plain, sigv4_decode(value, plain)};
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
