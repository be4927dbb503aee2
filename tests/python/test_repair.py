"""Consent to `weir repair`, typed at a terminal: a pseudo terminal, and what is on the disk afterwards."""

import os
import pty
import select
import shutil
import signal
import subprocess
import time

import pytest

import sample
from running import PROGRAM, Weir, clean_environment
from sending import send, spans

QUESTION = b"Do it? Type yes: "
SECONDS_MAX = 60
SEGMENT = "data/_log/" + "0" * 20 + ".wal"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """A folder where weir was killed with three requests in its log, of which the second is damaged."""
    folder = tmp_path_factory.mktemp("damaged")
    weir = Weir(folder, write='epoch = "1h"\nfirst_epoch = "1h"\n')
    for service in ("first", "second", "third"):
        send(weir, "spans", spans(service, 1, sample.START_NS))
    weir.process.send_signal(signal.SIGKILL)
    weir.process.wait()
    segment = folder / SEGMENT
    content = bytearray(segment.read_bytes())
    content[content.index(b"second")] ^= 1
    segment.write_bytes(content)
    return folder


@pytest.fixture
def place(damaged, tmp_path):
    """A copy of it. Paths in its configuration are its own."""
    folder = tmp_path / "place"
    shutil.copytree(damaged, folder)
    config = folder / "weir.toml"
    config.write_text(config.read_text().replace(str(damaged), str(folder)))
    return folder


def contents(folder):
    """Every file but the locks, which a command that looks may touch."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "_lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def repair(folder, typed):
    """Runs it with a terminal as its input, and types once it asks; its exit code and what it printed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "repair", "-c", folder / "weir.toml"],
        cwd=folder,
        env=clean_environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(theirs)
    said = b""
    deadline = time.monotonic() + SECONDS_MAX
    try:
        while not said.endswith(QUESTION):
            ready, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
            assert ready, f"it does not ask; it said {said}"
            more = os.read(process.stdout.fileno(), 1 << 16)
            assert more, f"it ended without asking; it said {said}"
            said += more
        if typed is None:
            os.close(ours)
            ours = None
        else:
            os.write(ours, typed)
        said += process.communicate(timeout=SECONDS_MAX)[0]
    finally:
        process.kill()
        process.wait()
        if ours is not None:
            os.close(ours)
    return process.returncode, said.decode()


@pytest.mark.parametrize(
    "typed",
    [b"no\n", b"\n", b"y\n", b"YES\n", b"yes please\n", b"ja\xff\n", b"no\nyes\n", b"\x04", b"ye\x04\x04", None],
    ids=["no", "nothing", "y", "capitals", "more", "garbage", "too late", "end of file", "end amid it", "gone"],
)
def test_anything_but_yes_changes_nothing(place, typed):
    before = contents(place)
    code, said = repair(place, typed)
    assert code != 0, said
    assert "weir repair would" in said and "set aside" not in said.split(QUESTION.decode())[1]
    assert contents(place) == before


@pytest.mark.parametrize("typed", [b"yes\n", b"  yes \n", b"nn\x15yes\n"], ids=["plain", "spaces", "typed anew"])
def test_yes_mends_what_was_asked(place, typed):
    import duckdb

    before = contents(place)
    code, said = repair(place, typed)
    assert code == 0, said
    assert "everything is sound" in said
    quarantine = place / "data/_log/quarantine"
    (kept,) = quarantine.iterdir()
    assert bytes([ord("s") ^ 1]) + b"econd" in kept.read_bytes(), "the damaged bytes are kept"
    assert kept.read_bytes() in before[SEGMENT]
    found = duckdb.sql(f"SELECT service_name FROM '{place}/data/spans/**/*.parquet' ORDER BY 1").fetchall()
    assert found == [("first",), ("third",)]
    again = subprocess.run(
        [PROGRAM, "repair", "-c", place / "weir.toml"], cwd=place, env=clean_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, timeout=SECONDS_MAX,
    )
    assert again.returncode == 0, "there is nothing left to ask"
