"""The SDKs of other languages: each exports one trace, one log record and one metric, and the rows are what it said.

Their packages are fetched once, by the pinned versions of tests/clients, into target/clients. A language whose tools are
not installed is skipped."""

import json
import os
import re
import shutil
import subprocess

import pytest

from reading import rows
from running import ROOT, clean_environment

CLIENTS = ROOT / "tests/clients"
BUILT = ROOT / "target/clients"
START_NS = 1_772_496_000_123_456_789


def run(command, folder, seconds=600, **environment):
    """Runs a command of a toolchain, and shows what it said if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def need(program, version, *arguments):
    """Skips where a tool is missing or too old for the pinned SDK."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed, so its SDK is not tried")
    # Not the number of a terminal's colour.
    found = re.search(r"(?<![\[\d.])\d+(\.\d+)*", run([program, *arguments], ROOT, seconds=60, GOTOOLCHAIN="local"))
    if tuple(map(int, found.group().split("."))) < version:
        wanted = ".".join(map(str, version))
        pytest.skip(f"{program} is {found.group()}, its SDK needs {wanted}, so it is not tried")


def go():
    need("go", (1, 26), "env", "GOVERSION")
    program = BUILT / "go/client"
    run(["go", "build", "-mod=readonly", "-o", program, "."], CLIENTS / "go")
    return [program]


def javascript():
    need("node", (20, 6), "--version")
    need("npm", (9,), "--version")
    folder = BUILT / "javascript"
    if not same(CLIENTS / "javascript/package-lock.json", folder / "installed.json"):
        shutil.copytree(CLIENTS / "javascript", folder, dirs_exist_ok=True)
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], folder)
        shutil.copy(folder / "package-lock.json", folder / "installed.json")
    shutil.copy(CLIENTS / "javascript/main.js", folder)
    return ["node", folder / "main.js"]


def java():
    need("javac", (17,), "--version")
    need("java", (17,), "--version")
    need("mvn", (3, 6), "--version")
    folder = BUILT / "java"
    sources = CLIENTS / "java"
    if not (same(sources / "pom.xml", folder / "pom.xml") and same(sources / "src/Client.java", folder / "Client.java")):
        folder.mkdir(parents=True, exist_ok=True)
        paths = [f"-Dmaven.repo.local={BUILT / 'maven'}", f"-Dclient.target={folder}"]
        goals = ["compile", "dependency:build-classpath", f"-Dmdep.outputFile={folder / 'classpath'}"]
        run(["mvn", "-q", "-B", *paths, *goals], sources)
        shutil.copy(sources / "src/Client.java", folder)
        shutil.copy(sources / "pom.xml", folder)
    path = os.pathsep.join([str(folder / "classes"), (folder / "classpath").read_text().strip()])
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path, "Client"]


def same(one, other):
    return other.is_file() and one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("language", "protocol"),
    [
        ("go", "grpc"),
        ("go", "http"),
        ("java", "grpc"),
        ("java", "http"),
        ("javascript", "grpc"),
        ("javascript", "http"),
        ("javascript", "json"),
    ],
)
def test_what_an_sdk_exports_is_stored(start, language, protocol):
    client = {"go": go, "javascript": javascript, "java": java}[language]()
    weir = start()
    address = weir.grpc if protocol == "grpc" else weir.http
    printed = run([*client, protocol, f"http://{address}"], ROOT, seconds=120)
    trace_id, span_id = (bytes.fromhex(text) for text in printed.split()[-2:])
    account = weir.stop()
    assert account.received == account.written

    service = f"client-{language}-{protocol}"
    (span,) = rows(weir.data, "spans")
    assert (span["service_name"], span["name"], span["kind"]) == (service, "checkout", "SERVER")
    assert (span["trace_id"], span["span_id"], span["parent_span_id"]) == (trace_id, span_id, None)
    assert (span["time"], span["end_time"]) == (START_NS, START_NS + 5_000_000)
    assert span["duration_ns"] == 5_000_000
    assert (span["status_code"], span["status_message"]) == ("ERROR", "card declined")
    assert (span["scope_name"], span["scope_version"]) == ("client", "1.0")
    sent = {"text": "grün", "number": 42, "yes": True, "double": 0.5, "list": [1, 2]}
    stored = json.loads(span["attributes"])
    assert stored == sent
    assert {name: type(value) for name, value in stored.items()} == {name: type(value) for name, value in sent.items()}
    assert [(event["name"], event["time"]) for event in span["events"]] == [("retry", START_NS + 1_000_000)]

    (record,) = rows(weir.data, "logs")
    assert (record["service_name"], record["body"], record["body_type"]) == (service, "card declined", "text")
    assert (record["time"], record["observed_time"]) == (START_NS, START_NS + 1_000)
    assert (record["severity_number"], record["severity_text"]) == (13, "WARN")
    assert (record["trace_id"], record["span_id"]) == (trace_id, span_id)
    assert json.loads(record["attributes"]) == {"number": 42}

    point = next(row for row in rows(weir.data, "metrics") if row["name"] == "orders")
    assert (point["service_name"], point["kind"], point["temporality"]) == (service, "sum", "cumulative")
    assert (point["monotonic"], point["value_int"], point["value_double"]) == (True, 7, None)
    assert point["start_time"] is not None and point["time"] >= point["start_time"]
