"""Pixels and samples <-> encoded frames. The only package that sees either; PyAV and numpy live here and nowhere else.

    layer.py           which simulcast layers a picture of a given size is sent in (LiveKit's presets)
    clock.py           microseconds <-> RTP timestamps
    pixel.py           arrays, PIL images and packed buffers <-> `av.VideoFrame`
    video_encoder.py   one picture -> one VP8 or H264 frame
    simulcast.py       one picture -> the frames of its layers
    video_decoder.py   VP8 or H264 frames -> pictures
    audio_encoder.py   20 ms of samples -> one Opus packet
    audio_decoder.py   Opus packets, and gaps between them -> samples
    opus.py            what the first byte of an Opus packet says
    jpeg.py            one picture -> JPEG, for browsers that decode no video
    recording.py       a track or two -> a file: MP4, WebM, Matroska (container_writer.py), WAV (wave_file.py), PNG
                       (picture_file.py)
    transcoder.py      pictures that a file does not hold -> its codec, in one size
    mixed_recording.py pictures and samples -> a file; collage.py several pictures -> one, with nameplate.py in it,
                       sound_mix.py several sounds -> one
    resample.py        sample rates, channels and sample formats
    sample_queue.py    samples in as they come, out in pieces of one size

Used by `rtc` (in the kernel process) and in the core process by `core.source`, and by `core.lane_still` for pages that decode
no video; never by `server`, which forwards and does not decode. Nothing here knows of rooms, threads or event loops: every
object belongs to one thread, the caller's.
"""
