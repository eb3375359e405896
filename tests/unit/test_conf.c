/* The YAML config: defaults, every fault with its line, addresses of links.
 * Relies on Check.
 * Leaves hostile bytes to fuzz_conf.c. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/conf.h"
#include "tests/unit/suite.h"

static char *said; /* what the last parse printed */

static int parse(const char *text, struct conf **conf)
{
    size_t len;
    free(said);
    said = NULL;
    FILE *out = open_memstream(&said, &len);
    int r = conf_parse(text, strlen(text), "etc/cameras.yaml", out, conf);
    fclose(out);
    return r;
}

static struct conf *good(const char *text)
{
    struct conf *conf;
    ck_assert_msg(parse(text, &conf) == 0, "refused: %s", said);
    return conf;
}

static void clean_environment(void)
{
    static const char *const names[] = {"AWS_REGION", "AWS_DEFAULT_REGION", "KVPIPE_RUN",
                                        "KVPIPE_LOG", "KVPIPE_ENDPOINT_URL"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

#define ONE "streams:\n  - name: a\n    source: {type: test}\n"

START_TEST(defaults_are_as_documented)
{
    struct conf *c = good(ONE);
    const struct conf_stream *s = &c->streams[0];
    ck_assert_uint_eq(c->streams_count, 1);
    ck_assert_uint_eq(s->source.width, 1280);
    ck_assert_uint_eq(s->source.height, 720);
    ck_assert_uint_eq(s->source.rate, 30);
    ck_assert(s->source.audio && s->source.realtime && !s->source.loop && s->absolute);
    ck_assert_uint_eq(s->source.timeout_s, 5);
    ck_assert_str_eq(s->video.encoder, "auto");
    ck_assert_uint_eq(s->video.bitrate_kbps, 2000);
    ck_assert_uint_eq(s->video.keyframe_ms, 2000);
    ck_assert_str_eq(s->video.profile, "main");
    ck_assert_str_eq(s->video.preset, "veryfast");
    ck_assert_uint_eq(s->audio.bitrate_kbps, 96);
    ck_assert_int_eq(s->fragment.by, CONF_FRAGMENT_KEYFRAME);
    ck_assert_uint_eq(s->fragment.duration_ms, 2000);
    ck_assert_uint_eq(s->window.frames, 1000);
    ck_assert_uint_eq(s->window.megabytes, 256);
    ck_assert_uint_eq(s->window.seconds, 30);
    ck_assert_uint_eq(s->timecode_scale_us, 1000);
    ck_assert_str_eq(c->run, "run");
    ck_assert_str_eq(c->log, "info");
    ck_assert_uint_eq(c->link.heartbeat_ms, 250);
    ck_assert_uint_eq(c->link.silence_ms, 1000);
    ck_assert_uint_eq(c->link.credit, 128);
    ck_assert_uint_eq(c->endpoint.rotation_s, 2400);
    ck_assert_uint_eq(c->endpoint.staleness_s, 60);
    ck_assert_uint_eq(c->endpoint.max_latency_s, 60);
    ck_assert_uint_eq(s->video.adapt.min_bitrate_kbps, 0);
    ck_assert_uint_eq(c->endpoint.retention_hours, 24);
    ck_assert(c->endpoint.create);
    ck_assert_str_eq(c->spool.dir, "run/spool");
    ck_assert_int_eq(c->spool.sync, CONF_SYNC_FRAGMENT);
    ck_assert_uint_eq(c->spool.max_megabytes, 4096);
    ck_assert_str_eq(c->server.data, "run/archive");
    ck_assert_str_eq(c->monitor.socket, "ipc://run/sockets/monitor.sock");
    ck_assert_str_eq(c->capture.listen, "ipc://run/sockets/capture.sock");
    conf_free(&c);
    ck_assert_ptr_null(c);
}
END_TEST

START_TEST(tls_makes_a_certificate_that_the_pipeline_trusts)
{
    struct conf *c = good(ONE "server: {tls: true}\n");
    ck_assert(c->server.tls && c->server.tls_made && c->endpoint.own);
    ck_assert_str_eq(c->server.tls_cert, "run/tls/cert.pem");
    ck_assert_str_eq(c->server.tls_key, "run/tls/key.pem");
    ck_assert_str_eq(c->endpoint.url, "https://127.0.0.1:8480");
    ck_assert_str_eq(c->endpoint.ca_file, "run/tls/cert.pem");
    conf_free(&c);
    c = good(ONE "server: {tls_cert: /c.pem, tls_key: /k.pem}\n");
    ck_assert(c->server.tls && !c->server.tls_made);
    conf_free(&c);
}
END_TEST

START_TEST(without_endpoint_it_is_our_own_server)
{
    struct conf *c = good(ONE);
    ck_assert_str_eq(c->endpoint.url, "http://127.0.0.1:8480");
    ck_assert(c->endpoint.own && c->server.enabled);
    ck_assert_int_eq(c->endpoint.credentials.type, CONF_CRED_PROFILE);
    ck_assert_str_eq(c->endpoint.credentials.profile_file, "run/keys");
    ck_assert_str_eq(c->endpoint.region, "us-west-2");
    conf_free(&c);
}
END_TEST

START_TEST(a_region_in_the_file_means_the_service)
{
    struct conf *c = good(ONE "endpoint: {region: eu-central-1}\n");
    ck_assert_str_eq(c->endpoint.url, "https://kinesisvideo.eu-central-1.amazonaws.com");
    ck_assert(!c->endpoint.own && !c->server.enabled);
    ck_assert_int_eq(c->endpoint.credentials.type, CONF_CRED_AUTO);
    conf_free(&c);
}
END_TEST

START_TEST(the_environment_gives_region_run_log_and_url)
{
    setenv("AWS_REGION", "us-east-1", 1);
    setenv("KVPIPE_RUN", "/tmp/r", 1);
    setenv("KVPIPE_LOG", "debug", 1);
    struct conf *c = good(ONE);
    ck_assert_str_eq(c->endpoint.region, "us-east-1");
    ck_assert(c->endpoint.own); /* a region of the environment does not choose the service */
    ck_assert_str_eq(c->capture.listen, "ipc:///tmp/r/sockets/capture.sock");
    ck_assert_str_eq(c->log, "debug");
    conf_free(&c);
    setenv("KVPIPE_ENDPOINT_URL", "https://example.com", 1);
    c = good(ONE);
    ck_assert_str_eq(c->endpoint.url, "https://example.com");
    ck_assert(!c->server.enabled);
    conf_free(&c);
    clean_environment();
}
END_TEST

START_TEST(localhost_is_our_own_server_too)
{
    struct conf *c = good(ONE "endpoint: {url: \"http://localhost:8480/\"}\n");
    ck_assert(c->endpoint.own && c->server.enabled);
    conf_free(&c);
}
END_TEST

START_TEST(tls_makes_the_own_url_https_and_trusts_its_certificate)
{
    struct conf *c =
        good(ONE "server: {listen: \"0.0.0.0:9000\", tls_cert: c.pem, tls_key: /k.pem}\n");
    ck_assert_str_eq(c->endpoint.url, "https://127.0.0.1:9000");
    ck_assert_str_eq(c->endpoint.ca_file, "etc/c.pem");
    ck_assert_str_eq(c->server.tls_key, "/k.pem");
    conf_free(&c);
}
END_TEST

START_TEST(source_paths_are_relative_to_the_config)
{
    struct conf *c = good("streams:\n  - name: a\n    source: {type: file, path: media/x.mp4}\n");
    ck_assert_str_eq(c->streams[0].source.path, "etc/media/x.mp4");
    ck_assert_uint_eq(c->streams[0].source.line_number, 3);
    conf_free(&c);
}
END_TEST

START_TEST(a_missing_source_file_is_said_with_stream_and_line)
{
    char *text = NULL;
    size_t len;
    struct conf *c = good("streams:\n  - name: a\n    source: {type: file, path: /none/x.mp4}\n");
    FILE *out = open_memstream(&text, &len);
    ck_assert_int_eq(conf_check_files(c, out), -ENOENT);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "etc/cameras.yaml:3: stream a: source.path '/none/x.mp4'"));
    free(text);
    conf_free(&c);
}
END_TEST

