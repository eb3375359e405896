/* Which container is meant.
 * Relies on Check and Jansson.
 * Leaves the Engine itself to tests/monitor/containers. */
#include <check.h>
#include <string.h>

#include "monitor/docker.h"
#include "tests/unit/suite.h"

#define A "aaaaaaaaaaaa0000"
#define B "bbbbbbbbbbbb0000"
#define SERVICE(s) "'Labels': {'com.docker.compose.service': '" s "'}"

static const struct {
    const char *list, *instance, *id;
} cases[] = {
    {"[{'Id': '" A "'}, {'Id': '" B "'}]", "muxer-bbbbbbbbbbbb-1", B},
    {"[{'Id': '" A "'}]", "muxer-bbbbbbbbbbbb-1", NULL},
    {"[{'Id': '" A "'}]", "muxer-aaaa-1", NULL}, /* too short to be an id */
    {"[{'Id': '" A "', 'Names': ['/x', '/muxer-1']}, {'Id': '" B "', 'Names': ['/muxer-10']}]",
     "muxer-1", A},
    {"[{'Id': '" A "', 'Names': ['/front']}, {'Id': '" B "'}]", "muxer-front-1", A},
    {"[{'Id': '" A "', " SERVICE("muxer") "}, {'Id': '" B "', " SERVICE("encoder") "}]", "muxer-1",
     A},
    {"[{'Id': '" A "', " SERVICE("mux") "}]", "muxer-mux-1", A},
    /* two of one service: which is not known */
    {"[{'Id': '" A "', " SERVICE("muxer") "}, {'Id': '" B "', " SERVICE("muxer") "}]", "muxer-1",
     NULL},
    /* the label counts most */
    {"[{'Id': '" A "', 'Names': ['/muxer-1']},"
     " {'Id': '" B "', 'Labels': {'kvpipe.instance': 'muxer-1'}}]",
     "muxer-1", B},
    {"[]", "muxer-1", NULL},
    {"{'Id': '" A "'}", "muxer-1", NULL},
    {"[1, null, {'Id': 7, 'Names': 'muxer-1', 'Labels': []}]", "muxer-1", NULL},
};

START_TEST(the_container_of_an_instance_is_found_or_none)
{
    char text[512];
    strcpy(text, cases[_i].list);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *list = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(list);
    const char *id = docker_find(list, cases[_i].instance);
    ck_assert_msg(id ? cases[_i].id && strcmp(id, cases[_i].id) == 0 : !cases[_i].id, "%s: %s",
                  cases[_i].list, id ? id : "none");
    json_decref(list);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("docker");
    TCase *t = tcase_create("docker");
    tcase_add_loop_test(t, the_container_of_an_instance_is_found_or_none, 0,
                        sizeof cases / sizeof *cases);
    suite_add_tcase(s, t);
    return suite_run(s);
}
