/* The decisions of session_policy.c, line by line.
 * Relies on Check.
 * Leaves their effect to the pipeline tests. */
#include "tests/unit/suite.h"
#include "uploader/session_policy.h"

#include <check.h>
#include <errno.h>

static const struct {
    int id;
    const char *code;
    enum policy_action want;
} acks[] = {
    {4000, "", POLICY_RESEND},
    {4001, "", POLICY_FRAGMENT},
    {4002, "", POLICY_FRAGMENT},
    {4003, "", POLICY_RESEND},
    {4004, "", POLICY_FRAGMENT},
    {4005, "", POLICY_FRAGMENT},
    {4006, "", POLICY_FRAGMENT},
    {4007, "", POLICY_FRAGMENT},
    {4008, "", POLICY_ENDPOINT},
    {4009, "", POLICY_FRAGMENT},
    {4010, "", POLICY_FRAGMENT},
    {4011, "", POLICY_FRAGMENT},
    {4012, "", POLICY_FRAGMENT},
    {4500, "", POLICY_RESEND},
    {4506, "", POLICY_RESEND},
    {5000, "", POLICY_RESEND},
    {5001, "", POLICY_RESEND},
    {9999, "", POLICY_RESEND},
    {0, "INVALID_MKV_DATA", POLICY_FRAGMENT},
    {0, "MIN_FRAGMENT_DURATION_REACHED", POLICY_FRAGMENT},
    {0, "NEW_ERROR", POLICY_RESEND},
};

START_TEST(every_error_ack_has_its_action)
{
    ck_assert_int_eq(session_policy_ack(acks[_i].id, acks[_i].code)->action, acks[_i].want);
}
END_TEST

START_TEST(only_fragment_errors_give_a_fragment_up_after_three_tries)
{
    const struct policy *fragment = session_policy_ack(4006, ""),
                        *service = session_policy_ack(5000, "");
    ck_assert(!session_policy_gives_up(fragment, 1));
    ck_assert(!session_policy_gives_up(fragment, 2));
    ck_assert(session_policy_gives_up(fragment, 3));
    ck_assert(!session_policy_gives_up(service, 1000));
}
END_TEST

static const struct {
    int status;
    const char *type;
    enum policy_action want;
} answers[] = {
    {400, "RequestExpired", POLICY_RESEND},
    {403, "RequestExpired", POLICY_RESEND},
    {403, "RequestExpiredException", POLICY_RESEND},
    {403, "", POLICY_CREDENTIALS},
    {401, "NotAuthorizedException", POLICY_CREDENTIALS},
    {400, "AccessDeniedException:http://internal/", POLICY_CREDENTIALS},
    {400, "AccessDenied", POLICY_CREDENTIALS},
    {404, "ResourceNotFoundException", POLICY_ENDPOINT},
    {400, "InvalidEndpointException", POLICY_ENDPOINT},
    {400, "ClientLimitExceededException", POLICY_RESEND},
    {400, "ConnectionLimitExceededException", POLICY_RESEND},
    {500, "", POLICY_ENDPOINT},
    {503, "ServiceUnavailable", POLICY_ENDPOINT},
    {418, "Teapot", POLICY_ENDPOINT},
};

START_TEST(every_answer_has_its_action)
{
    ck_assert_int_eq(session_policy_answer(answers[_i].status, answers[_i].type)->action,
                     answers[_i].want);
}
END_TEST

START_TEST(every_policy_says_what_to_do)
{
    for (int id = 4000; id < 5010; id++)
        ck_assert_int_gt((int)session_policy_ack(id, "")->advice[0], 0);
    for (int e = 0; e < 140; e++)
        ck_assert_int_gt((int)session_policy_broken(-e)->advice[0], 0);
    ck_assert_int_eq(session_policy_broken(-ECONNRESET)->action, POLICY_RESEND);
    ck_assert_int_eq(session_policy_broken(-ECONNREFUSED)->action, POLICY_ENDPOINT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_policy");
    TCase *tc = tcase_create("session_policy");
    tcase_add_loop_test(tc, every_error_ack_has_its_action, 0, sizeof acks / sizeof *acks);
    tcase_add_test(tc, only_fragment_errors_give_a_fragment_up_after_three_tries);
    tcase_add_loop_test(tc, every_answer_has_its_action, 0, sizeof answers / sizeof *answers);
    tcase_add_test(tc, every_policy_says_what_to_do);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
