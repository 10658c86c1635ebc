"""Speech from a real synthesiser: eSpeak NG, by its C interface (speak_lib.h)."""

from __future__ import annotations

import ctypes
from functools import cache

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

_SYNCHRONOUS = 2
_UTF8 = 1
_BY_CHARACTER = 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@cache
def _synthesiser() -> tuple[ctypes.CDLL, int]:
    """The library and its sample rate in Hz; it can be started once in a process."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    assert rate_hz > 0, f"eSpeak NG does not start: {rate_hz}"
    return library, rate_hz


def speak(text: str, language: str = "en") -> tuple[NDArray[np.int16], int]:
    """(samples, rate in Hz) of a text."""
    library, rate_hz = _synthesiser()
    pieces: list[NDArray[np.int16]] = []

    def keep(samples: ctypes._Pointer[ctypes.c_short], count: int, _: object) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = _Callback(keep)
    library.espeak_SetSynthCallback(callback)
    assert library.espeak_SetVoiceByName(language.encode()) == 0, language
    data = text.encode()
    assert library.espeak_Synth(data, len(data) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None) == 0
    library.espeak_Synchronize()
    return np.concatenate(pieces), rate_hz
