/* AWS credentials of this process: found in one of several places, kept fresh, handed out for
 * signing. Relies on libevent for refresh timers and on http_client for the IoT source; one file
 * per source (credentials_*.c). Leaves signing to sigv4, and the choice of configuration keys to
 * its users. */
#ifndef KVPIPE_COMMON_CREDENTIALS_H
#define KVPIPE_COMMON_CREDENTIALS_H

#include <stdbool.h>
#include <time.h>

#include "common/sigv4.h"

struct event_base;
struct http_client;
struct credentials;

enum credentials_kind {
    CREDENTIALS_AUTO, /* the first that has them: iot if configured, environment, profile, file if
                         configured */
    CREDENTIALS_ENV,
    CREDENTIALS_PROFILE,
    CREDENTIALS_FILE,
    CREDENTIALS_IOT,
};

/* All strings are copied by credentials_create(); NULL or "" means not configured. */
struct credentials_conf {
    enum credentials_kind kind;
    const char *profile;      /* default: $AWS_PROFILE, then "default" */
    const char *profile_file; /* default: $AWS_SHARED_CREDENTIALS_FILE, then ~/.aws/credentials */
    const char *file;         /* one line "CREDENTIALS ...", as for kvssink's credential-file */
    struct credentials_iot_conf {
        const char
            *endpoint; /* host, or host:port, of the credentials provider; configured when set */
        const char *cert_file, *key_file, *ca_file;
        const char *role_alias;
        const char *thing_name; /* NULL: the role's policy does not ask for it */
    } iot;
    /* The clock of the service, as far as it is known: expiry is judged by it. */
    time_t (*now)(void *arg);
    /* The clock by which a provider's answer was over when it came, or NULL: an answer's Date
     * header, to correct `now` by. */
    void (*date)(void *arg, const char *date);
    void *clock_arg;
};

/* Called from the event loop each time new credentials have come in (error 0) or a fetch failed
 * (negative errno, credentials_error() has the text; it is retried by itself). May call any
 * function here but credentials_destroy(). */
typedef void (*credentials_ready_fn)(void *arg, int error);

/* Returns a new object that begins to fetch at once when its source is a remote one. base and http
 * are borrowed for its life; http may be NULL when iot is not configured. on_ready may be NULL.
 * Never blocks but for small local files. */
struct credentials *credentials_create(struct event_base *base, struct http_client *http,
                                       const struct credentials_conf *conf,
                                       credentials_ready_fn on_ready, void *arg);
void credentials_destroy(struct credentials *c);

/* Gives the credentials to sign with now. out's strings stay valid until control returns to the
 * event loop or another function here is called. Returns 0; -EAGAIN while they are being fetched
 * (on_ready will be called); -ENOENT when no source has any, -EKEYEXPIRED when the only ones are
 * past their time: credentials_error() then says what to do. */
int credentials_get(struct credentials *c, struct sigv4_key *out);

/* Which credentials something that lasts was signed with. */
struct credentials_use {
    unsigned serial;
    bool temporary;
    time_t renew_at, expires; /* expires 0: not known, or never */
};

/* Those that credentials_get() gave out last. */
void credentials_note(const struct credentials *c, struct credentials_use *use);
/* True when a request signed with them is to be ended and signed anew: they are temporary, and
 * have expired, or end soon (or at a time not known) and newer ones are in hand. Looks at local
 * files, at most once a second. */
bool credentials_over(struct credentials *c, const struct credentials_use *use);

/* The service refused these credentials (401, 403): read or fetch anew, no more than once in ten
 * seconds. The old ones are given out until new ones are in hand. */
void credentials_refused(struct credentials *c);

/* One line for a log: the last failure, naming every source tried and what to do. "" when there
 * was none. Never a secret. */
const char *credentials_error(const struct credentials *c);
/* "environment", "profile", "file", "iot", or "none": where the present credentials came from. */
const char *credentials_source(const struct credentials *c);
/* $AWS_SHARED_CREDENTIALS_FILE, or ~/.aws/credentials. A new string, or NULL without HOME. */
char *credentials_profile_path(void);

#endif
