import json
import re
import subprocess

import pytest

from lknb.core.message import decode_message, encode_message
from lknb.widgets import esm
from lknb.widgets.control_view import ControlView
from tests.kit import npm
from tests.widgets.node import JS, node

MODULES = sorted(JS.glob("*.js"))
CONTROLS = sorted(view._module for view in ControlView.__subclasses__())
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|\beval\b|new Function|document\.write|https?://(?!localhost|127\.0\.0\.1:|www\.w3\.org/2000/svg)"
)
TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:const|let|var|function|class) (\w+)", re.MULTILINE)


def test_every_module_goes_to_the_page_or_the_worker_once():
    sound = [*esm.AUDIO_MODULES, *esm.AUDIO_WORKER_MODULES, *esm.MIXER_MODULES]
    video = [*esm.PAGE_MODULES, *esm.WORKER_MODULES, *esm.LOADER_MODULES]
    capture = [*esm.BAR_MODULES, *esm.CAPTURE_WORKER_MODULES, *esm.TAP_MODULES, *esm.PREVIEW_MODULES, *esm.TAB_MODULES]
    parts = [*video, *sound, *capture, *esm.CONTROL_MODULES, *CONTROLS, "inserted"]
    assert sorted(set(parts)) == [path.stem for path in MODULES]


@pytest.mark.parametrize(
    "names",
    [
        esm.PAGE_MODULES,
        esm.WORKER_MODULES,
        esm.AUDIO_MODULES,
        esm.AUDIO_WORKER_MODULES,
        esm.MIXER_MODULES,
        esm.BAR_MODULES,
        esm.TAB_MODULES,
        esm.PREVIEW_MODULES,
        esm.CAPTURE_WORKER_MODULES,
        *((*esm.CONTROL_MODULES, name) for name in CONTROLS),
    ],
    ids=[
        "page",
        "worker",
        "audio page",
        "audio worker",
        "audio thread",
        "bar",
        "tab",
        "preview",
        "capture worker",
        *CONTROLS,
    ],
)
def test_modules_that_are_joined_declare_different_names_and_come_after_what_they_use(names):
    declared = [name for module in names for name in TOP_LEVEL.findall((JS / f"{module}.js").read_text())]
    assert len(declared) == len(set(declared))
    done = {"inserted"}
    for module in names:
        used = re.findall(r'^import .* from "\./(\w+)\.js"', (JS / f"{module}.js").read_text(), re.MULTILINE)
        assert set(used) <= done, f"{module} stands before what it imports"
        done.add(module)


@pytest.mark.parametrize(
    "text",
    [
        esm.video_esm(),
        esm.video_code(),
        esm.audio_code(),
        esm.bar_code(),
        esm.preview_code(),
        *map(esm.control_code, CONTROLS),
    ],
    ids=["loader", "video", "audio", "bar", "preview", *CONTROLS],
)
def test_a_joined_text_is_one_module_with_a_default_export(text):
    assert len(re.findall(r"^export", text, re.MULTILINE)) == 1
    assert not re.search(r"^import", text, re.MULTILINE)
    assert text.isascii()
    assert "\\U" not in text, "JavaScript has no such escape"
    # everything but the entry of the Worker is free of side effects, so it loads anywhere
    told = node(
        "const url = 'data:text/javascript,' + encodeURIComponent(process.argv[1]);"
        "const widget = (await import(url)).default(); console.log(typeof widget.initialize, typeof widget.render)",
        text,
    )
    assert told.split() == ["function", "function"]


def test_the_texts_are_small():
    assert len(esm.video_esm()) < 1_000, "browsers keep it for every widget there ever was"
    assert len(esm.video_code()) < 50_000, "it is sent with every widget"
    assert len(esm.audio_code()) < 45_000
    assert max(len(esm.control_code(name)) for name in CONTROLS) < 15_000


