"""The real `weir` binary: started, watched, stopped, and asked for the account of its rows."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("WEIR_PROGRAM", ROOT / "target/debug/weir"))

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 90

# `plugin = []` is an empty chain: what is stored is what was sent, and no plugin is compiled.
NO_PLUGINS = "plugin = []\n"
# Files appear soon, so that nobody waits for them.
EPOCHS = 'epoch = "500ms"\nfirst_epoch = "100ms"\n'


def clean_environment(extra=None):
    """The environment without what would change how Weir or a client behaves."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "AWS_"))}
    return kept | (extra or {})


class Weir:
    """A running `weir run`. Ports are free ones; the tables are in `folder`/data unless `to` says otherwise. `before` is a command
    that runs the one behind it."""

    def __init__(
        self, folder, plugins=NO_PLUGINS, to=None, write="", receive="", sections="", environment=None, before=()
    ):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.grpc = self.http = self.account = None
        self._lines = []
        self._changed = threading.Condition()
        self._ended = self.stopped = False
        config = self.folder / "weir.toml"
        config.write_text(
            f"{plugins if plugins == NO_PLUGINS else ''}"
            f'[receive]\ngrpc = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n{receive}\n'
            f"{plugins if plugins != NO_PLUGINS else ''}\n"
            f'[write]\nto = "{to or self.data}"\n{write if "epoch" in write else EPOCHS + write}\n{sections}\n'
        )
        self.process = subprocess.Popen(
            [*before, PROGRAM, "run", "-c", config],
            cwd=self.folder,
            env=clean_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.grpc = "127.0.0.1:" + self.wait_line(r"listening for OTLP/gRPC on \S+:(\d+)")
            self.http = "127.0.0.1:" + self.wait_line(r"listening for OTLP/HTTP on \S+:(\d+)")
        except BaseException:
            self.kill()
            raise

    def _read(self):
        for line in self.process.stderr:
            with self._changed:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def stderr(self):
        with self._changed:
            return "\n".join(self._lines)

    def wait_line(self, pattern, seconds=START_SECONDS_MAX):
        """The first group of the first line of stderr that matches, once there is one."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if found := re.search(pattern, line):
                        return found.group(1) if found.groups() else found.group()
                seen = len(self._lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    break
                self._changed.wait(left)
        raise AssertionError(f"weir never said {pattern!r}; it said:\n{self.stderr}")

    def metrics(self):
        """The samples of /metrics: {'weir_rows_written_total{table="spans"}': 3.0, …}."""
        import requests

        answer = requests.get(f"http://{self.http}/metrics", timeout=10)
        assert answer.status_code == 200, answer.text
        samples = (line.rsplit(" ", 1) for line in answer.text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def wait_processed(self, seconds=120):
        """Waits until every row is through the plugins and in a file; the samples of /metrics then."""
        deadline = time.monotonic() + seconds
        while (samples := self.metrics())["weir_rows_pending"] > 0:
            assert time.monotonic() < deadline, f"rows are pending after {seconds} s:\n{self.stderr}"
            time.sleep(0.1)
        faults = {name: value for name, value in samples.items() if name.startswith("weir_plugin_faults") and value}
        assert not faults, f"{faults}\n{self.stderr}"
        return samples

    def memory_bytes(self):
        """The resident memory of the process."""
        return self._status("VmRSS")

    def memory_bytes_peak(self):
        """The most resident memory that the process ever had."""
        return self._status("VmHWM")

    def _status(self, field):
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE).group(1)) * 1024

    def is_alive(self):
        return self.process.poll() is None

    def stop(self, number=signal.SIGTERM):
        """Ends the program as an operator does, and checks that every row is accounted for."""
        self.stopped = True
        assert self.is_alive(), f"weir ended by itself:\n{self.stderr}"
        self.process.send_signal(number)
        try:
            status = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"weir did not end within {STOP_SECONDS_MAX} s of SIGTERM:\n{self.stderr}") from None
        self._reader.join(10)
        assert "panicked" not in self.stderr, self.stderr
        assert status == 0, f"weir ended with {status}:\n{self.stderr}"
        self.account = Account(self.stderr)
        self.account.check()
        return self.account

    def kill(self):
        if self.is_alive():
            self.process.kill()
            self.process.wait()


class Account:
    """What the program says at its end of where every row went."""

    def __init__(self, stderr):
        def total(pattern, text=stderr):
            found = re.findall(pattern, text, re.MULTILINE)
            return sum(int(number.replace(",", "")) for number in found)

        number = r"\s*([\d,]+)"
        self.text = stderr
        self.received = {name: total(rf"^received{number} {name}$") for name in ("spans", "logs", "metrics")}
        self.written = {name: total(rf"^wrote{number} rows to {name} in ") for name in ("spans", "logs", "metrics")}
        self.dropped = total(rf"^dropped{number} by ")
        self.dead_lettered = total(rf"^set aside{number} as dead letters")
        self.kept = total(rf"^kept{number} rows")
        self.taken_over = total(rf"^took over{number} rows")

    def check(self):
        assert self.kept == 0, f"rows were left in staging:\n{self.text}"
        went = sum(self.written.values()) + self.dropped + self.dead_lettered
        came = sum(self.received.values()) + self.taken_over
        assert came == went, f"received is not written + dropped + dead-lettered:\n{self.text}"
