"""How much is tried: little by default; MTA_FUZZ=100 tries a hundred times as much."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

from hypothesis import HealthCheck, settings, strategies

FACTOR = int(os.environ.get("MTA_FUZZ", "1"))
# A time limit for one example: what takes longer is quadratic, or worse.
few = settings(
    max_examples=100 * FACTOR,
    deadline=1000,
    derandomize=FACTOR == 1,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Any octets as text, and words that mean something here and there.
octets = strategies.binary(max_size=300)


def text_of(*words: str) -> strategies.SearchStrategy[str]:
    """Texts made of these words, of single characters and of any others."""
    word = strategies.sampled_from([*words, *'"\\()<>@,;:.[]{}$= \t\r\n\0\x7f\x85é'])
    # Only such text as octets can be read as; those that are no UTF-8 come as `octets`.
    characters = strategies.characters(exclude_categories=("Cs",))
    anything = strategies.text(characters, max_size=8)
    parts = strategies.lists(word | word | word | anything, max_size=30)
    return parts.map("".join)


def damaged(whole: bytes, seed: int) -> bytes:
    """The octets with a few of them changed, left out, doubled or cut off."""
    chance = random.Random(seed)
    result = bytearray(whole)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(result) + 1)
        end = min(len(result), at + chance.randrange(12))
        match chance.randrange(5):
            case 0:
                result[at:end] = chance.randbytes(chance.randrange(6))
            case 1:
                del result[at:end]
            case 2:
                result[at:at] = result[at:end]
            case 3:
                result[at:end] = _sample(chance, (b"0", b"-1", b"9" * 30, b"\0", b"\n", b" "))
            case _:
                if chance.randrange(4) == 0:
                    del result[at:]
    return bytes(result)


def _sample(chance: random.Random, these: Sequence[bytes]) -> bytes:
    return these[chance.randrange(len(these))]


seeds = strategies.integers(min_value=0, max_value=1 << 32)
