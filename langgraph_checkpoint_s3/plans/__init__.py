"""What each operation asks of S3, in what order. No I/O: a plan yields requests and is sent answers.

`plan.py` says what a plan is. `transfer.py` moves whole objects (multipart, ranges), `scan.py` lists
and groups keys by checkpoint; the others are the saver's operations: `write.py` (put, put_writes),
`read.py` (get_tuple), `listing.py` (list), `history.py` (delta channels), `remove.py` (delete_thread,
delete_for_runs, prune), `copy.py` (copy_thread) and `setup.py`.
"""
