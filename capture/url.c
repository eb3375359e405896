/* User and password in a camera's address.
 * Relies on nothing.
 * Leaves fetching them from files to source_rtsp.c. */
#include "capture/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static char *decode(const char *text, size_t len)
{
    char *out = xmalloc(len + 1), *p = out;

    for (size_t i = 0; i < len; i++) {
        unsigned value;
        int n = 0;
        if (text[i] == '%' && i + 2 < len && sscanf(text + i + 1, "%2x%n", &value, &n) == 1 &&
            n == 2 && value) {
            *p++ = (char)value;
            i += 2;
        } else {
            *p++ = text[i];
        }
    }
    *p = '\0';
    return out;
}

void url_split(const char *url, char **plain, char **user, char **password)
{
    const char *host = strstr(url, "://"), *end, *at, *colon;

    *plain = *user = *password = NULL;
    host = host ? host + 3 : url;
    end = host + strcspn(host, "/?#");
    at = memrchr(host, '@', (size_t)(end - host));
    if (!at) { /* a password may hold an unescaped '/': everything up to the last '@' is secret */
        at = strrchr(host, '@');
        if (at && !memchr(host, ':', (size_t)(at - host)))
            at = NULL;
    }
    if (!at) {
        *plain = xstrdup(url);
        return;
    }
    *plain = xasprintf("%.*s%s", (int)(host - url), url, at + 1);
    colon = memchr(host, ':', (size_t)(at - host));
    *user = decode(host, (size_t)((colon ? colon : at) - host));
    *password = colon ? decode(colon + 1, (size_t)(at - colon - 1)) : xstrdup("");
}
