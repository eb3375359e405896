/* Credentials from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
 * Relies on getenv(3).
 * Leaves the order of sources to credentials.c. */
#include "common/credentials_source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

int credentials_env_load(struct credentials_value *v, char error[CREDENTIALS_ERROR_LEN])
{
    const char *access = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    bool have_access = access && *access, have_secret = secret && *secret;
    if (!have_access || !have_secret) {
        snprintf(error, CREDENTIALS_ERROR_LEN, "environment: %s not set",
                 have_access   ? "AWS_SECRET_ACCESS_KEY is"
                 : have_secret ? "AWS_ACCESS_KEY_ID is"
                               : "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are");
        return have_access != have_secret ? -EINVAL : -ENOENT;
    }
    int r = credentials_value_set(v, access, secret, getenv("AWS_SESSION_TOKEN"));
    if (r)
        snprintf(error, CREDENTIALS_ERROR_LEN,
                 "environment: a value is too long or has blanks in it");
    return r;
}
