"""Every case of the Autobahn test suite, through the real binary and an echoing worker."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Union

import pytest

from app import App
from autobahn import (CLEAN, COMPRESSED, FAST, PLAIN, TRIPS, Case, Fast, Pause, Send, Series,
                      sample)
from timing import slow
from ws import BINARY, TEXT, Event, WebSocket, compressed, fragments

pytestmark = pytest.mark.outside

WORKER = Path(__file__).resolve().parents[1] / "workers" / "ws_raw.py"


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("autobahn")
    (folder / "nodey.toml").write_text(f'[workers.ws]\nscript = "{WORKER}"\ninstances = 1\n')
    app = App(folder).wait_ready()
    yield app
    problems = app.finish()
    assert not problems, "\n".join(problems)


def named(cases: list) -> list:
    return [pytest.param(case, id=f"case_{case.name}") for case in cases]


def hear(socket: WebSocket, case: Case) -> list[Event]:
    """Sends what the case says; what was heard when it is over, its end included."""
    heard: list[Event] = []
    for step in case.steps:
        if isinstance(step, Send):
            try:
                socket.send_raw(step.data, step.chop)
            except OSError:
                break  # it was ended while we were still sending: that is judged below
        elif isinstance(step, Pause):
            early = socket.next(slow(step.seconds))
            if early != ("nothing",):
                heard.append(early)
        elif isinstance(step, Fast):
            heard.append(socket.next(slow(FAST)))
    if case.end == CLEAN:
        while len(heard) < len(case.echoes[0]):
            heard.append(socket.next())
            assert heard[-1][0] not in ("nothing", "eof", "bad"), heard[-1]
        socket.close(1000)
    return heard + (socket.rest() if heard[-1:] != [("eof",)] else [])


@pytest.mark.parametrize("case", named(PLAIN))
def test_plain(echo: App, case: Case) -> None:
    with WebSocket(echo.port) as socket:
        heard = hear(socket, case)
    codes = (1000,) if case.end == CLEAN else case.end
    assert heard[-1] == ("eof",), brief(heard)
    assert heard[-2][0] == "close" and heard[-2][1] in codes, brief(heard)
    assert heard[:-2] in case.echoes, brief(heard)


def brief(heard: list[Event]) -> str:
    return repr([tuple(part[:60] if isinstance(part, (str, bytes)) else part for part in event)
                 for event in heard])


def go_and_return(socket: WebSocket, series: Series, messages: list[bytes]) -> None:
    packing = "permessage-deflate" in socket.extensions
    opcode = BINARY if series.binary else TEXT
    for message in messages:
        payload = compressed(message) if packing else message
        socket.send_raw(b"".join(fragments(opcode, payload, series.fragment or len(payload) or 1,
                                           rsv=4 if packing else 0)))
        expected: Union[str, bytes] = message if series.binary else message.decode()
        assert socket.next() == ("binary" if series.binary else "text", expected)


@pytest.mark.parametrize("series", named(TRIPS))
def test_round_trips(echo: App, series: Series) -> None:
    message = (b"\xfe" if series.binary else b"*") * series.size
    with WebSocket(echo.port) as socket:
        go_and_return(socket, series, [message] * series.count)
        socket.finish()


@pytest.mark.parametrize("series", named(COMPRESSED))
def test_compressed(echo: App, series: Series) -> None:
    data = sample(series.data, series.size * 3)
    starts = [n * series.size // 2 % len(data) for n in range(series.count)]
    messages = [(data + data)[at:at + series.size] for at in starts]
    if not series.binary:  # JSON and HTML are ASCII: cut anywhere, they remain text
        assert data.isascii()
    with WebSocket(echo.port, offer=series.offer) as socket:
        check_agreement(socket, series)
        go_and_return(socket, series, messages)
        if series.size >= 1024 and series.data != "packed":
            assert socket.packed == series.count
        socket.finish()


def check_agreement(socket: WebSocket, series: Series) -> None:
    agreed = [part.strip() for part in socket.extensions.split(";")]
    assert agreed[:3] == ["permessage-deflate", "server_no_context_takeover",
                          "client_no_context_takeover"]
    first = series.offer.split(",")[0]
    wanted = [part.strip() for part in first.split(";") if "server_max_window_bits" in part]
    assert agreed[3:] == wanted


def test_all_cases_are_there() -> None:
    names = [case.name for case in PLAIN + TRIPS] + [series.name for series in COMPRESSED]
    assert len(names) == len(set(names)) == 301 + 216
    counts = {group: sum(name.split("_")[0] == group for name in names)
              for group in ("1", "2", "3", "4", "5", "6", "7", "9", "10", "12", "13")}
    assert counts == {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54,
                      "10": 1, "12": 90, "13": 126}
