"""Benchmarks of storage, requests, CPU and time, with peers. `docs/benchmarks.md` has the results.

Run with `python -m`: `storage`, `encoding`, `turns`, `operations`, `memories`, `elsewhere` (turns on Ceph),
`dynamodb`.
They use:

    workloads, graphs      conversations, and graphs whose turns are timed
    changes                changes of a channel's value
    savers, environments   this package and its peers, each peer in a virtual environment of its own
    limit                  a saver that needs the least time possible: a round trip for each call
    server, bucket         an S3 server in memory that counts requests
    runs, worker           one saver on one workload, in a process of its own
    turn_worker            one saver that plays turns on command
    dynamodb_worker        DynamoDBSaver, and the units that DynamoDB charges for
    postgres               a Postgres for PostgresSaver and PostgresStore
    cold, cold_worker      the time from a new process to its first answer
    histories, large       parts of `operations`: long threads and many writes; large states
    cpu, crowd             further parts: CPU time without a client; many concurrent conversations
    instant                a driver that runs plans on a dict
    served                 the server in a process of its own
    figures, measured      measurements of `turns` and `operations`
    baseline               the recorded baseline, and what got worse since
    report, …_report       tables
    chart                  a bar chart as SVG
"""
