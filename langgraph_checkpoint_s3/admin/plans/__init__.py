"""What each of the admin module's operations asks of S3, in what order. No I/O, like `plans/` beside it.

settings     change.py, wanted.py (what they should be), bucket.py, policy.py, replication.py, arns.py
lifecycle    lifecycle.py, rules.py and lifecycle_policy.py (rules of S3, and policies), archive.py
check        check.py, check_way.py, check_objects.py, check_settings.py, lifecycle_check.py, check_case.py,
             findings.py
versions     versions.py, restore.py, undelete.py, purge.py, trails.py (what a listing of versions tells)
signed URLs  signing.py
moves        moving.py, portable.py (the file), migration.py, compare.py
batches      batches.py, items.py, jobs.py (plans one after the other, with a source between them)
retention    retention.py, orphans.py, usage.py, sizes.py
"""
