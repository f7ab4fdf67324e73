"""Flask: under gunicorn as `flask_app:app`, or on its own server as `flask_app.py PORT`.

`POST /ask` is the HTTP bridge of the design that nodey replaces: a token and its
arguments go in, and the answer comes back, as base64 of JSON.
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import time
from typing import Any

import flask

app = flask.Flask(__name__)
TOKENS = {"Double": lambda args: {"num": args["num"] * 2}}


@app.get("/hello")
def hello() -> flask.Response:
    return flask.jsonify(hello="world")


@app.get("/work")
def work() -> flask.Response:
    time.sleep(flask.request.args.get("ms", 0, type=int) / 1000)
    return flask.jsonify(hello="world")


@app.post("/ask")
def ask() -> flask.Response:
    question: Any = flask.request.get_json()
    args = json.loads(base64.b64decode(question["args"]))
    answer = TOKENS[question["asking_about"]](args)
    return flask.jsonify(answer=base64.b64encode(json.dumps(answer).encode()).decode())


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(host="127.0.0.1", port=int(sys.argv[1]))
