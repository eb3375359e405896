/* JSON lines in, JSON lines out: signs and verifies requests with common/sigv4, for
 * tests/conformance/sigv4. Relies on jansson. Input:
 * {"do":"sign"|"verify","method","path","query","headers":[[n,v]],"payload_hash","access",
 * "secret","region","service","now","authorization"}. Output: {"authorization"} or {"result":
 * number} or {"error"}. Leaves judging to the script. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/buf.h"
#include "common/sigv4.h"

static const char *text(const json_t *in, const char *name)
{
    return json_string_value(json_object_get(in, name));
}

static json_t *sign(const json_t *in, const struct sigv4_request *req, time_t now)
{
    struct sigv4_key key = {text(in, "access"), text(in, "secret"), NULL};
    struct buf out;
    buf_init(&out, 65536);
    int r = sigv4_sign(req, &key, text(in, "region"), text(in, "service"), now, &out);
    json_t *answer = r ? json_pack("{s:i}", "error", r)
                       : json_pack("{s:s%}", "authorization", (const char *)out.data, out.len);
    buf_fini(&out);
    return answer;
}

static json_t *verify(const json_t *in, const struct sigv4_request *req, time_t now)
{
    struct sigv4_auth auth;
    const char *value = text(in, "authorization");
    int r = value ? sigv4_parse_authorization(value, &auth) : sigv4_parse_query(req->query, &auth);
    if (r)
        return json_pack("{s:i}", "error", r);
    enum sigv4_result result =
        sigv4_verify(req, &auth, text(in, "secret"), text(in, "region"), text(in, "service"), now);
    return json_pack("{s:i}", "result", (int)result);
}

static json_t *answer(const json_t *in)
{
    struct sigv4_header headers[SIGV4_MAX_HEADERS];
    json_t *list = json_object_get(in, "headers");
    size_t n = json_array_size(list);
    if (n > SIGV4_MAX_HEADERS)
        return json_pack("{s:i}", "error", -E2BIG);
    for (size_t i = 0; i < n; i++) {
        json_t *pair = json_array_get(list, i);
        headers[i].name = json_string_value(json_array_get(pair, 0));
        headers[i].value = json_string_value(json_array_get(pair, 1));
        if (!headers[i].name || !headers[i].value)
            return json_pack("{s:i}", "error", -EINVAL);
    }
    struct sigv4_request req = {
        text(in, "method"),      text(in, "path"), text(in, "query"), headers, n,
        text(in, "payload_hash")};
    time_t now = (time_t)json_integer_value(json_object_get(in, "now"));
    const char *what = text(in, "do");
    if (!what || !text(in, "secret"))
        return json_pack("{s:i}", "error", -EINVAL);
    return strcmp(what, "sign") == 0 ? sign(in, &req, now) : verify(in, &req, now);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        json_error_t why;
        json_t *in = json_loads(line, 0, &why);
        json_t *out = in ? answer(in) : json_pack("{s:s}", "error", why.text);
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(out);
        json_decref(in);
    }
    free(line);
    return 0;
}
