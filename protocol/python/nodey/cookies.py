"""cookies: Set-Cookie fields that browsers keep, and dates as HTTP writes them."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip

# RFC 6265: what may stand in a value as it is, the percent sign aside.
_PLAIN_IN_VALUE = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_NO_NAME = set(' \t"(),/:;<=>?@[\\]{}')
_MOST_BYTES = 4096


def http_date(seconds: float) -> str:
    """Seconds since 1970 as "Tue, 01 Jan 2030 00:00:00 GMT", whatever the locale."""
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


def cookie_field(
    name: str,
    value: str,
    *,
    max_age: int | None,
    expires: datetime | float | None,
    path: str | None,
    domain: str | None,
    secure: bool,
    httponly: bool,
    samesite: str | None,
    partitioned: bool,
) -> str:
    """The value of a Set-Cookie field; see Response.set_cookie()."""
    _check_name(name)
    if not isinstance(value, str):
        raise TypeError(f"cookie {name}: the value is a str, not {type(value).__name__}")
    from urllib.parse import quote

    parts = [f"{name}={quote(value, safe=_PLAIN_IN_VALUE)}"]
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if expires is not None:
        parts.append(f"Expires={http_date(_seconds(expires))}")
    for attribute, text in (("Path", path), ("Domain", domain)):
        if text is not None:
            _check_attribute(name, attribute, text)
            parts.append(f"{attribute}={text}")
    if samesite is not None:
        if str(samesite).lower() not in ("lax", "strict", "none"):
            raise ValueError(f'cookie {name}: samesite is "lax", "strict" or "none"')
        parts.append(f"SameSite={samesite.capitalize()}")
    flags = {"Secure": secure, "HttpOnly": httponly, "Partitioned": partitioned}
    parts += [flag for flag, wanted in flags.items() if wanted]
    _check_whole(name, path, domain, secure, samesite, partitioned)
    if len(parts[0]) > _MOST_BYTES:
        raise ValueError(f"cookie {name}: {len(parts[0])} bytes; browsers keep {_MOST_BYTES}")
    return "; ".join(parts)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or not name.isascii() or not name.isprintable():
        raise ValueError(f"{name!r} is no name for a cookie: letters, digits, - and _")
    unfit = _NO_NAME.intersection(name)
    if unfit:
        raise ValueError(f"{name!r} is no name for a cookie: it has {unfit.pop()!r} in it")


def _check_attribute(name: str, attribute: str, text: object) -> None:
    if not isinstance(text, str) or ";" in text or not text.isprintable() or not text.isascii():
        raise ValueError(f"cookie {name}: {text!r} is no {attribute}")
    if attribute == "Path" and not text.startswith("/"):
        raise ValueError(f"cookie {name}: the path begins with a slash, not as in {text!r}")


def _check_whole(
    name: str,
    path: str | None,
    domain: str | None,
    secure: bool,
    samesite: str | None,
    partitioned: bool,
) -> None:
    """The rules of RFC 6265bis that join several attributes."""
    if not secure:
        if samesite is not None and samesite.lower() == "none":
            raise ValueError(f'cookie {name}: samesite="none" needs secure=True')
        if partitioned:
            raise ValueError(f"cookie {name}: partitioned=True needs secure=True")
        if name.startswith(("__Secure-", "__Host-")):
            raise ValueError(f"cookie {name}: its name needs secure=True")
    if name.startswith("__Host-") and (path != "/" or domain is not None):
        raise ValueError(f'cookie {name}: its name needs path="/" and no domain')


def _seconds(expires: Any) -> float:
    if isinstance(expires, (int, float)):
        return expires
    from datetime import datetime, timezone

    if not isinstance(expires, datetime):
        raise TypeError(f"expires is a datetime or a number, not {type(expires).__name__}")
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=timezone.utc)
    seconds: float = expires.timestamp()
    return seconds
