"""The handler behind nodey's pipe."""

import handler
import nodey


@nodey.get("/python/fib")
def fib(req):
    return handler.handle(int(req.query["num"]))


@nodey.get("/python/own")
def own(req):
    return handler.own(int(req.query["num"]))
