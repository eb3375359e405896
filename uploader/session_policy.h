/* What to do when the endpoint refuses something: one table for ERROR acks, one for answers, one
 * for broken connections. Relies on nothing; pure. Leaves doing it to session.c. */
#ifndef KVPIPE_UPLOADER_SESSION_POLICY_H
#define KVPIPE_UPLOADER_SESSION_POLICY_H

#include <stdbool.h>

#define SESSION_POLICY_TRIES 3 /* a fragment that is refused so often for itself is given up */

enum policy_action {
    POLICY_NONE,
    POLICY_RESEND,   /* new session after backoff, from the first fragment that is not archived */
    POLICY_FRAGMENT, /* the fragment itself is refused: resend, after SESSION_POLICY_TRIES give it
                        up */
    POLICY_ENDPOINT, /* as RESEND, and ask for the stream and its endpoint anew */
    POLICY_CREDENTIALS, /* as ENDPOINT, and get credentials anew */
    POLICY_UNSIGNED,    /* as RESEND, and at once when there are credentials */
};

struct policy {
    enum policy_action action;
    const char *name;   /* of the refusal, for logs and the ledger ("refused_4006") */
    const char *advice; /* for people: cause and what to do */
};

/* An ERROR ack; code may be "". Decides by code where the id is 0. Never NULL. */
const struct policy *session_policy_ack(int error_id, const char *code);
/* True when the fragment with so many ERROR acks is to be given up. */
bool session_policy_gives_up(const struct policy *p, unsigned tries);
/* An answer other than 200, with its error type ("" unknown). Never NULL. */
const struct policy *session_policy_answer(int status, const char *error_type);
/* A request that could not be signed. */
const struct policy *session_policy_unsigned(void);
/* A connection that broke, error as in struct http_response. Never NULL. */
const struct policy *session_policy_broken(int error);

#endif
