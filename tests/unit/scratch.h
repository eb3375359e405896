/* A scratch folder for a unit test. Relies on Check. */
#ifndef KVPIPE_TESTS_SCRATCH_H
#define KVPIPE_TESTS_SCRATCH_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Makes /tmp/kvpipe-NAME-XXXXXX and writes its path to dir. */
static inline void scratch_make(char *dir, size_t size, const char *name)
{
    ck_assert_int_lt(snprintf(dir, size, "/tmp/kvpipe-%s-XXXXXX", name), size);
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

/* Removes it with all that is in it. */
static inline void scratch_remove(const char *dir)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

#endif
