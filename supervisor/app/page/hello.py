import nodey


@nodey.get("/hello")
def hello(req):
    return {"hello": req.query.get("name", "world")}
