#!/usr/bin/env python3
"""Weir alone: its memory at full load, how long a start takes, and whether a row costs the same however many there are.

    python3 benches/peers/alone.py memory [SECONDS]      64 senders as fast as they can, default settings; files are removed as
                                                         they appear, so that an hour (3600) fits on a disk
    python3 benches/peers/alone.py files [ROWS]          the files of so many rows at full load, left for benches/bytes.py
    python3 benches/peers/alone.py start                 until it listens, with all shipped plugins
    python3 benches/peers/alone.py growth [ROWS]         ROWS and ten times as many; services, plugins, workers

`--signal` says of what, instead of all three. `--weir PATH` measures that program instead of the one built of this repository. Rows come from `send.rs`, as in `run.py`.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time
import urllib.request
from pathlib import Path

import run
from run import Peer

SHIPPED = ["enrich", "sample", "redact", "kpi", "utilization", "tail-sample"]
# A plugin that reads three columns of each span and keeps all.
PLUGIN = """
[[plugin]]
use = "sample"
name = "sample-{number}"
config = {{ keep = 1.0, keep_slower_than_ms = 500, services = {{ checkout = 1.0 }} }}
"""


def started(program, folder, settings, environment=None):
    """A Weir that listens, its address for gRPC, and the seconds until it did."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = run.free_port()
    command, _ = run.weir(settings)(program, folder, port)
    with (folder / "log").open("wb") as log:
        begun = time.monotonic()
        environment = os.environ | (environment or {})
        process = subprocess.Popen(list(map(str, command)), cwd=folder, stdout=log, stderr=log, env=environment)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process, port, time.monotonic() - begun
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.001)


def stopped(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0, process.returncode


def resident_mib(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def budget_mib(port):
    """The bytes of rows that are accepted and not yet written, as Weir counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("weir_memory_held_bytes")) / (1 << 20)


def published(folder):
    """The files of tables, without those on their way."""
    return [path for path in folder.glob("data/*/day=*/**/*.parquet") if not path.parts[-3].startswith("_")]


def memory(program, send, seconds, signals):
    for name in signals:
        folder = run.FOLDER / "run"
        process, port, _ = started(program, folder, "")
        before = resident_mib(process.pid)
        words = [send, f"127.0.0.1:{port}", "grpc", name, "senders=64", f"seconds={seconds}"]
        sender = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
        begun, held, seen, files = time.monotonic(), 0, [], 0
        while sender.poll() is None:
            held = max(held, budget_mib(port))
            seen.append((time.monotonic() - begun, resident_mib(process.pid)))
            for path in published(folder):
                path.unlink()
                files += 1
            time.sleep(0.25)
        said = sender.stdout.read().strip()
        peak = run.peak_mib(process.pid)
        stopped(process)
        # Each tenth of the time by its highest: memory that grows would show here.
        tenths = [max((mib for at, mib in seen if int(at * 10 / seconds) == tenth), default=0) for tenth in range(10)]
        print(f"{name}: peak {peak:.0f} MiB, {before:.0f} before the first row; rows held at most {held:.0f} MiB")
        print(f"  {said}\n  by tenths of the time: {' '.join(f'{mib:.0f}' for mib in tenths)}; {files} files", flush=True)


def files(program, send, rows, signals):
    for name in signals:
        folder = run.FOLDER / "files" / name
        process, port, _ = started(program, folder, "")
        run.run([send, f"127.0.0.1:{port}", "grpc", name, "senders=8", f"rows={rows}"])
        stopped(process)
        sizes = sorted(path.stat().st_size / (1 << 20) for path in published(folder))
        print(f"{name}: {rows} rows in files of {' '.join(f'{mib:.0f}' for mib in sizes)} MiB", flush=True)
        print(f"  {run.FOLDER.parent}/venv/bin/python benches/bytes.py {folder}/data/{name}", flush=True)


def start(program):
    settings = "".join(f'[[plugin]]\nuse = "{name}"\n' for name in SHIPPED)
    cache = run.FOLDER / "cache"
    environment = {"XDG_CACHE_HOME": str(cache)}
    for what, chain in (("all shipped plugins", settings), ("default plugins", "")):
        times = {"nothing compiled yet": [], "compiled code cached": []}
        for _ in range(5):
            shutil.rmtree(cache, ignore_errors=True)
            for seen in times.values():
                process, _, elapsed = started(program, run.FOLDER / "run", chain, environment)
                seen.append((elapsed, run.cpu_so_far(process.pid)))
                # Compiled code is cached by another thread.
                time.sleep(0.5)
                stopped(process)
        for name, seen in times.items():
            listed = " ".join(f"{elapsed * 1e3:.0f}" for elapsed, _ in seen)
            (elapsed, cpu) = (statistics.median(one) * 1e3 for one in zip(*seen))
            print(f"{what}, {name}: {elapsed:.0f} ms until it listens (of {listed}), {cpu:.0f} ms of CPU time", flush=True)


def growth(program, send, rows):
    def cost(what, settings="", top="", name="spans", **options):
        words = [f"{key}={value}" for key, value in ({"rows": rows} | options).items()]
        result = run.measure(Peer("weir", "grpc", None, run.weir(settings, top)), program, send, name, words)
        print(
            f"{what:<34} {result['cpu_ns']:>6.0f} ns a row, peak {result['peak_mib']:>4.0f} MiB, "
            f"{result['rate']:>8.0f} rows/s",
            flush=True,
        )

    for name in run.SIGNALS:
        cost(f"{name}, {rows} rows", name=name)
        cost(f"{name}, {rows * 10} rows", name=name, rows=rows * 10)
    for services in (1, 100, 10_000):
        cost(f"spans, {services} services", services=services)
    for plugins in (0, 1, 5, 20):
        chain = "".join(PLUGIN.format(number=number) for number in range(plugins))
        cost(f"spans, {plugins} plugins", chain, top="" if plugins else "plugin = []\n")
    for workers in (1, 2):
        cost(f"spans, {workers} workers", f"[batch]\nworkers = {workers}\n", senders=8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "files", "start", "growth"])
    parser.add_argument("much", nargs="?", type=int)
    parser.add_argument("--signal", choices=run.SIGNALS)
    parser.add_argument("--weir")
    arguments = parser.parse_args()
    program = Path(arguments.weir) if arguments.weir else run.built(run.ROOT / "Cargo.toml", "weir", "--bin", "weir")
    if arguments.what == "start":
        return start(program)
    signals = [arguments.signal] if arguments.signal else run.SIGNALS
    send = run.built(run.HERE / "Cargo.toml", "send", "--bin", "send")
    if arguments.what == "memory":
        return memory(program, send, arguments.much or 120, signals)
    if arguments.what == "files":
        return files(program, send, arguments.much or 20_000_000, signals)
    return growth(program, send, arguments.much or 1_000_000)


if __name__ == "__main__":
    main()