def test_the_code_is_loaded_once_for_all_widgets_and_again_after_a_failure():
    told = node(
        """
        let urls = 0;
        URL.createObjectURL = (blob) => { urls += 1; return "data:text/javascript," + encodeURIComponent(blob.text); };
        globalThis.Blob = class { constructor([text]) { this.text = text; } };
        const url = (n) => "data:text/javascript," + encodeURIComponent(process.argv[1] + "//" + n);
        const good = "export default () => ({ initialize: ({ name }) => () => console.log('closed', name), render: () => 0 })";
        const make = async (n) => (await import(url(n))).default();
        const model = (code) => ({
          values: [code],
          get() { return this.values.at(-1); },
          set(_, value) { this.values.push(value); },
        });
        const [a, b, c] = [await make(1), await make(2), await make(3)];
        await a.initialize({ model: model("this is no module") }).catch((error) => console.log(error.name));
        await a.initialize({ model: model(undefined) }).catch((error) => console.log(error.name));
        const mine = model(good);
        const close = await a.initialize({ model: mine, name: "a" });
        await b.initialize({ model: model(good), name: "b" });
        await c.initialize({ model: model(good), name: "c" });
        close();
        console.log(JSON.stringify(mine.values.slice(1)));
        console.log(urls);
        """,
        esm.video_esm(),
    )
    assert told.splitlines() == ["SyntaxError", "TypeError", "closed a", '["",null]', "3"]


@pytest.mark.parametrize("code", [esm.video_code(), esm.audio_code()], ids=["video", "audio"])
def test_the_workers_text_is_a_classic_script(code):
    worker = json.loads(re.match(r"const WORKER_SOURCE = (.*);\n", code)[1])
    node("import vm from 'node:vm'; new vm.Script(process.argv[1])", worker)


def test_the_audio_threads_text_registers_the_mixer_under_the_name_the_page_asks_for():
    values = dict(re.findall(r"^const (MIXER_\w+) = (.*);$", esm.audio_code(), re.MULTILINE))
    told = node(
        """
        globalThis.AudioWorkletProcessor = class {};
        globalThis.registerProcessor = (name, made) => console.log(name, typeof made.prototype.process);
        await import("data:text/javascript," + encodeURIComponent(process.argv[1]));
        """,
        json.loads(values["MIXER_SOURCE"]),
    )
    assert told.split() == [json.loads(values["MIXER_NAME"]), "function"]


def test_comments_stay_home():
    assert "//" not in re.sub(r"wss?://|http://", "", esm.video_esm() + esm.video_code())
    assert "/*" not in esm.video_css() + esm.control_css()


@pytest.mark.parametrize("path", [*MODULES, *JS.glob("*.css")], ids=lambda path: path.name)
def test_no_markup_is_written_and_nothing_is_loaded_from_elsewhere(path):
    assert not FORBIDDEN.search(path.read_text())


