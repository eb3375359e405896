/* The walk over a YAML document with a table of keys in hand.
 * Relies on libyaml. Depth is bounded by the tables, so aliases that form a circle or a bomb end at
 * once. Leaves rules between keys to conf_check.c. */
#include "common/conf_yaml.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define STRING_MAX_BYTES 4096
#define KEY_SHOWN 64

void conf_yaml_fault(struct conf_yaml *y, unsigned line, const char *fmt, ...)
{
    va_list ap;
    y->faults++;
    if (line)
        fprintf(y->out, "%s:%u: ", y->name, line);
    else
        fprintf(y->out, "%s: ", y->name);
    va_start(ap, fmt);
    vfprintf(y->out, fmt, ap);
    va_end(ap);
    fputc('\n', y->out);
}

static unsigned line_of(const yaml_node_t *node)
{
    return node ? (unsigned)node->start_mark.line + 1 : 0;
}

void conf_yaml_init(struct conf_yaml *y, const char *name, FILE *out, const char *text, size_t len)
{
    yaml_parser_t parser;
    *y = (struct conf_yaml){.name = name, .out = out};
    if (!yaml_parser_initialize(&parser)) {
        conf_yaml_fault(y, 0, "out of memory");
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (yaml_parser_load(&parser, &y->doc))
        y->loaded = true;
    else
        conf_yaml_fault(y, (unsigned)parser.problem_mark.line + 1,
                        "not valid YAML: %s%s%s; expected 'key: value' lines, indented with spaces",
                        parser.context ? parser.context : "", parser.context ? ", " : "",
                        parser.problem ? parser.problem : "cannot be read");
    yaml_parser_delete(&parser);
}

void conf_yaml_fini(struct conf_yaml *y)
{
    if (y->loaded)
        yaml_document_delete(&y->doc);
    y->loaded = false;
}

static bool is_null(const yaml_node_t *node)
{
    if (!node)
        return true;
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    const char *v = (const char *)node->data.scalar.value;
    return !*v || strcmp(v, "~") == 0 || strcmp(v, "null") == 0;
}

/* The text of a scalar without control characters, or NULL. */
static const char *scalar(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE || node->data.scalar.length > STRING_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < node->data.scalar.length; i++)
        if (node->data.scalar.value[i] < 0x20 && node->data.scalar.value[i] != '\n')
            return NULL;
    return (const char *)node->data.scalar.value;
}

/* "a, b, c" of the keys of a table or of a list of choices; the caller frees it. */
static char *join(const struct conf_option *options, const char *const *choices)
{
    char *all = xstrdup("");
    for (size_t i = 0; options ? options[i].key != NULL : choices[i] != NULL; i++) {
        char *longer =
            xasprintf("%s%s%s", all, i ? ", " : "", options ? options[i].key : choices[i]);
        free(all);
        all = longer;
    }
    return all;
}

static void set_defaults(const struct conf_option *options, void *base)
{
    for (const struct conf_option *o = options; o->key; o++) {
        void *at = (char *)base + o->offset;
        switch (o->type) {
        case CONF_STRING:
            *(char **)at = xstrdup(o->string);
            break;
        case CONF_U32:
        case CONF_ENUM:
            *(uint32_t *)at = (uint32_t)o->number;
            break;
        case CONF_U64:
            *(uint64_t *)at = o->number;
            break;
        case CONF_BOOL:
            *(bool *)at = o->number != 0;
            break;
        case CONF_MAP:
            set_defaults(o->sub, at);
            break;
        case CONF_LIST:
        case CONF_NONE:
            break;
        }
    }
}

static void wrong(struct conf_yaml *y, const yaml_node_t *node, const char *path, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
static void wrong(struct conf_yaml *y, const yaml_node_t *node, const char *path, const char *fmt,
                  ...)
{
    char *expected = NULL;
    const char *text = scalar(node);
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&expected, fmt, ap) < 0)
        expected = NULL;
    va_end(ap);
    if (text)
        conf_yaml_fault(y, line_of(node), "%s: '%.*s' is not allowed; expected %s", path, KEY_SHOWN,
                        text, expected ? expected : "?");
    else
        conf_yaml_fault(y, line_of(node), "%s: a %s is not allowed; expected %s", path,
                        node->type == YAML_MAPPING_NODE ? "map"
                        : node->type == YAML_SEQUENCE_NODE
                            ? "list"
                            : "value so long or with such characters",
                        expected ? expected : "?");
    free(expected);
}

static int choice(const struct conf_option *o, const char *text)
{
    for (int i = 0; text && o->choices[i]; i++)
        if (strcmp(o->choices[i], text) == 0)
            return i;
    return -1;
}

static void read_string(struct conf_yaml *y, const yaml_node_t *node, const struct conf_option *o,
                        const char *path, char **at)
{
    const char *text = scalar(node);
    if (!text || (o->choices && choice(o, text) < 0)) {
        char *all = o->choices ? join(NULL, o->choices) : xstrdup("");
        wrong(y, node, path, "%s%s", o->choices ? "one of: " : "a line of text", all);
        free(all);
        return;
    }
    free(*at);
    *at = xstrdup(text);
}

