"""The benchmarks: one module each, with a function `run(context) -> list[Table]`."""
