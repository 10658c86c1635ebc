"""What the tests stand on.

poll.py       wait for a condition, with a deadline
together.py   cases of one test at the same time
leaks.py      nothing a test opened may be open after it: tasks, threads, descriptors, child processes
token.py      access tokens for the server under test
server.py     the servers under test: lknb's own as a process, a real LiveKit by environment variables
peer.py       one participant behind any client, and the evidence it gives
room_child.py that participant as a child process, over `livekit.rtc` or any drop-in of it
wheel.py      `Peer` over that child
chromium.py   `Peer` over livekit-client in headless Chromium, page in page/
firefox.py    Firefox with its fake devices, for notebooks: jupyterlab.py opens them in it
sound_server.py a loudspeaker that is not there, without which Firefox runs no sound, and what it plays
raw.py        a participant that speaks signalling and RTP by hand
fake_core.py  a process with the lane server and tracks that are coloured patterns, no rooms
jupyterlab.py a real JupyterLab and notebooks in it, driven through Chromium
npm.py        where the npm packages of the tests are
jupyterlab.py a real JupyterLab, and notebooks in it, in headless Chromium
fake_core.py  a core process without rooms: the real lanes, tracks of known colours
impair.py     a bad network as a pure model: loss, bursts, reordering, delay, rate, blackouts
relay.py      that model between two UDP ends on 127.0.0.1
meter.py      what goes through it
ws_proxy.py   a proxy for signalling that can be cut or stalled, and that can send media through a relay
"""
