"""What the saver costs, beside its peers: storage, requests, CPU. `docs/benchmarks.md` has the figures.

Run with `python -m`: `storage` and `encoding`. Behind them:

    workloads, changes     what is measured: graphs, and how a channel's value changes
    savers, environments   who is measured: this package and its peers, each in an environment of its own
    server, bucket         the S3 in memory that all of them talk to, and that counts
    runs, worker           one saver on one workload, in a process of its own
    report                 tables, and the document
"""
