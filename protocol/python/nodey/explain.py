"""explain: start-up failures that one sentence explains better than a traceback."""

from __future__ import annotations

import os
import sys

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
    """message: one sentence or, for a syntax error, with the line below it.  stack: the
    traceback, which ends in the sentence."""

    __slots__ = ("message", "stack")

    def __init__(self, message: str, stack: str) -> None:
        self.message = message
        self.stack = stack


def explained(exc: BaseException) -> Explained | None:
    """What is wrong and what to do, or None for what a traceback tells as well."""
    if isinstance(exc, SyntaxError):
        return _syntax(exc)
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        message = _missing(exc.name)
        trace = traceback_text(exc).rstrip()
        return Explained(message, f"{trace.rpartition(chr(10))[0]}\n{message}\n")
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
    similar = _similar_module(top)
    if similar:
        return f'{worker} imports "{top}", which does not exist; did you mean "{similar}"?'
    package = _PACKAGE_OF.get(name) or _PACKAGE_OF.get(top, top)
    command = _command(package)
    return f'{worker} needs the package "{package}", which is not installed: run  {command}'


def _stem() -> str:
    from .startup import script_name

    return os.path.splitext(script_name())[0]


def _similar_module(name: str) -> str:
    """A module of the script's folder or of Python that differs by a slip of the finger."""
    from .advice import nearest

    known = set(getattr(sys, "stdlib_module_names", ()))
    try:
        for entry in os.listdir(script_folder()):
            stem, ending = os.path.splitext(entry)
            if ending == ".py":
                known.add(stem)
    except OSError:
        pass  # The folder is gone; then there is nothing to compare with.
    known = {other for other in known if not other.startswith("_") and len(other) > 3}
    similar = nearest(name, known, 0.85)
    return similar if abs(len(similar) - len(name)) <= 1 else ""


def _command(package: str) -> str:
    """What to type so that the package is there, in the folder that this process runs in."""
    listed = _requirements(package)
    what = f"-r {listed}" if listed else package
    if sys.prefix != sys.base_prefix:
        pip = os.path.join(sys.prefix, "bin", "pip")
        if os.path.exists(pip):
            return f"{shown_path(pip)} install {what}"
        return f"{shown_path(sys.executable)} -m pip install {what}"
    folder = script_folder()
    # The supervisor finds an environment beside the script and in the folders above it.
    venv = ".venv" if is_below(folder, os.getcwd()) else os.path.join(folder, ".venv")
    make = "" if os.path.exists(os.path.join(venv, "bin", "pip")) else f"python3 -m venv {venv} && "
    return f"{make}{os.path.join(venv, 'bin', 'pip')} install {what}"


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