START_TEST(all_keys_are_taken)
{
    struct conf *c =
        good("run: /tmp/x\nlog: warn\n"
             "streams:\n"
             "  - name: cam\n"
             "    source: {type: rtsp, url: 'rtsp://h/x', transport: udp, credentials_file: pw, "
             "timeout_s: 9}\n"
             "    video: {encoder: x264, bitrate_kbps: 500, keyframe_ms: 1000, profile: high, "
             "preset: fast, adapt: {min_bitrate_kbps: 100, backlog_s: 15, restore_s: 7}}\n"
             "    audio: {bitrate_kbps: 64}\n"
             "    fragment: {by: duration, duration_ms: 4000}\n"
             "    window: {frames: 10, megabytes: 2, seconds: 3}\n"
             "    tags:\n      - {name: site, value: north}\n      - {name: x, value: '', "
             "persistent: false}\n"
             "    absolute: no\n"
             "  - name: l\n    source: {type: launch, line: 'videotestsrc ! appsink name=video'}\n"
             "encoder: {replicas: 2}\n"
             "endpoint: {max_latency_s: 0, staleness_s: 30}\n"
             "spool: {sync: none, when_full: drop_newest}\n");
    const struct conf_stream *s = conf_stream(c, "cam");
    ck_assert_ptr_nonnull(s);
    ck_assert_int_eq(s->source.transport, CONF_TRANSPORT_UDP);
    ck_assert_str_eq(s->source.credentials_file, "etc/pw");
    ck_assert_int_eq(s->fragment.by, CONF_FRAGMENT_DURATION);
    ck_assert_uint_eq(s->tags_count, 2);
    ck_assert(s->tags[0].persistent && !s->tags[1].persistent && !s->absolute);
    ck_assert_uint_eq(s->video.adapt.min_bitrate_kbps, 100);
    ck_assert_uint_eq(s->video.adapt.backlog_s, 15);
    ck_assert_uint_eq(s->video.adapt.restore_s, 7);
    ck_assert_uint_eq(c->endpoint.max_latency_s, 0);
    ck_assert_uint_eq(c->endpoint.staleness_s, 30);
    ck_assert_int_eq(c->spool.when_full, CONF_FULL_DROP_NEWEST);
    ck_assert_ptr_null(conf_stream(c, "other"));
    conf_free(&c);
}
END_TEST

