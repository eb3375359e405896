// Every control operation and read that the SDK for JavaScript v3 knows, by its own commands, each error by its own class.
// Told the endpoint by KVS_URL; prints "ok ..." or "FAIL ..." for each claim, exits 1 after a FAIL.
"use strict";
const kv = require("@aws-sdk/client-kinesis-video");
const archived = require("@aws-sdk/client-kinesis-video-archived-media");
const media = require("@aws-sdk/client-kinesis-video-media");
const assert = require("node:assert");

const config = { endpoint: process.env.KVS_URL, region: "us-west-2", maxAttempts: 1 };
const client = new kv.KinesisVideoClient(config);
const reads = new archived.KinesisVideoArchivedMediaClient(config);
const live = new media.KinesisVideoMediaClient(config);
let failures = 0;

function check(good, text) {
  failures += !good;
  console.log((good ? "ok   " : "FAIL ") + text);
}
function same(got, want, what) {
  try {
    assert.deepStrictEqual(got, want);
    check(true, what);
  } catch {
    check(false, `${what}: ${JSON.stringify(got)}, expected ${JSON.stringify(want)}`);
  }
}
const send = (name, input = {}) => client.send(new kv[name + "Command"](input));

// The refusal must be an instance of the SDK's class, and of its base.
async function refused(errors, name, status, call, what) {
  try {
    await call();
    check(false, `${what}: accepted`);
  } catch (e) {
    const base = errors.KinesisVideoServiceException || errors.KinesisVideoArchivedMediaServiceException || errors.KinesisVideoMediaServiceException;
    check(e instanceof errors[name] && e instanceof base && e.name === name && e.$metadata.httpStatusCode === status &&
      e.$fault === "client" && !!e.$metadata.requestId && !!(e.message || e.Message), `${what}: ${e.name} ${e.$metadata?.httpStatusCode} ${e.message}`);
  }
}
const no = (name, status, operation, input) => refused(kv, name, status, () => send(operation, input), `${operation} ${JSON.stringify(input).slice(0, 100)}`);

const hub = "arn:aws:iot:us-west-2:123456789012:thing/js";
const edge = {
  HubDeviceArn: hub,
  RecorderConfig: {
    MediaSourceConfig: { MediaUriSecretArn: "arn:aws:secretsmanager:us-west-2:123456789012:secret:cam", MediaUriType: "RTSP_URI" },
    ScheduleConfig: { ScheduleExpression: "0 0 9-16 * * ? *", DurationInSeconds: 3599 },
  },
  DeletionConfig: { EdgeRetentionInHours: 15, DeleteAfterUpload: true },
};
const image = {
  Status: "ENABLED", ImageSelectorType: "SERVER_TIMESTAMP", DestinationConfig: { Uri: "s3://bucket", DestinationRegion: "us-west-2" },
  SamplingInterval: 3000, Format: "PNG",
};
const notification = { Status: "ENABLED", DestinationConfig: { Uri: "arn:aws:sns:us-west-2:123456789012:topic" } };

