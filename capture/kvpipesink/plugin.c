/* The plugin kvpipe: one element. */
#include "capture/kvpipesink/kvpipesink.h"
#include "capture/kvpipesink/uplink.h"

GST_DEBUG_CATEGORY(kvpipesink_debug);

static gboolean plugin_init(GstPlugin *plugin)
{
    GST_DEBUG_CATEGORY_INIT(kvpipesink_debug, "kvpipesink", 0, "coded frames to kvpipe");
    uplink_take_log();
    return gst_element_register(plugin, "kvpipesink", GST_RANK_NONE, kvpipesink_get_type());
}

#define PACKAGE "kvpipe"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, kvpipe,
                  "Gives coded video to a running kvpipe", plugin_init, KVPIPE_VERSION,
                  "Apache 2.0", "kvpipe", "kvpipe")
