/* A claim for inner loops: Check writes to a file at each ck_assert, this only when the claim is
 * false. Relies on Check.
 * Leaves values to ck_assert, which shows them. */
#ifndef KVPIPE_TESTS_CLAIM_H
#define KVPIPE_TESTS_CLAIM_H

#include <check.h>

#define claim(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)
#define claim_msg(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

#endif
