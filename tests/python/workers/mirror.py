"""Shows requests as a handler sees them."""

import nodey


def shown(req: nodey.Request) -> dict:
    return {
        "id": req.id,
        "method": req.method,
        "path": req.path,
        "query": req.query_string,
        "headers": {name: req.headers.getlist(name) for name in req.headers},
        "params": req.params,
        "timeout": req.timeout,
        "body": req.body.hex(),
    }


nodey.route("/*", methods=[])(shown)
nodey.route("*", methods=[])(shown)


@nodey.token("Fib")
def fib(args: object) -> dict:
    return {"args": args}


for name in ("CreateUser", "a.B-c", "A", "T"):
    nodey.set({name: fib})
