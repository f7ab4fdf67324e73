"""What can be said of a row of samples: how strong it is, how often it peaks, how fast it swings."""

import cmath
import math
from typing import Sequence

PEAKS_APART_SECONDS = 0.1


def analyse(samples: Sequence[float], rate: float) -> dict[str, float]:
    mean = math.fsum(samples) / len(samples)
    swing = [sample - mean for sample in samples]
    strength = rms(swing)
    return {
        "mean": round(mean, 6),
        "rms": round(strength, 6),
        "peaks": peaks(swing, strength, max(1, round(rate * PEAKS_APART_SECONDS))),
        "frequency": round(dominant_frequency(swing, rate), 3),
    }


def rms(samples: Sequence[float]) -> float:
    return math.sqrt(math.fsum(sample * sample for sample in samples) / len(samples))


def peaks(samples: Sequence[float], threshold: float, apart: int) -> int:
    """Maxima above the threshold; of several that are close the first counts."""
    count, last = 0, -apart
    for at in range(1, len(samples) - 1):
        here = samples[at]
        is_top = samples[at - 1] < here >= samples[at + 1]
        if is_top and here > threshold and at - last >= apart:
            count, last = count + 1, at
    return count


def dominant_frequency(samples: Sequence[float], rate: float) -> float:
    """In Hz; 0 of what does not swing.  samples: without their mean."""
    length = len(samples)
    window = (0.5 - 0.5 * math.cos(2 * math.pi * at / length) for at in range(length))
    size = 1 << (length - 1).bit_length()
    padded = [sample * weight for sample, weight in zip(samples, window)] + [0.0] * (size - length)
    power = [abs(value) ** 2 for value in fft(padded)[: size // 2]]
    top = max(range(1, size // 2 - 1), key=power.__getitem__)
    if power[top] < 1e-18:
        return 0.0
    # The true maximum lies between the bins: where a parabola through three of them has its own.
    left, middle, right = (math.log(power[at] + 1e-30) for at in (top - 1, top, top + 1))
    curve = left - 2 * middle + right
    return (top + (0.5 * (left - right) / curve if curve else 0.0)) * rate / size


def fft(samples: Sequence[complex]) -> list[complex]:
    """The discrete Fourier transform of a number of samples that is a power of two."""
    size = len(samples)
    bits = size.bit_length() - 1
    out: list[complex] = [samples[int(f"{at:0{bits}b}"[::-1], 2)] for at in range(size)]
    half = 1
    while half < size:
        turns = [cmath.exp(-1j * math.pi * at / half) for at in range(half)]
        for start in range(0, size, 2 * half):
            for at, turn in enumerate(turns, start):
                even, odd = out[at], out[at + half] * turn
                out[at], out[at + half] = even + odd, even - odd
        half *= 2
    return out
