"""What a pipeline's server has of a stream, by boto3 with the keys that it made."""
from kvserver import client_of, credentials_of


def client(service, url, keys):
    return client_of(service, url, credentials_of(keys), retries={"max_attempts": 5})


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
