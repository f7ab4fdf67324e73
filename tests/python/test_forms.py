"""Forms: urlencoded and multipart."""

from __future__ import annotations

import re

import pytest
from nodey import Error, HTTPError
from nodey.forms import MOST_FIELDS, parse_form
from nodey.request import Request

KIND = "multipart/form-data; boundary=XX"


def part(head: str, data: bytes = b"") -> bytes:
    return b"--XX\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"


def field(name: str, value: str) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', value.encode())


def upload(name: str, filename: str, data: bytes, more: str = "") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"; {filename}{more}', data)


END = b"--XX--\r\n"


def test_urlencoded() -> None:
    form = parse_form("application/x-www-form-urlencoded; charset=utf-8", b"a=1&b=x+%C3%A9&a=2")
    assert form == {"a": "1", "b": "x é"}
    assert form.getlist("a") == ["1", "2"] and form.files == {}
    assert parse_form("", b"") == {}


def test_multipart_fields_and_files() -> None:
    data = bytes(range(256)) * 3 + b"\r\n--X\r\n--XY\r\n--XX-\r\n"
    body = (
        field("a", "1")
        + field("a", "zwei é\r\n")
        + upload("f", 'filename="p.png"', data, "\r\nContent-Type: image/png")
        + upload("f", 'filename="second"', b"")
        + field("empty", "")
        + END
    )
    form = parse_form(KIND, body)
    assert form == {"a": "1", "empty": ""}
    assert form.getlist("a") == ["1", "zwei é\r\n"]
    first, second = form.files.getlist("f")
    assert form.files["f"] is first
    assert (first.name, first.filename, first.content_type) == ("f", "p.png", "image/png")
    assert first.data == first.read() == first.open().read() == data and len(first) == len(data)
    assert first.size == len(data) and second.size == 0
    assert second.data == b"" and second and second.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    "given, filename",
    [
        ('filename="a b;c=d.txt"', "a b;c=d.txt"),
        ('filename="say %22hi%22.txt"', 'say "hi".txt'),
        ('filename="say \\"hi\\".txt"', 'say "hi".txt'),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\temp\\new.txt"', "new.txt"),
        ('filename=".."', ""),
        ('filename="a\x00\x1b[1mb"', "a[1mb"),
        ('filename="é😀.txt"', "é😀.txt"),
        ("filename=bare.txt", "bare.txt"),
        ("filename=\"x\"; filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
    ],
)
def test_the_name_of_a_file(given, filename) -> None:
    form = parse_form(KIND, upload("f", given, b"data") + END)
    assert form.files["f"].filename == filename


def test_a_file_input_in_which_nothing_was_chosen_is_nothing() -> None:
    body = upload("f", 'filename=""', b"", "\r\nContent-Type: application/octet-stream") + END
    form = parse_form(KIND, body)
    assert form.files == {} and form == {}


def test_what_surrounds_the_parts_does_no_harm() -> None:
    body = b"preamble\r\n" + b"--XX  \t\r\n" + field("a", "1")[6:] + END + b"epilogue --XX"
    assert parse_form(KIND, body) == {"a": "1"}
    assert parse_form('multipart/form-data; charset=utf-8; boundary="XX"', field("a", "1") + END)
    assert parse_form(KIND, END) == {}
    latin = "Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=latin-1"
    assert parse_form(KIND, part(latin, b"\xe9") + END) == {"a": "é"}


