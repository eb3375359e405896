/* Ports of this machine for unit tests. Relies on Check. */
#ifndef KVPIPE_TESTS_LOOPBACK_H
#define KVPIPE_TESTS_LOOPBACK_H

#include <check.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns a TCP port of 127.0.0.1 that nobody listens at. */
static inline unsigned loopback_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

#endif
