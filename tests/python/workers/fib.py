import nodey


def fib(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


@nodey.route("/fib", methods=[])
def get_fib(req: nodey.Request) -> dict:
    return {"fib": fib(int(req.query["num"]))}


@nodey.token("Fib")
def answer_fib(args: dict) -> int:
    return fib(args["num"])