@pytest.mark.parametrize(
    "kind, body, words",
    [
        ("multipart/form-data", field("a", "1"), "no usable boundary"),
        (f"multipart/form-data; boundary={'x' * 71}", b"x", "no usable boundary"),
        (KIND, b"nothing", "its boundary is not in it"),
        (KIND, b"", "its boundary is not in it"),
        (KIND, field("a", "1"), "ends in the middle"),
        (KIND, field("a", "1")[:-20], "ends in the middle"),
        (KIND, b"--XX\r\nno empty line\r\n" + END, "no empty line after its headers"),
        (KIND, part("X: y", b"1") + END, "no Content-Disposition"),
        (KIND, part("Content-Disposition: form-data", b"1") + END, "with a name"),
        (KIND, part('Content-Disposition: attachment; name="a"') + END, "form-data with a name"),
        (KIND, upload("a", "", b"", "\r\nContent-Transfer-Encoding: base64") + END, "base64"),
        (KIND, part("X: " + "y" * 9000) + END, "too long ones"),
        (KIND, field("a", "1") * (MOST_FIELDS + 1) + END, f"more than {MOST_FIELDS} parts"),
        (
            "application/x-www-form-urlencoded",
            b"a=1&" * (MOST_FIELDS + 1),
            f"more than {MOST_FIELDS} fields",
        ),
    ],
)
def test_a_malformed_form_is_a_sentence(kind, body, words) -> None:
    with pytest.raises(Error) as caught:
        parse_form(kind, body)
    assert caught.value.code == "invalid_argument"
    assert caught.value.message.startswith("the form is malformed: ") and words in str(caught.value)


def test_another_type_of_body_is_415() -> None:
    with pytest.raises(HTTPError) as caught:
        parse_form("application/json", b"{}")
    assert caught.value.status == 415 and "not application/json" in caught.value.detail
    with pytest.raises(HTTPError, match="not a bare body"):
        parse_form("", b"x")


def test_a_megabyte_of_near_boundaries_is_parsed_in_no_time() -> None:
    """Whatever a client sends, the work is proportional to its size."""
    import time

    begin = time.perf_counter()
    data = b"\r\n--XX    y" * 100000
    form = parse_form(KIND, upload("f", 'filename="f"', data) + END)
    assert form.files["f"].data == data
    assert time.perf_counter() - begin < 2


def test_saving(tmp_path) -> None:
    file = parse_form(KIND, upload("f", 'filename="../a.txt"', b"data") + END).files["f"]
    assert file.save(tmp_path / "b.txt").read_bytes() == b"data"
    assert file.save(str(tmp_path)) == tmp_path / "a.txt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    file.filename = ""
    with pytest.raises(ValueError, match="has no name"):
        file.save(tmp_path)


def test_a_form_field_that_is_not_there_is_the_clients_mistake() -> None:
    form = parse_form(KIND, field("a", "1") + END)
    for missing, words in ((form, "the form has no 'b'"), (form.files, "the form's files has")):
        with pytest.raises(KeyError) as caught:
            missing["b"]
        assert isinstance(caught.value, Error) and words in caught.value.message


def test_a_form_in_a_request_is_parsed_once() -> None:
    frame = {"id": 1, "method": "POST", "path": "/", "body": "a=1"}
    frame["headers"] = {"content-type": "application/x-www-form-urlencoded"}
    req = Request(frame, {})
    assert req.form() is req.form() and req.form()["a"] == "1" and req.files == {}


def test_what_curl_and_browsers_send(write) -> None:
    worker = write(
        """
        import nodey
        @nodey.post("/")
        def root(req):
            form = req.form()
            return [form["title"], {f.filename: f.text for f in req.files.values()}]
        """
    )
    worker.ready()
    body = field("title", "T") + upload("f", 'filename="n.txt"', b"text") + END
    post = {"id": 1, "method": "POST", "path": "/", "headers": {"content-type": KIND}}
    worker.send({**post, "body": body.decode()})
    assert worker.next() == {"id": 1, "json": ["T", {"n.txt": "text"}]}
    worker.send({**post, "body": re.sub("title", "name", body.decode())})
    frame = worker.next()
    assert frame["code"] == "invalid_argument" and frame["message"] == "the form has no 'title'"
    worker.send({**post, "body": "x"})
    assert worker.next()["message"] == "the form is malformed: its boundary is not in it"
    assert worker.failures == []
