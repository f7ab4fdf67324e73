"""Flask, as its own documentation would have it: nothing here knows of nodey."""

import hashlib
import pathlib
import time

from flask import Flask, Response, jsonify, redirect, request, send_file, session, url_for

app = Flask(__name__)
app.secret_key = "for tests only"


@app.get("/hello")
def hello():
    return jsonify(hello=request.args.get("name", "world"))


@app.post("/form")
def form():
    return jsonify(request.form.to_dict())


@app.post("/login")
def login():
    session["user"] = request.form["user"]
    return redirect(url_for("me"), 303)


@app.get("/me")
def me():
    return session.get("user", "nobody")


@app.get("/cookies")
def cookies():
    response = Response(request.cookies.get("seen", "none"))
    response.set_cookie("seen", "yes")
    response.set_cookie("other", "a b")
    return response


def pieces(form):
    for number in range(4):
        yield form.format(number)
        time.sleep(0.25)


@app.get("/stream")
def stream():
    return Response(pieces("piece {}\n"), mimetype="text/plain")


@app.get("/events")
def events():
    return Response(pieces("data: {}\n\n"), mimetype="text/event-stream")


@app.get("/endless")
def endless():
    def generate():
        try:
            while True:
                yield "x" * 1000
                time.sleep(0.02)
        finally:
            pathlib.Path("gone").touch()

    return Response(generate(), mimetype="text/plain")


@app.post("/upload")
def upload():
    file = request.files["file"]
    digest, size = hashlib.sha256(), 0
    while True:
        data = file.stream.read(1 << 16)
        if not data:
            break
        digest.update(data)
        size += len(data)
    return jsonify(
        name=file.filename, size=size, sha256=digest.hexdigest(), note=request.form["note"]
    )


@app.get("/file")
def file():
    return send_file(pathlib.Path("data.bin").resolve(), mimetype="application/octet-stream")


@app.get("/background")
def background():
    response = Response("accepted")
    response.call_on_close(lambda: (time.sleep(0.3), pathlib.Path("done").touch()))
    return response


@app.get("/boom")
def boom():
    raise RuntimeError("it broke")


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=1, debug=False)
