import time

import nodey


@nodey.route("/slow", methods=[])
def slow(req: nodey.Request) -> dict:
    ms = int(req.query["ms"])
    time.sleep(ms / 1000)
    return {"slept": ms}
