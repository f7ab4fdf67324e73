"""python -m nodey script.py [argument ...]: runs a script and serves what it declares."""

from __future__ import annotations

import sys

from .startup import run_script

if len(sys.argv) < 2:
    sys.exit("usage: python -m nodey script.py [argument ...]")
sys.exit(run_script(sys.argv[1], sys.argv[2:]))
