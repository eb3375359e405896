/* Credentials for devices by their certificate, as AWS IoT's credentials provider gives them: GET
 * /role-aliases/NAME/credentials. Relies on http.h's client certificate and on sessions.h. Leaves
 * using them to auth.h. */
#ifndef KVPIPE_SERVER_ROLE_CREDENTIALS_H
#define KVPIPE_SERVER_ROLE_CREDENTIALS_H

#include <stdbool.h>

struct http_exchange;
struct server;

/* Whether the path is one of the provider's. */
bool role_credentials_path(const char *path);
/* Answers the request: no signature, the certificate says who asks. */
void role_credentials_handle(struct server *server, struct http_exchange *ex);

#endif
