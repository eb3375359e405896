/* The end of a unit test's main(). Relies on Check. */
#ifndef KVPIPE_TESTS_SUITE_H
#define KVPIPE_TESTS_SUITE_H

#include <check.h>

/* Runs the suite and frees it. Returns the exit code. */
static inline int suite_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
