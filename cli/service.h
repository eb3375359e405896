/* Calls to the endpoint of a config, or of the pipeline that runs here, for commands: each waits
 * for its answer. Relies on common/api and an event loop of its own. Leaves what is asked to the
 * commands; what goes wrong is said here, with what to do. */
#ifndef KVPIPE_CLI_SERVICE_H
#define KVPIPE_CLI_SERVICE_H

#include <stddef.h>

#include <jansson.h>

struct service;

/* config: a file; NULL takes that of the pipeline whose monitor answers at the default address.
 * Returns NULL after printing what is wrong. */
struct service *service_open(const char *config);
void service_close(struct service **s);

/* POSTs a JSON object (taken) to a path of the control plane; one that is refused as one too many
 * is asked again for 10 s. Blocks at most 15 s a try. Returns 0 and *answer (json_decref), or -1
 * after printing what is wrong. */
int service_control(struct service *s, const char *path, const char *stream, json_t *body,
                    json_t **answer);
/* The same to the data endpoint that GetDataEndpoint gives for the stream and the API's name. */
int service_data(struct service *s, const char *api, const char *path, const char *stream,
                 json_t *body, json_t **answer);

enum service_end {
    SERVICE_ENDED,   /* the answer came whole */
    SERVICE_BROKEN,  /* cut off, or silent for 20 s; printed */
    SERVICE_BUSY,    /* too many calls or connections; printed */
    SERVICE_REFUSED, /* of no use to ask again; printed */
    SERVICE_STOPPED, /* by on_data */
};

/* The same for an answer without end: on_data gets it as it comes and stops it by a negative
 * return. */
enum service_end service_stream(struct service *s, const char *api, const char *path,
                                const char *stream, json_t *body,
                                int (*on_data)(void *arg, const void *data, size_t len), void *arg);

#endif
