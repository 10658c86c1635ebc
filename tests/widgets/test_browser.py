"""`VideoView` in a real JupyterLab in Chromium: what is to be seen, on lanes of a core process with known colours."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.poll import wait_until_sync
from tests.widgets.screen import Screen


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_the_picture_is_that_of_the_track_and_flows(screen: Screen, codec: str) -> None:
    screen.run(f"show(codec={codec!r})")
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.wait_for_motion()
    screen.wait_for_value("track.stats()['sinks']", 1)
    screen.wait_for_value("track.stats()['views']", [{"width": 320, "height": 180, "dpr": 1, "visible": True}])
    screen.wait_for_value("[view.state, view.error, view.muted]", ["playing", "", False])
    screen.acknowledges()


def test_a_busy_cell_does_not_stop_the_picture(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.notebook.run(3, "end = time.monotonic() + 60\nwhile time.monotonic() < end: pass", wait=False)
    wait_until_sync(screen.kernel_is_busy)
    screen.wait_for_motion(places=20)
    assert screen.kernel_is_busy(), "the cell had ended before the picture moved"
    screen.notebook.command("notebook:interrupt-kernel")
    wait_until_sync(lambda: not screen.is_running(3))


def test_a_cell_can_wait_for_the_picture_it_displays(screen: Screen) -> None:
    """The page gets its ticket while the cell that displays the view is still at work."""
    (output, waited) = screen.run(
        "import asyncio\nfrom IPython.display import display\ndisplay(show())\n"
        "async with asyncio.timeout(15):\n    while view.state != 'playing': await asyncio.sleep(0.02)\n"
        "print(view.state)"
    )
    assert output.kind == "display_data"
    assert waited.text == "playing\n"
    screen.wait_for("playing")


def test_two_views_of_one_widget_and_two_widgets_of_one_track(screen: Screen) -> None:
    screen.run("show()")
    screen.run("twin = VideoView(track, name='Twin', fit='cover', mirror=True); box = ipywidgets.HBox([view, twin])")
    screen.run("views.extend([twin, box]); box", 3)
    screen.run("view")
    screen.wait_for("playing", "playing", "playing")
    for index in range(3):
        screen.wait_for_picture(index)
    assert [screen.words(index) for index in range(3)] == ["Alice", "Alice", "Twin"]
    assert screen.value("track.stats()['sinks']") == 2, "a lane for each widget, not for each view"
    style = (
        "(index) => { const style = getComputedStyle(lknbProbe.tiles()[index].querySelector('canvas'));"
        " return [style.objectFit, style.transform] }"
    )
    assert screen.page.evaluate(style, 0) == ["contain", "none"]
    assert screen.page.evaluate(style, 2) == ["cover", "matrix(-1, 0, 0, 1, 0, 0)"]
    screen.run("view.name = 'Bob'; view.mirror = True", 4)
    wait_until_sync(lambda: screen.words(0) == screen.words(1) == "Bob")
    wait_until_sync(lambda: screen.page.evaluate(style, 1) == ["contain", "matrix(-1, 0, 0, 1, 0, 0)"])


def test_a_muted_track_shows_nothing_and_says_so(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.run("track.mute(True)", 3)
    screen.wait_for("muted")
    assert screen.words() == "Video is off\nAlice"
    hidden = "getComputedStyle(lknbProbe.tiles()[0].querySelector('.lknb-video-screen')).visibility"
    assert screen.page.evaluate(hidden) == "hidden"
    wait_until_sync(lambda: screen.value("[view.state, view.muted]") == ["muted", True])
    screen.run("track.mute(False)", 3)
    screen.wait_for("playing")
    screen.wait_for_picture()
    wait_until_sync(lambda: screen.value("[view.state, view.muted]") == ["playing", False])


def test_a_track_without_a_picture_yet_says_that_it_waits(screen: Screen) -> None:
    screen.run("show(); track.hold(True); view")
    screen.wait_for("waiting")
    assert screen.words() == "Waiting for the first picture…\nAlice"
    screen.run("track.hold(False)", 3)
    screen.wait_for("playing")


def test_the_end_is_said_and_leaves_the_last_picture_in_page_and_file(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.run("track.end()", 3)
    screen.wait_for("ended")
    assert screen.words() == "The video has ended\nAlice"
    assert screen.shows()
    wait_until_sync(lambda: screen.value("view.state") == "ended")
    wait_until_sync(lambda: "image/png" in screen.notebook.outputs(1)[0].data, what="the picture is stored")
    outputs = screen.notebook.save()["cells"][1]["outputs"]
    assert set(outputs[0]["data"]) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}


def test_nothing_moves_or_flickers_when_the_picture_is_stored(screen: Screen) -> None:
    """Each replaced output is rendered again; the canvas goes over from the old view to the new one."""
    screen.run("show()")
    screen.wait_for("playing")
    screen.wait_for_picture()
    screen.page.evaluate(
        """() => {
          const frames = (window.lknbFrames = []);
          const look = () => {
            const area = document.querySelectorAll('.jp-Notebook-cell')[1].querySelector('.jp-OutputArea');
            const tile = area.querySelector('.lknb-video');
            const canvas = tile && tile.querySelector('canvas');
            let painted = false;
            if (canvas && canvas.width > 1) {
              const copy = new OffscreenCanvas(2, 2).getContext('2d');
              copy.drawImage(canvas, canvas.width / 4, canvas.height * 3 / 4, 1, 1, 0, 0, 2, 2);
              painted = copy.getImageData(0, 0, 1, 1).data[2] > 80;
            }
            frames.push([area.getBoundingClientRect().height, tile ? tile.dataset.state : area.innerText, painted]);
            if (frames.length < 1000) requestAnimationFrame(look);
          };
          look();
        }"""
    )
    for number in range(3):
        screen.run(f"view._picture._replaced_png = b'{number}'; view._picture.replace()", 3)
        screen.wait_for_frames("lknbFrames", 10)
    frames = screen.page.evaluate("lknbFrames.splice(0, lknbFrames.length)")
    assert {tuple(frame) for frame in frames} == {(frames[0][0], "playing", True)}
    assert len(screen.states()) == 1, "views that were left are gone from the page"


def test_a_closed_view_leaves_its_picture(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    wait_until_sync(lambda: screen.value("len(view.last_picture)") > 0)
    screen.run("view.close()", 3)
    wait_until_sync(lambda: screen.states() == [])
    image = screen.notebook.cell(1).locator(".jp-RenderedImage img")
    image.wait_for()
    assert image.evaluate("(image) => [image.naturalWidth, image.naturalHeight]") == [320, 180]
    wait_until_sync(lambda: screen.value("track.stats()['sinks']") == 0)


def test_a_hostile_name_is_text(screen: Screen) -> None:
    name = '<img src=x onerror="window.hit=1"></script>\u202e'
    screen.run(f"show(participant_name={name!r})")
    screen.wait_for("playing")
    assert screen.words() == name[:-1] + "\N{REPLACEMENT CHARACTER}"
    assert screen.page.evaluate("lknbProbe.tiles()[0].querySelectorAll('img, script').length") == 0
    assert screen.page.evaluate("window.hit") is None


def test_it_is_named_for_those_who_do_not_see_it(screen: Screen) -> None:
    screen.run("show()")
    screen.wait_for("playing")
    assert screen.page.get_by_role("group", name="Video of Alice").count() == 1
    assert screen.page.get_by_role("img", name="Picture of Alice").count() == 1
    screen.run("track.mute(True)", 3)
    screen.wait_for("muted")
    assert screen.page.locator(".lknb-video [role=status]").inner_text() == "Video is off"
    assert screen.page.get_by_role("img", name="Picture of Alice").count() == 0


def test_the_box_has_the_shape_of_the_track_from_the_start(screen: Screen) -> None:
    """And keeps it: in each frame the page paints, also when its output is rendered again to store the first picture."""
    screen.run("show(width=240, height=320); track.hold(True); view")
    screen.wait_for("waiting")
    screen.page.evaluate(
        """() => {
          const boxes = (window.lknbBoxes = []);
          const look = () => {
            const found = lknbProbe.tiles().map((tile) => tile.getBoundingClientRect());
            boxes.push(found.map(({ width, height }) => [width, height]));
            if (boxes.length < 1000) requestAnimationFrame(look);
          };
          look();
        }"""
    )
    screen.run("track.hold(False)", 3)
    screen.wait_for("playing")
    screen.wait_for_picture()
    wait_until_sync(lambda: "image/png" in screen.notebook.outputs(1)[0].data, what="the picture is stored")
    # and the output is painted again
    screen.wait_for_frames("lknbBoxes", 20)
    boxes = screen.page.evaluate("lknbBoxes.splice(0, lknbBoxes.length)")
    ((width, height),) = boxes[0]
    assert all(box == boxes[0] for box in boxes), "one tile, of one size"
    assert abs(height / width - 320 / 240) < 0.01


def test_a_track_of_unknown_size_takes_the_shape_of_its_first_picture(screen: Screen) -> None:
    screen.run("show(width=320, height=240, known_size=False)")
    screen.wait_for("playing")

    def has_its_shape() -> bool:
        box = screen.page.locator(".lknb-video").bounding_box()
        return box is not None and abs(box["height"] / box["width"] - 240 / 320) < 0.01

    wait_until_sync(has_its_shape)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_it_looks_right_in_both_themes(screen: Screen, theme: str, tmp_path: Path) -> None:
    """Contrast is computed; the pictures are for people: LKNB_TEST_SCREENSHOTS names a folder to keep them in."""
    screen.notebook.set_theme(f"JupyterLab {theme}")
    screen.run(
        """
        def of(name, **about):
            track = core.track(f"TR_{name}", participant_name=name, **about)
            views.append(VideoView(track))
            return track
        live, waits, muted, ended, lost = of("Alice", width=640, height=360), of("Bob"), of("Carol"), of("Dave"), of("Erin")
        waits.hold(True); muted.mute(True); lost.refuse(True)
        rows = [ipywidgets.HBox(views[:3]), ipywidgets.HBox(views[3:])]
        views += [*rows, ipywidgets.VBox(rows)]
        views[-1]
        """,
    )
    wait_until_sync(lambda: screen.states()[3:] == ["playing", "error"])
    screen.run("ended.end()", 3)
    screen.wait_for("playing", "waiting", "muted", "ended", "error")
    folder = Path(os.environ.get("LKNB_TEST_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"video_view_{theme.lower()}.png").write_bytes(
        screen.notebook.cell(1).locator(".jp-OutputArea").screenshot()
    )
    contrasts = screen.page.evaluate(
        """() => {
          const parse = (color) => color.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const over = (top, under) => top.slice(0, 3).map((c, i) => c * (top[3] ?? 1) + under[i] * (1 - (top[3] ?? 1)));
          return lknbProbe.tiles().flatMap((tile) => {
            const ground = parse(getComputedStyle(tile).backgroundColor);
            const text = (name) => {
              const element = tile.querySelector(name);
              if (!element || !element.offsetParent || !element.textContent) return [];
              const color = parse(getComputedStyle(element).color);
              const opacity = Number(getComputedStyle(element).opacity);
              const own = parse(getComputedStyle(element).backgroundColor);
              const panel = tile.dataset.picture === 'true' ? [255, 255, 255].map((c) => c * 0.38) : ground;
              // the name lies on the picture, of which white is the worst
              const below = name.includes('name') ? over(own, [255, 255, 255]) : panel;
              const [a, b] = [light(over([...color.slice(0, 3), opacity], below)), light(below)].sort((x, y) => y - x);
              return [[tile.dataset.state + name, (a + 0.05) / (b + 0.05)]];
            };
            return [...text('.lknb-video-title'), ...text('.lknb-video-detail'), ...text('.lknb-video-name')];
          });
        }"""
    )
    assert len(contrasts) >= 8
    assert [pair for pair in contrasts if pair[1] < 4.5] == [], "WCAG 2.2, 1.4.3"
    clipped = (
        "lknbProbe.tiles().map((tile) => tile.querySelector('.lknb-video-panel'))"
        ".filter((panel) => !panel.hidden && panel.scrollHeight > panel.clientHeight + 1).length"
    )
    assert screen.page.evaluate(clipped) == 0
    screen.notebook.set_theme("JupyterLab Light")


def test_the_time_from_running_the_cell_to_a_picture(screen: Screen, record_property: Any) -> None:
    screen.run("show(); None", 3)
    began = time.monotonic()
    screen.notebook.run(1, "view", wait=False)
    wait_until_sync(lambda: screen.states() == ["playing"], interval_s=0.01)
    elapsed_s = time.monotonic() - began
    record_property("first_picture_s", round(elapsed_s, 3))
    assert elapsed_s < 3.0
