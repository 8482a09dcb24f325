"""An OTLP/HTTP receiver: decodes with Google's generated classes, prints each request as a line of JSON.

receiver.py PORT          listens (0: any port), prints the port first
receiver.py conventions   prints the semantic conventions' metrics of processes
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def listen(port):
    from google.protobuf import json_format
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    )

    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            assert self.path == "/v1/metrics", self.path
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            kind = self.headers["content-type"]
            if kind == "application/json":
                request = json_format.Parse(body, ExportMetricsServiceRequest())
                answer = b"{}"
            else:
                assert kind == "application/x-protobuf", kind
                request = ExportMetricsServiceRequest.FromString(body)
                answer = ExportMetricsServiceResponse().SerializeToString()
            # What a decoder does not know would be lost on the way.
            assert not has_unknown(request), "unknown fields"
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            self.wfile.flush()
            read = json_format.MessageToDict(request, preserving_proto_field_name=True)
            headers = {name.lower(): value for name, value in self.headers.items()}
            print(json.dumps({"headers": headers, "request": read}), flush=True)

        def log_message(self, *_):
            pass

    def has_unknown(message):
        if message.SerializeToString() and len(unknown(message)):
            return True
        for field, value in message.ListFields():
            if field.message_type is not None:
                many = value if hasattr(value, "append") or hasattr(value, "add") else [value]
                if any(has_unknown(one) for one in many):
                    return True
        return False

    def unknown(message):
        from google.protobuf.unknown_fields import UnknownFieldSet

        return UnknownFieldSet(message)

    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def conventions():
    from opentelemetry.semconv._incubating.attributes import (
        cpu_attributes,
        disk_attributes,
        process_attributes,
        system_attributes,
    )
    from opentelemetry.semconv._incubating.metrics import process_metrics

    found = {}

    class Meter:
        def create_counter(self, name, unit="", description=""):
            found[name] = ["counter", unit, description]

        def create_up_down_counter(self, name, unit="", description=""):
            found[name] = ["updowncounter", unit, description]

        def create_observable_gauge(self, name, callbacks=None, unit="", description=""):
            found[name] = ["gauge", unit, description]

        create_gauge = create_observable_gauge

    for name in dir(process_metrics):
        if name.startswith("create_"):
            create = getattr(process_metrics, name)
            try:
                create(Meter())
            except TypeError:
                create(Meter(), None)
    attributes = [
        value
        for module in (cpu_attributes, disk_attributes, process_attributes, system_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    ]
    print(json.dumps({"metrics": found, "attributes": attributes}), flush=True)


if sys.argv[1] == "conventions":
    conventions()
else:
    listen(int(sys.argv[1]))
