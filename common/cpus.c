/* A list of CPUs.
 * Relies on nothing.
 * Leaves whether this machine has them to the kernel. */
#include "common/cpus.h"

#include <errno.h>
#include <stdlib.h>

static int number(const char **text, unsigned long *n)
{
    char *end;
    if (**text < '0' || **text > '9')
        return -EINVAL;
    *n = strtoul(*text, &end, 10);
    *text = end;
    return *n < CPU_SETSIZE ? 0 : -EINVAL;
}

int cpus_parse(const char *text, cpu_set_t *set)
{
    CPU_ZERO(set);
    for (;;) {
        unsigned long first, last;
        if (number(&text, &first) < 0)
            return -EINVAL;
        last = first;
        if (*text == '-' && (text++, number(&text, &last) < 0 || last < first))
            return -EINVAL;
        for (unsigned long i = first; i <= last; i++)
            CPU_SET(i, set);
        if (!*text)
            return 0;
        if (*text++ != ',')
            return -EINVAL;
    }
}
