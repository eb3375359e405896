"""A client of the server by boto3, with the keys that the server made."""
import configparser

import boto3
import botocore.config


def client(service, url, keys):
    c = configparser.ConfigParser()
    c.read(keys)
    section = c[c.sections()[0]]
    return boto3.session.Session().client(service, endpoint_url=url, region_name="us-west-2", aws_access_key_id=section["aws_access_key_id"],
                        aws_secret_access_key=section["aws_secret_access_key"],
                        config=botocore.config.Config(retries={"max_attempts": 5}))


def list_fragments(url, keys, stream, start_ms):
    """All fragments of the hour behind start_ms, in the order of their numbers."""
    kv = client("kinesis-video-archived-media", url, keys)
    out, token = [], None
    while True:
        args = {"NextToken": token} if token else {"FragmentSelector": {
            "FragmentSelectorType": "PRODUCER_TIMESTAMP",
            "TimestampRange": {"StartTimestamp": start_ms / 1000 - 10, "EndTimestamp": start_ms / 1000 + 3600}}}
        answer = kv.list_fragments(StreamName=stream, MaxResults=1000, **args)
        out += answer["Fragments"]
        token = answer.get("NextToken")
        if not token:
            return sorted(out, key=lambda f: int(f["FragmentNumber"]))


def media(url, keys, stream):
    return client("kinesis-video-media", url, keys).get_media(
        StreamName=stream, StartSelector={"StartSelectorType": "EARLIEST"})["Payload"].read()
