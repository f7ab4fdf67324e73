"""Another of these workers, with a single thread for its handlers."""

import importlib
import sys

import nodey

importlib.import_module(sys.argv[1])
nodey.start(threads=1)
