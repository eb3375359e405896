// GetMedia of the stream js-live from its first fragment until the file DONE is there; an answer that ends before (3 s without a fragment) is continued behind its
// last one, as consumers do. Prints "reading" with the first bytes. Then ListFragments, one to a page, and
// GetMediaForFragmentList of the last. Prints what it saw as one line of JSON.
"use strict";
const fs = require("node:fs");
const archived = require("@aws-sdk/client-kinesis-video-archived-media");
const media = require("@aws-sdk/client-kinesis-video-media");

const config = { endpoint: process.env.KVS_URL, region: "us-west-2", maxAttempts: 1 };
const NUMBER = /AWS_KINESISVIDEO_FRAGMENT_NUMBER\x44\x87.(\d{47})/gs;
const numbersIn = (bytes) => [...bytes.toString("latin1").matchAll(NUMBER)].map((m) => m[1]);

async function main() {
  const live = new media.KinesisVideoMediaClient(config);
  const began = Date.now();
  const numbers = [], times = [];
  let answer, StartSelector = { StartSelectorType: "EARLIEST" }, answers = 0;
  while (!fs.existsSync(process.env.DONE)) {
    answer = await live.send(new media.GetMediaCommand({ StreamName: "js-live", StartSelector }));
    answers++;
    const pieces = [];
    for await (const piece of answer.Payload) {
      if (!times.length) console.log("reading");
      pieces.push(piece);
      times.push(Date.now());
    }
    numbers.push(...numbersIn(Buffer.concat(pieces)));
    StartSelector = { StartSelectorType: "FRAGMENT_NUMBER", AfterFragmentNumber: numbers[numbers.length - 1] };
  }
  const reads = new archived.KinesisVideoArchivedMediaClient(config);
  const listed = [];
  const FragmentSelector = { FragmentSelectorType: "SERVER_TIMESTAMP", TimestampRange: { StartTimestamp: new Date(began - 60000), EndTimestamp: new Date(Date.now() + 60000) } };
  for await (const page of archived.paginateListFragments({ client: reads, pageSize: 1 }, { StreamName: "js-live", FragmentSelector }))
    listed.push(...page.Fragments.map((f) => f.FragmentNumber));
  const last = listed.sort().slice(-2);
  const again = await reads.send(new archived.GetMediaForFragmentListCommand({ StreamName: "js-live", Fragments: last }));
  const some = [];
  for await (const piece of again.Payload) some.push(piece);
  console.log(JSON.stringify({
    type: answer.ContentType, again_type: again.ContentType, seconds: (times[times.length - 1] - times[0]) / 1000,
    answers, numbers, listed, last, again: numbersIn(Buffer.concat(some)),
  }));
}
main().catch((e) => {
  console.error(e.stack);
  process.exitCode = 1;
});
