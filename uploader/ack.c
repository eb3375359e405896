/* Ack parser: first finds the end of one object, then reads it.
 * Relies on nothing.
 * Leaves what an ack means to session.c. */
#include "uploader/ack.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const event_names[] = {[ACK_BUFFERING] = "BUFFERING",
                                          [ACK_RECEIVED] = "RECEIVED",
                                          [ACK_PERSISTED] = "PERSISTED",
                                          [ACK_ERROR] = "ERROR",
                                          [ACK_IDLE] = "IDLE"};

#define NEVENTS (sizeof event_names / sizeof *event_names)

const char *ack_event_name(enum ack_event event)
{
    return event > ACK_NONE && event < NEVENTS ? event_names[event] : "NONE";
}

/* --- one object --- */

enum key {
    KEY_OTHER,
    KEY_TYPE,
    KEY_TIMECODE,
    KEY_NUMBER,
    KEY_ERROR_ID,
    KEY_ERROR_CODE,
    KEY_WRAPPER
};

static const struct {
    const char *name;
    enum key key;
} keys[] = {
    {"EventType", KEY_TYPE},         {"AckEventType", KEY_TYPE}, {"FragmentTimecode", KEY_TIMECODE},
    {"FragmentNumber", KEY_NUMBER},  {"ErrorId", KEY_ERROR_ID},  {"ErrorCode", KEY_ERROR_CODE},
    {"Acknowledgement", KEY_WRAPPER}};

struct reader {
    const char *p, *end;
    struct ack *ack;
    unsigned seen; /* bit per enum key */
    const char *error;
};

/* A string or bare word. */
struct token {
    const char *text;
    size_t len;
};

static void skip_space(struct reader *r)
{
    while (r->p < r->end && isspace((unsigned char)*r->p))
        r->p++;
}

static int fail(struct reader *r, const char *why)
{
    r->error = why;
    return -EBADMSG;
}

static int read_quoted(struct reader *r, struct token *t)
{
    const char *start = ++r->p;
    for (; r->p < r->end && *r->p != '"'; r->p++)
        if (*r->p == '\\')
            r->p++;
    if (r->p >= r->end)
        return fail(r, "string without end");
    *t = (struct token){start, (size_t)(r->p++ - start)};
    return 0;
}

static int read_token(struct reader *r, struct token *t)
{
    if (r->p < r->end && *r->p == '"')
        return read_quoted(r, t);
    const char *start = r->p;
    while (r->p < r->end && (isalnum((unsigned char)*r->p) || strchr("_-+.", *r->p)))
        r->p++;
    *t = (struct token){start, (size_t)(r->p - start)};
    return t->len ? 0 : fail(r, "a key or value was expected");
}

static enum key key_of(const struct token *t)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strlen(keys[i].name) == t->len && memcmp(keys[i].name, t->text, t->len) == 0)
            return keys[i].key;
    return KEY_OTHER;
}

static int to_integer(const struct token *t, int64_t *out)
{
    char text[24], *end;
    if (!t->len || t->len >= sizeof text)
        return -EBADMSG;
    memcpy(text, t->text, t->len);
    text[t->len] = '\0';
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return errno || *end || isspace((unsigned char)text[0]) ? -EBADMSG : 0;
}

static int set_type(struct reader *r, const struct token *t)
{
    for (size_t i = 1; i < NEVENTS; i++)
        if (strlen(event_names[i]) == t->len && memcmp(event_names[i], t->text, t->len) == 0)
            r->ack->event = (enum ack_event)i;
    return r->ack->event ? 0 : fail(r, "unknown EventType");
}

static int set_text(struct reader *r, const struct token *t, char *out, size_t cap)
{
    if (t->len >= cap)
        return fail(r, "value too long");
    memcpy(out, t->text, t->len);
    out[t->len] = '\0';
    return 0;
}

static bool is_digits(const struct token *t)
{
    for (size_t i = 0; i < t->len; i++)
        if (!isdigit((unsigned char)t->text[i]))
            return false;
    return t->len > 0;
}

static int set_value(struct reader *r, enum key key, const struct token *t)
{
    int64_t v;
    bool null = t->len == 4 && memcmp(t->text, "null", 4) == 0;
    if (key == KEY_OTHER || null)
        return 0;
    switch (key) {
    case KEY_TYPE:
        return set_type(r, t);
    case KEY_TIMECODE:
        if (to_integer(t, &r->ack->timecode) < 0)
            return fail(r, "FragmentTimecode is not a number");
        r->ack->has_timecode = true;
        return 0;
    case KEY_NUMBER:
        return is_digits(t) ? set_text(r, t, r->ack->number, sizeof r->ack->number)
                            : fail(r, "FragmentNumber is not a number");
    case KEY_ERROR_ID:
        if (to_integer(t, &v) < 0 || v < 0 || v > 999999)
            return fail(r, "ErrorId is not a number");
        r->ack->error_id = (int)v;
        return 0;
    case KEY_ERROR_CODE:
        return set_text(r, t, r->ack->error_code, sizeof r->ack->error_code);
    case KEY_OTHER:
    case KEY_WRAPPER:
        break;
    }
    return fail(r, "Acknowledgement is not an object");
}

