"""A full disk tells of itself: on stderr, in the answer to the sender, and by how the demo ends. The disk is one of a few hundred
KiB in memory, in a mount namespace of its own."""

import subprocess
from pathlib import Path

import pytest
import requests
from running import PROGRAM, Weir, clean_environment

# Root may mount in a namespace of mounts alone; others need one of users around it.
NAMESPACES = [["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]]
MOUNT = 'mount -t tmpfs -o size="$1" weir "$2" && head -c "$3" /dev/zero > "$2/other" && cd "$2" && shift 3 && exec "$@"'

LOG = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1772496000000000000","body":{"stringValue":"one"}}]}]}]}'


@pytest.fixture(scope="module")
def namespace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tried")
    for namespace in NAMESPACES:
        command = [*namespace, "mount", "-t", "tmpfs", "weir", folder]
        try:
            if subprocess.run(command, capture_output=True).returncode == 0:
                return namespace
        except FileNotFoundError:
            break
    pytest.skip("no file system can be mounted here: neither root nor user namespaces")


def on_a_disk(bytes_max, bytes_used, namespace, folder):
    """What comes before a command for it to run on a disk of that size, mounted at a folder, with a file that takes some of it."""
    folder.mkdir()
    return [*namespace, "sh", "-c", MOUNT, "sh", str(bytes_max), folder, str(bytes_used)]


def test_the_demo_ends_with_what_is_missing_and_the_cure(namespace, tmp_path):
    disk = on_a_disk(60_000, 0, namespace, tmp_path / "disk")
    demo = [PROGRAM, "demo", "--scale", "0.05", "--patience", "2"]
    done = subprocess.run([*disk, *demo], capture_output=True, text=True, env=clean_environment(), timeout=300)
    assert done.returncode == 1, done.stderr
    said = done.stderr.splitlines()
    assert any(line.startswith("warning: the log takes nothing new into ./data/_log, where ") for line in said), done.stderr
    assert said[-1].startswith("error: the receiver refused a part of the demo's day for 2 s: the log takes nothing new into ")
    assert "bytes are free" in said[-1] and "make room there, or set log.folder" in said[-1]


def test_whoever_runs_it_and_whoever_sends_is_told_and_it_goes_on_when_there_is_room(namespace, tmp_path):
    disk = on_a_disk(4 << 20, 4_140_000, namespace, tmp_path / "disk")
    weir = Weir(tmp_path, to=tmp_path / "disk/data", before=disk)
    try:
        weir.wait_line(r"warning: the log takes nothing new into \S+/data/_log, where \d+ bytes are free: ")

        def send():
            return requests.post(f"http://{weir.http}/v1/logs", LOG, headers={"content-type": "application/json"}, timeout=30)

        refused = send()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "make room there" in refused.json()["message"]
        ready = requests.get(f"http://{weir.http}/readyz", timeout=30)
        assert ready.status_code == 503 and "the log takes nothing new" in ready.text

        # Every program before it has become the next one, so that this is its number. Only it sees the disk.
        Path(f"/proc/{weir.process.pid}/root{tmp_path}/disk/other").unlink()
        weir.wait_line(r"the trouble is over, after \d+ s; weir goes on")
        assert send().status_code == 200
        assert weir.wait_processed()['weir_rows_written_total{table="logs"}'] == 1
        weir.stop()
    finally:
        weir.kill()
