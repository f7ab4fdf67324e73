"""ask.py once more, with a single thread for its handlers."""

import ask
import nodey

assert ask
nodey.start(threads=1)
