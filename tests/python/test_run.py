"""The life of the program: from the first line to the account of the rows."""

import signal
import subprocess

import pytest

import sample
from reading import files, wait_rows
from running import PROGRAM, clean_environment
from sending import send, spans


def test_files_appear_while_it_runs(start):
    weir = start()
    send(weir, "spans", spans("shop", 10, sample.START_NS))
    assert len(wait_rows(weir.data, "spans", 10, seconds=20)) == 10
    send(weir, "spans", spans("shop", 5, sample.START_NS))
    assert len(wait_rows(weir.data, "spans", 15, seconds=20)) == 15
    assert weir.stop().written == {"spans": 15, "logs": 0, "metrics": 0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_what_was_taken_and_prints_the_account(start, number):
    weir = start(write='epoch = "1h"\nfirst_epoch = "1h"')
    for signal_, build in sample.MESSAGES.items():
        send(weir, signal_, build())
    assert files(weir.data, "spans") == []
    account = weir.stop(number)
    assert account.received == account.written == sample.COUNTS


def test_a_signal_right_after_the_start_ends_it_in_order(start):
    for _ in range(5):
        assert start().stop().received == {"spans": 0, "logs": 0, "metrics": 0}


def test_a_second_writer_of_the_same_folder_is_refused_by_the_holder_s_number(start):
    first = start()
    with pytest.raises(AssertionError, match=f"in use by another process, {first.process.pid}"):
        start(to=first.data)


def test_without_arguments_it_says_what_it_can_do():
    done = subprocess.run([PROGRAM, "--help"], env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    for command in ("run", "demo", "check", "plugin"):
        assert command in done.stdout


def test_a_fault_in_the_configuration_is_said_with_its_place(tmp_path):
    (tmp_path / "weir.toml").write_text('[receive]\ngrcp = "127.0.0.1:0"\n')
    done = subprocess.run(
        [PROGRAM, "run", "-c", "weir.toml"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "weir.toml:2:1" in done.stderr and "^^^^" in done.stderr and "grpc" in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "weir.toml"]
