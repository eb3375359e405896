/* Asks the monitor to do something.
 * Relies on fetch and common/keys.
 * Leaves the doing to the monitor. */
#include "cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fetch.h"
#include "cli/target.h"
#include "cli/view.h"
#include "common/buf.h"
#include "common/keys.h"
#include "common/mem.h"

#define ANSWER_MAX_BYTES 4096

/* The monitor says where its token lies; only a file of that name and form is read. */
static int read_token(const char *base, char token[KEYS_TOKEN_CHARS + 1])
{
    json_t *status;
    int r = fetch_status(base, &status);
    if (r < 0) {
        target_silent(base, r);
        return r;
    }
    const char *path = view_text(status, "token_file"), *slash = strrchr(path, '/');
    r = slash && strcmp(slash, "/" KEYS_TOKEN_FILE) == 0 ? keys_token_read(path, token) : -ENOENT;
    if (r < 0)
        fprintf(stderr,
                "kvpipe: cannot read the monitor's token in %s: %s (run this on its machine as its "
                "user, or put the token into KVPIPE_TOKEN)\n",
                *path ? path : "its run directory", strerror(-r));
    json_decref(status);
    return r;
}

static int find_token(const char *base, char token[KEYS_TOKEN_CHARS + 1])
{
    const char *given = getenv("KVPIPE_TOKEN");
    if (!given)
        return read_token(base, token);
    snprintf(token, KEYS_TOKEN_CHARS + 1, "%s", given);
    return 0;
}

char *ask_page(const char *base)
{
    char token[KEYS_TOKEN_CHARS + 1];
    return find_token(base, token) == 0 ? xasprintf("%s/#token=%s", base, token) : NULL;
}

int ask(const char *base, const char *verb, const struct ask_field *fields, size_t n)
{
    char token[KEYS_TOKEN_CHARS + 1];
    struct buf answer;
    if (find_token(base, token) < 0)
        return 1;
    buf_init(&answer, ANSWER_MAX_BYTES);
    int r = fetch_post(base, verb, token, fields, n, &answer);
    char text[ANSWER_MAX_BYTES];
    snprintf(text, sizeof text, "%.*s", (int)answer.len, answer.data ? (char *)answer.data : "");
    view_tame(text);
    if (r < 0)
        target_silent(base, r);
    else
        fprintf(r == 200 ? stdout : stderr, "%s%s\n", r == 200 ? "" : "kvpipe: ", text);
    buf_fini(&answer);
    return r == 200 ? 0 : 1;
}
