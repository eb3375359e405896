/* Claims about sigv4: AWS's published example vectors, and how a server judges what clients send.
 * Relies on the vectors' common facts: AKIDEXAMPLE, 20150830T123600Z, us-east-1, "service", host
 * example.amazonaws.com. Leaves random requests against botocore to tests/conformance/sigv4. */
#include "common/sigv4.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "tests/unit/suite.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define DATE "20150830T123600Z"
#define NOW ((time_t)1440938160)
#define TOKEN                                                                                      \
    "AQoDYXdzEPT//////////"                                                                        \
    "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwth" \
    "Ax7mSEI/qkPpKPi/"                                                                             \
    "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcH" \
    "NVXAk"                                                                                        \
    "iY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"                                                  \
    "scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define BODY_HASH "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
#define MAX_EXTRA 5

struct vector {
    const char *name, *method, *path, *query;
    struct sigv4_header extra[MAX_EXTRA]; /* besides host and x-amz-date */
    const char *body, *signed_headers, *signature;
};

static const struct vector vectors[] = {
    {"get-vanilla",
     "GET",
     "/",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-order-value",
     "GET",
     "/",
     "Param1=value2&Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"},
    {"get-vanilla-query-order-encoded",
     "GET",
     "/",
     "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
     {{0}},
     "",
     "host;x-amz-date",
     "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     "Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     UNRESERVED "=" UNRESERVED,
     {{0}},
     "",
     "host;x-amz-date",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-utf8-query",
     "GET",
     "/",
     "\xe1\x88\xb4=bar",
     {{0}},
     "",
     "host;x-amz-date",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-unreserved",
     "GET",
     "/" UNRESERVED,
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8",
     "GET",
     "/\xe1\x88\xb4",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-space-normalized",
     "GET",
     "/example space/",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-slashes-normalized",
     "GET",
     "//example//",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"get-slash-dot-slash-normalized",
     "GET",
     "/./",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-slash-pointless-dot-normalized",
     "GET",
     "/./example",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"},
    {"get-relative-relative-normalized",
     "GET",
     "/example1/example2/../..",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     NULL,
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "",
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order",
     "GET",
     "/",
     NULL,
     {{"My-Header1", "value4"},
      {"My-Header1", "value1"},
      {"My-Header1", "value3"},
      {"My-Header1", "value2"}},
     "",
     "host;my-header1;x-amz-date",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim",
     "GET",
     "/",
     NULL,
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-header-value-multiline",
     "GET",
     "/",
     NULL,
     {{"My-Header1", "value1"}, {"My-Header1", "value2"}, {"My-Header1", "value3"}},
     "",
     "host;my-header1;x-amz-date",
     "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790"},
    {"post-vanilla",
     "POST",
     "/",
     NULL,
     {{0}},
     "",
     "host;x-amz-date",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-vanilla-query",
     "POST",
     "/",
     "Param1=value1",
     {{0}},
     "",
     "host;x-amz-date",
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"post-header-value-case",
     "POST",
     "/",
     NULL,
     {{"My-Header1", "VALUE1"}},
     "",
     "host;my-header1;x-amz-date",
     "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-sts-header-before",
     "POST",
     "/",
     NULL,
     {{"X-Amz-Security-Token", TOKEN}},
     "",
     "host;x-amz-date;x-amz-security-token",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     NULL,
     {{"Content-Type", "application/x-www-form-urlencoded"}},
     "Param1=value1",
     "content-type;host;x-amz-date",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
    {"post-x-www-form-urlencoded-parameters",
     "POST",
     "/",
     NULL,
     {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
      {"Content-Length", "13"},
      {"x-amz-content-sha256", BODY_HASH}},
     "Param1=value1",
     "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
     "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
};
#define NVECTORS (sizeof(vectors) / sizeof(*vectors))

/* Presigned vectors: all with X-Amz-Expires=3600. */
#define PRESIGNED(signed, rest)                                                                    \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%"        \
    "2Fservice%2Faws4_request"                                                                     \
    "&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=" signed "&X-Amz-Expires=3600" rest

static const struct vector query_vectors[] = {
    {"get-vanilla-query",
     "GET",
     "/",
     PRESIGNED("host",
               "&X-Amz-Signature=e93c787ed7f371d5c6b165c1b38ede9550f4dce4144713e844b25b7192d3865d"),
     {{0}},
     "",
     "host",
     NULL},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     UNRESERVED "=" UNRESERVED "&" PRESIGNED(
         "host",
         "&X-Amz-Signature=8e76a88a7433637b12778d5592799b29ad21ecd6cf6325051c21d86f0acda2bf"),
     {{0}},
     "",
     "host",
     NULL},
    {"get-slashes-normalized",
     "GET",
     "//example//",
     PRESIGNED("host",
               "&X-Amz-Signature=c1834e8fb0307243711f0f907f6ab7311ed300d87f13792d7ee4da89ab93e082"),
     {{0}},
     "",
     "host",
     NULL},
    {"get-header-value-trim",
     "GET",
     "/",
     PRESIGNED("host%3Bmy-header1%3Bmy-header2",
               "&X-Amz-Signature=e7bb0fd515e125e1aec2ecc4c0c17484fb06f6846b927c35e46005dd3df3acd4"),
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "host;my-header1;my-header2",
     NULL},
};
#define NQUERY (sizeof(query_vectors) / sizeof(*query_vectors))

static const struct sigv4_key key = {"AKIDEXAMPLE", SECRET, NULL};

/* A request with its storage. */
struct sample {
    struct sigv4_header headers[MAX_EXTRA + 2];
    char hash[SIGV4_HEX_LEN];
    struct sigv4_request req;
};

static void build(struct sample *s, const struct vector *v)
{
    size_t n = 0;
    s->headers[n++] = (struct sigv4_header){"Host", "example.amazonaws.com"};
    for (size_t i = 0; i < MAX_EXTRA && v->extra[i].name; i++)
        s->headers[n++] = v->extra[i];
    s->headers[n++] = (struct sigv4_header){"X-Amz-Date", DATE};
    sigv4_sha256_hex(v->body, strlen(v->body), s->hash);
    s->req = (struct sigv4_request){v->method, v->path, v->query, s->headers, n, s->hash};
}

static void sign(const struct sigv4_request *req, struct sigv4_auth *auth, char *text, size_t size)
{
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(sigv4_sign(req, &key, "us-east-1", "service", NOW, &out), 0);
    snprintf(text, size, "%.*s", (int)out.len, (const char *)out.data);
    buf_fini(&out);
    ck_assert_int_eq(sigv4_parse_authorization(text, auth), 0);
}

START_TEST(published_vector_signs_to_its_authorization)
{
    const struct vector *v = &vectors[_i];
    struct sample s;
    struct sigv4_auth auth;
    char text[4096], expected[4096];
    build(&s, v);
    sign(&s.req, &auth, text, sizeof(text));
    snprintf(expected, sizeof(expected),
             "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
             "SignedHeaders=%s, "
             "Signature=%s",
             v->signed_headers, v->signature);
    ck_assert_msg(strcmp(text, expected) == 0, "%s:\n%s\n%s", v->name, text, expected);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, "us-east-1", "service", NOW), SIGV4_OK);
}
END_TEST