#define CAM(rest) "streams:\n  - name: a\n    source: {type: test}\n" rest
static const struct {
    const char *text, *expected;
} faults[] = {
    {"", "no streams; expected at least one"},
    {"streams: []\n", "no streams"},
    {"strems: 1\n", ":1: unknown key 'strems'; expected one of: run, log, sandbox, capture"},
    {CAM("    colour: red\n"),
     ":4: streams[0]: unknown key 'colour'; expected one of: name, source"},
    {CAM("log: loud\n"),
     ":4: log: 'loud' is not allowed; expected one of: error, warn, info, debug"},
    {CAM("log: [a]\n"), ":4: log: a list is not allowed"},
    {CAM("link: 3\n"), ":4: link: '3' is not allowed; expected a map"},
    {CAM("link: {credit: -1}\n"),
     ":4: link.credit: '-1' is not allowed; expected a whole number from 1"},
    {CAM("link: {credit: 1e3}\n"), "link.credit: '1e3'"},
    {CAM("link: {credit: 99999999999999999999999}\n"), "link.credit"},
    {CAM("link: {silence_ms: 300}\n"), ":4: link.silence_ms is 300; expected at least twice"},
    {CAM("    absolute: maybe\n"), "expected true or false"},
    {CAM("run: a\nrun: b\n"), ":5: run is given twice"},
    {CAM("run: \"a\\0b\"\n"), "run: a value so long or with such characters"},
    {"streams:\n\t- x\n", "not valid YAML"},
    {"a: [1, 2\n", "not valid YAML"},
    {"streams: {a: 1}\n", "streams: a map is not allowed; expected a list"},
    {"streams:\n  - source: {type: test}\n", ":2: streams[0]: no name"},
    {"streams:\n  - name: a\n", "streams[0]: no source type"},
    {"streams:\n  - name: a b\n    source: {type: test}\n", ":2: stream name 'a b' is not allowed"},
    {"streams:\n  - name: ..\n    source: {type: test}\n", "stream name '..' is not allowed"},
    {CAM("  - name: a\n    source: {type: test}\n"), ":4: stream name 'a' is there twice"},
    {"streams:\n  - name: a\n    source: {type: radio}\n", ":3: streams[0].source.type: 'radio'"},
    {"streams:\n  - name: a\n    source: {type: file}\n", ":3: source of type file has no path"},
    {"streams:\n  - name: a\n    source: {type: rtsp}\n", "source of type rtsp has no url"},
    {"streams:\n  - name: a\n    source: {type: launch}\n", "source of type launch has no line"},
    {"streams:\n  - name: a\n    source: {type: test, path: x}\n",
     "source.path means nothing for type test"},
    {"streams:\n  - name: a\n    source: {type: rtsp, url: 'http://x'}\n", "expected rtsp://"},
    {"streams:\n  - name: a\n    source: {type: rtsp, url: 'rtsp://u:p@h/x'}\n",
     "holds a user or password"},
    {"streams:\n  - name: a\n    source: {type: test, width: 1281}\n", "expected an even width"},
    {CAM("    video: {bframes: 2}\n"), ":4: video.bframes is 2; expected 0: reordered"},
    {CAM("") "monitor: {emf: {output: file}}\n", "expected off, stdout or tcp://HOST:PORT"},
    {CAM("") "monitor: {emf: {output: 'tcp://agent'}}\n", "monitor.emf.output"},
    {CAM("") "monitor: {cloudwatch: {namespace: AWS/EC2}}\n", "do not begin with AWS/"},
    {CAM("") "monitor: {cloudwatch: {url: monitoring}}\n", "expected http:// or https://"},
    {CAM("") "monitor: {cloudwatch: {interval_s: 0}}\n", "from 1 to 3600"},
    {CAM("    video: {adapt: {backlog_s: 20}}\n"), ":4: video.adapt has no min_bitrate_kbps"},
    {CAM("    video: {bitrate_kbps: 300, adapt: {min_bitrate_kbps: 301}}\n"),
     "min_bitrate_kbps is 301; expected at most video.bitrate_kbps (300)"},
    {CAM("    video: {adapt: {min_bitrate_kbps: 300, backlog_s: 5}}\n"),
     "backlog_s is 5; expected at least three fragments (6)"},
    {CAM("    video: {keyframe_ms: 500, adapt: {min_bitrate_kbps: 300}}\n"
         "    fragment: {by: duration, duration_ms: 3000}\n"),
     "backlog_s is 10; expected at least three fragments (11)"},
    {CAM("    fragment: {by: duration, duration_ms: 19000}\n"), "expected at most 20000"},
    {CAM("    tags: [{name: AWS-x, value: y}]\n"), "name 'AWS-x' is reserved"},
    {CAM("    tags: [{name: x}]\n"), "expected a value"},
    {CAM("    tags: [{name: x, value: a}, {name: x, value: b}]\n"), "name 'x' is there twice"},
    {CAM("    tags: [{name: a, value: a}, {name: b, value: a}, {name: c, value: a}, {name: d, "
         "value: a},\n"
         "      {name: e, value: a}, {name: f, value: a}, {name: g, value: a}, {name: h, value: "
         "a},\n"
         "      {name: i, value: a}, {name: j, value: a}, {name: k, value: a}]\n"),
     "11 tags; expected at most 10"},
    {CAM("capture: {replicas: 2}\n"), "capture.replicas is 2; expected 1"},
    {CAM("uploader: {replicas: 2}\n"), "uploader.replicas is 2; expected 1"},
    {CAM("encoder: {isolate: true}\n"), "encoder is isolated but the stage above it is not"},
    {CAM("capture: {isolate: true, replicas: 2}\n"), "isolate and replicas"},
    {"streams:\n  - name: a\n    source: {type: external}\n"
     "capture: {isolate: true}\nencoder: {isolate: true}\nmuxer: {isolate: true}\n",
     "not to be isolated"},
    {CAM("capture: {listen: foo}\n"), "capture.listen: 'foo' is not an address"},
    {CAM("capture: {listen: 'tcp://x'}\n"), "is not whole"},
    {CAM("capture: {connect: 'tcp://x:1'}\n"), "capture.connect means nothing"},
    {CAM("capture: {listen: 'tcp://0.0.0.0:7000'}\n"), "open to other hosts"},
    {CAM("encoder: {connect: 'ipc://a tcp://gateway:7000'}\n"), "open to other hosts"},
    {CAM("monitor: {socket: 'tcp://10.0.0.1:7000'}\n"), "open to other hosts"},
    {CAM("monitor: {bind: 'tcp://*:7000'}\n"), "open to other hosts"},
    {CAM("link: {keys: k, plaintext: true}\n"), "expected one of them"},
    {CAM("server: {listen: x}\n"), "server.listen: 'x' is not allowed; expected HOST:PORT"},
    {CAM("server: {tls_cert: x}\n"), "only one of tls_cert and tls_key"},
    {CAM("server: {tls: false, tls_cert: x, tls_key: y}\n"), "server.tls is false but tls_cert"},
    {CAM("server: {tls_names: a, tls_cert: x, tls_key: y}\n"), "server.tls_names is for a"},
    {CAM("server: {device_ca: x, roles: [{alias: a, policy: p}]}\n"), "over TLS only"},
    {CAM("server: {tls: true, roles: [{alias: a, policy: p}]}\n"),
     "server.roles without device_ca"},
    {CAM("server: {tls: true, device_ca: x}\n"), "server.device_ca without roles"},
    {CAM("server: {tls: true, device_ca: x, roles: [{alias: a b, policy: p}]}\n"), "'alias: NAME'"},
    {CAM("server: {tls: true, device_ca: x, roles: [{alias: a}]}\n"), "no policy"},
    {CAM("server: {tls: true, device_ca: x, roles: [{alias: a, policy: p, things: /}]}\n"),
     "pattern of thing names"},
    {CAM("server: {tls: true, device_ca: x, roles: [{alias: a, policy: p}, {alias: a, policy: "
         "p}]}\n"),
     "'a' is there twice"},
    {CAM("endpoint: {url: 'ftp://x'}\n"), "expected http://HOST:PORT"},
    {CAM("endpoint: {url: 'https://a:b@x'}\n"), "endpoint.url holds a user or password"},
    {CAM("endpoint: {region: 'a b'}\n"), "region 'a b' is not allowed"},
    {CAM("endpoint: {credentials: {type: file}}\n"), "expected 'file: PATH'"},
    {CAM("endpoint: {credentials: {type: iot}}\n"), "for IoT are not whole"},
    {CAM("run: "
         "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaa"
         "aaaaaaaaaaaaaa\n"),
     "expected at most 107 (choose a shorter 'run')"},
};

