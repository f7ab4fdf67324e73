import hashlib
import pathlib
import time

from django.core.signals import request_finished
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import path


def hello(request):
    return JsonResponse({"hello": request.GET.get("name", "world")})


def form(request):
    return JsonResponse(request.POST.dict())


def login(request):
    request.session["user"] = request.POST["user"]
    response = redirect("me")
    response.status_code = 303
    return response


def me(request):
    return HttpResponse(request.session.get("user", "nobody"), content_type="text/plain")


def cookies(request):
    response = HttpResponse(request.COOKIES.get("seen", "none"), content_type="text/plain")
    response.set_cookie("seen", "yes")
    response.set_cookie("other", "a b")
    return response


def pieces(form):
    for number in range(4):
        yield form.format(number)
        time.sleep(0.25)


def stream(request):
    return StreamingHttpResponse(pieces("piece {}\n"), content_type="text/plain")


def events(request):
    return StreamingHttpResponse(pieces("data: {}\n\n"), content_type="text/event-stream")


def endless(request):
    def generate():
        try:
            while True:
                yield "x" * 1000
                time.sleep(0.02)
        finally:
            pathlib.Path("gone").touch()

    return StreamingHttpResponse(generate(), content_type="text/plain")


def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    note = request.POST["note"]
    answer = {"name": file.name, "size": file.size, "sha256": digest.hexdigest(), "note": note}
    return JsonResponse(answer)


def file(request):
    return FileResponse(open("data.bin", "rb"))


def background(request):
    def work(**kwargs):
        request_finished.disconnect(work)
        time.sleep(0.3)
        pathlib.Path("done").touch()

    request_finished.connect(work, weak=False)
    return HttpResponse("accepted", content_type="text/plain")


def boom(request):
    raise RuntimeError("it broke")


urlpatterns = [
    path("hello", hello),
    path("form", form),
    path("login", login),
    path("me", me, name="me"),
    path("cookies", cookies),
    path("stream", stream),
    path("events", events),
    path("endless", endless),
    path("upload", upload),
    path("file", file),
    path("background", background),
    path("boom", boom),
]