static void read_number(struct conf_yaml *y, const yaml_node_t *node, const struct conf_option *o,
                        const char *path, void *at)
{
    const char *text = scalar(node);
    char *end = NULL;
    errno = 0;
    unsigned long long n = text && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (!end || *end || errno || n < o->min || n > o->max) {
        wrong(y, node, path, "a whole number from %" PRIu64 " to %" PRIu64, o->min, o->max);
        return;
    }
    if (o->type == CONF_U32)
        *(uint32_t *)at = (uint32_t)n;
    else
        *(uint64_t *)at = n;
}

static void read_bool(struct conf_yaml *y, const yaml_node_t *node, const char *path, bool *at)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    const char *text = scalar(node);
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *at = i % 2;
            return;
        }
    wrong(y, node, path, "true or false");
}

static void read_enum(struct conf_yaml *y, const yaml_node_t *node, const struct conf_option *o,
                      const char *path, int *at)
{
    int i = choice(o, scalar(node));
    if (i >= 0) {
        *at = (int)o->min + i;
        return;
    }
    char *all = join(NULL, o->choices);
    wrong(y, node, path, "one of: %s", all);
    free(all);
}

static void read_map(struct conf_yaml *y, const yaml_node_t *node,
                     const struct conf_option *options, const char *path, void *base);

static void read_list(struct conf_yaml *y, const yaml_node_t *node, const struct conf_option *o,
                      const char *path, void *base)
{
    char **at = (char **)((char *)base + o->offset);
    unsigned *count = (unsigned *)((char *)base + o->count_offset);
    if (node->type != YAML_SEQUENCE_NODE) {
        wrong(y, node, path, "a list, one '- ' for each element");
        return;
    }
    size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (n > o->max) {
        conf_yaml_fault(y, line_of(node), "%s: %zu elements; expected at most %" PRIu64, path, n,
                        o->max);
        return;
    }
    *at = xcalloc(n, o->size);
    *count = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        char *inner = xasprintf("%s[%zu]", path, i);
        set_defaults(o->sub, *at + i * o->size);
        read_map(y, yaml_document_get_node(&y->doc, node->data.sequence.items.start[i]), o->sub,
                 inner, *at + i * o->size);
        free(inner);
    }
}

static void read_value(struct conf_yaml *y, const yaml_node_t *node, const struct conf_option *o,
                       const char *path, void *base)
{
    void *at = (char *)base + o->offset;
    if (is_null(node)) /* "capture:" with nothing under it keeps the defaults */
        return;
    switch (o->type) {
    case CONF_STRING:
        read_string(y, node, o, path, at);
        break;
    case CONF_U32:
    case CONF_U64:
        read_number(y, node, o, path, at);
        break;
    case CONF_BOOL:
        read_bool(y, node, path, at);
        break;
    case CONF_ENUM:
        read_enum(y, node, o, path, at);
        break;
    case CONF_MAP:
        read_map(y, node, o->sub, path, at);
        break;
    case CONF_LIST:
        read_list(y, node, o, path, base);
        break;
    case CONF_NONE:
        break;
    }
}

static bool given_before(struct conf_yaml *y, const yaml_node_t *map, const yaml_node_pair_t *pair,
                         const char *key)
{
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
        const char *other = scalar(yaml_document_get_node(&y->doc, p->key));
        if (other && strcmp(other, key) == 0)
            return true;
    }
    return false;
}

static const struct conf_option *find_option(const struct conf_option *options, const char *key)
{
    for (const struct conf_option *o = options; o->key; o++)
        if (strcmp(o->key, key) == 0)
            return o;
    return NULL;
}

static void read_pair(struct conf_yaml *y, const yaml_node_t *map, const yaml_node_pair_t *pair,
                      const struct conf_option *options, const char *path, void *base)
{
    const yaml_node_t *key_node = yaml_document_get_node(&y->doc, pair->key);
    const char *key = scalar(key_node);
    const struct conf_option *o = key ? find_option(options, key) : NULL;
    if (!o) {
        char *all = join(options, NULL);
        conf_yaml_fault(y, line_of(key_node), "%s%sunknown key '%.*s'; expected one of: %s", path,
                        *path ? ": " : "", KEY_SHOWN, key ? key : "?", all);
        free(all);
        return;
    }
    if (given_before(y, map, pair, key)) {
        conf_yaml_fault(y, line_of(key_node), "%s%s%s is given twice; expected once", path,
                        *path ? "." : "", key);
        return;
    }
    char *inner = xasprintf("%s%s%s", path, *path ? "." : "", key);
    read_value(y, yaml_document_get_node(&y->doc, pair->value), o, inner, base);
    free(inner);
}

