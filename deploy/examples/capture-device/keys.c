/* Keys for tcp://: reads ZeroMQ certificates and answers ZAP (https://rfc.zeromq.org/spec/27).
 * Relies on libzmq alone.
 * Leaves the sockets to capture.c. */
#include "keys.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#define TEXT 41 /* a key in Z85, with its end */

static char folder[3500];

/* The line  WHAT = "KEY"  of a certificate. */
static bool read_key(const char *path, const char *what, char key[TEXT])
{
    char line[256], name[32];
    bool found = false;
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, " %31[a-z-] = \"%40[^\"]\"", name, key) == 2 &&
                strcmp(name, what) == 0 && strlen(key) == TEXT - 1;
    if (f)
        fclose(f);
    return found;
}

int keys_serve(void *zmq, void *socket, const char *dir, const char *stage, void **zap)
{
    char path[4096], secret[TEXT];
    int one = 1;
    snprintf(folder, sizeof folder, "%s", dir);
    snprintf(path, sizeof path, "%s/%s.secret", folder, stage);
    if (!read_key(path, "secret-key", secret)) {
        fprintf(stderr, "%s holds no key that can be read; `kvpipe keys init` makes it\n", path);
        return -1;
    }
    *zap = zmq_socket(zmq, ZMQ_REP);
    if (zmq_bind(*zap, "inproc://zeromq.zap.01") < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) < 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, TEXT) < 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, stage, strlen(stage)) < 0) {
        fprintf(stderr, "keys: %s\n", zmq_strerror(zmq_errno()));
        return -1;
    }
    return 0;
}

static bool may_connect(const uint8_t raw[32], const char *role)
{
    size_t n = strlen(role);
    bool yes = false;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && !yes && (e = readdir(d));) {
        char path[4096], key[TEXT];
        uint8_t known[32];
        size_t len = strlen(e->d_name);
        if (strncmp(e->d_name, role, n) != 0 || e->d_name[n] != '.' ||
            strcmp(e->d_name + len - 4, ".pub") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        yes = read_key(path, "public-key", key) && zmq_z85_decode(known, key) &&
              memcmp(known, raw, sizeof known) == 0;
    }
    if (d)
        closedir(d);
    return yes;
}

void keys_answer(void *zap, const char *role)
{
    char request[256], from[256] = "", skip[256];
    uint8_t key[32];
    int n;
    while (zmq_recv(zap, skip, sizeof skip, ZMQ_DONTWAIT) >= 0) { /* version */
        int id = zmq_recv(zap, request, sizeof request, 0);
        zmq_recv(zap, skip, sizeof skip, 0); /* domain */
        n = zmq_recv(zap, from, sizeof from - 1, 0);
        from[n > 0 && n < (int)sizeof from ? n : 0] = '\0';
        zmq_recv(zap, skip, sizeof skip, 0); /* identity */
        zmq_recv(zap, skip, sizeof skip, 0); /* mechanism */
        n = zmq_recv(zap, key, sizeof key, 0);
        bool yes = n == (int)sizeof key && may_connect(key, role);
        if (!yes)
            fprintf(stderr, "key refused: from=%s\n", from);
        zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(zap, request, (size_t)id, ZMQ_SNDMORE);
        zmq_send(zap, yes ? "200" : "400", 3, ZMQ_SNDMORE);
        zmq_send(zap, "", 0, ZMQ_SNDMORE);
        zmq_send(zap, "", 0, ZMQ_SNDMORE);
        zmq_send(zap, "", 0, 0);
    }
}
