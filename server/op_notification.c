/* UpdateNotificationConfiguration and DescribeNotificationConfiguration. Relies on settings.h.
 * Leaves sending to what reads the setting. */
#include "server/configuration.h"
#include "server/field.h"
#include "server/route.h"
#include "server/settings.h"

#define MEMBER "NotificationConfiguration"

static bool check(struct fields *outer, struct stream *st)
{
    struct fields f = field_enter(outer, MEMBER, FIELD_OPTIONAL);
    field_enum(&f, "Status", FIELD_REQUIRED, configuration_status);
    struct fields to = field_enter(&f, "DestinationConfig", FIELD_REQUIRED);
    field_string(&to, "Uri", FIELD_REQUIRED, 1, 255, FIELD_DESTINATION_URI);
    field_leave(&f, &to);
    field_leave(outer, &f);
    return !outer->failed;
}

static void update(struct server *server, struct http_exchange *ex, json_t *body)
{
    configuration_update(server, ex, body, MEMBER, SETTING_NOTIFICATION, check);
}

static void describe(struct server *server, struct http_exchange *ex, json_t *body)
{
    configuration_describe(server, ex, body, MEMBER, SETTING_NOTIFICATION);
}

const struct operation op_update_notification = {.name = "UpdateNotificationConfiguration",
                                                 .method = "POST",
                                                 .path = "/updateNotificationConfiguration",
                                                 .handle = update,
                                                 .control = true,
                                                 .access_denied = true};
const struct operation op_describe_notification = {.name = "DescribeNotificationConfiguration",
                                                   .method = "POST",
                                                   .path = "/describeNotificationConfiguration",
                                                   .handle = describe,
                                                   .control = true,
                                                   .access_denied = true};