START_TEST(each_fault_is_said_with_what_was_expected)
{
    struct conf *c;
    ck_assert_msg(parse(faults[_i].text, &c) == -EINVAL, "taken: %s", faults[_i].text);
    ck_assert_ptr_null(c);
    ck_assert_msg(strstr(said, faults[_i].expected), "said: %s\nexpected: %s", said,
                  faults[_i].expected);
    ck_assert_msg(strncmp(said, "etc/cameras.yaml:", 17) == 0, "said: %s", said);
}
END_TEST

START_TEST(every_fault_of_a_file_is_said_at_once)
{
    struct conf *c;
    ck_assert_int_eq(parse("a: 1\nb: 2\nlog: x\n", &c), -EINVAL);
    ck_assert_ptr_nonnull(strstr(said, ":1: "));
    ck_assert_ptr_nonnull(strstr(said, ":2: "));
    ck_assert_ptr_nonnull(strstr(said, ":3: "));
}
END_TEST

START_TEST(aliases_in_a_circle_end)
{
    struct conf *c;
    ck_assert_int_eq(parse("streams: &a\n  - *a\n", &c), -EINVAL);
    ck_assert_int_eq(parse("link: &l\n  credit: *l\n", &c), -EINVAL);
}
END_TEST

#define TWO "streams:\n  - {name: a, source: {type: test}}\n  - {name: b, source: {type: test}}\n"
static const struct {
    const char *text, *stage, *stream, *instance, *listen, *connect;
} addresses[] = {
    {TWO, "encoder", NULL, "encoder-1", "ipc://run/sockets/encoder.sock",
     "ipc://run/sockets/capture.sock"},
    {TWO, "capture", NULL, "capture-1", "ipc://run/sockets/capture.sock", NULL},
    {TWO, "uploader", NULL, "uploader-1", NULL, "ipc://run/sockets/muxer.sock"},
    {TWO, "server", NULL, "server-1", NULL, NULL},
    {TWO "capture: {isolate: true}\n", "capture", "b", "capture-b",
     "ipc://run/sockets/capture.b.sock", NULL},
    {TWO "capture: {isolate: true}\n", "encoder", NULL, "e", "ipc://run/sockets/encoder.sock",
     "ipc://run/sockets/capture.a.sock ipc://run/sockets/capture.b.sock"},
    {TWO "capture: {isolate: true}\nencoder: {isolate: true}\n", "encoder", "b", "e",
     "ipc://run/sockets/encoder.b.sock", "ipc://run/sockets/capture.b.sock"},
    {TWO "capture: {isolate: true, listen: 'tcp://127.0.0.1:7000'}\n", "capture", "b", "c",
     "tcp://127.0.0.1:7001", NULL},
    {TWO "encoder: {replicas: 2}\n", "encoder", NULL, "encoder-2",
     "ipc://run/sockets/encoder.2.sock", "ipc://run/sockets/capture.sock"},
    {TWO "encoder: {replicas: 2}\n", "muxer", NULL, "muxer-1", "ipc://run/sockets/muxer.sock",
     "ipc://run/sockets/encoder.1.sock ipc://run/sockets/encoder.2.sock ipc://run/sinks/*.sock"},
    {TWO "capture: {isolate: true}\nencoder: {isolate: true}\nmuxer: {isolate: true}\n", "muxer",
     "b", "m", "ipc://run/sockets/muxer.b.sock", "ipc://run/sockets/encoder.b.sock"},
    {TWO "muxer: {connect: 'tcp://enc:7001', listen: 'tcp://0.0.0.0:7002'}\n"
         "link: {plaintext: true}\n",
     "muxer", NULL, "m", "tcp://0.0.0.0:7002", "tcp://enc:7001"},
};