async function streams() {
  const { StreamARN: arn } = await send("CreateStream", { StreamName: "js-a", DataRetentionInHours: 2, MediaType: "video/h264", Tags: { made: "here" } });
  await send("CreateStream", { StreamName: "js-b", DataRetentionInHours: 1 });
  await send("CreateStream", { StreamName: "js-zero" });
  const { StreamInfo: info } = await send("DescribeStream", { StreamName: "js-a" });
  same([info.StreamARN, info.Status, info.DataRetentionInHours, info.MediaType], [arn, "ACTIVE", 2, "video/h264"], "CreateStream, DescribeStream");
  check(info.CreationTime instanceof Date && Math.abs(info.CreationTime - Date.now()) < 60000, "CreationTime is a Date of now");
  const names = [];
  for await (const page of kv.paginateListStreams({ client, pageSize: 1 }, { StreamNameCondition: { ComparisonOperator: "BEGINS_WITH", ComparisonValue: "js-" } }))
    names.push(...page.StreamInfoList.map((s) => s.StreamName));
  same(names, ["js-a", "js-b", "js-live", "js-zero"], "ListStreams, one to a page");
  await send("UpdateStream", { StreamName: "js-a", CurrentVersion: info.Version, DeviceName: "dev" });
  const then = (await send("DescribeStream", { StreamARN: arn })).StreamInfo;
  check(then.DeviceName === "dev" && then.Version !== info.Version, "UpdateStream");
  await send("UpdateDataRetention", { StreamName: "js-a", CurrentVersion: then.Version, Operation: "INCREASE_DATA_RETENTION", DataRetentionChangeInHours: 3 });
  same((await send("DescribeStream", { StreamName: "js-a" })).StreamInfo.DataRetentionInHours, 5, "UpdateDataRetention");
  for (const APIName of ["PUT_MEDIA", "GET_MEDIA", "LIST_FRAGMENTS", "GET_MEDIA_FOR_FRAGMENT_LIST"])
    same((await send("GetDataEndpoint", { StreamName: "js-a", APIName })).DataEndpoint, process.env.KVS_URL, `GetDataEndpoint ${APIName}`);
  await no("ResourceInUseException", 400, "CreateStream", { StreamName: "js-a" });
  await no("InvalidArgumentException", 400, "CreateStream", { StreamName: "not a name" });
  await no("ResourceNotFoundException", 404, "DescribeStream", { StreamName: "nowhere" });
  await no("InvalidArgumentException", 400, "DescribeStream", {});
  await no("InvalidArgumentException", 400, "ListStreams", { MaxResults: 10001 });
  await no("VersionMismatchException", 400, "UpdateStream", { StreamName: "js-a", CurrentVersion: "old" });
  await no("VersionMismatchException", 400, "UpdateDataRetention", { StreamName: "js-a", CurrentVersion: "old", Operation: "INCREASE_DATA_RETENTION", DataRetentionChangeInHours: 3 });
  await no("ResourceNotFoundException", 404, "GetDataEndpoint", { StreamName: "nowhere", APIName: "PUT_MEDIA" });
  await no("VersionMismatchException", 400, "DeleteStream", { StreamARN: arn, CurrentVersion: "old" });
  return arn;
}

async function tags(arn) {
  await send("TagStream", { StreamName: "js-a", Tags: { site: "Gate 3", "größe": "" } });
  await send("TagResource", { ResourceARN: arn, Tags: [{ Key: "by", Value: "resource" }] });
  same((await send("ListTagsForStream", { StreamName: "js-a" })).Tags, { made: "here", site: "Gate 3", "größe": "", by: "resource" }, "TagStream, TagResource, ListTagsForStream");
  await send("UntagStream", { StreamName: "js-a", TagKeyList: ["site"] });
  await send("UntagResource", { ResourceARN: arn, TagKeyList: ["by"] });
  same((await send("ListTagsForResource", { ResourceARN: arn })).Tags, { made: "here", "größe": "" }, "UntagStream, UntagResource, ListTagsForResource");
  await no("TagsPerResourceExceededLimitException", 400, "TagStream", { StreamName: "js-a", Tags: Object.fromEntries(Array.from({ length: 49 }, (_, i) => ["k" + i, "v"])) });
  await no("TagsPerResourceExceededLimitException", 400, "TagResource", { ResourceARN: arn, Tags: Array.from({ length: 49 }, (_, i) => ({ Key: "k" + i, Value: "v" })) });
  await no("InvalidResourceFormatException", 400, "TagStream", { StreamARN: "not-an-arn", Tags: { a: "b" } });
  await no("InvalidResourceFormatException", 400, "ListTagsForStream", { StreamARN: "not-an-arn" });
  await no("InvalidResourceFormatException", 400, "UntagStream", { StreamARN: "not-an-arn", TagKeyList: ["a"] });
  await no("InvalidArgumentException", 400, "TagStream", { StreamName: "js-a", Tags: { "smile😀": "b" } });
  await no("ResourceNotFoundException", 404, "UntagResource", { ResourceARN: arn.replace(/\d+$/, "1"), TagKeyList: ["a"] });
}

async function configurations() {
  for (const [update, describe, member, value] of [
    ["UpdateImageGenerationConfiguration", "DescribeImageGenerationConfiguration", "ImageGenerationConfiguration", image],
    ["UpdateNotificationConfiguration", "DescribeNotificationConfiguration", "NotificationConfiguration", notification],
  ]) {
    await send(update, { StreamName: "js-a", [member]: value });
    same((await send(describe, { StreamName: "js-a" }))[member], value, `${update}, ${describe}`);
    await no("NoDataRetentionException", 400, update, { StreamName: "js-zero", [member]: value });
    await no("InvalidArgumentException", 400, update, { StreamName: "js-a", [member]: { ...value, Status: "ON" } });
    await no("ResourceNotFoundException", 404, describe, { StreamName: "nowhere" });
    await send(update, { StreamName: "js-a" });
    same((await send(describe, { StreamName: "js-a" }))[member], undefined, `${update} without it removes it`);
  }
}

