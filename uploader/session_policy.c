/* The decision tables for everything an endpoint can refuse.
 * Relies on nothing.
 * Leaves doing it to session.c. */
#include "uploader/session_policy.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define KMS "the stream's KMS key cannot be used; check the key, its policy and its state"

static const struct {
    int id;
    const char *code;
    struct policy policy;
} acks[] = {
    {4000,
     "STREAM_READ_ERROR",
     {POLICY_RESEND, "refused_4000", "the service could not read the stream"}},
    {4001,
     "MAX_FRAGMENT_SIZE_REACHED",
     {POLICY_FRAGMENT, "refused_4001",
      "fragment over 50 MB; lower the bitrate or the key-frame interval"}},
    {4002,
     "MAX_FRAGMENT_DURATION_REACHED",
     {POLICY_FRAGMENT, "refused_4002", "fragment over 20 s; shorten the key-frame interval"}},
    {4003,
     "MAX_CONNECTION_DURATION_REACHED",
     {POLICY_RESEND, "refused_4003", "connection too old; lower endpoint.rotation_s"}},
    {4004,
     "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS",
     {POLICY_FRAGMENT, "refused_4004", "fragment is earlier than the one before; check the clock"}},
    {4005,
     "MORE_THAN_ALLOWED_TRACKS_FOUND",
     {POLICY_FRAGMENT, "refused_4005", "more tracks than the service takes"}},
    {4006,
     "INVALID_MKV_DATA",
     {POLICY_FRAGMENT, "refused_4006", "the service cannot parse the fragment"}},
    {4007,
     "INVALID_PRODUCER_TIMESTAMP",
     {POLICY_FRAGMENT, "refused_4007",
      "producer time far from the service's; check this machine's clock"}},
    {4008,
     "STREAM_NOT_ACTIVE",
     {POLICY_ENDPOINT, "refused_4008", "the stream is not active; it is asked for again"}},
    {4009,
     "FRAGMENT_METADATA_LIMIT_REACHED",
     {POLICY_FRAGMENT, "refused_4009", "too many or too long tags; shorten the stream's tags"}},
    {4010,
     "TRACK_NUMBER_MISMATCH",
     {POLICY_FRAGMENT, "refused_4010", "a frame's track is not in the header"}},
    {4011,
     "FRAMES_MISSING_FOR_TRACK",
     {POLICY_FRAGMENT, "refused_4011", "a track has no frame in the fragment"}},
    {4012,
     "INVALID_FRAGMENT_METADATA",
     {POLICY_FRAGMENT, "refused_4012", "a tag's name begins with AWS_; rename it"}},
    {4500, "KMS_KEY_ACCESS_DENIED", {POLICY_RESEND, "refused_4500", KMS}},
    {4501, "KMS_KEY_DISABLED", {POLICY_RESEND, "refused_4501", KMS}},
    {4502, "KMS_KEY_VALIDATION_ERROR", {POLICY_RESEND, "refused_4502", KMS}},
    {4503, "KMS_KEY_UNAVAILABLE", {POLICY_RESEND, "refused_4503", KMS}},
    {4504, "KMS_KEY_INVALID_USAGE", {POLICY_RESEND, "refused_4504", KMS}},
    {4505, "KMS_KEY_INVALID_STATE", {POLICY_RESEND, "refused_4505", KMS}},
    {4506, "KMS_KEY_NOT_FOUND", {POLICY_RESEND, "refused_4506", KMS}},
    {4507, "STREAM_DELETED", {POLICY_ENDPOINT, "refused_4507", "the stream was deleted"}},
    {5000, "INTERNAL_ERROR", {POLICY_RESEND, "refused_5000", "fault of the service"}},
    {5001,
     "ARCHIVAL_ERROR",
     {POLICY_RESEND, "refused_5001", "the service could not store the fragment"}},
    {0,
     "MIN_FRAGMENT_DURATION_REACHED",
     {POLICY_FRAGMENT, "refused_min_duration",
      "fragment under the minimum; lengthen the key-frame interval"}},
};

const struct policy *session_policy_ack(int error_id, const char *code)
{
    static const struct policy unknown = {POLICY_RESEND, "refused_unknown",
                                          "an error id that is not known"};
    for (size_t i = 0; i < sizeof acks / sizeof *acks; i++)
        if (error_id ? acks[i].id == error_id : strcmp(acks[i].code, code) == 0)
            return &acks[i].policy;
    return &unknown;
}

bool session_policy_gives_up(const struct policy *p, unsigned tries)
{
    return p->action == POLICY_FRAGMENT && tries >= SESSION_POLICY_TRIES;
}

/* First match counts: status 0 matches any, type NULL matches any. A type also matches without
 * "Exception" at its end. */
