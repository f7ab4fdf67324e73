"""Another of these workers, in an event loop: its `def` handlers run in threads there."""

import importlib
import sys

import nodey

importlib.import_module(sys.argv[1])


@nodey.on_start
async def have_a_loop() -> None:
    pass
