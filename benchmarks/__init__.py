"""What the saver costs, beside its peers: storage, requests, CPU, time. `docs/benchmarks.md` has the figures.

Run with `python -m`: `storage`, `encoding`, `turns`, `operations`, `elsewhere` (turns on Ceph), `dynamodb`.
Behind them:

    workloads, graphs      what is measured: conversations, and graphs whose turns are timed
    changes                how a channel's value changes
    savers, environments   who is measured: this package and its peers, each in an environment of its own
    limit                  what no saver can beat: LangGraph's calls, and a round trip for each
    server, bucket         the S3 in memory that all of them talk to, and that counts
    runs, worker           one saver on one workload, in a process of its own
    turn_worker            one saver that plays turns when it is told to
    dynamodb_worker        DynamoDBSaver, and what DynamoDB charges for
    postgres               a Postgres for PostgresSaver
    cold, cold_worker      a fresh process, until its first answer
    histories, large       parts of `operations`: long threads and many writes; large states
    cpu, crowd             and CPU without a client; many conversations at once
    instant                a driver over a dict, which answers at once
    served                 the server in a process of its own
    measured               what an operation came to, recorded in `recorded_operations.json`
    report, …_report       tables, and the document
    chart                  bars, as SVG
    figures                what `turns` found, recorded in `recorded.json`, and what got worse since
"""
