"""The peer of `tests.bench.view`: a JPEG view over the widget comm, the way of jupyter_rfb, in the kernel's process."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import anywidget
import numpy as np
from PIL import Image

FRAMES_PER_S = 30
IN_FLIGHT = 2

_ESM = """
export default {
  render({ model, el }) {
    const canvas = document.createElement("canvas");
    canvas.width = 1280;
    canvas.height = 720;
    canvas.style.width = "460px";
    el.append(canvas);
    const context = canvas.getContext("2d", { alpha: false });
    const out = new BroadcastChannel("lknb-bench");
    model.on("msg:custom", async ({ at }, [data]) => {
      const bitmap = await createImageBitmap(new Blob([data], { type: "image/jpeg" }));
      context.drawImage(bitmap, 0, 0);
      bitmap.close();
      out.postMessage(performance.timeOrigin + performance.now() - at / 1000);
      model.send({ ack: at });
    });
    model.send({ begin: true });
  },
};
"""


class JpegView(anywidget.AnyWidget):
    """Sends the newest of 30 frames a second whenever fewer than two are not acknowledged."""

    _esm = _ESM

    def __init__(self) -> None:
        super().__init__()
        self._room = threading.Semaphore(IN_FLIGHT)
        self._pictures = _pictures()
        self.on_msg(self._hear)

    def _hear(self, _: Any, content: Any, buffers: Any) -> None:
        if "ack" in content:
            self._room.release()
        elif "begin" in content:
            threading.Thread(target=self._play, daemon=True).start()

    def _play(self) -> None:
        began = time.monotonic()
        index = 0
        while True:
            self._room.acquire()
            # the newest there is by now, never the same twice
            index = max(index + 1, int((time.monotonic() - began) * FRAMES_PER_S))
            time.sleep(max(0.0, began + index / FRAMES_PER_S - time.monotonic()))
            at = time.time_ns() // 1000
            encoded = io.BytesIO()
            self._pictures[index % len(self._pictures)].save(encoded, "JPEG", quality=80, subsampling="4:2:0")
            self.send({"at": at}, [encoded.getvalue()])


def _pictures() -> list[Image.Image]:
    noise = np.random.default_rng(7).integers(0, 70, (90, 160, 3), np.uint8)
    pictures = []
    for index in range(30):
        image = np.roll(noise, index, axis=1).repeat(8, axis=0).repeat(8, axis=1) + np.uint8(60)
        pictures.append(Image.fromarray(image.astype(np.uint8)))
    return pictures
