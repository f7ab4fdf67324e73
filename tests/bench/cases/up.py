"""workers/stack, which was a docker-compose stack: from `nodey up` until all of it is healthy."""

from __future__ import annotations

import shutil
from contextlib import suppress

from harness.context import Context, progress
from harness.detached import Detached
from harness.errors import BenchError, NotBuilt
from harness.paths import ROOT
from harness.report import Column, Table

ROUNDS = 7
PACKAGES = ROOT / "build" / "node" / "node_modules"
COLUMNS = [Column("seconds", "all healthy after s", 2)]


def run(context: Context) -> list[Table]:
    table = Table("up", f"workers/stack, median of {ROUNDS}", COLUMNS)
    folder = context.folder("stack") / "stack"
    shutil.copytree(ROOT / "workers" / "stack", folder,
                    ignore=shutil.ignore_patterns("node_modules", ".nodey"))
    (folder / "node_modules").symlink_to(PACKAGES)
    try:
        if not PACKAGES.is_dir():
            raise NotBuilt("its packages are not installed: make deps-test")
        stack = Detached(context, folder)
        for turn in range(-1, ROUNDS):  # the first one fills the page cache
            progress(f"up {turn + 1}/{ROUNDS}")
            try:
                seconds = stack.up()
            finally:
                with suppress(BenchError):
                    stack.down()
            if turn >= 0:
                table.add("nodey", {"seconds": seconds})
    except NotBuilt as reason:
        table.skip("nodey", str(reason))
    except (BenchError, OSError) as error:
        table.fail("nodey", str(error))
    progress("")
    table.limit("nodey", "seconds", "s", "<", 3)
    return [table]