static void same(const char *got, const char *expected)
{
    ck_assert_msg(!got == !expected && (!got || strcmp(got, expected) == 0), "%s, not %s",
                  got ? got : "NULL", expected ? expected : "NULL");
}

START_TEST(both_ends_of_a_link_agree_on_its_address)
{
    struct conf *c = good(addresses[_i].text);
    char *listen =
        conf_stage_listen(c, addresses[_i].stage, addresses[_i].stream, addresses[_i].instance);
    char *connect = conf_stage_connect(c, addresses[_i].stage, addresses[_i].stream);
    same(listen, addresses[_i].listen);
    same(connect, addresses[_i].connect);
    conf_localize(c, addresses[_i].stage, addresses[_i].stream, addresses[_i].instance);
    if (conf_stage(c, addresses[_i].stage))
        same(conf_stage(c, addresses[_i].stage)->connect, addresses[_i].connect);
    free(listen);
    free(connect);
    conf_free(&c);
}
END_TEST

START_TEST(host_and_port_are_split)
{
    char host[32];
    uint16_t port;
    ck_assert_int_eq(conf_host_port("127.0.0.1:80", host, sizeof host, &port), 0);
    ck_assert_str_eq(host, "127.0.0.1");
    ck_assert_uint_eq(port, 80);
    ck_assert_int_eq(conf_host_port("[::1]:8080", host, sizeof host, &port), 0);
    ck_assert_str_eq(host, "::1");
    static const char *const bad[] = {
        "",        "x",      ":80",  "a:",   "a:b",
        "a:65536", "::1:80", "a: 1", "a:1x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(conf_host_port(bad[i], host, sizeof host, &port), -EINVAL);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_an_error)
{
    struct conf *c;
    ck_assert_int_eq(conf_load("/nonexistent/x.yaml", &c), -ENOENT);
    ck_assert_ptr_null(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conf");
    TCase *t = tcase_create("conf");
    clean_environment();
    tcase_add_test(t, defaults_are_as_documented);
    tcase_add_test(t, tls_makes_a_certificate_that_the_pipeline_trusts);
    tcase_add_test(t, without_endpoint_it_is_our_own_server);
    tcase_add_test(t, a_region_in_the_file_means_the_service);
    tcase_add_test(t, the_environment_gives_region_run_log_and_url);
    tcase_add_test(t, localhost_is_our_own_server_too);
    tcase_add_test(t, tls_makes_the_own_url_https_and_trusts_its_certificate);
    tcase_add_test(t, source_paths_are_relative_to_the_config);
    tcase_add_test(t, a_missing_source_file_is_said_with_stream_and_line);
    tcase_add_test(t, all_keys_are_taken);
    tcase_add_loop_test(t, each_fault_is_said_with_what_was_expected, 0,
                        sizeof faults / sizeof *faults);
    tcase_add_test(t, every_fault_of_a_file_is_said_at_once);
    tcase_add_test(t, aliases_in_a_circle_end);
    tcase_add_loop_test(t, both_ends_of_a_link_agree_on_its_address, 0,
                        sizeof addresses / sizeof *addresses);
    tcase_add_test(t, host_and_port_are_split);
    tcase_add_test(t, a_file_that_cannot_be_read_is_an_error);
    suite_add_tcase(s, t);
    int failed = suite_run(s);
    free(said);
    return failed;
}
