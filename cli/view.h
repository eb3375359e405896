/* The monitor's JSON as lines for people.
 * Relies on Jansson. Every text in it is taken as hostile: no control characters reach the
 * terminal. Leaves when and where to print to the commands. */
#ifndef KVPIPE_CLI_VIEW_H
#define KVPIPE_CLI_VIEW_H

#include <stddef.h>

#include <jansson.h>

/* One line for a stream: rates, fragments, backlog, state, note. No newline at its end. */
void view_stream(const json_t *stream, int name_width, char *line, size_t size);
/* One line for a process that is not well, with the last error in its log. Returns 0, or -ENOENT
 * when it is well. */
int view_problem(const json_t *stage, char *line, size_t size);
/* The two tables of `kvpipe status` on stdout. */
void view_status(const json_t *status);
/* One event on stdout: time, about what, what happened, what to do. */
void view_event(const json_t *event);
/* Replaces control characters. */
void view_tame(char *text);
/* Width of the longest stream name, at most 32. */
int view_name_width(const json_t *streams);
/* A text member, "" when it is not there. */
const char *view_text(const json_t *o, const char *key);
double view_number(const json_t *o, const char *key);

#endif
