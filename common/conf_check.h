/* Rules between keys, for conf.c.
 * Relies on conf_yaml for lines.
 * Leaves single keys to conf.c, defaults to conf_defaults.h, the public side to conf.h. */
#ifndef KVPIPE_COMMON_CONF_CHECK_H
#define KVPIPE_COMMON_CONF_CHECK_H

#include "common/conf.h"
#include "common/conf_yaml.h"

/* Checks every rule between keys. Faults are counted in y. */
void conf_check(struct conf_yaml *y, struct conf *conf);

#endif
