/* What system calls the process may make from now on, by the kernel's seccomp.
 * Relies on libseccomp, which knows each machine's numbers; a name that it does not know is passed
 * over. Leaves files to landlock. */
#ifndef KVPIPE_COMMON_SYSCALL_FILTER_H
#define KVPIPE_COMMON_SYSCALL_FILTER_H

#include <stdbool.h>

enum syscall_network { SYSCALL_UNIX, SYSCALL_INET, SYSCALL_ANY };

struct syscall_filter {
    bool any;  /* plugins and drivers run in it, whose calls nobody can list: all but those that
                  change the system, look into other processes or make namespaces. Else a list of
                  what is allowed; what is not on it does not exist (ENOSYS), so that a library which
                  asks for a newer call falls back to an older one */
    bool exec; /* it starts programs; else neither fork nor exec */
    enum syscall_network network; /* families of sockets; UNIX: with `any` netlink, too, for udev */
};

/* Holds for the calling thread and all that it will start. Needs PR_SET_NO_NEW_PRIVS. Returns 0 or
 * a negative errno, -EINVAL where the kernel has no seccomp. */
int syscall_filter_load(const struct syscall_filter *f);

#endif
