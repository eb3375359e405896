/* What the credential sources share: the value they give, and one function for each of them.
 * Relies on nothing outside credentials*.c; not for other components.
 * Leaves order, caching and refresh to credentials.c. */
#ifndef KVPIPE_COMMON_CREDENTIALS_SOURCE_H
#define KVPIPE_COMMON_CREDENTIALS_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#define CREDENTIALS_ERROR_LEN 512

struct event_base;
struct http_client;
struct credentials_iot;
struct credentials_iot_conf;

struct credentials_value {
    char access_key[129], secret_key[257], session_token[4097];
    time_t expires; /* 0: never, or not known */
};

/* Copies the three (token may be NULL). -EINVAL when one is missing, too long or not printable
 * ASCII. */
int credentials_value_set(struct credentials_value *v, const char *access, const char *secret,
                          const char *token);
void credentials_value_wipe(struct credentials_value *v);

/* Reads "2023-02-06T05:54:46Z", a fraction of a second is allowed. Returns 0 or -EINVAL. */
int credentials_parse_time(const char *text, time_t *out);

/* Reads a regular file of at most max bytes into a new NUL-terminated text; *st (may be NULL) says
 * which state of it. Returns 0, -errno, -E2BIG, -EINVAL for anything but a regular file. The text
 * goes to credentials_free_text(). */
int credentials_read_text(const char *path, size_t max, char **text, struct stat *st);
void credentials_free_text(char *text);

#define CREDENTIALS_GRACE_S 300 /* the producer SDK allows 30 s to 40 minutes */

/* When temporary credentials got at `now` are to be renewed: the grace period before they end,
 * half-way when they are short. */
time_t credentials_renew_at(time_t expires, time_t now);
/* Wait before try number `failures` + 1: 1 s doubling to 60 s, of which `random` takes away up to a
 * half. */
int64_t credentials_retry_ms(unsigned failures, uint32_t random);

/* Each fills *v and returns 0, or returns -ENOENT (has none) or another negative errno with a text
 * for a person. */
int credentials_env_load(struct credentials_value *v, char error[CREDENTIALS_ERROR_LEN]);
int credentials_profile_load(const char *path, const char *profile, struct credentials_value *v,
                             struct stat *st, char error[CREDENTIALS_ERROR_LEN]);
int credentials_file_load(const char *path, struct credentials_value *v, struct stat *st,
                          char error[CREDENTIALS_ERROR_LEN]);
/* Called once for each fetch: 0 with a value (borrowed, perhaps past its time) and the answer's
 * Date header ("" without), or negative errno with a text. */
typedef void (*credentials_iot_fn)(void *arg, int error, const struct credentials_value *v,
                                   const char *date, const char *text);
/* Returns NULL with a text when the configuration is incomplete or has characters that cannot be
 * sent. Copies conf. */
struct credentials_iot *credentials_iot_create(struct http_client *http,
                                               const struct credentials_iot_conf *conf,
                                               credentials_iot_fn done, void *arg,
                                               char error[CREDENTIALS_ERROR_LEN]);
/* Starts a fetch unless one is under way. Returns 0 or a negative errno (done is not called then).
 */
int credentials_iot_fetch(struct credentials_iot *iot);
void credentials_iot_destroy(struct credentials_iot *iot);
/* Reads the provider's answer (hostile). Returns 0 or -EINVAL. */
int credentials_iot_parse(const char *body, size_t len, struct credentials_value *v,
                          char error[CREDENTIALS_ERROR_LEN]);
/* What a person can do about a refusal. Never NULL. */
const char *credentials_iot_advice(int status, const char *message);

#endif
