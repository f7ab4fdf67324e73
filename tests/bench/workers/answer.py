from __future__ import annotations

import nodey


@nodey.token("Double")
def double(args: dict[str, int]) -> dict[str, int]:
    return {"num": args["num"] * 2}


nodey.start()
