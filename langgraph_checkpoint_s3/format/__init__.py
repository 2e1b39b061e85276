"""The objects in the bucket: their keys, bytes and contents. Pure; nothing here does I/O.

`keys.py` draws the layout, `container.py` is the container, `codecs.py` compresses its frames, and
`checkpoint.py` and `writes.py` say which values a checkpoint's object and a writes object hold.
"""
