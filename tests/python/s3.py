"""A real S3 server on loopback: moto's, which can be taken down, brought back, and made to fail."""

import io
import socket
import threading

import boto3
import botocore.config
import pyarrow.parquet as pq
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from reading import plain_table

BUCKET = "telemetry"
KEY, SECRET = "AKIDEXAMPLE", "not-a-secret"


class Store:
    """A bucket, whose contents outlive the server in front of it (moto keeps them in this process)."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.app = DomainDispatcherApplication(create_backend_app)
        self.server = None
        self.puts = []
        # What a PUT meets, one after the other: "refused" (503, not stored), "lost" (stored, and answered with 503),
        # "late" (answered with 503, and stored by `deliver`).
        self.faults = []
        self.late = []
        # The conditions of PUTs: their path, If-Match, If-None-Match.
        self.conditions = []
        self.up()
        self.client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=botocore.config.Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )
        self.client.create_bucket(Bucket=BUCKET)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def config(self):
        """The section of a configuration."""
        return (
            f'[write.s3]\nendpoint = "{self.endpoint}"\nregion = "us-east-1"\nallow_http = true\n'
            f'access_key_id = "{KEY}"\nsecret_access_key = "{SECRET}"\n'
        )

    def up(self):
        self.server = make_server("127.0.0.1", self.port, self.answer, threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def down(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, environ, start_response):
        if environ["REQUEST_METHOD"] != "PUT" or "/_staging" in environ["PATH_INFO"]:
            return self.app(environ, start_response)
        self.puts.append(environ["PATH_INFO"])
        condition = (environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH"))
        self.conditions.append((environ["PATH_INFO"], *condition))
        # Only the files of days are written more than once, so that it matters which one comes last.
        waits = self.faults[:1] == ["late"] and not environ["PATH_INFO"].endswith("/weir.parquet")
        fault = self.faults.pop(0) if self.faults and not waits else None
        if fault == "lost":
            # Run to its end, so that the object is there.
            b"".join(self.app(environ, lambda *_: None))
        elif fault is None:
            return self.app(environ, start_response)
        else:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            if fault == "late":
                self.late.append((dict(environ), body))
        body = "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
        return Response(body, 503, content_type="application/xml")(environ, start_response)

    def deliver(self):
        """The PUTs that were under way arrive; the status of each."""
        statuses = []
        for environ, body in self.late:
            environ["wsgi.input"] = io.BytesIO(body)
            b"".join(self.app(environ, lambda status, *_: statuses.append(int(status.split()[0]))))
        self.late = []
        return statuses

    def keys(self, prefix=""):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def download(self, folder, prefix):
        """Puts every object below a prefix into a folder."""
        for key in self.keys(prefix):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(BUCKET, key, str(path))
        return folder / prefix

    def rows(self, folder, prefix):
        root = self.download(folder, prefix)
        found = []
        for path in sorted(root.rglob("*.parquet")):
            found.extend(plain_table(pq.ParquetFile(path).read()).to_pylist())
        return found