def test_the_types_are_right():
    done = subprocess.run(
        ["node", str(npm.package("typescript") / "bin" / "tsc"), "--project", str(JS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# -- the message format, both ways


def test_javascript_reads_what_python_writes():
    messages = [({"type": "chunk", "n": 1, "text": "é"}, [b"\0\1", b""]), ({}, []), ({"a": [1.5, None]}, [b"x" * 1000])]
    told = node(
        """
        import { decodeMessage } from "./message.js";
        for (const hex of process.argv.slice(1)) {
          const { header, buffers } = decodeMessage(new Uint8Array(Buffer.from(hex, "hex")).buffer);
          console.log(JSON.stringify([header, buffers.map((buffer) => Buffer.from(buffer).toString("hex"))]));
        }
        """,
        *(encode_message(header, buffers).hex() for header, buffers in messages),
    )
    read = [json.loads(line) for line in told.splitlines()]
    assert read == [[header, [buffer.hex() for buffer in buffers]] for header, buffers in messages]


def test_python_reads_what_javascript_writes():
    told = node(
        """
        import { encodeMessage } from "./message.js";
        const show = (header, buffers) => console.log(Buffer.from(encodeMessage(header, buffers)).toString("hex"));
        show({ type: "ack", sequence: 7 });
        show({ type: "picture", name: "ü" }, [new Uint8Array([1, 2, 3]), new Uint8Array(0)]);
        """
    )
    read = [decode_message(bytes.fromhex(line)) for line in told.split()]
    assert read == [({"type": "ack", "sequence": 7}, []), ({"type": "picture", "name": "ü"}, [b"\1\2\3", b""])]


def test_javascript_refuses_what_is_not_one_message():
    good = encode_message({"a": 1}, [b"xyz"])
    bad = [b"", good[:-1], good + b"\0", good[:4] + b"\xff" * 8 + good[12:], bytes(64)]
    told = node(
        """
        import { decodeMessage } from "./message.js";
        for (const hex of process.argv.slice(1)) {
          try {
            decodeMessage(new Uint8Array(Buffer.from(hex, "hex")).buffer);
            console.log("read");
          } catch (error) {
            console.log(error.constructor.name);
          }
        }
        """,
        *(data.hex() for data in bad),
    )
    assert set(told.split()) <= {"RangeError", "SyntaxError"}
    assert len(told.split()) == len(bad)


# -- what goes into the decoder


def gate(steps):
    told = node(
        """
        import { Gate } from "./gate.js";
        const gate = new Gate();
        for (const [sequence, keyframe, queued, nowMs] of JSON.parse(process.argv[1])) {
          if (sequence === "fail") gate.fail();
          else console.log(JSON.stringify([gate.admits(sequence, keyframe, queued), gate.asks(nowMs)]));
        }
        """,
        json.dumps(steps),
    )
    return [tuple(json.loads(line)) for line in told.splitlines()]


def test_decoding_begins_with_a_key_frame():
    assert gate([(0, False, 0, 0), (1, True, 0, 10), (2, False, 0, 20)]) == [
        (False, True),
        (True, False),
        (True, False),
    ]


def test_a_gap_drops_up_to_the_next_key_frame_which_is_asked_for_twice_a_second():
    steps = [
        (0, True, 0, 0),
        (2, False, 0, 100),
        (3, False, 0, 599),
        (4, False, 0, 600),
        (5, True, 0, 610),
        (6, False, 0, 620),
    ]
    told = [(True, False), (False, True), (False, False), (False, True), (True, False), (True, False)]
    assert gate(steps) == told


def test_a_decoder_that_is_behind_gets_nothing_until_a_key_frame_finds_it_free():
    steps = [(0, True, 0, 0), (1, False, 8, 0), (2, False, 9, 0), (3, True, 9, 0), (4, False, 0, 0), (5, True, 0, 0)]
    assert [admitted for admitted, _ in gate(steps)] == [True, True, False, False, False, True]


def test_a_fault_of_the_decoder_needs_a_key_frame():
    steps = [(0, True, 0, 0), ("fail", 0, 0, 0), (1, False, 0, 0), (2, True, 0, 0)]
    assert [admitted for admitted, _ in gate(steps)] == [True, False, True]


def test_the_decoder_is_named_after_the_stream():
    sps = "00000001 67 42c01f 8c8d40" + "000001 68 ce3c80" + "000001 65 88"
    short_start = "000001 67 64001f ac"
    no_sps = "00000001 65 8884"
    told = node(
        """
        import { codecString } from "./codec.js";
        const [codecs, frames] = JSON.parse(process.argv[1]);
        frames.forEach((hex, index) => console.log(codecString(codecs[index], new Uint8Array(Buffer.from(hex, "hex")))));
        """,
        json.dumps(
            [
                ["vp8", "h264", "h264", "h264", "h264"],
                ["", *(x.replace(" ", "") for x in (sps, short_start, no_sps, "0000016742"))],
            ]
        ),
    )
    assert told.split() == ["vp8", "avc1.42C01F", "avc1.64001F", "null", "null"]


# -- which page can have live video, and what the others are told


def test_what_keeps_a_page_from_live_video_and_what_makes_it_worse():
    told = node(
        """
        import { explainStills, findObstacle } from "./host.js";
        console.log(JSON.stringify([findObstacle({ canvas: true }), findObstacle({ canvas: false })]));
        console.log(explainStills({ secure: true, decoder: false }));
        console.log(explainStills({ secure: false, decoder: false }));
        console.log(explainStills({ secure: true, decoder: true }));
        """
    ).splitlines()
    free, obstacle = json.loads(told[0])
    assert free is None
    assert "Open the notebook in" in obstacle["detail"], "the sentence says what to do"
    assert "Open the notebook in" in told[1]
    assert "https or localhost" in told[2]
    assert "ssh -L" in told[2]
    assert "sent as VP8" in told[3]


@pytest.mark.parametrize(
    ("address", "base_url", "found"),
    [
        ("http://localhost:8888", "/", ["ws://127.0.0.1:4711/", "ws://localhost:8888/proxy/4711/"]),
        ("http://127.1.2.3:8888", "/", ["ws://127.0.0.1:4711/", "ws://127.1.2.3:8888/proxy/4711/"]),
        ("http://[::1]:8888", "/a/", ["ws://127.0.0.1:4711/", "ws://[::1]:8888/a/proxy/4711/"]),
        ("http://lab.localhost", "/", ["ws://127.0.0.1:4711/", "ws://lab.localhost/proxy/4711/"]),
        ("https://hub.example", "/user/jo/", ["wss://hub.example/user/jo/proxy/4711/"]),
        ("http://127.0.0.1.example", "/", ["ws://127.0.0.1.example/proxy/4711/"]),
        ("vscode-webview://1a2b", "/", []),
        ("file:///tmp/x.html", "/", []),
    ],
)
def test_where_a_page_may_open_websockets(address, base_url, found):
    told = node(
        """
        import { findWebsockets } from "./host.js";
        const [address, baseUrl] = JSON.parse(process.argv[1]);
        console.log(JSON.stringify(findWebsockets(new URL(address), baseUrl, 4711).map(({ url }) => url)));
        """,
        json.dumps([address, base_url]),
    )
    assert json.loads(told) == found


@pytest.mark.parametrize(
    ("config", "dataset", "path", "base_url"),
    [
        ('{"baseUrl": "/user/jo/"}', None, "/user/jo/lab/tree/a.ipynb", "/user/jo/"),
        ('{"baseUrl": "https://hub.example/user/jo"}', None, "/", "/user/jo/"),
        ('{"other": 1}', None, "/x/lab/tree/a.ipynb", "/x/"),
        ("{", "/nb/", "/", "/nb/"),
        (None, "/nb/", "/elsewhere", "/nb/"),
        (None, None, "/hub/user/jo/notebooks/lab/a.ipynb", "/hub/user/jo/"),
        (None, None, "/lab", "/"),
        (None, None, "/somewhere/else.html", "/"),
    ],
)
def test_the_path_of_the_server_is_found_in_the_page(config, dataset, path, base_url):
    told = node(
        """
        import { findBaseUrl } from "./host.js";
        const [config, baseUrl, path] = JSON.parse(process.argv[1]);
        const page = {
          getElementById: (id) => (id === "jupyter-config-data" && config !== null ? { textContent: config } : null),
          body: { dataset: baseUrl === null ? {} : { baseUrl } },
        };
        console.log(findBaseUrl(page, path));
        """,
        json.dumps([config, dataset, path]),
    )
    assert told.strip() == base_url


# -- what the views without video write and draw


def test_figures_are_written_as_people_read_them():
    told = node(
        """
        import { axisEnd, bitrateText, sizeText } from "./figure.js";
        console.log([0, 499, 48_000, 999_499, 999_500, 12_345_678].map(bitrateText).join("|"));
        console.log(sizeText(640, 360));
        console.log([0, 0.03, 1, 1.1, 4.9, 300, 620_000].map(axisEnd).join("|"));
        """
    )
    assert told.splitlines() == [
        "0 kbit/s|0 kbit/s|48 kbit/s|999 kbit/s|1.0 Mbit/s|12.3 Mbit/s",
        "640 × 360",
        "1|0.05|1|2|5|500|1000000",
    ]


def test_the_layer_is_told_by_its_size_where_sizes_differ():
    told = node(
        """
        import { layerName } from "./figure.js";
        const layers = { low: [320, 180], medium: [640, 360], high: [1280, 720] };
        console.log([[320, 180], [600, 340], [1280, 716], [4, 3], [0, 0]].map((size) => layerName(layers, ...size)).join());
        console.log(JSON.stringify([layerName({}, 320, 180), layerName({ low: [640, 360], medium: [640, 360] }, 640, 360)]));
        """
    )
    assert told.splitlines() == ["low,medium,high,low,", '["",""]']


def test_what_comes_of_a_track_is_said_in_words():
    told = node(
        """
        import { comingText } from "./table.js";
        import { receivedText } from "./quality.js";
        const row = { status: "", video: true };
        console.log(comingText(row, undefined));
        console.log(comingText(row, [430_000, 640, 360, "medium"]));
        console.log(comingText({ ...row, video: false }, [48_000, 0, 0, ""]));
        console.log(comingText({ ...row, status: "muted by its publisher" }, [0, 640, 360, "medium"]));
        console.log(receivedText(row, null));
        console.log(receivedText(row, [430_000, 640, 360, "medium"]));
        console.log(receivedText({ ...row, status: "paused" }, [0, 640, 360, "medium"]));
        """
    )
    assert told.splitlines() == [
        "…",
        "640 × 360 · medium · 430 kbit/s",
        "48 kbit/s",
        "Muted by its publisher",
        "Waiting for the first picture…",
        "Receiving medium, 640 × 360 · 430 kbit/s",
        "Nothing comes: paused",
    ]


def test_a_plot_begins_its_lines_at_the_edge_and_ends_its_axes_at_what_people_know():
    told = node(
        """
        import { panelEnd, pointsSince } from "./plot.js";
        const points = [0, 1, 2, 3, 4].map((at) => [at]);
        console.log(JSON.stringify([pointsSince(points, 2.5), pointsSince(points, 9), pointsSince([], 0)]));
        const height = { column: 0, least: 180, ends: [180, 360, 720] };
        console.log([[], [[300]], [[720]], [[800]]].map((line) => panelEnd(height, [line])).join("|"));
        console.log(panelEnd({ column: 0, least: 100 }, [[[70]], [[230]]]));
        """
    )
    assert told.splitlines() == ["[[[2],[3],[4]],[],[]]", "180|360|720|1000", "500"]


def test_a_voice_is_measured_in_decibels():
    told = node(
        'import { meterPart } from "./speakers.js"; console.log([0, 0.001, 0.01, 0.1, 1, 2].map(meterPart).join("|"))'
    )
    assert [round(float(part), 2) for part in told.split("|")] == [0, 0, 0.2, 0.6, 1, 1]


@pytest.mark.parametrize(
    ("secure", "decoder", "word"),
    [(True, True, ""), (True, False, "Safari 26"), (False, False, "ssh -L 8888:localhost:8888 host")],
)
def test_what_keeps_a_page_from_sound(secure, decoder, word):
    told = node(
        """
        import { findSilence } from "./hearer.js";
        const [secure, decoder] = JSON.parse(process.argv[1]);
        console.log(findSilence({ secure, decoder }));
        """,
        json.dumps([secure, decoder]),
    ).strip()
    assert word in told
    assert (told == "") is (word == "")
