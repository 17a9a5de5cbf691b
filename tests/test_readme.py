"""What the README promises of the tests: whatever pip does not bring is skipped in words, and nothing fails for its want."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_without_the_systems_programs_and_servers_tests_are_skipped_in_words(tmp_path: Path) -> None:
    places = ("tests/inspect/plc", "tests/inspect/partlog/test_schema.py", "tests/inspect/review/test_postgres.py")
    nobody = {"LINEGATE_TEST_POSTGRES": "postgresql+pg8000://nobody@127.0.0.1:1/nothing", "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *places]
    done = subprocess.run(
        [*command, "-k", "mbpoll or commands_on_the_page or postgresql"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **nobody, "COLUMNS": "300"},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "apt-get install mbpoll" in done.stdout
    assert "set LINEGATE_TEST_POSTGRES (README, Run the tests)" in done.stdout
