"""Hostile input for the parsers: many small damages of valid samples, the same ones in every run.

`LKNB_FUZZ_CASES` sets the number of cases of each parser (100,000 by default; a long run takes millions).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

from lknb.errors import WireError

CASES = int(os.environ.get("LKNB_FUZZ_CASES", "100000"))

# Values at which lengths, counts and signs change.
_EDGES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, 0x10, 0xBE, 0xDE)

T = TypeVar("T", bytes, str)


def mutants(samples: Sequence[bytes], cases: int = CASES, seed: int = 1) -> Iterator[bytes]:
    """`cases` damaged samples: flipped and edge bytes, cuts, insertions, repeats, and splices of two samples."""
    random = Random(seed).random
    kinds = len(samples)
    for _ in range(cases):
        data = bytearray(samples[int(random() * kinds)])
        for _ in range(1 + int(random() * 3)):
            size = len(data)
            if not size:
                data.append(int(random() * 256))
                continue
            at = int(random() * size)
            kind = int(random() * 8)
            if kind < 2:
                data[at] ^= 1 << int(random() * 8)
            elif kind == 2:
                data[at] = _EDGES[int(random() * len(_EDGES))]
            elif kind == 3:
                data[at] = int(random() * 256)
            elif kind == 4:
                del data[at:]
            elif kind == 5:
                data[at:at] = data[at : at + int(random() * 16)]
            elif kind == 6:
                del data[at : at + 1 + int(random() * 8)]
            else:
                other = samples[int(random() * kinds)]
                data[at:] = other[int(random() * len(other)) :]
        yield bytes(data)


def assert_total(parse: Callable[[T], object], cases: Iterator[T], *, always_a_value: bool = False) -> None:
    """Every case gives a value or WireError. Both must occur, or the cases did not reach the parser's depth."""
    values = refusals = 0
    for case in cases:
        try:
            parse(case)
            values += 1
        except WireError:
            refusals += 1
        except Exception as error:
            raise AssertionError(f"{parse} raised {error!r} for {case!r}") from error
    assert values, "no mutant was accepted"
    assert bool(refusals) is not always_a_value, f"{refusals} mutants were refused"


# What a line or a word of a text protocol may be replaced with.
_WORDS = (
    "", " ", "\t", "-1", "0", "1", "127", "128", "255", "65535", "65536", "4294967295", "4294967296", "9" * 30, "1e9", "+1",
    "0x1f", "१", "é", "\u2028", "\x1c", "*", "~", ";", ",", "/", ":", "=", "a=", "m=", "rid=", "NaN", "x" * 300, "\r", "\0",
)  # fmt: skip


def text_mutants(samples: Sequence[str], cases: int = CASES, seed: int = 1) -> Iterator[str]:
    """`cases` damaged texts: lines and words dropped, doubled, moved, replaced, and taken from other samples."""
    random = Random(seed).random
    split = [sample.split("\r\n") for sample in samples]
    everything = [line for lines in split for line in lines]
    for _ in range(cases):
        lines = list(split[int(random() * len(split))])
        for _ in range(1 + int(random() * 3)):
            at = int(random() * len(lines))
            kind = int(random() * 9)
            if kind == 0:
                del lines[at]
                if not lines:
                    break
            elif kind == 1:
                lines.insert(int(random() * len(lines)), lines[at])
            elif kind == 2:
                lines.append(lines.pop(at))
            elif kind == 3:
                lines.insert(at, everything[int(random() * len(everything))])
            elif kind == 4:
                line = lines[at]
                cut = int(random() * (len(line) + 1))
                lines[at] = line[:cut] + _WORDS[int(random() * len(_WORDS))] + line[cut:]
            elif kind == 5:
                head, colon, tail = lines[at].partition(":")
                words = tail.split(" ")
                words[int(random() * len(words))] = _WORDS[int(random() * len(_WORDS))]
                lines[at] = head + colon + " ".join(words)
            elif kind == 6:
                line = lines[at]
                lines[at] = line[: int(random() * (len(line) + 1))]
            elif kind == 7:
                other = split[int(random() * len(split))]
                lines[at:] = other[int(random() * len(other)) :] or [""]
            else:
                line = lines[at]
                cut = int(random() * (len(line) + 1))
                lines[at] = line[:cut] + chr(int(random() * 256)) + line[cut + 1 :]
        yield "\r\n".join(lines)
