"""Every test here starts the real binary: WEIR_PROGRAM, or target/debug/weir."""

import pytest

from running import PROGRAM, Weir


def pytest_sessionstart():
    if not PROGRAM.is_file():
        pytest.exit(f"no program at {PROGRAM}: `cargo build`, or set WEIR_PROGRAM", returncode=1)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts `weir run` with a folder of its own, as often as it is called. What is still running at the end of the
    module is stopped, and its account checked."""
    started = []

    def start(**options):
        weir = Weir(tmp_path_factory.mktemp("weir"), **options)
        started.append(weir)
        return weir

    yield start
    try:
        for weir in started:
            if not weir.stopped:
                weir.stop()
    finally:
        for weir in started:
            weir.kill()
