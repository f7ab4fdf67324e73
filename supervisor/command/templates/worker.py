"""GET /@NAME@?name=Ann answers {"hello": "Ann"}."""

import nodey


@nodey.get("/@NAME@")
def hello(req: nodey.Request) -> dict[str, str]:
    name = req.query.get("name", "world")
    nodey.log.info("somebody says hello", name=name)
    return {"hello": name}