START_TEST(published_presigned_vector_verifies)
{
    const struct vector *v = &query_vectors[_i];
    struct sample s;
    struct sigv4_auth auth;
    build(&s, v);
    ck_assert_int_eq(sigv4_parse_query(v->query, &auth), 0);
    ck_assert_str_eq(auth.signed_headers, v->signed_headers);
    ck_assert_uint_eq(auth.expires_s, 3600);
    enum sigv4_result r = sigv4_verify(&s.req, &auth, SECRET, "us-east-1", "service", NOW + 3600);
    ck_assert_msg(r == SIGV4_OK, "%s: %d", v->name, r);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, "us-east-1", "service", NOW + 3601),
                     SIGV4_EXPIRED);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, "us-east-1", "service", NOW - 901),
                     SIGV4_EXPIRED);
    s.req.path = "/other";
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, "us-east-1", "service", NOW),
                     SIGV4_BAD_SIGNATURE);
}
END_TEST

START_TEST(any_changed_part_is_a_bad_signature)
{
    struct sample s;
    struct sigv4_auth auth;
    char text[4096];
    build(&s, &vectors[22]);
    sign(&s.req, &auth, text, sizeof(text));
    struct sigv4_request changed = s.req;
    changed.method = "PUT";
    ck_assert_int_eq(sigv4_verify(&changed, &auth, SECRET, NULL, NULL, NOW), SIGV4_BAD_SIGNATURE);
    changed = s.req;
    changed.query = "a=b";
    ck_assert_int_eq(sigv4_verify(&changed, &auth, SECRET, NULL, NULL, NOW), SIGV4_BAD_SIGNATURE);
    changed = s.req;
    changed.payload_hash = SIGV4_EMPTY_SHA256;
    ck_assert_int_eq(sigv4_verify(&changed, &auth, SECRET, NULL, NULL, NOW), SIGV4_BAD_SIGNATURE);
    s.headers[1].value = "text/plain";
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, NULL, NULL, NOW), SIGV4_BAD_SIGNATURE);
    s.headers[1].value = "application/x-www-form-urlencoded";
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, "another secret", NULL, NULL, NOW),
                     SIGV4_BAD_SIGNATURE);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, NULL, NULL, NOW), SIGV4_OK);
}
END_TEST

