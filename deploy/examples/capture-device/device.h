/* A camera that no library knows: put your own driver behind these four functions.
 * This one is made up (device.c): a bar that moves over grey, at a steady rate.
 * capture.c uses nothing else of it. */
#ifndef DEVICE_H
#define DEVICE_H

#include <stddef.h>
#include <stdint.h>

struct device {
    int fd; /* readable when a picture is there */
    unsigned width, height, rate;
    uint64_t pictures, lost; /* read so far; overrun before they were read */
};

/* Returns 0, or a negative errno. */
int device_open(struct device *d);
size_t device_picture_bytes(const struct device *d);
/* Fills `into` with the next picture (I420). Returns how many pictures the device lost before it,
 * or -EAGAIN when none is there. */
int device_read(struct device *d, uint8_t *into);
void device_close(struct device *d);

#endif
