"""explain: start-up failures that one sentence explains better than a traceback."""

from __future__ import annotations

import os
import re
import sys
from shlex import quote

from .errors import traceback_text

# Where the name of an import is not the name of what one installs.
_PACKAGE_OF = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "discord": "discord.py",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "flask_cors": "flask-cors",
    "flask_sqlalchemy": "flask-sqlalchemy",
    "git": "gitpython",
    "google.protobuf": "protobuf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "Levenshtein": "levenshtein",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "MySQLdb": "mysqlclient",
    "nacl": "pynacl",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pymysql": "pymysql",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socketio": "python-socketio",
    "telegram": "python-telegram-bot",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}


class Explained:
    """message: one sentence or, for a syntax error, with the line below it.  stack: Python's
    own traceback."""

    __slots__ = ("message", "stack")

    def __init__(self, message: str, stack: str) -> None:
        self.message = message
        self.stack = stack


def explained(exc: BaseException) -> Explained | None:
    """What is wrong and what to do, or None for what a traceback tells as well."""
    if isinstance(exc, SyntaxError):
        return _syntax(exc)
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        return Explained(_missing(exc.name), traceback_text(exc))
    if isinstance(exc, ImportError) and exc.name == "nodey":
        wanted = re.match(r"cannot import name '(\w+)'", str(exc))
        if wanted:
            from . import __all__ as known
            from .habits import missing

            return Explained(missing("nodey", wanted[1], known), traceback_text(exc))
    return None


# ---------------------------------------------------------------- syntax errors


def _syntax(exc: SyntaxError) -> Explained:
    import traceback

    lines = traceback.format_exception_only(type(exc), exc)
    # File, source line and caret (each may be absent), then "SyntaxError: ...".
    source = "".join(lines[1:-1]).rstrip()
    what = lines[-1].strip()
    if exc.filename is None or exc.lineno is None:
        return Explained(what, "".join(lines))
    message = f"{shown_path(exc.filename)}:{exc.lineno}: {what}"
    return Explained(f"{message}\n{source}" if source else message, traceback_text(exc))


# ------------------------------------------------------------- missing packages


def _missing(name: str) -> str:
    """The sentence for a module that is nowhere."""
    top = name.partition(".")[0]
    worker = os.environ.get("NODEY_WORKER") or _stem()
    if top != name and top in sys.modules:
        return f'{worker} imports "{name}", but the package "{top}" has no such module'
    package = _PACKAGE_OF.get(name) or _PACKAGE_OF.get(top, top)
    command = _command(package)
    similar = _similar_module(top)
    if similar:
        return (
            f'{worker} imports "{top}", which is not there: did you mean {similar}? '
            f"If it is a package to install: run  {command}"
        )
    note = "; a new .venv has none of the packages installed elsewhere" if _MAKE in command else ""
    return f'{worker} needs the package "{package}", which is not installed{note}: run  {command}'


def _stem() -> str:
    from .startup import script_name

    return os.path.splitext(script_name())[0]


def _similar_module(name: str) -> str:
    """A module beside the script, or else of Python, whose name is much like that one."""
    from .advice import nearest

    own = _modules_beside()
    found = nearest(name, own, 0.7)
    if found:
        return f"{found} ({own[found]})"
    # Packages are often called much like what they replace: a slip of the finger at most.
    known = [other for other in getattr(sys, "stdlib_module_names", ()) if len(other) > 3]
    found = nearest(name, [other for other in known if not other.startswith("_")], 0.85)
    return f'"{found}"' if found and abs(len(found) - len(name)) <= 1 else ""


def _modules_beside() -> dict[str, str]:
    """The script's own modules, with the file or folder that each is."""
    found: dict[str, str] = {}
    folder, script = script_folder(), _stem()
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return found  # The folder is gone; then there is nothing to compare with.
    for entry in entries:
        stem, ending = os.path.splitext(entry)
        if ending == ".py" and stem not in (script, "__main__"):
            found[stem] = entry
        elif entry.isidentifier() and _has_modules(os.path.join(folder, entry)):
            found[entry] = f"{entry}/"
    return found


def _has_modules(folder: str) -> bool:
    try:
        return any(entry.endswith(".py") for entry in os.listdir(folder))
    except OSError:
        return False  # It is a file.


_MAKE = "python3 -m venv "


def _command(package: str) -> str:
    """What to type so that the package is there, wherever nodey was started."""
    started, here = os.environ.get("PWD"), os.getcwd()
    elsewhere = started is not None and os.path.realpath(started) != os.path.realpath(here)
    return (f"cd {quote(here)} && " if elsewhere else "") + _command_here(package)


def _command_here(package: str) -> str:
    """What to type in the folder that this process runs in."""
    listed = _requirements(package)
    install = f"-m pip install {f'-r {quote(listed)}' if listed else package}"
    if sys.prefix != sys.base_prefix:
        python = os.path.join(sys.prefix, "bin", "python3")
        return f"{quote(shown_path(python))} {install}"
    folder = script_folder()
    # The supervisor finds an environment beside the script and in the folders above it.
    venv = ".venv" if is_below(folder, os.getcwd()) else os.path.join(folder, ".venv")
    make = "" if os.path.exists(os.path.join(venv, "bin", "python3")) else f"{_MAKE}{quote(venv)} && "
    return f"{make}{quote(venv + '/bin/python3')} {install}"


def _requirements(package: str) -> str:
    """A requirements.txt that names the package, or ""."""
    for folder in (script_folder(), os.getcwd()):
        path = os.path.join(folder, "requirements.txt")
        try:
            with open(path, encoding="utf-8") as file:
                names = [_requirement_name(line) for line in file]
        except (OSError, UnicodeDecodeError):
            continue
        if _requirement_name(package) in names:
            return shown_path(path)
    return ""


def _requirement_name(line: str) -> str:
    name = line.strip().lower().replace("_", "-")
    for index, character in enumerate(name):
        if not (character.isalnum() or character in "-."):
            return name[:index]
    return name


# ------------------------------------------------------------------------ paths


def script_folder() -> str:
    """The folder of the script."""
    file = getattr(sys.modules.get("__main__"), "__file__", None) or sys.argv[0]
    return os.path.dirname(os.path.abspath(file))


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or something in it."""
    return (os.path.abspath(path) + os.sep).startswith(folder.rstrip(os.sep) + os.sep)


def shown_path(path: str) -> str:
    """A path as one would type it here."""
    whole, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(whole, here) if is_below(whole, here) else whole
