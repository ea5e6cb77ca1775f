"""Randomness as a function of counters: the same bits in every shard, thread, version and machine.

All arithmetic is on UInt64 arrays, which wrap. Never Polars' hash, shuffle or sample, nor NumPy's generators: they are
not promised to be stable between versions.
"""

from __future__ import annotations

from hashlib import blake2b
from math import gcd

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
MAX_SIDE = 2**31
MAX_ROWS = 2**42

_u = np.uint64


def key_of(seed: int, purpose: str) -> np.uint64:
    """Derive 64 key bits from a seed and what they are for (blake2b)."""
    return _u(int.from_bytes(blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little"))


def mixed(z: U64) -> U64:
    """Scramble 64 bits, one to one (the finaliser of splitmix64; Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> _u(30))) * _u(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> _u(27))) * _u(0x94D049BB133111EB)
    return z ^ (z >> _u(31))


def bits(counter: U64, key: U64 | np.uint64) -> U64:
    """Draw 64 bits per counter (splitmix64)."""
    return mixed(counter * _u(0x9E3779B97F4A7C15) + key)


def below(drawn: U64, bound: U64) -> U64:
    """Scale the high half of 64 drawn bits to an integer in [0, bound), for bounds up to 2**32 (Lemire 2019)."""
    return (drawn >> _u(32)) * bound >> _u(32)


def permute(k: U64, a: U64, b: U64, key: U64) -> U64:
    """Map each k in [0, a*b) to another place in [0, a*b), one to one under its key.

    Four half-rounds of a Feistel network on the exact domain, k = left + a * right, with 1 <= a, b <= MAX_SIDE: no
    cycle walking. With a = 1 or b = 1 it is a rotation.
    """
    left, right = k % a, k // a
    for turn in range(2):
        left = (left + below(_half(right, key, 2 * turn), a)) % a
        right = (right + below(_half(left, key, 2 * turn + 1), b)) % b
    return left + a * right


def _half(side: U64, key: U64, turn: int) -> U64:
    z = (side + _u(turn * 0x632BE59BD9B4E019 % 2**64)) * _u(0x9E3779B97F4A7C15) ^ key
    z = (z ^ (z >> _u(32))) * _u(0xD6E8FEB86659FD93)
    return z ^ (z >> _u(32))


def stride_of(n: int) -> int:
    """Find a step near n / golden ratio, coprime to n: i * step mod n then makes every prefix a spread sample."""
    step = max(1, round(n * 0.6180339887498949))
    return next(s for d in range(n + 1) for s in (step + d, step - d) if s > 0 and gcd(s, n) == 1)


def strided(i: U64, step: U64, n: U64) -> U64:
    """Compute i * step mod n exactly for i, step < n <= MAX_ROWS, without leaving 64 bits."""
    return ((i >> _u(21)) * step % n * _u(2**21) + (i & _u(2**21 - 1)) * step) % n
