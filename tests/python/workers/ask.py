import nodey


@nodey.route("/ask", methods=[])
def get(req: nodey.Request) -> dict:
    try:
        return {"answer": nodey.ask("Fib", {"num": int(req.query["num"])})}
    except nodey.Error as problem:
        return {"error": problem.code}


@nodey.token("Add")
def add(args: dict) -> int:
    return args["a"] + args["b"]


@nodey.token("Relay")
def relay(num: int) -> object:
    return nodey.ask("Fib", {"num": num})
