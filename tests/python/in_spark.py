"""Spark SQL as one more engine for the questions of docs/analysts.md.

It runs in an interpreter of its own, `target/spark`: PySpark is half a gigabyte and wants Java, so nothing installs it but
who asks for it. Run by that interpreter, this file answers what it reads from stdin.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(os.environ.get("WEIR_SPARK_PYTHON", ROOT / "target/spark/bin/python"))
INSTALL = "python3 -m venv target/spark && target/spark/bin/pip install -r tests/python/requirements-spark.txt"
# What PySpark 4 needs.
JAVA_MIN = 17
SECONDS_MAX = 600


def missing():
    """What Spark lacks on this machine, and what helps; none if nothing."""
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin/java") if home else shutil.which("java")
    if not java:
        return f"Spark needs Java {JAVA_MIN} or later: there is no `java` here"
    told = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', told)
    if not version or int(version.group(1)) < JAVA_MIN:
        return f"Spark needs Java {JAVA_MIN} or later, and {java} is {told.splitlines()[:1]}"
    if subprocess.run([PYTHON, "-c", "import pyspark"], capture_output=True).returncode if PYTHON.is_file() else True:
        return f"there is no PySpark at {PYTHON}: {INSTALL}"
    return None


def ask(folder, code, queries):
    """Runs blocks of Python in a folder, then queries over the views that they made: what the blocks printed, and of each
    query the names of its columns and its rows, as the other engines give them."""
    asked = json.dumps({"code": code, "queries": [plain_query(query) for query in queries]})
    environment = os.environ | {"TZ": "UTC", "SPARK_LOCAL_IP": "127.0.0.1"}
    command = [PYTHON, Path(__file__).resolve()]
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "timeout": SECONDS_MAX}
    run = subprocess.run(command, input=asked, **options)
    assert run.returncode == 0, run.stderr[-4000:]
    printed, _, answers = run.stdout.rpartition("\n\0")
    answers = [(names, [tuple(row) for row in rows]) for names, rows in json.loads(answers)]
    return printed, answers


def plain_query(query):
    """The query over views instead of files."""
    return re.sub(r"'data/(\w+)/\*\*/\*\.parquet'", r"\1", query).strip().rstrip(";")


def main():
    from datetime import UTC, datetime
    from decimal import Decimal

    from pyspark.sql import SparkSession

    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config(
        "spark.sql.shuffle.partitions", "1"
    ).getOrCreate().sparkContext.setLogLevel("ERROR")

    def value(of):
        if isinstance(of, datetime):
            return int(of.replace(tzinfo=UTC).timestamp()) * 1_000_000_000 + of.microsecond * 1000
        return float(of) if isinstance(of, Decimal) else of

    asked, scope = json.loads(sys.stdin.read()), {}
    for code in asked["code"]:
        exec(compile(code, "docs/analysts.md", "exec"), scope)
    spark = SparkSession.active()
    frames = [spark.sql(query) for query in asked["queries"]]
    answers = [(frame.columns, [[value(of) for of in row] for row in frame.collect()]) for frame in frames]
    print("\n\0" + json.dumps(answers))


if __name__ == "__main__":
    main()
