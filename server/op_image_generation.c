/* UpdateImageGenerationConfiguration and DescribeImageGenerationConfiguration. Relies on
 * settings.h. Leaves making images to what reads the setting. */
#include <stdlib.h>
#include <string.h>

#include "server/configuration.h"
#include "server/error.h"
#include "server/field.h"
#include "server/route.h"
#include "server/settings.h"
#include "server/store.h"

#define MEMBER "ImageGenerationConfiguration"

/* arn:aws:kinesisvideo:REGION:... */
static bool in_region(const struct stream *st, const char *region)
{
    const char *at = st->arn;
    for (int i = 0; i < 3 && at; i++)
        at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL;
    return at && !strncmp(at, region, strlen(region)) && at[strlen(region)] == ':';
}

/* At most JPEGQuality, 1 to 100, as a string. */
static void check_format_config(struct fields *f)
{
    json_t *config = field_object(f, "FormatConfig", FIELD_OPTIONAL);
    const char *quality = json_string_value(json_object_get(config, "JPEGQuality"));
    if (!config || !json_object_size(config))
        return;
    if (json_object_size(config) == 1 && quality && field_matches(quality, 1, 3, FIELD_DIGITS) &&
        atoi(quality) >= 1 && atoi(quality) <= 100)
        return;
    f->failed = true;
    error_invalid_argument(
        f->ex, "FormatConfig is not valid: expected JPEGQuality from \"1\" to \"100\".");
}

static bool check(struct fields *outer, struct stream *st)
{
    static const char *const formats[] = {"JPEG", "PNG", NULL};
    static const char *const selectors[] = {"SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP", NULL};
    struct fields f = field_enter(outer, MEMBER, FIELD_OPTIONAL);
    field_enum(&f, "Status", FIELD_REQUIRED, configuration_status);
    field_enum(&f, "ImageSelectorType", FIELD_REQUIRED, selectors);
    field_enum(&f, "Format", FIELD_REQUIRED, formats);
    field_int(&f, "SamplingInterval", FIELD_REQUIRED, 200, 20000, 0);
    field_int(&f, "WidthPixels", FIELD_OPTIONAL, 1, 3840, 0);
    field_int(&f, "HeightPixels", FIELD_OPTIONAL, 1, 2160, 0);
    check_format_config(&f);
    struct fields to = field_enter(&f, "DestinationConfig", FIELD_REQUIRED);
    field_string(&to, "Uri", FIELD_REQUIRED, 1, 255, FIELD_DESTINATION_URI);
    const char *region =
        field_string(&to, "DestinationRegion", FIELD_REQUIRED, 9, 14, FIELD_REGION);
    if (!to.failed && !in_region(st, region)) {
        to.failed = true;
        error_invalid_argument(f.ex, "DestinationRegion is not the region of the stream.");
    }
    field_leave(&f, &to);
    field_leave(outer, &f);
    return !outer->failed;
}

static void update(struct server *server, struct http_exchange *ex, json_t *body)
{
    configuration_update(server, ex, body, MEMBER, SETTING_IMAGE, check);
}

static void describe(struct server *server, struct http_exchange *ex, json_t *body)
{
    configuration_describe(server, ex, body, MEMBER, SETTING_IMAGE);
}

const struct operation op_update_image_generation = {.name = "UpdateImageGenerationConfiguration",
                                                     .method = "POST",
                                                     .path = "/updateImageGenerationConfiguration",
                                                     .handle = update,
                                                     .control = true,
                                                     .access_denied = true};
const struct operation op_describe_image_generation = {
    .name = "DescribeImageGenerationConfiguration",
    .method = "POST",
    .path = "/describeImageGenerationConfiguration",
    .handle = describe,
    .control = true,
    .access_denied = true};
