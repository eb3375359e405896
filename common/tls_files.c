/* A certificate of one's own: made with its key when there is none, for clients that trust exactly
 * this file. Relies on OpenSSL; whoever comes first makes it whole, others wait. Leaves serving
 * with it to the server, trusting it to ca_file of the clients. */
#include "common/tls_files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "common/buf.h"
#include "common/conf.h"
#include "common/dirs.h"
#include "common/mem.h"

#define YEARS 10
#define DAY_S 86400L
#define NAMES_MAX_BYTES 16384

/* Whether all of the text is of letters, digits and . - (a DNS name). */
static bool is_name(const char *s)
{
    size_t len = strlen(s);
    return len && len <= 253 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == len;
}

static void add_name(struct buf *names, const char *s)
{
    unsigned char address[16];
    bool ip = inet_pton(AF_INET, s, address) == 1 || inet_pton(AF_INET6, s, address) == 1;
    if (ip || is_name(s))
        buf_printf(names, "%s%s:%s", names->len ? "," : "", ip ? "IP" : "DNS", s);
}

static void add_addresses(struct buf *names)
{
    struct ifaddrs *list = NULL;
    char host[NI_MAXHOST];
    if (getifaddrs(&list) < 0)
        return;
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        socklen_t len =
            family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        if ((family != AF_INET && family != AF_INET6) || (i->ifa_flags & IFF_LOOPBACK) ||
            getnameinfo(i->ifa_addr, len, host, sizeof host, NULL, 0, NI_NUMERICHOST))
            continue;
        if (!strchr(host, '%')) /* link-local ones are no use in a certificate */
            add_name(names, host);
    }
    freeifaddrs(list);
}

static void collect_names(const char *listen, const char *more, struct buf *names)
{
    char host[256];
    uint16_t port;
    buf_printf(names, "DNS:localhost,IP:127.0.0.1,IP:::1");
    if (gethostname(host, sizeof host) == 0)
        add_name(names, host);
    add_addresses(names);
    if (conf_host_port(listen, host, sizeof host, &port) == 0)
        add_name(names, host);
    char *copy = xstrdup(more ? more : ""), *rest = copy;
    for (char *name; (name = strsep(&rest, " "));)
        add_name(names, name);
    free(copy);
}

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool describe(X509 *x, EVP_PKEY *key, const char *names)
{
    unsigned char serial[16];
    X509_NAME *name = X509_get_subject_name(x);
    BIGNUM *number =
        RAND_bytes(serial, sizeof serial) == 1 ? BN_bin2bn(serial, sizeof serial, NULL) : NULL;
    bool ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)) &&
              X509_set_version(x, X509_VERSION_3) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S) &&
              X509_gmtime_adj(X509_getm_notAfter(x), YEARS * 365 * DAY_S) &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                         (const unsigned char *)"kvpipe-server", -1, -1, 0) == 1 &&
              X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
              add_extension(x, NID_subject_key_identifier, "hash") &&
              add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(x, NID_key_usage, "critical,digitalSignature") &&
              add_extension(x, NID_ext_key_usage, "serverAuth") &&
              add_extension(x, NID_subject_alt_name, names) && X509_sign(x, key, EVP_sha256()) > 0;
    BN_free(number);
    return ok;
}

/* Writes one of the two (the other is NULL); it appears under its name when it is whole. */
static int write_pem(const char *path, X509 *x, EVP_PKEY *key)
{
    char *draft = xasprintf("%s.%d.new", path, (int)getpid());
    unlink(draft);
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, key ? 0600 : 0644);
    int r = fd < 0 ? -errno : 0;
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (f) {
        bool ok = key ? PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1
                      : PEM_write_X509(f, x) == 1;
        if (!ok || fflush(f) || fsync(fd) < 0)
            r = -EIO;
        fclose(f);
    }
    if (r == 0 && rename(draft, path) < 0)
        r = -errno;
    if (r && fd >= 0)
        unlink(draft);
    free(draft);
    return r;
}

/* One maker at a time: monitor and server both come here when they start. */
static int lock_for(const char *cert)
{
    char *path = xasprintf("%s.lock", cert);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = fd < 0 || lockf(fd, F_LOCK, 0) < 0 ? -errno : fd;
    if (r < 0 && fd >= 0)
        close(fd);
    free(path);
    return r;
}

static int make(const char *cert, const char *key_file, const char *listen, const char *more)
{
    struct buf names;
    buf_init(&names, NAMES_MAX_BYTES);
    collect_names(listen, more, &names);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    int r = -EIO;
    if (key && x && buf_append(&names, "", 1) == 0 && describe(x, key, (const char *)names.data))
        r = write_pem(key_file, NULL, key);
    if (r == 0)
        r = write_pem(cert, x, NULL);
    X509_free(x);
    EVP_PKEY_free(key);
    buf_fini(&names);
    return r;
}

int tls_files_ensure(const char *cert, const char *key, const char *listen, const char *names)
{
    if (access(cert, F_OK) == 0)
        return 0;
    int r = dirs_make_for(cert, 0755);
    if (r == 0)
        r = dirs_make_for(key, 0755);
    int lock = r == 0 ? lock_for(cert) : r;
    if (lock < 0)
        return lock;
    if (access(cert, F_OK) < 0)
        r = make(cert, key, listen, names);
    close(lock);
    return r;
}
