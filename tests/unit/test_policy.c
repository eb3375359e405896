/* server/policy.h: what is read, what is refused, what is decided, with the sample policies of the
 * guide. Relies on Check.
 * Leaves hostile bytes to fuzz_policy.c, real requests to tests/conformance/access. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "server/policy.h"
#include "tests/unit/suite.h"

#define ARN "arn:aws:kinesisvideo:us-west-2:000000000000:stream/"

static char said[POLICY_ERROR_LEN];

static struct policy *good(const char *text)
{
    struct policy *p = NULL;
    said[0] = '\0';
    ck_assert_msg(policy_parse(text, strlen(text), &p, said) == 0, "%s", said);
    return p;
}

static enum policy_verdict ask(const char *text, const char *action, const char *resource,
                               const struct policy_variables *v)
{
    struct policy *p = good(text);
    enum policy_verdict r = policy_decide(p, action, resource, v);
    policy_free(&p);
    return r;
}

#define ONE(effect, action, resource)                                                              \
    "{\"Effect\":\"" effect "\",\"Action\":" action ",\"Resource\":" resource "}"
#define DOC(statements) "{\"Version\":\"2012-10-17\",\"Statement\":" statements "}"

static const struct {
    const char *policy, *action, *resource;
    enum policy_verdict verdict;
} cases[] = {
    /* a reader of any stream */
    {DOC(ONE("Allow", "[\"kinesisvideo:Describe*\",\"kinesisvideo:Get*\",\"kinesisvideo:List*\"]",
             "\"*\"")),
     "kinesisvideo:GetMedia", ARN "a/1", POLICY_ALLOW},
    {DOC(ONE("Allow", "[\"kinesisvideo:Describe*\",\"kinesisvideo:Get*\"]", "\"*\"")),
     "kinesisvideo:PutMedia", ARN "a/1", POLICY_NONE},
    /* a writer of one stream, by its full ARN */
    {DOC("[" ONE("Allow", "\"kinesisvideo:PutMedia\"", "\"" ARN "a/123\"") "]"),
     "kinesisvideo:PutMedia", ARN "a/123", POLICY_ALLOW},
    {DOC("[" ONE("Allow", "\"kinesisvideo:PutMedia\"", "\"" ARN "a/123\"") "]"),
     "kinesisvideo:PutMedia", ARN "a/124", POLICY_NONE},
    /* the name decides, the code does not */
    {DOC("[" ONE("Allow", "\"kinesisvideo:*\"", "\"arn:aws:kinesisvideo:*:*:stream/a/*\"") "]"),
     "kinesisvideo:DeleteStream", ARN "a/9", POLICY_ALLOW},
    {DOC("[" ONE("Allow", "\"kinesisvideo:*\"", "\"arn:aws:kinesisvideo:*:*:stream/a/*\"") "]"),
     "kinesisvideo:DeleteStream", ARN "ab/9", POLICY_NONE},
    /* spellings */
    {DOC(ONE("Allow", "\"KinesisVideo:putmedia\"", "\"*\"")), "kinesisvideo:PutMedia", ARN "a/1",
     POLICY_ALLOW},
    {DOC(ONE("Allow", "\"kinesis-video:PutMedia\"", "\"*\"")), "kinesisvideo:PutMedia", ARN "a/1",
     POLICY_ALLOW},
    {DOC(ONE("Allow", "\"*\"", "\"*\"")), "kinesisvideo:PutMedia", ARN "a/1", POLICY_ALLOW},
    {DOC(ONE("Allow", "\"cloudwatch:PutMetricData\"", "\"*\"")), "kinesisvideo:PutMedia", ARN "a/1",
     POLICY_NONE},
    {"{\"Statement\":" ONE("Allow", "\"kinesisvideo:?utMedia\"", "\"*\"") "}",
     "kinesisvideo:PutMedia", ARN "a/1", POLICY_ALLOW},
    /* resources are case-sensitive */
    {DOC(ONE("Allow", "\"*\"", "\"*:stream/A/*\"")), "kinesisvideo:PutMedia", ARN "a/1",
     POLICY_NONE},
    /* an explicit deny wins, wherever it stands */
    {DOC("[" ONE("Deny", "\"kinesisvideo:Delete*\"", "\"*\"") "," ONE("Allow", "\"*\"",
                                                                      "\"*\"") "]"),
     "kinesisvideo:DeleteStream", ARN "a/1", POLICY_DENY},
    {DOC("[" ONE("Allow", "\"*\"", "\"*\"") "," ONE("Deny", "\"*\"",
                                                    "[\"x\",\"*:stream/a/*\"]") "]"),
     "kinesisvideo:GetMedia", ARN "a/1", POLICY_DENY},
    {DOC("[" ONE("Allow", "\"*\"", "\"*\"") "," ONE("Deny", "\"*\"",
                                                    "[\"x\",\"*:stream/a/*\"]") "]"),
     "kinesisvideo:GetMedia", ARN "b/1", POLICY_ALLOW},
};

