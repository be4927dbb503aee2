#!/usr/bin/env python3
"""Weir and its peers side by side: what a row costs until everything is written.

    python3 benches/peers/run.py [ROWS] [--only NAME,…] [--signals spans,logs,metrics] [--runs N] [--weir PATH]

Each server runs as a process of its own; the rows come from another one on the same machine (`send.rs`), 1,000 a request from
4 resources, 4 requests on their way at a time, the same bytes for all. The figure is the CPU time of the server, user and system,
from listening to the end of the process, which is told to stop when the last request is answered: everything is written
then. Beside it: peak memory (VmHWM), bytes on the disk, the rate on the clock, and the ratio to Weir over gRPC.

What is missing is built or installed into target/peers. `WEIR_PEERS` names another folder, `CARGO` a wrapper of cargo.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = Path(os.environ.get("WEIR_PEERS", ROOT / "target" / "peers"))
CARGO = os.environ.get("CARGO", "cargo").split()
SIGNALS = ["spans", "logs", "metrics"]
TICK = os.sysconf("SC_CLK_TCK")


def run(command, **options):
    print("$", " ".join(map(str, command)), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=sys.stderr, **options)


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR", FOLDER / "build"))


def built(manifest, name, *options):
    """A program of a crate of this repository, built where it is stale."""
    run([*CARGO, "build", "--release", "--manifest-path", manifest, "--target-dir", target(), *options])
    return target() / "release" / name


def otlp2parquet(name, *options):
    path = FOLDER / name / "bin" / "otlp2parquet"
    if not path.exists():
        run([*CARGO, "install", "--locked", "otlp2parquet@0.12.0", "--root", FOLDER / name, "--target-dir", target() / name, *options])
    return path


def install_otlp2parquet():
    """Its manifest asks for small code; this is the same source built to be fast."""
    options = ["profile.release.opt-level=3", 'profile.release.package."*".opt-level=3']
    options += ["profile.release.package.otlp2parquet.opt-level=3"]
    return otlp2parquet("otlp2parquet-o3", *[word for option in options for word in ("--config", option)])


def install_rotel():
    venv = FOLDER / "rotel"
    agents = list(venv.glob("lib/*/site-packages/rotel/rotel-agent"))
    if not agents:
        run([sys.executable, "-m", "venv", venv])
        run([venv / "bin" / "pip", "install", "--quiet", "rotel==0.0.1a15"])
        agents = list(venv.glob("lib/*/site-packages/rotel/rotel-agent"))
    return agents[0]


@dataclass
class Peer:
    name: str
    protocol: str
    install: object
    # From (program, folder, port) to the command and its environment.
    command: object
    # Tells (process, port) to end, everything written.
    stop: object = None


CHAIN = """
[[plugin]]
use = "enrich"
[plugin.config]
inventory = '''
service,owner,tier
checkout,Payments,1
cart,Shop,2
payment,Payments,1
'''

[[plugin]]
use = "sample"
[plugin.config]
keep = 1.0
keep_slower_than_ms = 500
services = { checkout = 1.0 }
"""


def weir(settings="", top=""):
    def command(program, folder, port):
        config = folder / "weir.toml"
        listen = f'[receive]\ngrpc = "127.0.0.1:{port}"\nhttp = "127.0.0.1:{port + 1}"\n'
        config.write_text(f'{top}{listen}[write]\nto = "{folder}/data"\n{settings}')
        return [program, "run", "-c", config], {}

    return command


def of_otlp2parquet(program, folder, port):
    environment = {"LISTEN_ADDR": f"127.0.0.1:{port}", "STORAGE_BACKEND": "fs", "STORAGE_PATH": folder / "data"}
    return [program], {f"OTLP2PARQUET_{key}": str(value) for key, value in environment.items()} | {
        "OTLP2PARQUET_LOG_LEVEL": "error"
    }


def of_rotel(program, folder, port):
    addresses = [f"--otlp-grpc-endpoint=127.0.0.1:{port}", f"--otlp-http-endpoint=127.0.0.1:{port + 1}"]
    return [program, "start", "--exporter=blackhole", f"--pid-file={folder}/pid", *addresses], {}


OTAP = """
version: otel_dataflow/v1
engine:
  http_admin:
    bind_address: "127.0.0.1:{admin}"
policies:
  resources:
    core_allocation:
      type: core_count
      count: 1
groups:
  default:
    pipelines:
      main:
        nodes:
          receiver:
            type: receiver:otlp
            config:
              protocols:
                grpc:
                  listening_addr: "127.0.0.1:{port}"
          exporter:
            type: exporter:parquet
            config:
              storage:
                file:
                  base_uri: "{folder}/data"
              partitioning_strategies:
                - schema_metadata: ["_part_id"]
              writer_options:
                target_rows_per_file: 1000000
                flush_when_older_than: 300s
        connections:
          - from: receiver
            to: exporter