START_TEST(clock_may_differ_by_fifteen_minutes_both_ways)
{
    struct sample s;
    struct sigv4_auth auth;
    char text[4096];
    build(&s, &vectors[0]);
    sign(&s.req, &auth, text, sizeof(text));
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, NULL, NULL, NOW + 900), SIGV4_OK);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, NULL, NULL, NOW - 900), SIGV4_OK);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, NULL, NULL, NOW + 901), SIGV4_EXPIRED);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, NULL, NULL, NOW - 901), SIGV4_EXPIRED);
}
END_TEST

START_TEST(scope_of_another_region_service_or_day_is_refused)
{
    struct sample s;
    struct sigv4_auth auth;
    char text[4096];
    build(&s, &vectors[0]);
    sign(&s.req, &auth, text, sizeof(text));
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, "eu-west-1", "service", NOW),
                     SIGV4_BAD_SCOPE);
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, "us-east-1", "kinesisvideo", NOW),
                     SIGV4_BAD_SCOPE);
    strcpy(auth.date, "20150829");
    ck_assert_int_eq(sigv4_verify(&s.req, &auth, SECRET, NULL, NULL, NOW), SIGV4_BAD_SCOPE);
}
END_TEST

START_TEST(host_signed_without_its_port_verifies)
{
    struct sigv4_header h[] = {{"host", "127.0.0.1"}, {"user-agent", "x"}, {"x-amz-date", DATE}};
    struct sigv4_request req = {"POST", "/putMedia", NULL, h, 3, NULL};
    struct sigv4_auth auth;
    char text[4096];
    sign(&req, &auth, text, sizeof(text));
    h[0].value = "127.0.0.1:8080";
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_OK);
    h[0].value = "127.0.0.2:8080";
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_BAD_SIGNATURE);
    h[0].value = "127.0.0.1:8080";
    sign(&req, &auth, text, sizeof(text));
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_OK);
}
END_TEST

START_TEST(only_the_named_headers_are_judged)
{
    struct sigv4_header h[] = {
        {"Connection", "keep-alive"}, {"Host", "kvs"},      {"Transfer-Encoding", "chunked"},
        {"User-Agent", "producer"},   {"X-Amz-Date", DATE}, {"Expect", "100-continue"}};
    struct sigv4_request req = {"POST", "/putMedia", NULL, h, 5, NULL};
    struct sigv4_auth auth;
    char text[4096];
    sign(&req, &auth, text, sizeof(text));
    ck_assert_str_eq(auth.signed_headers,
                     "connection;host;transfer-encoding;user-agent;x-amz-date");
    req.nheaders = 6;
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_OK);
}
END_TEST

