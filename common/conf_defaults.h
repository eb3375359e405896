/* Defaults that depend on more than their own key, for conf.c.
 * Relies on conf_yaml.
 * Leaves rules to conf_check.h. */
#ifndef KVPIPE_COMMON_CONF_DEFAULTS_H
#define KVPIPE_COMMON_CONF_DEFAULTS_H

#include "common/conf.h"
#include "common/conf_yaml.h"

/* Puts in place what the file does not give. */
void conf_defaults(struct conf_yaml *y, struct conf *conf);

#endif
