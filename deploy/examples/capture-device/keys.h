/* Keys for tcp:// (kvpipe keys init): the own pair from KVPIPE_KEYS/STAGE.secret, and who may
 * connect from the .pub files beside it. Relies on libzmq alone. */
#ifndef KEYS_H
#define KEYS_H

/* Makes `socket` serve with the stage's pair; *zap is the socket of questions about keys. Returns 0
 * or -1 after saying why. */
int keys_serve(void *zmq, void *socket, const char *dir, const char *stage, void **zap);
/* Answers the questions that wait: a key in ROLE.pub or ROLE.*.pub may connect. Without an answer
 * libzmq would let in any key. */
void keys_answer(void *zap, const char *role);

#endif
