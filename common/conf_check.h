/* The second half of reading a config, for conf.c: defaults and rules between keys.
 * Relies on conf_yaml for lines.
 * Leaves single keys to conf.c, the public side to conf.h. */
#ifndef KVPIPE_COMMON_CONF_CHECK_H
#define KVPIPE_COMMON_CONF_CHECK_H

#include "common/conf.h"
#include "common/conf_yaml.h"

/* Puts in place what depends on other keys, on the environment and on where the file lies; then
 * checks every rule between keys. Faults are counted in y. */
void conf_check(struct conf_yaml *y, struct conf *conf);

#endif
