"""Official clients against a server.

    conftest.py         the servers, and the clients by name
    row.py              the rows of the matrix, and what each of them has to show
    test_matrix.py      every row, in both signalling modes
    test_camera.py      simulcast of a browser's own camera
    test_fault.py       signalling that is cut, media that are lost

Evidence always comes from the receiving side: decoded pixels, heard tones, the codec in the client's stats, and a fresh
reader for every `track_subscribed` event.
"""
