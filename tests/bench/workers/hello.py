from __future__ import annotations

import nodey


@nodey.get("/hello")
def hello(req: nodey.Request) -> dict[str, str]:
    return {"hello": "world"}


nodey.start()
