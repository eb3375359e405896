/* A stream as the API shows it: StreamInfo. Relies on jansson and the store. Leaves the answers
 * around it to the operations. */
#include "server/stream_info.h"

#include "server/reply.h"
#include "server/store.h"

static const char *status_name(enum stream_status s)
{
    return s == STREAM_CREATING ? "CREATING" : s == STREAM_ACTIVE ? "ACTIVE" : "DELETING";
}

json_t *stream_info(const struct stream *st)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:o, s:s*, s:s*, s:s}", "StreamName", st->name,
                     "StreamARN", st->arn, "Version", st->version, "Status",
                     status_name(st->status), "DataRetentionInHours", (int)st->retention_h,
                     "CreationTime", reply_timestamp(st->created_ms), "MediaType", st->media_type,
                     "DeviceName", st->device_name, "KmsKeyId",
                     st->kms_key ? st->kms_key : "alias/aws/kinesisvideo");
}
