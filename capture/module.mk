# capture: sources are picked up by wildcard; extra flags of this folder go here (CFLAGS_capture).
# The RTSP camera of the tests stands here because nothing but capture needs one.
TOOL_CFLAGS_rtsp_camera = $(shell pkg-config --cflags gstreamer-rtsp-server-1.0)
TOOL_LIBS_rtsp_camera = $(shell pkg-config --libs gstreamer-rtsp-server-1.0)
