"""A whole Ceph on one machine: one monitor, one OSD on a file, one S3 gateway.

It is what production stores run, and so the judge of conditional writes, versions and paging. It has
`If-None-Match: *` on PUT, but neither on CompleteMultipartUpload nor in a bucket that keeps versions,
where it is silently ignored; and it knows an ETag in `If-Match` only without its quotes. With
`BlockPublicAcls`, it refuses every PUT of an object, the owner's too.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from langgraph_checkpoint_s3.testing._processes import Child, child

from .base import LOOPBACK, Features, Server, User, answers, command, data_dir, free_port
from .ceph_packages import Ceph, ceph

FEATURES = Features(
    conditional_multipart=False,
    conditional_versioned=False,
    if_match=False,
    lifecycle_exact=False,
    archive=False,
    encryption=False,
    public_access=False,
    acceleration=False,
    request_metrics=False,
    replication=False,
)

ACCESS_KEY = "test"
SECRET_KEY = "test-secret"
STRANGER = User("arn:aws:iam:::user/stranger", "stranger", "stranger-secret")
_START_SECONDS = 120.0
_COMMAND_SECONDS = 60.0

_CONFIG = """\
[global]
fsid = {fsid}
mon_host = [v2:{host}:{v2},v1:{host}:{v1}]
public_addr = {host}
cluster_addr = {host}
ms_bind_ipv6 = false

# No keys: everything is on the loopback address and lives as long as a test run.
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
ms_mon_cluster_mode = crc
ms_mon_service_mode = crc
ms_cluster_mode = crc
ms_service_mode = crc
ms_client_mode = crc

plugin_dir = {libraries}/ceph
erasure_code_dir = {libraries}/ceph/erasure-code
osd_class_dir = {libraries}/rados-classes
run_dir = {data}
admin_socket =
crash_dir = {data}/crash
# To the standard error, which goes to a file and from there into error messages.
log_file =
log_to_stderr = true
keyring = {data}/keyring

# One OSD, so one copy, and few placement groups.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
osd_crush_chooseleaf_type = 0
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_update_on_start = false

[mon]
mon_data = {data}/mon
# The machine's disk may be fuller than a monitor likes.
mon_data_avail_warn = 1
mon_data_avail_crit = 1
# Each pool that the gateway makes waits this long: 12 s of the start with the default of one second.
paxos_propose_interval = 0.05

[osd]
osd_data = {data}/osd
osd_objectstore = bluestore
bluestore_block_create = true
bluestore_block_size = {block_size}
osd_memory_target = 939524096

[client.rgw]
rgw_data = {data}/rgw
# Without tcp_nodelay a GET takes 44 ms.
rgw_frontends = beast endpoint={host}:{rgw} tcp_nodelay=1
rgw_crypt_require_ssl = false
rgw_enable_usage_log = false
"""
_BLOCK_SIZE = 10 * 1024**3  # sparse: it takes what is written


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Run Ceph with its data below `work_dir`, downloading it into the cache the first time."""
    installation = ceph()
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(data_dir(work_dir, "ceph"))
        port = free_port(28000, 32000)
        cluster = _Cluster(installation, data, stack, port)
        cluster.start()
        url = f"http://{LOOPBACK}:{port}"
        yield Server("ceph", url, ACCESS_KEY, SECRET_KEY, FEATURES, stranger=STRANGER)
        # The stack stops gateway, OSD and monitor in that order, then removes the data.


class _Cluster:
    def __init__(self, installation: Ceph, data: Path, stack: contextlib.ExitStack, port: int) -> None:
        self._ceph = installation
        self._data = data
        self._stack = stack
        self._port = port
        self._config = data / "ceph.conf"
        self._env = installation.environment(self._config)

    def start(self) -> None:
        v2, v1 = free_port(20000, 24000), free_port(24000, 28000)
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        for folder in ("mon", "osd", "rgw", "crash"):
            (self._data / folder).mkdir()
        (self._data / "keyring").touch()
        self._config.write_text(
            _CONFIG.format(
                fsid=fsid,
                host=LOOPBACK,
                v2=v2,
                v1=v1,
                rgw=self._port,
                data=self._data,
                libraries=self._ceph.libraries,
                block_size=_BLOCK_SIZE,
            )
        )
        self._monitor(fsid, f"[v2:{LOOPBACK}:{v2},v1:{LOOPBACK}:{v1}]")
        self._osd(osd)
        self._gateway()

    def _monitor(self, fsid: str, addresses: str) -> None:
        monmap = str(self._data / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, monmap)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
        self._daemon("ceph-mon", "-i", "a", "-f")

    def _osd(self, osd: str) -> None:
        self._run("ceph", "osd", "new", osd)  # waits until the monitor is there
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._daemon("ceph-osd", "-i", "0", "-f")
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=local")

    def _gateway(self) -> None:
        keys = (f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")
        self._run("radosgw-admin", "user", "create", "--uid=test", "--display-name=Test", *keys)
        name = STRANGER.arn.rpartition("/")[2]
        keys = (f"--access-key={STRANGER.access_key}", f"--secret-key={STRANGER.secret_key}")
        self._run("radosgw-admin", "user", "create", f"--uid={name}", "--display-name=Stranger", *keys)
        gateway = self._daemon("radosgw", "-n", "client.rgw", "-f")
        url = f"http://{LOOPBACK}:{self._port}"
        gateway.wait_for(lambda: answers(url), what=f"answer at {url}", timeout=_START_SECONDS)

    def _run(self, program: str, *arguments: str) -> None:
        command([*self._ceph.program(program), *arguments], timeout=_COMMAND_SECONDS, env=self._env)

    def _daemon(self, program: str, *arguments: str) -> Child:
        argv = [*self._ceph.program(program), *arguments]
        log = self._data / f"{program}.out"
        return self._stack.enter_context(child(program, argv, log=log, env=self._env))
