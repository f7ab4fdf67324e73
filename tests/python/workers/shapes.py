import nodey


@nodey.route("/text", methods=[])
def text() -> str:
    return "héllo 😀"


@nodey.route("/blank", methods=[])
def blank() -> str:
    return ""


@nodey.route("/bytes", methods=[])
def data() -> bytes:
    return b"\x00\xff\xfe"


@nodey.route("/null", methods=[])
def null() -> None:
    return None


@nodey.route("/list", methods=[])
def items() -> list:
    return [1, "two", None, True, 0.5]


@nodey.route("/full", methods=[])
def full() -> nodey.Response:
    headers = {"Content-Type": "text/html; charset=utf-8", "Set-Cookie": ["a=1", "b=2"]}
    return nodey.Response("<p>hi", 201, headers)


@nodey.route("/nothing", methods=[])
def nothing() -> tuple:
    return 204, None


@nodey.route("/boom", methods=[])
def boom() -> None:
    raise ValueError("boom")


@nodey.route("/missing", methods=[])
def missing() -> None:
    raise nodey.Error("not_found", "no such thing")


@nodey.route("/nan", methods=[])
def nan() -> dict:
    return {"value": float("nan")}
