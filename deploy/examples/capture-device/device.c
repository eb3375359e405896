/* A made-up device: a timer says when a picture is due, and the picture is drawn.
 * Relies on timerfd(2), which counts what was not fetched in time, as real hardware overruns.
 * Leaves everything else to capture.c. */
#include "device.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

int device_open(struct device *d)
{
    *d = (struct device){.width = 128, .height = 96, .rate = 20};
    struct itimerspec every = {.it_interval.tv_nsec = 1000000000 / d->rate,
                               .it_value.tv_nsec = 1000000000 / d->rate};
    d->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return d->fd < 0 || timerfd_settime(d->fd, 0, &every, NULL) < 0 ? -errno : 0;
}

size_t device_picture_bytes(const struct device *d)
{
    return (size_t)d->width * d->height * 3 / 2;
}

static void draw(const struct device *d, uint8_t *into)
{
    memset(into, 128, device_picture_bytes(d));
    for (unsigned y = 0; y < d->height; y++)
        memset(into + y * d->width + d->pictures * 2 % (d->width - 8), 230, 8);
}

int device_read(struct device *d, uint8_t *into)
{
    uint64_t due;
    if (read(d->fd, &due, sizeof due) != (ssize_t)sizeof due)
        return -EAGAIN;
    d->lost += due - 1;
    d->pictures++;
    draw(d, into);
    return due - 1 > 1000 ? 1000 : (int)(due - 1);
}

void device_close(struct device *d)
{
    close(d->fd);
}
