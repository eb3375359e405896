/* Fuzzes the policies of keys and roles (server/policy.h): the first line is an action, the second
 * a resource, the rest the document. Relies on libFuzzer, or on replay.c. Leaves decisions to
 * test_policy. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct policy_variables variables = {.thing_name = "cam-1",
                                                      .certificate_id = "ab12"};
    char *text = malloc(size + 1), *rest = text, error[POLICY_ERROR_LEN];
    struct policy *p = NULL;
    memcpy(text, data, size);
    text[size] = '\0';
    const char *action = strsep(&rest, "\n");
    const char *resource = rest ? strsep(&rest, "\n") : "";
    if (rest && policy_parse(rest, size - (size_t)(rest - text), &p, error) == 0) {
        enum policy_verdict with = policy_decide(p, action, resource, &variables);
        enum policy_verdict without = policy_decide(p, action, resource, NULL);
        if (with == POLICY_NONE && without != POLICY_NONE) /* a value can only make more match */
            abort();
        policy_free(&p);
    }
    free(text);
    return 0;
}
