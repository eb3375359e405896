/* rtsp_camera PORT FILE|test [USER:PASSWORD]: an RTSP camera for tests at
 * rtsp://127.0.0.1:PORT/cam, H.264 and AAC. FILE: an mp4 with both, played from its start for each
 * client; test: a pattern and a tone, coded once for all clients. Prints "ready" when it listens;
 * ends with a signal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/rtsp-server/rtsp-server.h>

/* Four slices a picture, and rtph264pay repeats the parameter sets between them: as some cameras
 * do.
 */
#define PATTERN                                                                                    \
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=640,height=360,"     \
    "framerate=25/1 ! x264enc tune=zerolatency threads=4 bitrate=800 key-int-max=25 "              \
    "speed-preset=ultrafast "                                                                      \
    "! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 config-interval=-1 "             \
    "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! voaacenc "     \
    "bitrate=64000 ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"

static gchar *launch_line(const char *what)
{
    if (strcmp(what, "test") == 0)
        return g_strdup(PATTERN);
    return g_strdup_printf("( filesrc location=\"%s\" ! qtdemux name=d d.video_0 ! queue ! "
                           "h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 d.audio_0 ! "
                           "queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )",
                           what);
}

static void protect(GstRTSPServer *server, GstRTSPMediaFactory *factory, const char *login)
{
    GstRTSPAuth *auth = gst_rtsp_auth_new();
    GstRTSPToken *token =
        gst_rtsp_token_new(GST_RTSP_TOKEN_MEDIA_FACTORY_ROLE, G_TYPE_STRING, "viewer", NULL);
    gchar **parts = g_strsplit(login, ":", 2);
    gchar *basic = gst_rtsp_auth_make_basic(parts[0], parts[1] ? parts[1] : "");

    gst_rtsp_auth_add_basic(auth, basic, token);
    gst_rtsp_server_set_auth(server, auth);
    gst_rtsp_media_factory_add_role(factory, "viewer", GST_RTSP_PERM_MEDIA_FACTORY_ACCESS,
                                    G_TYPE_BOOLEAN, TRUE, GST_RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
                                    G_TYPE_BOOLEAN, TRUE, NULL);
    g_free(basic);
    g_strfreev(parts);
    gst_rtsp_token_unref(token);
    g_object_unref(auth);
}

int main(int argc, char **argv)
{
    GstRTSPServer *server;
    GstRTSPMountPoints *mounts;
    GstRTSPMediaFactory *factory;
    gchar *line;

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: rtsp_camera PORT FILE|test [USER:PASSWORD]\n");
        return 2;
    }
    gst_init(NULL, NULL);
    server = gst_rtsp_server_new();
    gst_rtsp_server_set_address(server, "127.0.0.1");
    gst_rtsp_server_set_service(server, argv[1]);
    factory = gst_rtsp_media_factory_new();
    line = launch_line(argv[2]);
    gst_rtsp_media_factory_set_launch(factory, line);
    g_free(line);
    gst_rtsp_media_factory_set_shared(factory, strcmp(argv[2], "test") == 0);
    if (argc == 4)
        protect(server, factory, argv[3]);
    mounts = gst_rtsp_server_get_mount_points(server);
    gst_rtsp_mount_points_add_factory(mounts, "/cam", factory);
    g_object_unref(mounts);
    if (!gst_rtsp_server_attach(server, NULL)) {
        fprintf(stderr, "rtsp_camera: port %s is in use\n", argv[1]);
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    g_main_loop_run(g_main_loop_new(NULL, FALSE));
    return 0;
}
