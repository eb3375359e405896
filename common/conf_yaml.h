/* Reads a YAML document into C structs by a table of keys: type, place, default, range.
 * Relies on libyaml's document tree, which keeps the line of every value, so that each fault can
 * name it. Leaves rules between keys to conf_check.c. */
#ifndef KVPIPE_COMMON_CONF_YAML_H
#define KVPIPE_COMMON_CONF_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <yaml.h>

enum conf_type {
    CONF_NONE,
    CONF_STRING, /* char *; with choices only those */
    CONF_U32,
    CONF_U64,
    CONF_BOOL,
    CONF_ENUM, /* int: min + index in choices */
    CONF_MAP,  /* struct in place, keys in sub */
    CONF_LIST, /* malloc'ed array of structs, keys in sub; its length at count_offset (unsigned) */
};

struct conf_option {
    const char *key; /* NULL ends a table */
    enum conf_type type;
    size_t offset;
    uint64_t number;    /* default of numbers, booleans and enums */
    const char *string; /* default of strings */
    uint64_t min, max;
    const char *const *choices; /* NULL-terminated */
    const struct conf_option *sub;
    size_t size, count_offset; /* CONF_LIST; at most `max` elements */
};

struct conf_yaml {
    const char *name; /* in messages */
    FILE *out;
    yaml_document_t doc;
    bool loaded;
    unsigned faults;
};

/* Parses the text. A syntax error is one fault. Call conf_yaml_fini in any case. */
void conf_yaml_init(struct conf_yaml *y, const char *name, FILE *out, const char *text, size_t len);
void conf_yaml_fini(struct conf_yaml *y);
/* Fills the struct at `base` (zeroed) with defaults, then with what the document says. Unknown
 * keys, keys given twice, wrong types and numbers out of range are faults. conf_yaml_free undoes
 * it. */
void conf_yaml_read(struct conf_yaml *y, const struct conf_option *options, void *base);
void conf_yaml_free(const struct conf_option *options, void *base);

/* Writes what a struct holds in a fixed form, a key and value in each line; without the keys of
 * this table for which `skip` (may be NULL) is true. */
void conf_yaml_write(const struct conf_option *options, const void *base,
                     bool (*skip)(void *arg, const char *key), void *arg, FILE *out);

/* True when the document has a value at the path, "a.b[2].c". */
bool conf_yaml_has(struct conf_yaml *y, const char *path);
/* Line of the value at the path, or of the nearest thing around it that is there; 0 for an empty
 * document. */
unsigned conf_yaml_line(struct conf_yaml *y, const char *path);
/* Prints and counts a fault at a line (0: none). */
void conf_yaml_fault(struct conf_yaml *y, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
