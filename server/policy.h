/* What a caller may do: a policy in the JSON form of IAM, read strictly and decided for one action
 * on one resource. Relies on jansson. Pure but for policy_load, which reads a file. Leaves who the
 * caller is to auth.h. */
#ifndef KVPIPE_SERVER_POLICY_H
#define KVPIPE_SERVER_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#define POLICY_MAX_BYTES 65536
#define POLICY_ERROR_LEN 256

struct policy;

/* What ${...} in a Resource stands for. A statement with a variable that is NULL does not match. */
struct policy_variables {
    const char *thing_name;     /* credentials-iot:ThingName */
    const char *certificate_id; /* credentials-iot:AwsCertificateId */
};

/* NONE: no statement matches, which refuses, too. */
enum policy_verdict { POLICY_NONE, POLICY_ALLOW, POLICY_DENY };

/* Reads a document. What would not be obeyed is not taken: unknown members (Condition, NotAction,
 * Principal among them) and unknown variables are errors. Returns 0, or -EINVAL with a text that
 * names the statement. */
int policy_parse(const char *text, size_t len, struct policy **out, char error[POLICY_ERROR_LEN]);
/* The same from a file. Blocks. -errno when it cannot be read, -EFBIG above POLICY_MAX_BYTES. */
int policy_load(const char *path, struct policy **out, char error[POLICY_ERROR_LEN]);
void policy_free(struct policy **p);

/* action: "kinesisvideo:PutMedia"; resource: an ARN. `variables` may be NULL. */
enum policy_verdict policy_decide(const struct policy *p, const char *action, const char *resource,
                                  const struct policy_variables *variables);

/* Whether the text matches a pattern with '*' (any run) and '?' (one character). */
bool policy_glob(const char *pattern, const char *text);

#endif