async function edges() {
  await no("StreamEdgeConfigurationNotFoundException", 404, "DescribeEdgeConfiguration", { StreamName: "js-a" });
  const started = await send("StartEdgeConfigurationUpdate", { StreamName: "js-a", EdgeConfig: edge });
  same([started.SyncStatus, started.EdgeConfig], ["SYNCING", edge], "StartEdgeConfigurationUpdate");
  await send("StartEdgeConfigurationUpdate", { StreamName: "js-b", EdgeConfig: edge });
  same((await send("DescribeEdgeConfiguration", { StreamName: "js-a" })).EdgeConfig, edge, "DescribeEdgeConfiguration");
  const names = [];
  for await (const page of kv.paginateListEdgeAgentConfigurations({ client, pageSize: 1 }, { HubDeviceArn: hub }))
    names.push(...page.EdgeConfigs.map((e) => e.StreamName));
  same(names, ["js-a", "js-b"], "ListEdgeAgentConfigurations, one to a page");
  await no("ResourceInUseException", 400, "StartEdgeConfigurationUpdate", { StreamName: "js-a", EdgeConfig: edge });
  await no("NoDataRetentionException", 400, "StartEdgeConfigurationUpdate", { StreamName: "js-zero", EdgeConfig: edge });
  await no("InvalidArgumentException", 400, "ListEdgeAgentConfigurations", { HubDeviceArn: hub, MaxResults: 11 });
  await send("DeleteEdgeConfiguration", { StreamName: "js-a" });
  await no("StreamEdgeConfigurationNotFoundException", 404, "DeleteEdgeConfiguration", { StreamName: "js-a" });
}

async function denied() {
  const bad = new kv.KinesisVideoClient({ ...config, credentials: { accessKeyId: process.env.READER_KEY, secretAccessKey: process.env.READER_SECRET } });
  const ask = (name, input) => bad.send(new kv[name + "Command"](input));
  await refused(kv, "NotAuthorizedException", 401, () => ask("DeleteStream", { StreamARN: "arn:aws:kinesisvideo:us-west-2:000000000000:stream/js-a/1" }), "DeleteStream by a reader");
  await refused(kv, "AccessDeniedException", 401, () => ask("TagResource", { ResourceARN: "arn:aws:kinesisvideo:us-west-2:000000000000:stream/js-a/1", Tags: [{ Key: "a", Value: "b" }] }), "TagResource by a reader");
  for (const name of ["CreateSignalingChannel", "DescribeMappedResourceConfiguration"])
    await send(name, { ChannelName: "a", StreamName: "js-a" }).then(() => check(false, name + " accepted"), (e) =>
      check(e.name === "NotImplemented" && e.$metadata.httpStatusCode === 501 && /does not have/.test(e.message), `${name}: ${e.name}: ${e.message}`));
}

async function mediaErrors() {
  const get = (input) => live.send(new media.GetMediaCommand(input));
  await refused(media, "ResourceNotFoundException", 404, () => get({ StreamName: "nowhere", StartSelector: { StartSelectorType: "NOW" } }), "GetMedia of no stream");
  await refused(media, "InvalidArgumentException", 400, () => get({ StreamName: "js-a", StartSelector: { StartSelectorType: "FRAGMENT_NUMBER" } }), "GetMedia without a number");
  const list = (input) => reads.send(new archived.ListFragmentsCommand(input));
  await refused(archived, "ResourceNotFoundException", 404, () => list({ StreamName: "nowhere", FragmentSelector: { FragmentSelectorType: "SERVER_TIMESTAMP", TimestampRange: { StartTimestamp: new Date(0), EndTimestamp: new Date() } } }), "ListFragments of no stream");
  await refused(archived, "InvalidArgumentException", 400, () => list({ StreamName: "js-a", NextToken: "AAAA" }), "ListFragments with a token of nobody");
}

async function main() {
  const arn = await streams();
  await tags(arn);
  await configurations();
  await edges();
  await denied();
  await mediaErrors();
  await send("DeleteStream", { StreamARN: arn });
  await no("ResourceNotFoundException", 404, "DeleteStream", { StreamARN: arn });
  process.exitCode = failures ? 1 : 0;
}
main().catch((e) => {
  console.log("FAIL " + e.stack);
  process.exitCode = 1;
});
