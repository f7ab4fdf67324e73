"""Echoes, and is left in peace: what is done to the others must not be felt here."""

import nodey


@nodey.get("/calm/echo")
def get(req):
    return req.query["id"]


@nodey.post("/calm/echo")
def post(req):
    return nodey.Response(req.body)
