"""The Autobahn test suite's cases, from its published descriptions of them.

517 of them: groups 1 to 10 (301), and 12 and 13, compression (216).  What takes minutes there
for its sheer size is smaller here, and says so.  A case is what a client sends and what it must
see:  what was echoed (where the description leaves a choice, the alternatives that it calls
non-strict come after the strict one), and how the connection ends.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Iterator, Union

from ws import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Event, close_payload, fragments,
                frame)

SCALE = 16  # sizes of group 9 are divided by this

CLEAN = "clean"  # the client closes with 1000, and is answered so
FAST = 1.0  # seconds in which a fault is to be told that shows before a frame is whole


@dataclass
class Send:
    data: bytes
    chop: int = 0  # bytes at a time; 0: all at once


@dataclass
class Pause:
    """Nothing may be heard for so long."""

    seconds: float


@dataclass
class Fast:
    """The end must come now, though the message is not whole."""


@dataclass
class Case:
    name: str
    steps: list[Union[Send, Pause, Fast]]
    echoes: list[list[Event]] = field(default_factory=lambda: [[]])
    end: Union[str, tuple] = CLEAN  # or the codes with which nodey may end it


def text(payload: str) -> Event:
    return ("text", payload)


def chopped(frames: list[bytes], way: str) -> list[Union[Send, Pause, Fast]]:
    """One write for all, one for each frame, or one for each octet."""
    if way == "frame":
        return [Send(piece) for piece in frames]
    return [Send(b"".join(frames), 1 if way == "octet" else 0)]


def fail(name: str, steps: list[bytes], *echoes: list[Event], code: int = 1002,
         way: str = "all") -> Case:
    return Case(name, chopped(steps, way), [*echoes] or [[]], (code,))


# ------------------------------------------------------------------ 1 to 5

def framing() -> Iterator[Case]:
    sizes = [0, 125, 126, 127, 128, 65535, 65536, 65536]
    for n, size in enumerate(sizes, 1):
        chop = 997 if n == 8 else 0
        yield Case(f"1_1_{n}", [Send(frame(TEXT, b"*" * size), chop)], [[text("*" * size)]])
    for n, size in enumerate(sizes, 1):
        chop = 997 if n == 8 else 0
        data = b"\xfe" * size
        yield Case(f"1_2_{n}", [Send(frame(BINARY, data), chop)], [[("binary", data)]])


def pings() -> Iterator[Case]:
    def ping(name: str, payload: bytes, chop: int = 0) -> Case:
        return Case(name, [Send(frame(PING, payload), chop)], [[("pong", payload)]])

    many = [f"payload-{n}".encode() for n in range(10)]
    yield ping("2_1", b"")
    yield ping("2_2", b"Hello, world!")
    yield ping("2_3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")
    yield ping("2_4", b"\xfe" * 125)
    yield fail("2_5", [frame(PING, b"\xfe" * 126)])
    yield ping("2_6", b"\xfe" * 125, chop=1)
    yield Case("2_7", [Send(frame(PONG)), Pause(0.1)])
    yield Case("2_8", [Send(frame(PONG, b"unsolicited pong payload")), Pause(0.1)])
    yield Case("2_9", [Send(frame(PONG, b"unsolicited") + frame(PING, b"ping payload"))],
               [[("pong", b"ping payload")]])
    for name, chop in (("2_10", 0), ("2_11", 1)):
        yield Case(name, [Send(frame(PING, payload), chop) for payload in many],
                   [[("pong", payload) for payload in many]])


def reserved_bits() -> Iterator[Case]:
    hello, ping, echo = frame(TEXT, b"Hello, world!"), frame(PING), [text("Hello, world!")]
    yield fail("3_1", [frame(TEXT, b"Hello, world!", rsv=1)])
    for n, way in ((2, "all"), (3, "frame"), (4, "octet")):
        yield fail(f"3_{n}", [hello, frame(TEXT, b"Hello, world!", rsv=n), ping], echo, [],
                   way=way)
    yield fail("3_5", [frame(BINARY, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", rsv=5)])
    yield fail("3_6", [frame(PING, b"Hello, world!", rsv=6)])
    yield fail("3_7", [frame(CLOSE, close_payload(1000), rsv=7)])


def opcodes() -> Iterator[Case]:
    hello, ping, echo = frame(TEXT, b"Hello, world!"), frame(PING), [text("Hello, world!")]
    for group, first in ((1, 3), (2, 11)):
        yield fail(f"4_{group}_1", [frame(first)])
        yield fail(f"4_{group}_2", [frame(first + 1, b"reserved opcode payload")])
        yield fail(f"4_{group}_3", [hello, frame(first + 2), ping], echo, [])
        yield fail(f"4_{group}_4", [hello, frame(first + 3, b"reserved"), ping], echo, [])
        yield fail(f"4_{group}_5", [hello, frame(first + 4, b"reserved"), ping], echo, [],
                   way="octet")


def fragmentation() -> Iterator[Case]:
    one, two = frame(TEXT, b"fragment1", fin=False), frame(CONTINUATION, b"fragment2")
    whole = text("fragment1fragment2")
    ping, pong = frame(PING, b"ping payload"), ("pong", b"ping payload")
    hello = frame(TEXT, b"Hello, world!")
    yield fail("5_1", [frame(PING, b"fragment1", fin=False), two])
    yield fail("5_2", [frame(PONG, b"fragment1", fin=False), two])
    for n, way in enumerate(("all", "frame", "octet")):
        yield Case(f"5_{3 + n}", chopped([one, two], way), [[whole]])
        yield Case(f"5_{6 + n}", chopped([one, ping, two], way), [[pong, whole]])
        yield fail(f"5_{9 + n}", [frame(CONTINUATION, b"non-continuation payload"), hello],
                   way=way)
        yield fail(f"5_{12 + n}", [frame(CONTINUATION, b"non-continuation payload", fin=False),
                                   hello], way=way)
    nothing = frame(CONTINUATION, b"fragment3", fin=False)
    yield fail("5_15", [one, two, nothing, frame(TEXT, b"fragment4")], [whole], [])
    yield fail("5_16", [frame(CONTINUATION, b"fragment1", fin=False), one, two] * 2)
    yield fail("5_17", [frame(CONTINUATION, b"fragment1"), one, two] * 2)
    yield fail("5_18", [one, frame(TEXT, b"fragment2")])
    parts = [frame(CONTINUATION if n else TEXT, b"fragment%d" % (n + 1), fin=n == 4)
             for n in range(5)]
    first, second = frame(PING, b"pongme 1!"), frame(PING, b"pongme 2!")
    all_of_it = text("".join(f"fragment{n}" for n in range(1, 6)))
    pongs = [("pong", b"pongme 1!"), ("pong", b"pongme 2!"), all_of_it]
    yield Case("5_19", [Send(parts[0] + parts[1] + first), Pause(0), Send(parts[2] + parts[3]),
                        Send(second), Send(parts[4])], [pongs])
    yield Case("5_20", chopped([parts[0], parts[1], first, parts[2], parts[3], second,
                                parts[4]], "frame"), [pongs])


# ------------------------------------------------------------------------ 6

GOOD, BAD = True, False
KOSME = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()  # with the accent in one code point: 11 bytes
BEYOND = b"\xf4\x90\x80\x80"


def continuation_bytes(count: int) -> bytes:
    return (b"\x80\xbf" * count)[:count]


def lonely(first: int, count: int) -> bytes:
    return b"".join(bytes([first + n, 0x20]) for n in range(count))


INCOMPLETE = [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
              b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"]

SURROGATES = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf",
              b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"]

# From Markus Kuhn's UTF-8 decoder test: group, are they valid, the sequences.
SEQUENCES: list[tuple[int, bool, list[bytes]]] = [
    (5, GOOD, ["hello$world".encode(), "hello¢world".encode(), "hello€world".encode(),
               "hello\U00024b62world".encode(), KOSME]),
    (7, GOOD, [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
    (8, BAD, [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
    (9, GOOD, [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
    (10, BAD, [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
    (12, BAD, [b"\x80", b"\xbf", *(continuation_bytes(n) for n in range(2, 7)),
               bytes(range(0x80, 0xc0))]),
    (13, BAD, [lonely(0xc0, 32), lonely(0xe0, 16), lonely(0xf0, 8), lonely(0xf8, 4),
               lonely(0xfc, 2)]),
    (14, BAD, INCOMPLETE),
    (15, BAD, [b"".join(INCOMPLETE)]),
    (16, BAD, [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    (17, BAD, [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
               b"\xfc\x80\x80\x80\x80\xaf"]),
    (18, BAD, [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf",
               b"\xfc\x83\xbf\xbf\xbf\xbf"]),
    (19, BAD, [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80",
               b"\xfc\x80\x80\x80\x80\x80"]),
    (20, BAD, SURROGATES),
    (21, BAD, [high + low for high in SURROGATES[:4] for low in (SURROGATES[4], SURROGATES[6])]),
    (22, GOOD, [chr(plane << 16 | last).encode() for plane in range(17)
                for last in (0xfffe, 0xffff)]),
    (23, GOOD, [chr(point).encode() for point in range(0xfff9, 0x10000)]),
]


def one_text(name: str, payload: bytes, good: bool) -> Case:
    if good:
        return Case(name, [Send(frame(TEXT, payload))], [[text(payload.decode())]])
    return fail(name, [frame(TEXT, payload)], code=1007)


def is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
        return True
    except UnicodeDecodeError:
        return False


def failing_fast() -> Iterator[Case]:
    """A text that cannot become valid any more is refused though it is not whole."""
    head = frame(TEXT, KOSME, fin=False)
    for n, wrong in ((1, BEYOND), (2, BEYOND[:2])):
        yield Case(f"6_4_{n}", [Send(head), Pause(0.3),
                                Send(frame(CONTINUATION, wrong, fin=False)), Fast()], [[]],
                   (1007,))
    whole = frame(TEXT, KOSME + BEYOND + b"edited")
    for n, wrong in ((3, BEYOND), (4, BEYOND[:2])):
        begin = len(whole) - len(BEYOND + b"edited")
        yield Case(f"6_4_{n}", [Send(whole[:begin]), Pause(0.3),
                                Send(whole[begin:begin + len(wrong)]), Fast()], [[]], (1007,))


def utf8() -> Iterator[Case]:
    good = "Hello-µ@ßöäüàá-UTF-8!!"
    data, bad = good.encode(), KOSME + SURROGATES[0] + b"edited"
    yield Case("6_1_1", [Send(frame(TEXT))], [[text("")]])
    empty = [frame(TEXT, fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION)]
    yield Case("6_1_2", chopped(empty, "all"), [[text("")]])
    empty[1] = frame(CONTINUATION, b"middle frame payload", fin=False)
    yield Case("6_1_3", chopped(empty, "all"), [[text("middle frame payload")]])
    yield one_text("6_2_1", data, GOOD)
    yield Case("6_2_2", chopped([frame(TEXT, data[:12], fin=False),
                                 frame(CONTINUATION, data[12:])], "all"), [[text(good)]])
    yield Case("6_2_3", chopped(fragments(TEXT, data, 1), "all"), [[text(good)]])
    yield Case("6_2_4", chopped(fragments(TEXT, KOSME, 1), "all"), [[text(KOSME.decode())]])
    yield one_text("6_3_1", bad, BAD)
    yield fail("6_3_2", fragments(TEXT, bad, 1), code=1007)
    yield from failing_fast()
    for n in range(1, len(KOSME) + 1):
        yield one_text(f"6_6_{n}", KOSME[:n], is_utf8(KOSME[:n]))
    for group, valid, sequences in SEQUENCES:
        for n, sequence in enumerate(sequences, 1):
            yield one_text(f"6_{group}_{n}", sequence, valid)
    boundaries = [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", BEYOND]
    for n, sequence in enumerate(boundaries, 1):
        yield one_text(f"6_11_{n}", sequence, sequence != BEYOND)


# ------------------------------------------------------------------------ 7

VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]


def closing() -> Iterator[Case]:
    close, hello = frame(CLOSE, close_payload(1000)), frame(TEXT, b"Hello World!")
    yield Case("7_1_1", [Send(hello)], [[text("Hello World!")]])
    yield Case("7_1_2", [Send(close + close)], end=(1000,))
    yield Case("7_1_3", [Send(close + frame(PING))], end=(1000,))
    yield Case("7_1_4", [Send(close + hello)], end=(1000,))
    yield Case("7_1_5", [Send(frame(TEXT, b"fragment1", fin=False) + close +
                              frame(CONTINUATION, b"fragment2"))], end=(1000,))
    long = "BAsd7&jh23" * 26 * 1024
    yield Case("7_1_6", [Send(frame(TEXT, long.encode()) + close + frame(PING))],
               [[], [text(long)]], end=(1000,))
    yield Case("7_3_1", [Send(frame(CLOSE))], end=(None,))
    yield fail("7_3_2", [frame(CLOSE, b"a")])
    yield Case("7_3_3", [Send(close)], end=(1000,))
    yield Case("7_3_4", [Send(frame(CLOSE, close_payload(1000, "Hello World!")))], end=(1000,))
    yield Case("7_3_5", [Send(frame(CLOSE, close_payload(1000, "*" * 123)))], end=(1000,))
    yield fail("7_3_6", [frame(CLOSE, close_payload(1000, "*" * 124))])
    yield fail("7_5_1", [frame(CLOSE, close_payload(1000, KOSME + SURROGATES[0] + b"edited"))],
               code=1007)
    for n, code in enumerate(VALID_CODES, 1):
        yield Case(f"7_7_{n}", [Send(frame(CLOSE, close_payload(code)))], end=(code,))
    for n, code in enumerate(INVALID_CODES, 1):
        yield fail(f"7_9_{n}", [frame(CLOSE, close_payload(code))])
    yield fail("7_13_1", [frame(CLOSE, close_payload(5000))])
    yield fail("7_13_2", [frame(CLOSE, close_payload(65535))])


# ----------------------------------------------------------------- 9 and 10

def limits() -> Iterator[Case]:
    def messages(group: int, sizes: list[int], piece: int = 0, chops: bool = False,
                 fragment_sizes: bool = False) -> Iterator[Case]:
        opcode = TEXT if group % 2 else BINARY
        for n, size in enumerate(sizes, 1):
            total = piece or size
            data = b"*" * total if opcode == TEXT else b"\xfe" * total
            echo = text(data.decode()) if opcode == TEXT else ("binary", data)
            frames = fragments(opcode, data, size if fragment_sizes else total)
            yield Case(f"9_{group}_{n}", [Send(b"".join(frames), size if chops else 0)],
                       [[echo]])

    whole = [kib * 1024 // SCALE for kib in (64, 256, 1024, 4096, 8192, 16384)]
    parts = [64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304]
    chops = [64, 128, 256, 512, 1024, 2048]
    for group in (1, 2):
        yield from messages(group, whole)
    for group in (3, 4):
        yield from messages(group, [max(size // SCALE, 4) for size in parts],
                            4 * 1024 * 1024 // SCALE, fragment_sizes=True)
    for group in (5, 6):
        yield from messages(group, chops, 1024 * 1024 // SCALE, chops=True)
    frames = fragments(TEXT, b"*" * 65536, 1300)
    yield Case("10_1_1", [Send(b"".join(frames))], [[text("*" * 65536)]])


PLAIN = [case for group in (framing, pings, reserved_bits, opcodes, fragmentation, utf8, closing,
                            limits) for case in group()]


@dataclass
class Series:
    """Messages that are sent one after the other, each when the last one is back."""

    name: str
    size: int
    count: int
    binary: bool
    fragment: int = 0
    offer: str = ""
    data: str = ""  # which of `sample`


# 1000 messages there.
TRIPS = [Series(f"9_{group}_{n}", size, 100, group == 8)
         for group in (7, 8) for n, size in enumerate([0, 16, 64, 256, 1024, 4096], 1)]

# ---------------------------------------------------------------- 12 and 13

SIZES = [(16, 0), (64, 0), (256, 0), (1024, 0), (4096, 0), (8192, 0), (16384, 0), (32768, 0),
         (65536, 0), (131072, 0), (8192, 256), (16384, 256), (32768, 256), (65536, 256),
         (131072, 256), (131072, 1024), (131072, 4096), (131072, 32768)]

DEFLATE = "permessage-deflate; client_no_context_takeover; client_max_window_bits"

# Do they ask for no context takeover of the server, and for a window of how many bits?
OFFERS = [
    DEFLATE,
    f"{DEFLATE}; server_no_context_takeover",
    f"{DEFLATE}; server_max_window_bits=9",
    f"{DEFLATE}; server_max_window_bits=15",
    f"{DEFLATE}; server_no_context_takeover; server_max_window_bits=9",
    f"{DEFLATE}; server_no_context_takeover; server_max_window_bits=15",
    f"{DEFLATE}; server_no_context_takeover; server_max_window_bits=9, "
    f"{DEFLATE}; server_no_context_takeover, {DEFLATE}",
]

KINDS = [("words", True), ("picture", True), ("packed", True), ("json", False), ("html", False)]


def _count(size: int) -> int:
    """1000 there."""
    return max(3, min(40, 262144 // size))


COMPRESSED = [Series(f"12_{group}_{n}", size, _count(size), binary, piece, DEFLATE, kind)
              for group, (kind, binary) in enumerate(KINDS, 1)
              for n, (size, piece) in enumerate(SIZES, 1)]
COMPRESSED += [Series(f"13_{group}_{n}", size, _count(size), False, piece, offer, "json")
               for group, offer in enumerate(OFFERS, 1)
               for n, (size, piece) in enumerate(SIZES, 1)]


def sample(kind: str, size: int) -> bytes:
    """Of the kinds of data that the suite brings: prose, a bitmap, a PDF, JSON and HTML."""
    chance = random.Random(kind)
    words = ["Habe", "nun", "ach", "Philosophie", "Juristerei", "und", "Medizin", "leider",
             "auch", "Theologie", "durchaus", "studiert", "mit", "heißem", "Bemühn"]
    out = bytearray()
    while len(out) < size:
        n = chance.randrange(10000)
        if kind == "words":
            out += (chance.choice(words) + chance.choice([" ", " ", ", ", ".\r\n"])).encode()
        elif kind == "picture":
            shade = chance.randrange(256)
            out += bytes((shade + chance.randrange(-3, 4)) % 256 for _ in range(64))
        elif kind == "packed":
            out += chance.randbytes(96) + b" endstream endobj %d 0 obj << /Length" % n
        elif kind == "json":
            name = chance.choice(words[:6]).encode()
            out += b'{"id":%d,"name":"%s","tags":["a","b"]},' % (n, name)
        else:
            name = chance.choice(words[:6]).encode()
            out += b'<tr class="row"><td>%d</td><td>%s</td></tr>\n' % (n, name)
    return bytes(out)
