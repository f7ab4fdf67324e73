"""Fibonacci numbers, the slow way: GET /fib?num=30, or ask for the token Fib."""

import nodey


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def checked(num: object) -> int:
    try:
        n = int(str(num))
    except ValueError:
        n = -1
    if not 0 <= n <= 45:
        raise nodey.HTTPError(400, "num must be an integer from 0 to 45")
    return n


@nodey.get("/fib", description="nth Fibonacci number")
def get_fib(req: nodey.Request) -> dict[str, object]:
    return {"fib": fib(checked(req.query.get("num", 10)))}


@nodey.token("Fib")
def answer_fib(args: dict[str, int]) -> int:
    return fib(checked(args["num"]))