static const struct {
    int status;
    const char *type;
    struct policy policy;
} answers[] = {
    {0,
     "RequestExpired",
     {POLICY_RESEND, "clock", "the request's time is off; set this machine's clock (NTP)"}},
    {0,
     "RequestTimeTooSkewed",
     {POLICY_RESEND, "clock", "the request's time is off; set this machine's clock (NTP)"}},
    {0,
     "SignatureDoesNotMatch",
     {POLICY_CREDENTIALS, "credentials",
      "signature refused; check the secret key, the region and the clock"}},
    {0,
     "InvalidSignatureException",
     {POLICY_CREDENTIALS, "credentials",
      "signature refused; check the secret key, the region and the clock"}},
    {0,
     "UnrecognizedClientException",
     {POLICY_CREDENTIALS, "credentials", "access key not known; check the credentials"}},
    {0,
     "ExpiredTokenException",
     {POLICY_CREDENTIALS, "credentials", "session token expired; renew the credentials"}},
    {0,
     "AccessDeniedException",
     {POLICY_CREDENTIALS, "credentials",
      "no permission; allow the kinesisvideo actions to this key"}},
    {0,
     "InvalidEndpointException",
     {POLICY_ENDPOINT, "endpoint", "wrong data endpoint; it is asked for again"}},
    {0,
     "ClientLimitExceededException",
     {POLICY_RESEND, "limit", "request limit of the account or stream"}},
    {0,
     "ConnectionLimitExceededException",
     {POLICY_RESEND, "limit", "another producer is connected to this stream; stop it"}},
    {0, "ThrottlingException", {POLICY_RESEND, "limit", "throttled"}},
    {0,
     "InvalidArgumentException",
     {POLICY_ENDPOINT, "argument",
      "the endpoint refuses a parameter; check stream name and settings"}},
    {401,
     NULL,
     {POLICY_CREDENTIALS, "credentials",
      "not authorized; check access key, secret key, token and permissions"}},
    {403,
     NULL,
     {POLICY_CREDENTIALS, "credentials",
      "not authorized; check access key, secret key, token and permissions"}},
    {404, NULL, {POLICY_ENDPOINT, "not_found", "no such stream; create it or set endpoint.create"}},
    {429, NULL, {POLICY_RESEND, "limit", "throttled"}},
};

static bool type_matches(const char *want, const char *got)
{
    static const char suffix[] = "Exception";
    size_t n = strcspn(got, ":"), want_n = strlen(want); /* "Type:http://…" happens */
    if (n == want_n && memcmp(want, got, n) == 0)
        return true;
    size_t cut = sizeof suffix - 1;
    if (want_n > cut && strcmp(want + want_n - cut, suffix) == 0)
        return n == want_n - cut && memcmp(want, got, n) == 0;
    return n == want_n + cut && memcmp(want, got, want_n) == 0 &&
           memcmp(got + want_n, suffix, cut) == 0;
}

const struct policy *session_policy_answer(int status, const char *error_type)
{
    static const struct policy server = {POLICY_ENDPOINT, "server",
                                         "the endpoint has a fault of its own"};
    static const struct policy other = {POLICY_ENDPOINT, "answer",
                                        "the endpoint refused the request"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (answers[i].status && answers[i].status != status)
            continue;
        if (!answers[i].type || type_matches(answers[i].type, error_type))
            return &answers[i].policy;
    }
    return status >= 500 ? &server : &other;
}

const struct policy *session_policy_unsigned(void)
{
    static const struct policy none = {POLICY_UNSIGNED, "credentials",
                                       "see endpoint.credentials; it goes on by itself when there "
                                       "are credentials"};
    return &none;
}

static const struct {
    int error;
    struct policy policy;
} broken[] = {
    {-ECONNREFUSED,
     {POLICY_ENDPOINT, "refused",
      "nothing answers there; start the endpoint or check endpoint.url"}},
    {-EHOSTUNREACH,
     {POLICY_ENDPOINT, "unreachable",
      "the name is not resolved; check endpoint.url and the network"}},
    {-EACCES,
     {POLICY_ENDPOINT, "certificate",
      "the endpoint's certificate is not accepted; set endpoint.ca_file, or this machine's clock"}},
    {-ENOENT,
     {POLICY_ENDPOINT, "certificate",
      "a certificate, key or CA file cannot be used; check endpoint.ca_file"}},
    {-ETIMEDOUT, {POLICY_ENDPOINT, "timeout", "no answer in time; check the network"}},
    {-ECONNRESET, {POLICY_RESEND, "cut", "the connection was cut"}},
    {-EPROTO,
     {POLICY_ENDPOINT, "protocol",
      "TLS or HTTP broken; check that endpoint.url is right (http or https)"}},
};

const struct policy *session_policy_broken(int error)
{
    static const struct policy other = {POLICY_ENDPOINT, "broken", "the connection broke"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        if (broken[i].error == error)
            return &broken[i].policy;
    return &other;
}