static void read_map(struct conf_yaml *y, const yaml_node_t *node,
                     const struct conf_option *options, const char *path, void *base)
{
    if (is_null(node))
        return;
    if (node->type != YAML_MAPPING_NODE) {
        char *all = join(options, NULL);
        wrong(y, node, *path ? path : "the file", "a map with keys of: %s", all);
        free(all);
        return;
    }
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top; p++)
        read_pair(y, node, p, options, path, base);
}

void conf_yaml_read(struct conf_yaml *y, const struct conf_option *options, void *base)
{
    set_defaults(options, base);
    if (y->loaded)
        read_map(y, yaml_document_get_root_node(&y->doc), options, "", base);
}

void conf_yaml_free(const struct conf_option *options, void *base)
{
    for (const struct conf_option *o = options; o->key; o++) {
        char *at = (char *)base + o->offset;
        if (o->type == CONF_STRING) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (o->type == CONF_MAP) {
            conf_yaml_free(o->sub, at);
        } else if (o->type == CONF_LIST) {
            unsigned *count = (unsigned *)((char *)base + o->count_offset);
            for (unsigned i = 0; i < *count; i++)
                conf_yaml_free(o->sub, *(char **)at + i * o->size);
            free(*(char **)at);
            *(char **)at = NULL;
            *count = 0;
        }
    }
}

static void write_value(const struct conf_option *o, const void *at, FILE *out)
{
    switch (o->type) {
    case CONF_STRING: {
        const char *text = *(char *const *)at;
        /* the length keeps a text with line ends apart from two keys */
        fprintf(out, "%s=%zu:%s\n", o->key, text ? strlen(text) : 0, text ? text : "-");
        break;
    }
    case CONF_U32:
    case CONF_ENUM:
        fprintf(out, "%s=%" PRIu32 "\n", o->key, *(const uint32_t *)at);
        break;
    case CONF_U64:
        fprintf(out, "%s=%" PRIu64 "\n", o->key, *(const uint64_t *)at);
        break;
    case CONF_BOOL:
        fprintf(out, "%s=%d\n", o->key, *(const bool *)at);
        break;
    case CONF_MAP:
        fprintf(out, "%s{\n", o->key);
        conf_yaml_write(o->sub, at, NULL, NULL, out);
        fprintf(out, "}\n");
        break;
    case CONF_LIST:
    case CONF_NONE:
        break;
    }
}

static void write_list(const struct conf_option *o, const void *base, FILE *out)
{
    const char *list = *(char *const *)((const char *)base + o->offset);
    unsigned count = *(const unsigned *)((const char *)base + o->count_offset);
    fprintf(out, "%s[%u\n", o->key, count);
    for (unsigned i = 0; i < count; i++)
        conf_yaml_write(o->sub, list + i * o->size, NULL, NULL, out);
    fprintf(out, "]\n");
}

void conf_yaml_write(const struct conf_option *options, const void *base,
                     bool (*skip)(void *arg, const char *key), void *arg, FILE *out)
{
    for (const struct conf_option *o = options; o->key; o++) {
        if (skip && skip(arg, o->key))
            continue;
        if (o->type == CONF_LIST)
            write_list(o, base, out);
        else
            write_value(o, (const char *)base + o->offset, out);
    }
}

static yaml_node_t *child(struct conf_yaml *y, yaml_node_t *map, const char *key, size_t len)
{
    if (map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        const char *k = scalar(yaml_document_get_node(&y->doc, p->key));
        if (k && strlen(k) == len && memcmp(k, key, len) == 0)
            return yaml_document_get_node(&y->doc, p->value);
    }
    return NULL;
}

static yaml_node_t *element(struct conf_yaml *y, yaml_node_t *list, size_t i)
{
    if (list->type != YAML_SEQUENCE_NODE ||
        i >= (size_t)(list->data.sequence.items.top - list->data.sequence.items.start))
        return NULL;
    return yaml_document_get_node(&y->doc, list->data.sequence.items.start[i]);
}

/* Goes down the path; *whole says whether its end was reached. */
static yaml_node_t *walk(struct conf_yaml *y, const char *path, bool *whole)
{
    yaml_node_t *node = y->loaded ? yaml_document_get_root_node(&y->doc) : NULL;
    *whole = false;
    while (node && *path) {
        yaml_node_t *next;
        if (*path == '[') {
            char *end;
            next = element(y, node, strtoul(path + 1, &end, 10));
            path = end + 1;
        } else {
            size_t len = strcspn(path, ".[");
            next = child(y, node, path, len);
            path += len;
        }
        if (!next)
            return node;
        node = next;
        path += *path == '.';
    }
    *whole = node != NULL;
    return node;
}

bool conf_yaml_has(struct conf_yaml *y, const char *path)
{
    bool whole;
    const yaml_node_t *node = walk(y, path, &whole);
    return whole && !is_null(node);
}

unsigned conf_yaml_line(struct conf_yaml *y, const char *path)
{
    bool whole;
    return line_of(walk(y, path, &whole));
}
