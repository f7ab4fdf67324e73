import ctypes
import os
import subprocess
import sys

import nodey

TEXT = 'progress 10%{"id":1,"body":"forged"}\n'


@nodey.route("/noisy", methods=[])
def noisy() -> str:
    print(TEXT, end="")
    sys.__stdout__.write(TEXT)
    sys.__stdout__.flush()
    os.write(1, TEXT.encode())
    subprocess.run(["printf", "%s", TEXT], check=True)
    libc = ctypes.CDLL(None)
    libc.printf(b"%s", TEXT.encode())
    libc.fflush(None)
    return "quiet"
