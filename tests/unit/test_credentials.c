/* Claims about credentials: where they are found, when they are renewed, what is said when there
 * are none. Relies on files in a temporary folder, and on a TLS server with certificates made here,
 * on the test's own event loop. Leaves the clock to itself: every time is passed in. */
#include "common/credentials.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/credentials_source.h"
#include "common/http_client.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

#define T0 ((time_t)1700000000) /* 2023-11-14T22:13:20Z */

static struct event_base *base;
static char dir[64], path[128];
static time_t now; /* of every credentials object here */

static void setup(void)
{
    base = event_base_new();
    scratch_make(dir, sizeof dir, "credentials");
    snprintf(path, sizeof(path), "%s/file", dir);
    setenv("HOME", dir, 1);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("AWS_PROFILE");
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
    event_base_free(base);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static time_t test_clock(void *arg)
{
    return now;
}

static struct credentials *create(struct credentials_conf conf)
{
    conf.now = test_clock;
    return credentials_create(base, NULL, &conf, NULL, NULL);
}

static int get(struct credentials *c, time_t at)
{
    struct sigv4_key key;
    now = at;
    return credentials_get(c, &key);
}

static void expect(struct credentials *c, time_t at, const char *access, const char *secret,
                   const char *token)
{
    struct sigv4_key key;
    now = at;
    ck_assert_msg(credentials_get(c, &key) == 0, "%s", credentials_error(c));
    ck_assert_str_eq(key.access_key, access);
    ck_assert_str_eq(key.secret_key, secret);
    ck_assert_pstr_eq(key.session_token, token);
}

START_TEST(environment_comes_before_profile_and_file)
{
    write_file("CREDENTIALS FA FS\n");
    struct credentials_conf conf = {.file = path};
    struct credentials *c = create(conf);
    expect(c, T0, "FA", "FS", NULL);
    ck_assert_str_eq(credentials_source(c), "file");
    credentials_destroy(c);
    setenv("AWS_ACCESS_KEY_ID", "EA", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
    setenv("AWS_SESSION_TOKEN", "ET", 1);
    c = create(conf);
    expect(c, T0, "EA", "ES", "ET");
    ck_assert_str_eq(credentials_source(c), "environment");
    credentials_destroy(c);
}
END_TEST

START_TEST(nothing_found_names_every_source_and_no_secret)
{
    setenv("AWS_SECRET_ACCESS_KEY", "verysecret", 1);
    struct credentials *c = create((struct credentials_conf){.file = path});
    ck_assert_int_eq(get(c, T0), -ENOENT);
    const char *e = credentials_error(c);
    ck_assert_ptr_nonnull(strstr(e, "environment: AWS_ACCESS_KEY_ID is not set"));
    ck_assert_ptr_nonnull(strstr(e, "profile: "));
    ck_assert_ptr_nonnull(strstr(e, "/.aws/credentials cannot be read: No such file"));
    ck_assert_ptr_nonnull(strstr(e, "file: "));
    ck_assert_ptr_nonnull(strstr(e, "set AWS_ACCESS_KEY_ID"));
    ck_assert_ptr_null(strstr(e, "verysecret"));
    ck_assert_str_eq(credentials_source(c), "none");
    write_file("CREDENTIALS A S"); /* and they are taken when they appear */
    expect(c, T0 + 1, "A", "S", NULL);
    credentials_destroy(c);
}
END_TEST

START_TEST(profile_is_chosen_by_name)
{
    write_file("# keys\n[default]\naws_access_key_id=DA\naws_secret_access_key = DS\r\n\n[ cam ]\n"
               "aws_access_key_id = CA\naws_secret_access_key=C/S+=\naws_session_token = "
               "CT==\nregion=x\ns3 =\n"
               "  nested = 1\n; end\n[half]\naws_access_key_id=HA\n");
    struct credentials_conf conf = {.kind = CREDENTIALS_PROFILE, .profile_file = path};
    struct credentials *c = create(conf);
    expect(c, T0, "DA", "DS", NULL);
    credentials_destroy(c);
    setenv("AWS_PROFILE", "cam", 1);
    c = create(conf);
    expect(c, T0, "CA", "C/S+=", "CT==");
    credentials_destroy(c);
    conf.profile = "half";
    c = create(conf);
    ck_assert_int_eq(get(c, T0), -ENOENT);
    ck_assert_ptr_nonnull(strstr(credentials_error(c), "has no [half] with"));
    credentials_destroy(c);
}
END_TEST

static const struct {
    const char *text, *says;
} profiles[] = {
    {"[a]\naws_access_key_id=1\nnonsense\n", "line 3 is not"},
    {"[default]\naws_access_key_id=1\n[b]\naws_secret_access_key=2\n", "has no [default] with"},
    {"[default]\naws_access_key_id=1\naws_secret_access_key=a b\n", "has a value with blanks"},
    {"[default\n", "line 1 is not"},
    {"key=before a section\n", "line 1 is not"},
};

START_TEST(bad_profile_says_what_is_wrong)
{
    write_file(profiles[_i].text);
    struct credentials *c =
        create((struct credentials_conf){.kind = CREDENTIALS_PROFILE, .profile_file = path});
    ck_assert_int_eq(get(c, T0), -ENOENT);
    ck_assert_msg(strstr(credentials_error(c), profiles[_i].says) != NULL, "%s",
                  credentials_error(c));
    credentials_destroy(c);
}
END_TEST

static const struct {
    const char *text;
    int result;
} lines[] = {
    {"CREDENTIALS A S", 0},
    {"CREDENTIALS A 2023-08-10T22:43:00Z S T\n", 0},
    {"", -EINVAL},
    {"credentials A S", -EINVAL},
    {"CREDENTIALS A", -EINVAL},
    {"CREDENTIALS A 2023-08-10T22:43:00Z S", -EINVAL},
    {"CREDENTIALS A S 2023-08-10T22:43:00Z T", -EINVAL},
    {"CREDENTIALS A 2023-08-10T22:43:00Z S T more", -EINVAL},
};

START_TEST(credential_file_has_two_forms)
{
    struct credentials_value v = {0};
    char error[CREDENTIALS_ERROR_LEN] = "";
    write_file(lines[_i].text);
    ck_assert_int_eq(credentials_file_load(path, &v, NULL, error), lines[_i].result);
    ck_assert_int_eq(lines[_i].result == 0, error[0] == '\0');
    if (_i == 1) {
        ck_assert_str_eq(v.secret_key, "S");
        ck_assert_str_eq(v.session_token, "T");
        ck_assert_int_eq(v.expires, 1691707380);
    }
}
END_TEST

START_TEST(file_is_read_again_when_it_changes)
{
    write_file("CREDENTIALS A1 2023-11-14T22:20:00Z S1 T1");
    struct credentials *c =
        create((struct credentials_conf){.kind = CREDENTIALS_FILE, .file = path});
    expect(c, T0, "A1", "S1", "T1");
    write_file("CREDENTIALS A2");
    expect(c, T0 + 1, "A1", "S1", "T1"); /* half written: the old ones stay */
    write_file("CREDENTIALS A22 2023-11-14T23:20:00Z S2 T2");
    expect(c, T0 + 2, "A22", "S2", "T2");
    ck_assert_int_eq(get(c, T0 + 4100), -EKEYEXPIRED);
    ck_assert_ptr_nonnull(strstr(credentials_error(c), "expired"));
    credentials_destroy(c);
}
END_TEST

START_TEST(values_out_of_bounds_are_refused)
{
    struct credentials_value v;
    static char big[4098];
    memset(big, 'a', sizeof(big) - 1);
    ck_assert_int_eq(credentials_value_set(&v, big, "s", NULL), -EINVAL);
    ck_assert_int_eq(credentials_value_set(&v, "a", big, NULL), -EINVAL);
    ck_assert_int_eq(credentials_value_set(&v, "a", "s", big), -EINVAL);
    ck_assert_int_eq(credentials_value_set(&v, "a", "s s", NULL), -EINVAL);
    ck_assert_int_eq(credentials_value_set(&v, "a\r\nX: y", "s", NULL), -EINVAL);
    ck_assert_int_eq(credentials_value_set(&v, "a", "s", ""), 0);
}
END_TEST

START_TEST(renewal_is_before_the_end_and_retries_back_off)
{
    ck_assert_int_eq(credentials_renew_at(T0 + 3600, T0), T0 + 3300);
    ck_assert_int_eq(credentials_renew_at(T0 + 100, T0), T0 + 50);
    for (unsigned n = 0; n < 40; n++) {
        int64_t most = credentials_retry_ms(n, 0), least = credentials_retry_ms(n, UINT32_MAX);
        ck_assert_int_eq(most, n < 6 ? 1000 << n : 60000);
        ck_assert(least >= most / 2 && least <= most / 2 + 1);
    }
}
END_TEST

#define IOT(expiry)                                                                                \
    "{\"credentials\":{\"accessKeyId\":\"A\",\"secretAccessKey\":\"S\",\"sessionToken\":"          \
    "\"T\"" expiry "}}"
static const struct {
    const char *body;
    int result;
} answers[] = {
    {IOT(",\"expiration\":\"2023-11-14T23:13:20Z\""), 0},
    {IOT(",\"expiration\":\"2023-11-14T23:13:20.123Z\""), 0},
    {IOT(",\"expiration\":\"soon\""), -EINVAL},
    {IOT(",\"expiration\":5"), -EINVAL},
    {IOT(""), -EINVAL},
    {"{\"credentials\":{\"accessKeyId\":\"A\"}}", -EINVAL},
    {"{\"credentials\":[]}", -EINVAL},
    {"[]", -EINVAL},
    {"", -EINVAL},
    {"<html>", -EINVAL},
};

START_TEST(iot_answer_is_read_strictly)
{
    struct credentials_value v;
    char error[CREDENTIALS_ERROR_LEN] = "";
    const char *body = answers[_i].body;
    ck_assert_int_eq(credentials_iot_parse(body, strlen(body), &v, error), answers[_i].result);
    ck_assert_int_eq(answers[_i].result == 0, error[0] == '\0');
}
END_TEST

/* ---- the IoT provider, with mutual TLS ---- */

static struct provider {
    SSL_CTX *ctx;
    struct evconnlistener *listener;
    struct bufferevent *peer;
    char endpoint[64], ca[128], cert[128], key[128], request[2048];
    const char *status, *body, *date;
    int asked, ready, error;
    time_t service; /* what the date callback sets the clock to; 0: does not */
} p;

static X509 *make_cert(EVP_PKEY *key, const char *name)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1 + name[0]);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(x, san, -1);
    X509_EXTENSION_free(san);
    X509_sign(x, key, EVP_sha256());
    return x;
}