START_TEST(missing_date_host_or_signed_header_is_incomplete)
{
    struct sigv4_header h[] = {{"host", "kvs"}, {"x-amz-date", DATE}, {"x-amz-target", "y"}};
    struct sigv4_request req = {"POST", "/", NULL, h, 3, NULL};
    struct sigv4_auth auth;
    char text[4096];
    sign(&req, &auth, text, sizeof(text));
    req.nheaders = 2;
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_INCOMPLETE);
    req.nheaders = 1;
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_INCOMPLETE);
    req.nheaders = 3;
    strcpy(auth.signed_headers, "x-amz-date");
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_INCOMPLETE);
}
END_TEST

START_TEST(date_header_takes_the_place_of_x_amz_date)
{
    struct sigv4_header h[] = {{"host", "kvs"}, {"x-amz-date", DATE}};
    struct sigv4_request req = {"GET", "/", NULL, h, 2, NULL};
    struct sigv4_auth auth;
    char text[4096];
    sign(&req, &auth, text, sizeof(text));
    h[1] = (struct sigv4_header){"Date", "Sun, 30 Aug 2015 12:36:00 GMT"};
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_INCOMPLETE);
    strcpy(auth.signed_headers, "host");
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_BAD_SIGNATURE);
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW + 5000), SIGV4_EXPIRED);
    h[1].value = "yesterday";
    ck_assert_int_eq(sigv4_verify(&req, &auth, SECRET, NULL, NULL, NOW), SIGV4_INCOMPLETE);
}
END_TEST

#define SIG64 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
static const struct {
    const char *text;
    int result;
} claims[] = {
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, "
     "Signature=" SIG64,
     0},
    {"AWS4-HMAC-SHA256 Signature=" SIG64
     ",SignedHeaders=host,Credential=A/20150830/r/s/aws4_request",
     0},
    {"", -ENOENT},
    {"Bearer x", -ENOENT},
    {"AWS4-HMAC-SHA256X Credential=A", -ENOENT},
    {"AWS4-ECDSA-P256-SHA256 Credential=A", -ENOENT},
    {"AWS4-HMAC-SHA256", -EINVAL},
    {"AWS4-HMAC-SHA256 ", -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host", -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, Signature=" SIG64, -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s, SignedHeaders=host, Signature=" SIG64, -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/201508300/r/s/aws4_request, SignedHeaders=host, "
     "Signature=" SIG64,
     -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=/20150830/r/s/aws4_request, SignedHeaders=host, Signature=" SIG64,
     -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, Signature=" SIG64
     "0",
     -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host;, "
     "Signature=" SIG64,
     -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=Host, "
     "Signature=" SIG64,
     -EINVAL},
    {"AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=a\nb, "
     "Signature=" SIG64,
     -EINVAL},
    {"AWS4-HMAC-SHA256 Signature=" SIG64 ", Signature=" SIG64, -EINVAL},
    {"AWS4-HMAC-SHA256 Other=1, Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, "
     "Signature=" SIG64,
     -EINVAL},
};

START_TEST(authorization_value_is_read_strictly)
{
    struct sigv4_auth auth;
    ck_assert_msg(sigv4_parse_authorization(claims[_i].text, &auth) == claims[_i].result, "%s",
                  claims[_i].text);
}
END_TEST

START_TEST(overlong_parts_are_refused)
{
    static char text[20000], name[130];
    struct sigv4_auth auth;
    memset(name, 'a', sizeof(name) - 1);
    snprintf(text, sizeof(text),
             "AWS4-HMAC-SHA256 Signature=" SIG64
             ", SignedHeaders=host, Credential=%s/20150830/r/s/aws4_request",
             name);
    ck_assert_int_eq(sigv4_parse_authorization(text, &auth), -EINVAL);
    name[128] = '\0';
    snprintf(text, sizeof(text),
             "AWS4-HMAC-SHA256 Signature=" SIG64
             ", SignedHeaders=host, Credential=%s/20150830/r/s/aws4_request",
             name);
    ck_assert_int_eq(sigv4_parse_authorization(text, &auth), 0);
    memset(text, 'a', sizeof(text) - 1);
    memcpy(text, "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Security-Token=", 54);
    ck_assert_int_eq(sigv4_parse_query(text, &auth), -EINVAL);
}
END_TEST