/* Over a nested object or array that nobody asked for. */
static int skip_nested(struct reader *r)
{
    unsigned depth = 0;
    struct token t;
    do {
        if (r->p >= r->end)
            return fail(r, "nested value without end");
        if (*r->p == '"') {
            if (read_quoted(r, &t) < 0)
                return -EBADMSG;
            continue;
        }
        if (strchr("{[", *r->p))
            depth++;
        else if (strchr("}]", *r->p))
            depth--;
        r->p++;
    } while (depth);
    return 0;
}

static int read_object(struct reader *r, bool inner);

static int read_pair(struct reader *r, bool inner)
{
    struct token t;
    if (read_token(r, &t) < 0)
        return -EBADMSG;
    enum key key = key_of(&t);
    if (key != KEY_OTHER && r->seen & 1u << key)
        return fail(r, "a key comes twice");
    r->seen |= 1u << key;
    skip_space(r);
    if (r->p >= r->end || *r->p != ':')
        return fail(r, "':' was expected");
    r->p++;
    skip_space(r);
    if (r->p < r->end && *r->p == '{' && key == KEY_WRAPPER && !inner)
        return read_object(r, true);
    if (r->p < r->end && strchr("{[", *r->p))
        return key == KEY_OTHER ? skip_nested(r) : fail(r, "a plain value was expected");
    return read_token(r, &t) < 0 ? -EBADMSG : set_value(r, key, &t);
}

static int read_object(struct reader *r, bool inner)
{
    r->p++; /* '{' */
    for (;;) {
        skip_space(r);
        if (r->p < r->end && *r->p == '}') {
            r->p++;
            return 0;
        }
        if (read_pair(r, inner) < 0)
            return -EBADMSG;
        skip_space(r);
        if (r->p < r->end && *r->p == ',')
            r->p++;
        else if (r->p >= r->end || *r->p != '}')
            return fail(r, "',' or '}' was expected");
    }
}

static int read_ack(struct ack_parser *p, struct ack *out)
{
    struct reader r = {.p = p->text, .end = p->text + p->len, .ack = out};
    *out = (struct ack){0};
    if (read_object(&r, false) == 0) {
        if (!out->event)
            fail(&r, "no EventType");
        else if (out->event == ACK_ERROR && !out->error_id && !out->error_code[0])
            fail(&r, "ERROR without ErrorId");
        else if (out->event != ACK_ERROR && out->event != ACK_IDLE && !out->has_timecode)
            fail(&r, "no FragmentTimecode");
    }
    p->error = r.error;
    return r.error ? -EBADMSG : 0;
}

/* --- the stream --- */

void ack_parser_init(struct ack_parser *p)
{
    *p = (struct ack_parser){0};
}

static enum ack_result malformed(struct ack_parser *p, const char *why, bool skip)
{
    *p = (struct ack_parser){.skipping = skip, .error = why};
    return ACK_MALFORMED;
}

/* One byte outside of any object. */
static enum ack_result outside(struct ack_parser *p, char c)
{
    if (p->skipping) {
        p->skipping = c != '\n';
        return ACK_MORE;
    }
    if (isspace((unsigned char)c) || c == ',')
        return ACK_MORE;
    if (c != '{')
        return malformed(p, "'{' was expected", true);
    p->text[0] = c;
    p->len = 1;
    p->depth = 1;
    p->in_string = p->escaped = false;
    return ACK_MORE;
}

static void nest(struct ack_parser *p, char c)
{
    if (p->escaped)
        p->escaped = false;
    else if (p->in_string && c == '\\')
        p->escaped = true;
    else if (c == '"')
        p->in_string = !p->in_string;
    else if (!p->in_string && c == '{')
        p->depth++;
    else if (!p->in_string && c == '}')
        p->depth--;
}

enum ack_result ack_parser_next(struct ack_parser *p, const char **data, size_t *len,
                                struct ack *out)
{
    while (*len) {
        char c = *(*data)++;
        (*len)--;
        if (p->depth == 0) {
            if (outside(p, c) == ACK_MALFORMED)
                return ACK_MALFORMED;
            continue;
        }
        if (p->len == ACK_MAX_BYTES)
            return malformed(p, "longer than 1024 bytes", c != '\n');
        if (p->in_string && c == '\n') /* no JSON has that: the next line is read for itself */
            return malformed(p, "a line ends in a string", false);
        p->text[p->len++] = c;
        nest(p, c);
        if (p->depth == 0)
            return read_ack(p, out) == 0 ? ACK_ITEM : ACK_MALFORMED;
    }
    return ACK_MORE;
}

const char *ack_parser_error(const struct ack_parser *p)
{
    return p->error ? p->error : "";
}
