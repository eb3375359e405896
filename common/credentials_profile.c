/* The shared credentials file of AWS's tools: sections [name] with aws_access_key_id,
 * aws_secret_access_key, aws_session_token. Relies on credentials_source for reading; blank lines,
 * '#' and ';' comments and unknown keys are passed over. Leaves rereading and the order of sources
 * to credentials.c. */
#include "common/credentials_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/credentials.h"
#include "common/mem.h"

#define MAX_FILE_BYTES (1 << 20)

struct section {
    const char *name, *access, *secret, *token;
};

struct search {
    const char *profile;
    struct credentials_value *v;
    int result; /* 1 until the profile is found */
};

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t len = strlen(s);
    while (len && strchr(" \t\r", s[len - 1]))
        s[--len] = '\0';
    return s;
}

static void end_section(const struct section *s, struct search *search)
{
    if (s->name && s->access && s->secret && strcmp(s->name, search->profile) == 0)
        search->result = credentials_value_set(search->v, s->access, s->secret, s->token);
}

static int take_setting(struct section *s, char *line)
{
    char *equals = strchr(line, '=');
    if (!equals || equals == line || !s->name)
        return -EINVAL;
    *equals = '\0';
    const char *name = trim(line), *value = trim(equals + 1);
    if (*value == '\0')
        value = NULL;
    if (strcmp(name, "aws_access_key_id") == 0)
        s->access = value;
    else if (strcmp(name, "aws_secret_access_key") == 0)
        s->secret = value;
    else if (strcmp(name, "aws_session_token") == 0)
        s->token = value;
    return 0;
}

static int start_section(struct section *s, char *line)
{
    char *end = strchr(line, ']');
    if (!end)
        return -EINVAL;
    *end = '\0';
    *s = (struct section){.name = trim(line + 1)};
    return *s->name ? 0 : -EINVAL;
}

static int parse(char *text, struct search *search, int *line_no)
{
    struct section s = {0};
    for (char *rest = text, *raw; (raw = strsep(&rest, "\n"));) {
        ++*line_no;
        char *line = trim(raw);
        int r = 0;
        if (*line == '\0' || *line == '#' || *line == ';')
            continue;
        if (*line == '[') {
            end_section(&s, search);
            r = start_section(&s, line);
        } else if (line == raw) { /* an indented line belongs to a nested setting */
            r = take_setting(&s, line);
        }
        if (r)
            return r;
    }
    end_section(&s, search);
    return 0;
}

static int read_file(const char *path, struct search *search, int *line, struct stat *st)
{
    char *text;
    int r = credentials_read_text(path, MAX_FILE_BYTES, &text, st);
    if (r)
        return r;
    size_t len = strlen(text); /* parsing cuts it in pieces, so wipe it by its length */
    r = parse(text, search, line);
    explicit_bzero(text, len);
    free(text);
    return r;
}

char *credentials_profile_path(void)
{
    const char *path = getenv("AWS_SHARED_CREDENTIALS_FILE"), *home = getenv("HOME");
    if (path && *path)
        return xstrdup(path);
    return home && *home ? xasprintf("%s/.aws/credentials", home) : NULL;
}

int credentials_profile_load(const char *path, const char *profile, struct credentials_value *v,
                             struct stat *st, char error[CREDENTIALS_ERROR_LEN])
{
    struct search s = {profile, v, 1};
    int line = 0;
    int r = read_file(path, &s, &line, st);
    if (r == -EINVAL && line)
        snprintf(error, CREDENTIALS_ERROR_LEN, "profile: %.200s line %d is not \"key = value\"",
                 path, line);
    else if (r)
        snprintf(error, CREDENTIALS_ERROR_LEN, "profile: %.200s cannot be read: %s", path,
                 strerror(-r));
    else if (s.result == 1)
        snprintf(error, CREDENTIALS_ERROR_LEN,
                 "profile: %.200s has no [%.64s] with aws_access_key_id and aws_secret_access_key",
                 path, profile);
    else if (s.result)
        snprintf(error, CREDENTIALS_ERROR_LEN,
                 "profile: [%.64s] in %.200s has a value with blanks or too long", profile, path);
    if (r)
        return r;
    return s.result == 1 ? -ENOENT : s.result;
}
