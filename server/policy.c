/* What a caller may do: a policy in the JSON form of IAM, read strictly and decided for one action
 * on one resource. Relies on jansson. Leaves who the caller is to auth.h. */
#include "server/policy.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "common/mem.h"

#define STATEMENTS_MAX 100
#define PATTERNS_MAX 100 /* in one Action or Resource */
#define PATTERN_MAX_BYTES 2048
#define ACTION_MAX_BYTES 128

struct policy {
    json_t *statements; /* checked: an array of objects */
};

/* ---- reading ---- */

static int wrong(char error[POLICY_ERROR_LEN], size_t statement, const char *what)
{
    snprintf(error, POLICY_ERROR_LEN, "Statement %zu: %s", statement + 1, what);
    return -EINVAL;
}

/* The length of the variable that begins at s ("${"), 0 for one that is not known. */
static size_t variable(const char *s, const struct policy_variables *v, const char **value)
{
    static const char thing[] = "${credentials-iot:ThingName}",
                      certificate[] = "${credentials-iot:AwsCertificateId}";
    if (!strncasecmp(s, thing, sizeof thing - 1)) {
        *value = v ? v->thing_name : NULL;
        return sizeof thing - 1;
    }
    if (!strncasecmp(s, certificate, sizeof certificate - 1)) {
        *value = v ? v->certificate_id : NULL;
        return sizeof certificate - 1;
    }
    return 0;
}

static const char *check_pattern(json_t *v, bool resource)
{
    const char *s = json_string_value(v), *value;
    if (!s || !*s || strlen(s) > PATTERN_MAX_BYTES)
        return resource ? "Resource: expected an ARN or a list of ARNs"
                        : "Action: expected \"kinesisvideo:OPERATION\" or a list of them";
    if (!resource)
        return strchr(s, ':') || !strcmp(s, "*") ? NULL
                                                 : "Action: expected SERVICE:OPERATION, or *";
    for (s = strstr(s, "${"); s; s = strstr(s + 2, "${"))
        if (!variable(s, NULL, &value))
            return "Resource: unknown variable; expected ${credentials-iot:ThingName} or "
                   "${credentials-iot:AwsCertificateId}";
    return NULL;
}

static const char *check_patterns(json_t *o, const char *member, bool resource)
{
    json_t *v = json_object_get(o, member), *entry;
    const char *bad = NULL;
    size_t i;
    if (!json_is_array(v))
        return check_pattern(v, resource);
    if (json_array_size(v) < 1 || json_array_size(v) > PATTERNS_MAX)
        return resource ? "Resource: expected 1 to 100 entries"
                        : "Action: expected 1 to 100 entries";
    json_array_foreach(v, i, entry) if (!bad) bad = check_pattern(entry, resource);
    return bad;
}

static const char *check_statement(json_t *o)
{
    const char *key;
    json_t *value;
    json_object_foreach(o, key, value)
    {
        if (!strcmp(key, "Sid") || !strcmp(key, "Action") || !strcmp(key, "Resource"))
            continue;
        if (strcmp(key, "Effect"))
            return "only Sid, Effect, Action and Resource are understood here";
        const char *s = json_string_value(value);
        if (!s || (strcmp(s, "Allow") && strcmp(s, "Deny")))
            return "Effect: expected Allow or Deny";
    }
    if (!json_object_get(o, "Effect"))
        return "no Effect; expected Allow or Deny";
    const char *bad = check_patterns(o, "Action", false);
    return bad ? bad : check_patterns(o, "Resource", true);
}

static int check_document(json_t *doc, json_t **statements, char error[POLICY_ERROR_LEN])
{
    json_t *version = json_object_get(doc, "Version"), *s = json_object_get(doc, "Statement"), *o;
    const char *v = json_string_value(version), *key;
    size_t i;
    json_object_foreach(doc, key, o) if (strcmp(key, "Version") && strcmp(key, "Statement") &&
                                         strcmp(key, "Id"))
    {
        snprintf(error, POLICY_ERROR_LEN, "%.64s: expected only Version, Id and Statement", key);
        return -EINVAL;
    }
    if (version && (!v || (strcmp(v, "2012-10-17") && strcmp(v, "2008-10-17")))) {
        snprintf(error, POLICY_ERROR_LEN, "Version: expected \"2012-10-17\"");
        return -EINVAL;
    }
    *statements = json_is_object(s) ? json_pack("[O]", s) : json_incref(s);
    if (!json_is_array(*statements) || json_array_size(*statements) < 1 ||
        json_array_size(*statements) > STATEMENTS_MAX) {
        snprintf(error, POLICY_ERROR_LEN, "Statement: expected an object or a list of 1 to %d",
                 STATEMENTS_MAX);
        return -EINVAL;
    }
    json_array_foreach(*statements, i, o)
    {
        const char *bad = json_is_object(o) ? check_statement(o) : "expected an object";
        if (bad)
            return wrong(error, i, bad);
    }
    return 0;
}

