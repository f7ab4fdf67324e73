import nodey


@nodey.route("/*", methods=[])
def echo(req: nodey.Request) -> dict:
    return {
        "method": req.method,
        "path": req.path,
        "query": req.query_string,
        "header": req.headers.get("x-test"),
        "body": req.text,
    }
