"""What each operation asks of S3, in what order. No I/O: a plan yields requests and is sent answers.

`plan.py` says what a plan is. `transfer.py` moves whole objects (multipart, ranges), `scan.py` lists
and groups keys by checkpoint; the others are the saver's operations: `put.py` (put, put_writes),
`load.py` (get_tuple), `list_checkpoints.py` (list), `delta_history.py` (delta channels), `delete.py`
(delete_thread, delete_for_runs, prune), `copy_thread.py` (copy_thread) and `setup.py`.
"""