START_TEST(query_without_algorithm_is_not_presigned)
{
    struct sigv4_auth auth;
    ck_assert_int_eq(sigv4_parse_query("a=b&SessionToken=x", &auth), -ENOENT);
    ck_assert_int_eq(sigv4_parse_query(NULL, &auth), -ENOENT);
    ck_assert_int_eq(sigv4_parse_query("X-Amz-Algorithm=AWS4-HMAC-SHA256", &auth), -EINVAL);
    ck_assert_int_eq(sigv4_parse_query(PRESIGNED("host", "0000000&X-Amz-Signature=" SIG64), &auth),
                     -EINVAL);
}
END_TEST

START_TEST(sign_needs_host_and_the_date_of_now)
{
    struct sigv4_header h[] = {{"host", "kvs"}, {"x-amz-date", DATE}};
    struct sigv4_request req = {"GET", "/", NULL, h, 1, NULL};
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(sigv4_sign(&req, &key, "r", "s", NOW, &out), -EINVAL);
    req.nheaders = 2;
    ck_assert_int_eq(sigv4_sign(&req, &key, "r", "s", NOW + 1, &out), -EINVAL);
    ck_assert_int_eq(sigv4_sign(&req, &key, "r", "s", NOW, &out), 0);
    buf_fini(&out);
}
END_TEST

START_TEST(date_reads_only_its_own_form)
{
    static const char *const bad[] = {"", "20150830T123600", "20150230T123600Z", "20150830 123600Z",
                                      "2015-08-30T12:3Z"};
    char text[SIGV4_DATE_LEN];
    time_t t;
    sigv4_format_date(NOW, text);
    ck_assert_str_eq(text, DATE);
    ck_assert_int_eq(sigv4_parse_date(DATE, &t), 0);
    ck_assert_int_eq(t, NOW);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        ck_assert_int_eq(sigv4_parse_date(bad[i], &t), -EINVAL);
}
END_TEST

START_TEST(too_many_parameters_or_headers_are_an_error)
{
    static struct sigv4_header h[SIGV4_MAX_HEADERS + 1];
    static char query[2048];
    struct buf out;
    buf_init(&out, SIGV4_MAX_BYTES);
    for (size_t i = 0; i <= SIGV4_MAX_HEADERS; i++)
        h[i] = (struct sigv4_header){"host", "x"};
    struct sigv4_request req = {"GET", "/", query, h, SIGV4_MAX_HEADERS + 1, NULL};
    ck_assert_int_eq(sigv4_canonical_request(&req, "host", false, &out), -E2BIG);
    req.nheaders = 1;
    for (size_t i = 0; i < 300; i++)
        strcat(query, "a&");
    ck_assert_int_eq(sigv4_canonical_request(&req, "host", false, &out), -E2BIG);
    buf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sigv4");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, published_vector_signs_to_its_authorization, 0, NVECTORS);
    tcase_add_loop_test(t, published_presigned_vector_verifies, 0, NQUERY);
    tcase_add_test(t, any_changed_part_is_a_bad_signature);
    tcase_add_test(t, clock_may_differ_by_fifteen_minutes_both_ways);
    tcase_add_test(t, scope_of_another_region_service_or_day_is_refused);
    tcase_add_test(t, host_signed_without_its_port_verifies);
    tcase_add_test(t, only_the_named_headers_are_judged);
    tcase_add_test(t, missing_date_host_or_signed_header_is_incomplete);
    tcase_add_test(t, date_header_takes_the_place_of_x_amz_date);
    tcase_add_loop_test(t, authorization_value_is_read_strictly, 0,
                        sizeof(claims) / sizeof(*claims));
    tcase_add_test(t, overlong_parts_are_refused);
    tcase_add_test(t, query_without_algorithm_is_not_presigned);
    tcase_add_test(t, sign_needs_host_and_the_date_of_now);
    tcase_add_test(t, date_reads_only_its_own_form);
    tcase_add_test(t, too_many_parameters_or_headers_are_an_error);
    suite_add_tcase(s, t);
    return suite_run(s);
}
