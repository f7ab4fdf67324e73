"""D1: nothing is lost when nodey is killed, as the oracle of tests/proof sees it."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys

import pytest

from app import BINARY, ROOT
from timing import slow
pytestmark = pytest.mark.outside


@pytest.mark.long
def test_25_kills_lose_nothing() -> None:
    seed = random.randrange(10**6)
    ran = subprocess.run([sys.executable, str(ROOT / "tests/proof/run"), "--kills", "25",
                          "--seconds", str(slow(40)), "--seed", str(seed)],
                         env={**os.environ, "NODEY_BIN": str(BINARY)}, timeout=slow(110),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout
    kills = re.search(r"(\d+) kills, \d+ acked", ran.stdout)
    assert kills and int(kills.group(1)) > 12, "too few of them had time"
    assert " 0 lost, " in ran.stdout and " 0 stored twice" in ran.stdout, ran.stdout
