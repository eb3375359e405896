/* Fuzz harness: what a client may send to be verified, as Authorization value, query, path and
 * headers. Relies on the input being split at newlines: authorization, query, path, then "name:
 * value" lines. Leaves correctness to test_sigv4 and tests/conformance/sigv4. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/sigv4.h"

#define MAX_LINES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_headers(char *rest, struct sigv4_header *headers)
{
    size_t n = 0;
    for (char *line; n < MAX_LINES && (line = strsep(&rest, "\n"));) {
        char *value = line;
        const char *name = strsep(&value, ":");
        headers[n++] = (struct sigv4_header){name, value ? value : ""};
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *rest = text;
    memcpy(text, data, size);
    text[size] = '\0';
    const char *authorization = strsep(&rest, "\n");
    const char *query = rest ? strsep(&rest, "\n") : "";
    const char *path = rest ? strsep(&rest, "\n") : "";
    struct sigv4_header headers[MAX_LINES];
    struct sigv4_request req = {"POST", path, query, headers, read_headers(rest, headers), NULL};
    struct sigv4_auth auth;
    time_t now = 1440938160;
    if (sigv4_parse_authorization(authorization, &auth) == 0)
        sigv4_verify(&req, &auth, "secret", NULL, NULL, now);
    if (sigv4_parse_query(query, &auth) == 0)
        sigv4_verify(&req, &auth, "secret", "us-east-1", NULL, now);
    free(text);
    return 0;
}