static void store(char out[128], const char *name, X509 *x, EVP_PKEY *key)
{
    snprintf(out, 128, "%s/%s", dir, name);
    FILE *f = fopen(out, "w");
    ck_assert_ptr_nonnull(f);
    if (x)
        PEM_write_X509(f, x);
    else
        PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static void on_peer_read(struct bufferevent *bev, void *arg)
{
    (void)arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    if (evbuffer_search(in, "\r\n\r\n", 4, NULL).pos < 0)
        return;
    int n = evbuffer_remove(in, p.request, sizeof(p.request) - 1);
    p.request[n] = '\0';
    p.asked++;
    evbuffer_add_printf(bufferevent_get_output(bev),
                        "HTTP/1.1 %s\r\nDate: %s\r\nContent-Length: %zu\r\n\r\n%s", p.status,
                        p.date, strlen(p.body), p.body);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
                      void *arg)
{
    (void)l;
    (void)sa;
    (void)len;
    (void)arg;
    if (p.peer)
        bufferevent_free(p.peer);
    p.peer = bufferevent_openssl_socket_new(base, fd, SSL_new(p.ctx), BUFFEREVENT_SSL_ACCEPTING,
                                            BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(p.peer, on_peer_read, NULL, NULL, NULL);
    bufferevent_enable(p.peer, EV_READ | EV_WRITE);
}

static void start_provider(void)
{
    p = (struct provider){.status = "200 OK", .body = "{}", .date = "today"};
    now = T0;
    EVP_PKEY *skey = EVP_EC_gen("P-256"), *ckey = EVP_EC_gen("P-256");
    X509 *server = make_cert(skey, "server"), *client = make_cert(ckey, "device");
    store(p.ca, "ca.pem", server, NULL);
    store(p.cert, "cert.pem", client, NULL);
    store(p.key, "key.pem", NULL, ckey);
    p.ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(p.ctx, server);
    SSL_CTX_use_PrivateKey(p.ctx, skey);
    SSL_CTX_load_verify_file(p.ctx, p.cert);
    SSL_CTX_set_verify(p.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_free(server);
    X509_free(client);
    EVP_PKEY_free(skey);
    EVP_PKEY_free(ckey);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    p.listener = evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 8,
                                         (struct sockaddr *)&sin, len);
    getsockname(evconnlistener_get_fd(p.listener), (struct sockaddr *)&sin, &len);
    snprintf(p.endpoint, sizeof(p.endpoint), "127.0.0.1:%u", ntohs(sin.sin_port));
}

static void stop_provider(void)
{
    if (p.peer)
        bufferevent_free(p.peer);
    evconnlistener_free(p.listener);
    SSL_CTX_free(p.ctx);
}

static void on_date(void *arg, const char *date)
{
    ck_assert_str_eq(date, p.date);
    if (p.service)
        now = p.service;
}

static void on_ready(void *arg, int error)
{
    (void)arg;
    p.ready++;
    p.error = error;
    event_base_loopbreak(base);
}

static struct credentials_conf iot_conf(void)
{
    return (struct credentials_conf){.iot = {p.endpoint, p.cert, p.key, p.ca, "Alias", "cam-1"},
                                     .now = test_clock,
                                     .date = on_date};
}

START_TEST(iot_certificate_is_exchanged_and_renewed)
{
    start_provider();
    p.body = IOT(",\"expiration\":\"2023-11-14T23:13:20Z\"");
    setenv("AWS_ACCESS_KEY_ID", "EA", 1); /* a configured certificate goes first */
    setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
    struct http_client *http = http_client_create(base);
    struct credentials_conf conf = iot_conf();
    struct credentials *c = credentials_create(base, http, &conf, on_ready, NULL);
    ck_assert_int_eq(get(c, T0), -EAGAIN);
    event_base_dispatch(base);
    ck_assert_msg(p.error == 0, "%s", credentials_error(c));
    expect(c, T0, "A", "S", "T");
    ck_assert_ptr_nonnull(strstr(p.request, "GET /role-aliases/Alias/credentials HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(p.request, "x-amzn-iot-thingname: cam-1\r\n"));

    p.status = "403 Forbidden"; /* renewal refused: the old ones stay until their end */
    p.body = "{\"message\":\"Invalid thing name passed\"}";
    expect(c, T0 + 3300, "A", "S", "T");
    event_base_dispatch(base);
    ck_assert_int_eq(p.error, -EACCES);
    ck_assert_ptr_nonnull(strstr(credentials_error(c), "answered 403: Invalid thing name passed"));
    expect(c, T0 + 3599, "A", "S", "T");
    ck_assert_int_eq(get(c, T0 + 3600), -EAGAIN);

    p.status = "200 OK";
    p.body = "{\"credentials\":{\"accessKeyId\":\"A2\",\"secretAccessKey\":\"S2\",\"sessionToken\":"
             "\"T2\","
             "\"expiration\":\"2023-11-15T01:13:20Z\"}}";
    credentials_refused(c); /* fetches at once */
    event_base_dispatch(base);
    expect(c, T0 + 3600, "A2", "S2", "T2");
    now += 5;
    credentials_refused(c); /* too soon after the last */
    ck_assert_int_eq(p.asked, 3);
    ck_assert_int_eq(p.ready, 3);
    credentials_destroy(c);
    http_client_destroy(http);
    stop_provider();
}
END_TEST

START_TEST(iot_server_that_the_ca_does_not_know_is_refused)
{
    start_provider();
    struct http_client *http = http_client_create(base);
    struct credentials_conf conf = iot_conf();
    conf.iot.ca_file = p.cert; /* not the server's */
    struct credentials *c = credentials_create(base, http, &conf, on_ready, NULL);
    event_base_dispatch(base);
    ck_assert_msg(p.error == -EACCES, "%d %s", p.error, credentials_error(c));
    ck_assert_int_eq(p.asked, 0);
    credentials_destroy(c);
    http_client_destroy(http);
    stop_provider();
}
END_TEST

START_TEST(incomplete_iot_configuration_says_what_is_missing)
{
    static const struct credentials_iot_conf bad[] = {
        {"https://host", "c", "k", "a", "Alias", "thing"},
        {"host", "c", "k", "a", "a/../b", "thing"},
        {"host", "c", "k", "a", NULL, "thing"},
        {"host", "c", "k", "a", "Alias", "t\r\nX: y"},
        {"host", NULL, "k", "a", "Alias", "thing"},
    };
    struct http_client *http = http_client_create(base);
    struct credentials_conf conf = {.iot = bad[_i], .now = test_clock};
    struct credentials *c = credentials_create(base, http, &conf, NULL, NULL);
    ck_assert_int_eq(get(c, T0), -ENOENT);
    ck_assert_int_eq(strncmp(credentials_error(c), "iot: ", 5), 0);
    credentials_refused(c);
    credentials_destroy(c);
    http_client_destroy(http);
}
END_TEST

#define LONG_IOT IOT(",\"expiration\":\"2023-11-14T23:13:20Z\"") /* T0 + an hour */

START_TEST(iot_answer_that_is_over_asks_for_the_time_first)
{
    start_provider();
    p.body = LONG_IOT;
    now = T0 + 3 * 3600; /* ahead of the provider */
    struct http_client *http = http_client_create(base);
    struct credentials_conf conf = iot_conf();
    struct credentials *c = credentials_create(base, http, &conf, on_ready, NULL);
    event_base_dispatch(base);
    ck_assert_int_eq(p.error, -EKEYEXPIRED); /* nobody knew better */
    ck_assert_ptr_nonnull(strstr(credentials_error(c), "set this machine's clock"));
    p.service = T0; /* now the Date is believed */
    credentials_refused(c);
    event_base_dispatch(base);
    ck_assert_int_eq(p.error, 0);
    expect(c, T0, "A", "S", "T");
    credentials_destroy(c);
    http_client_destroy(http);
    stop_provider();
}
END_TEST

START_TEST(iot_refusals_say_what_to_do)
{
    ck_assert_ptr_nonnull(
        strstr(credentials_iot_advice(403, "Invalid thing name passed"), "thing"));
    ck_assert_ptr_nonnull(strstr(credentials_iot_advice(403, "Access Denied"), "AssumeRole"));
    ck_assert_ptr_nonnull(strstr(credentials_iot_advice(403, ""), "certificate"));
    ck_assert_ptr_nonnull(strstr(credentials_iot_advice(404, ""), "iot_role_alias"));
    ck_assert_ptr_nonnull(strstr(credentials_iot_advice(503, ""), "tried again"));
    ck_assert_ptr_nonnull(strstr(credentials_iot_advice(301, ""), "iot_endpoint"));
}
END_TEST

/* ---- how long what was signed with them is good ---- */

static struct credentials_use use_of(struct credentials *c)
{
    struct credentials_use use;
    ck_assert_msg(get(c, now) == 0, "%s", credentials_error(c));
    credentials_note(c, &use);
    return use;
}

START_TEST(a_session_is_over_in_the_grace_period_when_there_is_a_successor)
{
    write_file("CREDENTIALS A1 2023-11-14T23:13:20Z S1 T1"); /* an hour */
    now = T0;
    struct credentials *c =
        create((struct credentials_conf){.kind = CREDENTIALS_FILE, .file = path});
    struct credentials_use use = use_of(c);
    now = T0 + 3400;
    ck_assert(!credentials_over(c, &use)); /* in the grace period, without a successor */
    write_file("CREDENTIALS A2 2023-11-15T00:13:20Z S2 T2");
    now = T0 + 3401;
    ck_assert(credentials_over(c, &use));
    use = use_of(c);
    ck_assert(!credentials_over(c, &use));
    write_file("CREDENTIALS A3 2023-11-15T01:13:20Z S3 T3");
    now = T0 + 3500;
    ck_assert(!credentials_over(c, &use)); /* newer ones, but there is time */
    now = T0 + 2 * 3600 - CREDENTIALS_GRACE_S;
    ck_assert(credentials_over(c, &use));
    credentials_destroy(c);
}
END_TEST

START_TEST(a_session_is_over_at_the_end_without_a_successor)
{
    write_file("CREDENTIALS A1 2023-11-14T23:13:20Z S1 T1");
    now = T0;
    struct credentials *c =
        create((struct credentials_conf){.kind = CREDENTIALS_FILE, .file = path});
    struct credentials_use use = use_of(c);
    now = T0 + 3599;
    ck_assert(!credentials_over(c, &use));
    now = T0 + 3600;
    ck_assert(credentials_over(c, &use));
    ck_assert_int_eq(get(c, now), -EKEYEXPIRED);
    ck_assert_ptr_nonnull(strstr(credentials_error(c), path));
    write_file("CREDENTIALS A22 2023-11-15T01:13:20Z S2 T2");
    expect(c, T0 + 3601, "A22", "S2", "T2");
    credentials_destroy(c);
}
END_TEST

#define PROFILE(n, token)                                                                          \
    "[default]\naws_access_key_id = A" n "\naws_secret_access_key = S" n "\n" token

START_TEST(temporary_keys_of_a_profile_are_left_when_it_changes)
{
    write_file(PROFILE("1", "aws_session_token = T1\n"));
    now = T0;
    struct credentials *c =
        create((struct credentials_conf){.kind = CREDENTIALS_PROFILE, .profile_file = path});
    struct credentials_use use = use_of(c);
    now = T0 + 100000;
    ck_assert(!credentials_over(c, &use)); /* nobody knows when they end */
    write_file(PROFILE("22", "aws_session_token = T2\n"));
    now++;
    ck_assert(credentials_over(c, &use));
    use = use_of(c);
    write_file(PROFILE("22", "aws_session_token = T2\n\n")); /* touched only */
    now++;
    ck_assert(!credentials_over(c, &use));
    credentials_destroy(c);
}
END_TEST

START_TEST(keys_for_ever_end_no_session)
{
    write_file(PROFILE("1", ""));
    now = T0;
    struct credentials *c =
        create((struct credentials_conf){.kind = CREDENTIALS_PROFILE, .profile_file = path});
    struct credentials_use use = use_of(c);
    write_file(PROFILE("22", ""));
    now++;
    ck_assert(!credentials_over(c, &use));
    expect(c, now, "A22", "S22", NULL);
    credentials_destroy(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("credentials");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, environment_comes_before_profile_and_file);
    tcase_add_test(t, nothing_found_names_every_source_and_no_secret);
    tcase_add_test(t, profile_is_chosen_by_name);
    tcase_add_loop_test(t, bad_profile_says_what_is_wrong, 0, sizeof(profiles) / sizeof(*profiles));
    tcase_add_loop_test(t, credential_file_has_two_forms, 0, sizeof(lines) / sizeof(*lines));
    tcase_add_test(t, file_is_read_again_when_it_changes);
    tcase_add_test(t, values_out_of_bounds_are_refused);
    tcase_add_test(t, renewal_is_before_the_end_and_retries_back_off);
    tcase_add_loop_test(t, iot_answer_is_read_strictly, 0, sizeof(answers) / sizeof(*answers));
    tcase_add_test(t, iot_certificate_is_exchanged_and_renewed);
    tcase_add_test(t, iot_server_that_the_ca_does_not_know_is_refused);
    tcase_add_loop_test(t, incomplete_iot_configuration_says_what_is_missing, 0, 5);
    tcase_add_test(t, iot_answer_that_is_over_asks_for_the_time_first);
    tcase_add_test(t, iot_refusals_say_what_to_do);
    tcase_add_test(t, a_session_is_over_in_the_grace_period_when_there_is_a_successor);
    tcase_add_test(t, a_session_is_over_at_the_end_without_a_successor);
    tcase_add_test(t, temporary_keys_of_a_profile_are_left_when_it_changes);
    tcase_add_test(t, keys_for_ever_end_no_session);
    suite_add_tcase(s, t);
    return suite_run(s);
}