"""


def of_otap(program, folder, port):
    config = folder / "otap.yaml"
    (folder / "data").mkdir()
    config.write_text(OTAP.format(port=port, admin=port + 1, folder=folder))
    return [program, config], {}


def stop_otap(_process, port):
    """It knows no signal: its pipelines are told to end, which writes what they have."""
    url = f"http://127.0.0.1:{port + 1}/api/v1/groups/shutdown?wait=true&timeout_secs=600"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=700) as answer:
        answer.read()


def peers(weir_path):
    def ours():
        return Path(weir_path) if weir_path else built(ROOT / "Cargo.toml", "weir", "--bin", "weir")

    def otap():
        return built(HERE / "otap" / "Cargo.toml", "peer-otap")

    return [
        Peer("weir grpc", "grpc", ours, weir()),
        Peer("weir http", "http", ours, weir()),
        Peer("weir grpc, plugins at work", "grpc", ours, weir(CHAIN)),
        Peer("otlp2parquet 0.12.0", "http", install_otlp2parquet, of_otlp2parquet),
        Peer("otlp2parquet as installed", "http", lambda: otlp2parquet("otlp2parquet"), of_otlp2parquet),
        Peer("rotel 0.0.1a15", "grpc", install_rotel, of_rotel),
        Peer("otap-dataflow 0.62.0", "grpc", otap, of_otap, stop_otap),
    ]


def cpu_so_far(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / TICK


def peak_mib(pid):
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except FileNotFoundError:
        return 0
    return int(found[1]) / 1024 if found else 0


def free_port():
    """The first of two ports in a row that nobody listens on."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue


def wait_until_listening(process, port, log):
    for _ in range(1200):
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended: {log.read_text()[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"{process.args[0]} does not listen on {port}")


def measure(peer, program, send, signal_name, options):
    """One server, started, loaded, stopped."""
    folder = FOLDER / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "log"
    port = free_port()
    command, environment = peer.command(program, folder, port)
    if peer.protocol == "http" and peer.name.startswith("weir"):
        port += 1
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)), env=os.environ | environment, cwd=folder, stdout=out, stderr=out
        )
        wait_until_listening(process, port, log)
        before, begun = cpu_so_far(process.pid), time.monotonic()
        words = [send, f"127.0.0.1:{port}", peer.protocol, signal_name, *options]
        sent = subprocess.run(list(map(str, words)), check=False, capture_output=True, text=True)
        peak = peak_mib(process.pid)
        if peer.stop:
            peer.stop(process, port)
        process.send_signal(signal.SIGTERM)
        # The process is asked for its peak until it is gone, and reaped by hand: that gives its CPU time.
        while True:
            peak = max(peak, peak_mib(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                peak = max(peak, usage.ru_maxrss / 1024)
                break
            if time.monotonic() - begun > 900:
                process.kill()
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
        elapsed = time.monotonic() - begun
    if sent.returncode != 0:
        sys.exit(f"{peer.name}: {sent.stderr}\n{log.read_text()[-2000:]}")
    said = json.loads(sent.stdout)
    files = [path for path in (folder / "data").rglob("*.parquet") if path.is_file()]
    return said | {
        # Who has ended its work as it was told may be ended.
        "status": 0 if peer.stop and process.returncode == -signal.SIGTERM else process.returncode,
        "cpu_ns": (usage.ru_utime + usage.ru_stime - before) * 1e9 / said["rows"],
        "system_share": usage.ru_stime / (usage.ru_utime + usage.ru_stime),
        "peak_mib": peak,
        "bytes": sum(path.stat().st_size for path in files) / said["rows"],
        "files": len(files),
        "rate": said["rows"] / elapsed,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=500_000)
    parser.add_argument("--only", help="of the peers, those whose names begin so, with commas between")
    parser.add_argument("--signals", default=",".join(SIGNALS))
    parser.add_argument("--runs", type=int, default=1, help="of which the median counts")
    parser.add_argument("--weir", help="a program to measure instead of the one built of this repository")
    parser.add_argument("--senders", type=int, default=4, help="connections, each with one request on its way")
    parser.add_argument("--resources", type=int, default=4, help="by which the rows of a request are divided")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    chosen = [peer for peer in peers(arguments.weir)]
    if arguments.only:
        chosen = [peer for peer in chosen if any(peer.name.startswith(name) for name in arguments.only.split(","))]
    send = built(HERE / "Cargo.toml", "send", "--bin", "send")
    programs = [peer.install() for peer in chosen]

    options = [f"rows={arguments.rows}", f"senders={arguments.senders}", f"resources={arguments.resources}"]
    print(f"{arguments.rows} rows, 1000 a request, median of {arguments.runs}; CPU time of the server in ns a row\n")
    print(f"{'':<28}{'':<8} {'CPU ns':>7} {'ratio':>6} {'peak MiB':>9} {'disk B':>7} {'files':>6} {'rows/s':>8} {'p99 ms':>7}")
    for signal_name in arguments.signals.split(","):
        results = {peer.name: [] for peer in chosen}
        for _ in range(arguments.runs):
            for peer, program in zip(chosen, programs):
                results[peer.name].append(measure(peer, program, send, signal_name, options))
        ours = None
        for name, runs in results.items():
            of = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            ours = ours or of["cpu_ns"]
            ended = "" if of["status"] == 0 else f"  ended with {of['status']:.0f}"
            print(
                f"{name:<28}{signal_name:<8} {of['cpu_ns']:>7.0f} {of['cpu_ns'] / ours:>5.2f}x {of['peak_mib']:>9.0f} "
                f"{of['bytes']:>7.1f} {of['files']:>6.0f} {of['rate']:>8.0f} {of['p99_ms']:>7.1f}{ended}",
                flush=True,
            )
    shutil.rmtree(FOLDER / "run", ignore_errors=True)


if __name__ == "__main__":
    main()
