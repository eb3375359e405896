"""A CloudWatch that takes PutMetricData, checks it against botocore's model and the service's limits, and keeps it;
and an agent's TCP port that takes lines in the embedded metric format."""
import datetime
import http.server
import json
import math
import re
import socketserver
import threading
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.session
import botocore.validate

FAULT = "<ErrorResponse><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>"


def unfold(form):
    """Members of an AWS Query form as the nested lists and maps they stand for."""
    root = {}
    for key, value in form:
        at, parts = root, key.split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = value

    def lists(node):
        if not isinstance(node, dict):
            return node
        if set(node) == {"member"}:
            items = node["member"]
            if sorted(map(int, items)) != list(range(1, len(items) + 1)):
                raise ValueError("members are not counted from 1: %s" % sorted(items))
            return [lists(items[str(i + 1)]) for i in range(len(items))]
        return {k: lists(v) for k, v in node.items()}
    return lists(root)


def typed(value, shape):
    """Text as the types that the model asks for."""
    if shape.type_name == "structure":
        return {k: typed(v, shape.members[k]) if k in shape.members else v for k, v in value.items()}
    if shape.type_name == "list":
        return [typed(v, shape.member) for v in value]
    if shape.type_name == "timestamp":
        return datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return {"integer": int, "double": float}.get(shape.type_name, str)(value)


class CloudWatch:
    """Answers as `faults` says, one (status, code) each, then accepts. `puts`: the parameters of what was accepted."""

    def __init__(self, keys, faults=()):
        self.puts, self.errors, self.bodies, self.faults, self.refused = [], [], [], list(faults), 0
        self.keys = keys
        self.shape = botocore.session.get_session().get_service_model("cloudwatch").operation_model("PutMetricData").input_shape
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = outer.take(self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self, path, headers, body):
        if self.faults:
            status, code = self.faults.pop(0)
            self.refused += 1
            return status, FAULT % ("Sender", code, "on purpose")
        try:
            self.check_signature(path, headers, body)
            put = self.check(body)
        except Exception as e:  # whatever is wrong is told by the test
            self.errors.append("%s: %s" % (type(e).__name__, e))
            return 400, FAULT % ("Sender", "InvalidParameterValue", "wrong")
        self.puts.append(put)
        self.bodies.append(body)
        return 200, "<PutMetricDataResponse><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></PutMetricDataResponse>"

    def check_signature(self, path, headers, body):
        """Signs the same request with botocore; the signatures have to be equal."""
        signed = re.search(r"SignedHeaders=([^,]+)", headers["Authorization"])[1].split(";")
        request = botocore.awsrequest.AWSRequest("POST", "http://%s%s" % (headers["Host"], path), data=body)
        request.context["timestamp"] = headers["X-Amz-Date"]
        for name in signed:
            request.headers[name] = headers[name]
        auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(*self.keys()), "monitoring", "us-west-2")
        string = auth.string_to_sign(request, auth.canonical_request(request))
        if auth.signature(string, request) != re.search(r"Signature=(\w+)", headers["Authorization"])[1]:
            raise ValueError("the signature is wrong")

    def check(self, body):
        form = urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
        if len(body) > 1 << 20:
            raise ValueError("%d bytes" % len(body))
        params = unfold(form)
        if (params.pop("Action"), params.pop("Version")) != ("PutMetricData", "2010-08-01"):
            raise ValueError("not PutMetricData of 2010-08-01")
        params = typed(params, self.shape)
        report = botocore.validate.ParamValidator().validate(params, self.shape)
        if report.has_errors():
            raise ValueError(report.generate_report())
        self.check_limits(params)
        return params

    def check_limits(self, params):
        """What the service refuses and the model does not say."""
        units = self.shape.members["MetricData"].member.members["Unit"].enum
        if not 1 <= len(params["MetricData"]) <= 1000:
            raise ValueError("%d data" % len(params["MetricData"]))
        for d in params["MetricData"]:
            if d["Unit"] not in units:
                raise ValueError("unit %s" % d["Unit"])
            forms = [k for k in ("Value", "StatisticValues", "Values") if k in d]
            if len(forms) != 1 or ("Counts" in d) != ("Values" in d):
                raise ValueError("%s has %s" % (d["MetricName"], forms))
            values = d.get("Values", []) + list(d.get("StatisticValues", {}).values()) + [d.get("Value", 0.0)]
            if any(not math.isfinite(v) or abs(v) > 2.0 ** 360 for v in values):
                raise ValueError("%s: a value out of range" % d["MetricName"])
            if len(d.get("Values", [])) > 150 or len(d.get("Values", [])) != len(d.get("Counts", [])) or len(set(d.get("Values", []))) != len(d.get("Values", [])):
                raise ValueError("%s: values and counts" % d["MetricName"])
            s = d.get("StatisticValues")
            if s and not (s["SampleCount"] > 0 and s["Minimum"] <= s["Sum"] / s["SampleCount"] * (1 + 1e-9) + 1e-9 and
                          s["Sum"] / s["SampleCount"] <= s["Maximum"] * (1 + 1e-9) + 1e-9):
                raise ValueError("%s: statistics %s" % (d["MetricName"], s))
            for dimension in d.get("Dimensions", []):
                if not dimension["Value"].isascii() or not dimension["Value"].strip() or len(dimension["Value"]) > 1024 or dimension["Name"].startswith(":"):
                    raise ValueError("dimension %s" % dimension)
            if abs((d["Timestamp"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) > 7200:
                raise ValueError("time %s" % d["Timestamp"])
            if d.get("StorageResolution", 60) not in (1, 60):
                raise ValueError("resolution")

    def data(self, space):
        return [d for p in list(self.puts) if p["Namespace"] == space for d in p["MetricData"]]

    def total(self, space, name, **dimensions):
        """Sum over all that was put; a histogram's is its number of values."""
        return sum(d.get("Value", 0) + sum(d.get("Counts", [])) + d.get("StatisticValues", {}).get("Sum", 0) for d in self.data(space)
                   if d["MetricName"] == name and dimensions.items() <= {x["Name"]: x["Value"] for x in d.get("Dimensions", [])}.items())


class Agent:
    """Takes lines at a TCP port. `lines`: those that came, as text."""

    def __init__(self):
        self.lines = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for line in self.rfile:
                    outer.lines.append(line.decode())

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        socketserver.ThreadingTCPServer.daemon_threads = True
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def emf_faults(line, validator):
    """What is wrong with one line: by the schema, and by what the specification says besides."""
    try:
        o = json.loads(line)
    except ValueError as e:
        return [str(e)]
    faults = ["%s: %s" % ("/".join(map(str, e.absolute_path)), e.message) for e in validator.iter_errors(o)]
    if len(line) > 262144:
        faults.append("%d bytes" % len(line))
    for directive in o.get("_aws", {}).get("CloudWatchMetrics", []):
        for name in {n for dimensions in directive["Dimensions"] for n in dimensions}:
            if not isinstance(o.get(name), str) or not 1 <= len(o[name]) <= 1024:
                faults.append("dimension %s is no text" % name)
        for m in directive["Metrics"]:
            values = o.get(m["Name"])
            values = values if isinstance(values, list) else [values]
            if not 1 <= len(values) <= 100 or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values):
                faults.append("metric %s is %s" % (m["Name"], str(values)[:80]))
    return faults