START_TEST(a_policy_decides)
{
    ck_assert_int_eq(ask(cases[_i].policy, cases[_i].action, cases[_i].resource, NULL),
                     cases[_i].verdict);
}
END_TEST

#define THING                                                                                      \
    DOC(ONE("Allow", "\"kinesisvideo:PutMedia\"",                                                  \
            "\"arn:aws:kinesisvideo:*:*:stream/${credentials-iot:ThingName}/*\""))
#define CERTIFICATE                                                                                \
    DOC(ONE("Allow", "\"*\"",                                                                      \
            "\"arn:aws:kinesisvideo:*:*:stream/${credentials-iot:AwsCertificateId}/*\""))

START_TEST(variables_stand_for_the_caller)
{
    const struct policy_variables cam = {.thing_name = "cam-1", .certificate_id = "ab12"};
    const struct policy_variables nameless = {.certificate_id = "ab12"};
    ck_assert_int_eq(ask(THING, "kinesisvideo:PutMedia", ARN "cam-1/5", &cam), POLICY_ALLOW);
    ck_assert_int_eq(ask(THING, "kinesisvideo:PutMedia", ARN "cam-2/5", &cam), POLICY_NONE);
    ck_assert_int_eq(ask(THING, "kinesisvideo:PutMedia", ARN "/5", &nameless), POLICY_NONE);
    ck_assert_int_eq(ask(THING, "kinesisvideo:PutMedia", ARN "cam-1/5", NULL), POLICY_NONE);
    ck_assert_int_eq(ask(CERTIFICATE, "kinesisvideo:PutMedia", ARN "ab12/5", &cam), POLICY_ALLOW);
    ck_assert_int_eq(ask(CERTIFICATE, "kinesisvideo:PutMedia", ARN "ab13/5", &cam), POLICY_NONE);
}
END_TEST

static const struct {
    const char *policy, *says;
} refused[] = {
    {"", "line 1"},
    {"[]", "not an object"},
    {"{}", "Statement"},
    {DOC("[]"), "Statement"},
    {"{\"Version\":\"2020-01-01\",\"Statement\":[]}", "Version"},
    {DOC("[" ONE("Allow", "\"*\"", "\"*\"") ",7]"), "Statement 2: expected an object"},
    {DOC(ONE("Permit", "\"*\"", "\"*\"")), "Effect"},
    {DOC("{\"Action\":\"*\",\"Resource\":\"*\"}"), "no Effect"},
    {DOC("{\"Effect\":\"Allow\",\"Action\":\"*\"}"), "Resource"},
    {DOC("{\"Effect\":\"Allow\",\"Resource\":\"*\"}"), "Action"},
    {DOC("{\"Effect\":\"Allow\",\"NotAction\":\"*\",\"Resource\":\"*\"}"), "only Sid"},
    {DOC("{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\"Condition\":{}}"), "only Sid"},
    {DOC("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}"), "only"},
    {DOC(ONE("Allow", "\"PutMedia\"", "\"*\"")), "SERVICE:OPERATION"},
    {DOC(ONE("Allow", "[]", "\"*\"")), "1 to 100"},
    {DOC(ONE("Allow", "[\"*\",5]", "\"*\"")), "Action"},
    {DOC(ONE("Allow", "\"*\"", "\"stream/${aws:username}/*\"")), "unknown variable"},
    {"{\"Statement\":" ONE("Allow", "\"*\"", "\"*\"") ",\"Statement\":1}", "duplicate"},
};

START_TEST(what_would_not_be_obeyed_is_refused)
{
    struct policy *p = NULL;
    const char *text = refused[_i].policy;
    ck_assert_int_lt(policy_parse(text, strlen(text), &p, said), 0);
    ck_assert_ptr_null(p);
    ck_assert_msg(strstr(said, refused[_i].says) != NULL, "said \"%s\"", said);
}
END_TEST

START_TEST(a_pattern_of_many_stars_ends)
{
    char pattern[600], text[1000];
    memset(pattern, '*', sizeof pattern);
    for (size_t i = 1; i < sizeof pattern; i += 2)
        pattern[i] = 'a';
    pattern[sizeof pattern - 2] = 'b';
    pattern[sizeof pattern - 1] = '\0';
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    ck_assert(!policy_glob(pattern, text));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy");
    TCase *tc = tcase_create("policy");
    tcase_add_loop_test(tc, a_policy_decides, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tc, variables_stand_for_the_caller);
    tcase_add_loop_test(tc, what_would_not_be_obeyed_is_refused, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(tc, a_pattern_of_many_stars_ends);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
