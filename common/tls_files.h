/* A certificate of one's own: made with its key when there is none, for clients that trust exactly
 * this file. Relies on OpenSSL; whoever comes first makes it whole, others wait. Leaves
 * serving with it to the server, trusting it to ca_file of the clients. */
#ifndef KVPIPE_COMMON_TLS_FILES_H
#define KVPIPE_COMMON_TLS_FILES_H

/* Makes `cert` and `key` (PEM, P-256, mode 0600 for the key) when cert is not there: self-signed,
 * for ten years, for localhost, 127.0.0.1, ::1, this host's name and addresses, the host of
 * `listen` ("host:port") and `names` (separated by spaces, may be NULL). The directory is made.
 * Returns 0 or a negative errno. Blocks. */
int tls_files_ensure(const char *cert, const char *key, const char *listen, const char *names);

#endif
