"""Every test here starts the real binary: WEIR_PROGRAM, or target/debug/weir."""

import shutil

import pytest

from running import PROGRAM, Weir

# The modules in which something failed: their folders are kept to be looked at.
FAILED = set()


def pytest_sessionstart():
    if not PROGRAM.is_file():
        pytest.exit(f"no program at {PROGRAM}: `cargo build`, or set WEIR_PROGRAM", returncode=1)


def pytest_runtest_logreport(report):
    if report.failed:
        FAILED.add(report.nodeid.split("::")[0])


@pytest.fixture(scope="module", autouse=True)
def without_leftovers(request, tmp_path_factory):
    """Removes what a module that passed has made, which else would stay until all modules are through. It is set up first,
    and so it is the last to be torn down."""
    folder = tmp_path_factory.getbasetemp()
    before = set(folder.iterdir())
    yield
    if request.node.nodeid not in FAILED:
        for made in set(folder.iterdir()) - before:
            shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def start(request, tmp_path_factory):
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
    except BaseException:
        FAILED.add(request.node.nodeid)
        raise
    finally:
        for weir in started:
            weir.kill()
