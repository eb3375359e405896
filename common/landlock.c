/* Landlock's rules. The header of the build's kernel may be older than the kernel that runs: what
 * it does not know has its number here. Relies on the version that the kernel tells: rights that it
 * does not have are left out. Leaves which paths to its users. */
#include "common/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "common/mem.h"

#define FS(name) LANDLOCK_ACCESS_FS_##name
#define FS_REFER (1ull << 13)     /* version 2 */
#define FS_TRUNCATE (1ull << 14)  /* version 3 */
#define FS_IOCTL_DEV (1ull << 15) /* version 5 */
#define SCOPES 3ull               /* version 6: abstract unix sockets, signals */

#define READS (FS(READ_FILE) | FS(READ_DIR))
#define WRITES                                                                                     \
    (FS(WRITE_FILE) | FS_TRUNCATE | FS(MAKE_REG) | FS(MAKE_DIR) | FS(REMOVE_FILE) |                \
     FS(REMOVE_DIR) | FS_REFER)
#define DEVICES (FS(WRITE_FILE) | FS_TRUNCATE | FS_IOCTL_DEV)
#define BINDS (FS(MAKE_SOCK) | FS(REMOVE_FILE))
#define OF_FILES (FS(EXECUTE) | FS(READ_FILE) | FS(WRITE_FILE) | FS_TRUNCATE | FS_IOCTL_DEV)

struct attributes { /* landlock_ruleset_attr of version 6 */
    uint64_t files, ports, scopes;
};

struct landlock {
    int fd;
    uint64_t handled;
};

static long version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int landlock_create(struct landlock **out)
{
    long v = version();
    if (v < 0)
        return -errno;
    uint64_t known = v >= 5 ? 16 : v >= 3 ? 15 : v >= 2 ? 14 : 13;
    struct attributes a = {.files = (1ull << known) - 1, .scopes = v >= 6 ? SCOPES : 0};
    size_t size = v >= 6 ? sizeof a : sizeof a.files;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
    if (fd < 0)
        return -errno;
    *out = xmalloc(sizeof **out);
    **out = (struct landlock){.fd = fd, .handled = a.files};
    return 0;
}

int landlock_allow(struct landlock *l, const char *path, unsigned rights)
{
    static const uint64_t sets[] = {READS, WRITES, DEVICES, BINDS, FS(EXECUTE)};
    struct stat st;
    struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent_fd < 0)
        return -errno;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (rights & 1u << i)
            rule.allowed_access |= sets[i];
    rule.allowed_access &= l->handled;
    int r = fstat(rule.parent_fd, &st) < 0 ? -errno : 0;
    if (r == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= OF_FILES;
    if (r == 0 && rule.allowed_access &&
        syscall(SYS_landlock_add_rule, l->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        r = -errno;
    close(rule.parent_fd);
    return r;
}

int landlock_enter(struct landlock *l)
{
    return syscall(SYS_landlock_restrict_self, l->fd, 0) < 0 ? -errno : 0;
}

void landlock_free(struct landlock **l)
{
    if (*l)
        close((*l)->fd);
    free(*l);
    *l = NULL;
}
