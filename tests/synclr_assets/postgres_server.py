"""A real Postgres of the test's own: Debian's binaries, a temporary cluster, a free port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USER = "postgres"
START_SECONDS = 60


def postgres_binaries() -> Path | None:
    """The newest version's folder of server binaries, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def postgres_server(binaries: Path) -> Iterator[str]:
    """Its URL, in the form that Dagster wants. Postgres refuses to run as root, so then user `postgres` runs it."""
    folder = Path(tempfile.mkdtemp(prefix="synclr-postgres-"))
    server = None
    try:
        as_user: Sequence[str] = ()
        if os.geteuid() == 0:
            owner = pwd.getpwnam(USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            as_user = ("runuser", "-u", USER, "--")
        data = str(folder / "data")
        initdb = [*as_user, str(binaries / "initdb"), "-D", data, "-U", USER, "-A", "trust", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=120)
        port = _free_port()
        options = f"-D {data} -p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        with (folder / "log").open("w") as log:
            command = [*as_user, str(binaries / "postgres"), *options.split()]
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        ready = [str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"postgresql+psycopg2://{USER}@127.0.0.1:{port}/postgres"
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
