"""ask.py once more, for the event loop."""

import nodey


@nodey.route("/ask", methods=[])
async def get(req: nodey.Request) -> dict:
    try:
        return {"answer": await nodey.ask_async("Fib", {"num": int(req.query["num"])})}
    except nodey.Error as problem:
        return {"error": problem.code}


@nodey.token("Add")
async def add(args: dict) -> int:
    return args["a"] + args["b"]


@nodey.token("Relay")
def relay(num: int) -> object:
    return nodey.ask("Fib", {"num": num})
