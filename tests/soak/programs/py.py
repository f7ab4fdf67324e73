"""Echoes at /py/echo; at /py/evil/DEED it does what no worker should."""

import os
import signal
import sys
import time

import nodey

MEBIBYTE = 1 << 20
hoard = []


@nodey.get("/py/echo")
def get(req):
    return req.query["id"]


@nodey.post("/py/echo")
def post(req):
    return nodey.Response(req.body)


def crash():
    os._exit(3)


def quit():
    os._exit(0)


def segv():
    os.kill(os.getpid(), signal.SIGSEGV)


def spin():
    while True:
        pass


def sleep():
    time.sleep(3600)


def leak():
    """Past the soft limit, not past the hard one; and it stays."""
    hoard.append(b"x" * (130 * MEBIBYTE))


def hog():
    while True:
        hoard.append(b"x" * (10 * MEBIBYTE))
        time.sleep(0.02)


def flood():
    for number in range(600):
        print(f"flood {number} " + "x" * 2000, file=sys.stderr)


def noise():
    os.write(1, b"\x00\xff{\"id\":1,\"body\":\"stolen\"}\n{broken\n" * 100)


def half():
    os.write(1, b"half a line, and then nothing")
    os._exit(4)


@nodey.get("/py/evil/*")
def evil(req):
    globals()[req.path.rsplit("/", 1)[1]]()
    return req.query["id"]
