/* RTSP cameras over TCP or UDP.
 * Relies on rtspsrc. User and password come from a file, the environment or the address, and go to
 * rtspsrc only. Leaves reconnection to stream_source.c. */
#include "capture/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/branch.h"
#include "capture/url.h"
#include "common/mem.h"

#define LATENCY_MS 200u
#define TCP 4
#define UDP 1

static int split_login(const char *text, char **user, char **password)
{
    size_t len = strcspn(text, "\r\n");
    const char *colon = memchr(text, ':', len);

    if (!colon)
        return -EINVAL;
    free(*user);
    free(*password);
    *user = strndup(text, (size_t)(colon - text));
    *password = strndup(colon + 1, len - (size_t)(colon + 1 - text));
    return *user && *password ? 0 : -ENOMEM;
}

static int login_from_file(const char *path, char **user, char **password, char *why)
{
    char text[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    rc = n < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (rc) {
        snprintf(why, SOURCE_WHY_MAX, "cannot read '%.300s': %s; check source.credentials_file",
                 path, strerror(-rc));
        return rc;
    }
    text[n] = '\0';
    rc = split_login(text, user, password);
    explicit_bzero(text, sizeof text);
    if (rc)
        snprintf(why, SOURCE_WHY_MAX, "'%.300s' must hold one line user:password", path);
    return rc;
}

static int login_from_env(const char *name, char **user, char **password, char *why)
{
    const char *text = getenv(name);
    int rc = text ? split_login(text, user, password) : -ENOENT;

    if (rc)
        snprintf(
            why, SOURCE_WHY_MAX,
            "environment variable %.100s (source.credentials_env) must be set to user:password",
            name);
    return rc;
}

static int read_login(const struct conf_source *c, char **user, char **password, char *why)
{
    if (c->credentials_file && c->credentials_file[0])
        return login_from_file(c->credentials_file, user, password, why);
    if (c->credentials_env && c->credentials_env[0])
        return login_from_env(c->credentials_env, user, password, why);
    return 0;
}

static void forget(char **secret)
{
    if (*secret)
        explicit_bzero(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

static void set_up(GstElement *rtsp, const struct conf_source *c, const char *plain,
                   const char *user, const char *password)
{
    guint64 timeout_us = (guint64)c->timeout_s * 1000000u;

    g_object_set(rtsp, "location", plain, "protocols",
                 c->transport == CONF_TRANSPORT_UDP ? UDP : TCP, "latency", LATENCY_MS,
                 "tcp-timeout", timeout_us, "timeout", timeout_us, "drop-on-latency", FALSE, NULL);
    if (user)
        g_object_set(rtsp, "user-id", user, "user-pw", password, NULL);
}

/* Called for each media of the session description, before any is set up. rtspsrc adds pads from a
 * thread per media, so its no-more-pads may overtake the last pad. */
static gboolean on_media(GstElement *rtsp, guint number, GstCaps *caps, gpointer arg)
{
    const char *media = gst_structure_get_string(gst_caps_get_structure(caps, 0), "media");

    pull_announce(arg, media && strcmp(media, "video") == 0   ? PULL_VIDEO
                       : media && strcmp(media, "audio") == 0 ? PULL_AUDIO
                                                              : PULL_DATA);
    return TRUE;
}

static void release(gpointer arg, GClosure *closure)
{
    struct pull *pull = arg;

    pull_unref(&pull);
}

static int build(const struct conf_stream *conf, GstElement *pipeline, struct pull *pull, char *why)
{
    char *plain, *user, *password;
    GstElement *rtsp = NULL;
    int rc;

    url_split(conf->source.url, &plain, &user, &password);
    rc = read_login(&conf->source, &user, &password, why);
    if (!rc) {
        rtsp = source_add_element(pipeline, "rtspsrc", why);
        rc = rtsp ? 0 : -ENOENT;
    }
    if (!rc) {
        set_up(rtsp, &conf->source, plain, user, password);
        g_signal_connect_data(rtsp, "select-stream", G_CALLBACK(on_media), pull_ref(pull), release,
                              0);
        branch_join_dynamic(rtsp, pull, false);
    }
    free(plain);
    forget(&user);
    forget(&password);
    return rc;
}

const struct source_ops source_rtsp = {
    .name = "rtsp",
    .advice = "check the camera's address, power and network",
    .liveness = SOURCE_LIVE,
    .endless = true,
    .build = build,
};
