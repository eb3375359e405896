/* The one-line credential file of kvssink: "CREDENTIALS access secret" or "CREDENTIALS access
 * expiry secret token". Relies on credentials_source for reading. Somebody else replaces the file
 * before the expiry. Leaves rereading to credentials.c. */
#include "common/credentials_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE_BYTES 16384

/* Splits at blanks; returns how many words there are, at most `most` + 1 (the last is not stored).
 */
static int split(char *text, char **words, int most)
{
    int n = 0;
    char *save = NULL;
    for (char *w = strtok_r(text, " \t\r\n", &save); w && n <= most;
         w = strtok_r(NULL, " \t\r\n", &save)) {
        if (n < most)
            words[n] = w;
        n++;
    }
    return n;
}

static int parse(char *text, struct credentials_value *v, const char **what)
{
    char *w[5];
    int n = split(text, w, 5);
    *what = "is not \"CREDENTIALS access secret\" or \"CREDENTIALS access expiry secret token\"";
    if (n < 1 || strcmp(w[0], "CREDENTIALS") != 0 || (n != 3 && n != 5))
        return -EINVAL;
    if (n == 3)
        return credentials_value_set(v, w[1], w[2], NULL);
    time_t expires;
    if (credentials_parse_time(w[2], &expires) != 0) {
        *what =
            "has an expiry that is not like 2023-08-10T22:43:00Z (it stands between the two keys)";
        return -EINVAL;
    }
    int r = credentials_value_set(v, w[1], w[3], w[4]);
    if (r == 0)
        v->expires = expires;
    return r;
}

int credentials_file_load(const char *path, struct credentials_value *v, struct stat *st,
                          char error[CREDENTIALS_ERROR_LEN])
{
    char *text;
    int r = credentials_read_text(path, MAX_FILE_BYTES, &text, st);
    if (r) {
        snprintf(error, CREDENTIALS_ERROR_LEN, "file: %.200s cannot be read: %s", path,
                 strerror(-r));
        return r;
    }
    const char *what;
    size_t len = strlen(text);
    r = parse(text, v, &what);
    explicit_bzero(text, len); /* strtok_r() cut it in pieces */
    free(text);
    if (r)
        snprintf(error, CREDENTIALS_ERROR_LEN, "file: %.200s %s", path, what);
    return r;
}
