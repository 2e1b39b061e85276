"""What an object in the bucket is: its key, its bytes, and what they mean. Pure; nothing here does I/O.

`keys.py` draws the layout, `container.py` is the container, `codecs.py` compresses its frames, and
`checkpoint.py` says which values a checkpoint's object and a writes object hold.
"""