int policy_parse(const char *text, size_t len, struct policy **out, char error[POLICY_ERROR_LEN])
{
    json_error_t why;
    json_t *statements = NULL, *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    int r = -EINVAL;
    if (!json_is_object(doc))
        snprintf(error, POLICY_ERROR_LEN, "line %d: %s; expected a JSON object", doc ? 1 : why.line,
                 doc ? "not an object" : why.text);
    else
        r = check_document(doc, &statements, error);
    json_decref(doc);
    if (r) {
        json_decref(statements);
        return r;
    }
    *out = xcalloc(1, sizeof **out);
    (*out)->statements = statements;
    return 0;
}

int policy_load(const char *path, struct policy **out, char error[POLICY_ERROR_LEN])
{
    char text[POLICY_MAX_BYTES + 1];
    FILE *f = fopen(path, "re");
    size_t len = f ? fread(text, 1, sizeof text, f) : 0;
    int r = !f || ferror(f) ? -(errno ? errno : EIO) : len > POLICY_MAX_BYTES ? -EFBIG : 0;
    if (f)
        fclose(f);
    if (r == 0)
        return policy_parse(text, len, out, error);
    snprintf(error, POLICY_ERROR_LEN, "%s", strerror(-r));
    return r;
}

void policy_free(struct policy **p)
{
    if (*p)
        json_decref((*p)->statements);
    free(*p);
    *p = NULL;
}

/* ---- deciding ---- */

static bool glob(const char *p, const char *s, bool any_case)
{
    const char *star = NULL, *back = NULL;
    while (*s) {
        if (*p == '*') {
            star = p++;
            back = s;
        } else if (*p == '?' || *p == *s ||
                   (any_case && tolower((unsigned char)*p) == tolower((unsigned char)*s))) {
            p++;
            s++;
        } else if (star) {
            p = star + 1;
            s = ++back;
        } else {
            return false;
        }
    }
    return p[strspn(p, "*")] == '\0';
}

bool policy_glob(const char *pattern, const char *text)
{
    return glob(pattern, text, false);
}

/* "kinesis-video:" is a spelling of the same prefix. */
static bool action_matches(const char *pattern, const char *action)
{
    static const char other[] = "kinesis-video:";
    char text[ACTION_MAX_BYTES];
    if (strncasecmp(pattern, other, sizeof other - 1))
        return glob(pattern, action, true);
    const char *operation = strchr(action, ':');
    snprintf(text, sizeof text, "%s%s", other, operation ? operation + 1 : "");
    return glob(pattern, text, true);
}

/* Puts the values of variables in. False when one has none, or it gets too long. */
static bool expand(const char *pattern, const struct policy_variables *v, char *out, size_t size)
{
    size_t n = 0;
    while (*pattern) {
        const char *value = NULL;
        size_t skip = strncmp(pattern, "${", 2) ? 0 : variable(pattern, v, &value);
        if (skip && !value)
            return false;
        size_t len = skip ? strlen(value) : 1;
        if (n + len >= size)
            return false;
        memcpy(out + n, skip ? value : pattern, len);
        n += len;
        pattern += skip ? skip : 1;
    }
    out[n] = '\0';
    return true;
}

static bool resource_matches(const char *pattern, const char *resource,
                             const struct policy_variables *v)
{
    char text[PATTERN_MAX_BYTES + 1024];
    return expand(pattern, v, text, sizeof text) && glob(text, resource, false);
}

static bool any_matches(json_t *patterns, const char *action, const char *resource,
                        const struct policy_variables *v)
{
    size_t n = json_is_array(patterns) ? json_array_size(patterns) : 1;
    for (size_t i = 0; i < n; i++) {
        const char *p =
            json_string_value(json_is_array(patterns) ? json_array_get(patterns, i) : patterns);
        if (action ? action_matches(p, action) : resource_matches(p, resource, v))
            return true;
    }
    return false;
}

enum policy_verdict policy_decide(const struct policy *p, const char *action, const char *resource,
                                  const struct policy_variables *variables)
{
    enum policy_verdict verdict = POLICY_NONE;
    json_t *o;
    size_t i;
    json_array_foreach(p->statements, i, o)
    {
        if (!any_matches(json_object_get(o, "Action"), action, NULL, NULL) ||
            !any_matches(json_object_get(o, "Resource"), NULL, resource, variables))
            continue;
        if (!strcmp(json_string_value(json_object_get(o, "Effect")), "Deny"))
            return POLICY_DENY;
        verdict = POLICY_ALLOW;
    }
    return verdict;
}
