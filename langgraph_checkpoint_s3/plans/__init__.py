"""The saver's operations as plans: which requests they send, in which order. No I/O.

`plan.py` defines plans, `context.py` and `place.py` their common arguments. `scan.py` lists and groups keys,
`transfer.py` moves whole objects, `load.py` and `borrowed.py` read checkpoints, and `tombstones.py` and
`materialize.py` protect borrowers from deletions. The operations are `put.py` with `special_writes.py`,
`get_tuple.py`, `list_checkpoints.py`, `delta_history.py`, `delete.py` with `delta_ancestors.py`, `gather.py`
and `subgraph_calls.py`, `keep_last.py`, `copy_thread.py`, `lease.py` and `setup.py`.
"""
