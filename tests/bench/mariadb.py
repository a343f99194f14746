"""MariaDB servers for the bench: unpacked by `tests/setup/mariadb.sh`, in temporary folders, on free ports."""

import atexit
import os
import pathlib
import shutil
import subprocess
import time

from daemon import cpu, free_port

HOME = pathlib.Path(os.environ.get("WHIMBREL_SERVERS", pathlib.Path.home() / ".cache" / "whimbrel-servers"))
RUN = str(HOME / "mariadb" / "run")

# All servers are alike in this: every commit is on the disk before it is answered.
FLAGS = [
    "--bind-address=127.0.0.1", "--skip-name-resolve", "--performance-schema=OFF", "--character-set-server=utf8mb4",
    "--innodb-buffer-pool-size=2G", "--innodb-log-file-size=1G", "--innodb-flush-log-at-trx-commit=1",
    "--max-allowed-packet=64M", "--slave-net-timeout=60", "--max-statement-time=0",
]
LOGGED = ["--log-bin=binlog", "--binlog-format=ROW", "--sync-binlog=1", "--max-binlog-size=1G"]
ACCOUNTS = "SET sql_log_bin = 0;\nCREATE USER bench@'%';\nGRANT ALL ON *.* TO bench@'%';\nCREATE DATABASE bench;\n"


class Server:
    """Number `number`; with a binary log if `logs`."""

    def __init__(self, folder, number, logs=False, flags=()):
        self.folder = pathlib.Path(folder) / f"server-{number}"
        (self.folder / "tmp").mkdir(parents=True)
        shutil.copytree(HOME / "mariadb" / "template", self.folder / "data")
        (self.folder / "accounts.sql").write_text(ACCOUNTS)
        self.port, self.number = free_port(), number
        self.flags = [*FLAGS, *(LOGGED if logs else []), *flags]
        root = HOME / "mariadb" / "root" / "usr"
        places = {"basedir": root, "lc-messages-dir": root / "share/mysql", "character-sets-dir": root / "share/mysql/charsets",
                  "plugin-dir": root / "lib/mysql/plugin", "datadir": self.folder / "data", "tmpdir": self.folder / "tmp",
                  "socket": self.folder / "socket", "pid-file": self.folder / "pid", "init-file": self.folder / "accounts.sql"}
        self.process = subprocess.Popen(
            [RUN, "mariadbd", "--no-defaults", "--user=root", f"--port={self.port}", f"--server-id={number}",
             *(f"--{name}={place}" for name, place in places.items()), *self.flags],
            stdout=subprocess.DEVNULL, stderr=open(self.folder / "log", "ab"))
        atexit.register(self.process.kill)
        for _ in range(600):
            if self.client("SELECT 1").returncode == 0:
                return
            time.sleep(0.05)
        raise SystemExit((self.folder / "log").read_text()[:5000])

    def url(self, port=None):
        return f"mariadb://bench@127.0.0.1:{port or self.port}/bench"

    def arguments(self):
        return ["--host=127.0.0.1", f"--port={self.port}", "--user=bench"]

    def client(self, text, database=None):
        call = [RUN, "mariadb", "--no-defaults", "--batch", "--skip-column-names", *self.arguments(), *([database] if database else [])]
        return subprocess.run(call, input=text, capture_output=True, text=True)

    def sql(self, text, database="bench"):
        done = self.client(text, database)
        if done.returncode:
            raise SystemExit(f"{done.stderr}\nin: {text[:500]}")
        return done.stdout.strip()

    def session(self):
        return Session(self)

    def lazily(self, lazy):
        """While a load is made, commits need not be durable."""
        value = 0 if lazy else 1
        self.sql(f"SET GLOBAL innodb_flush_log_at_trx_commit = {value}")
        if "--sync-binlog=1" in self.flags:
            self.sql(f"SET GLOBAL sync_binlog = {value}")

    def durability(self):
        found = self.sql("SELECT CONCAT('innodb_flush_log_at_trx_commit=', @@innodb_flush_log_at_trx_commit, "
                         "IF(@@log_bin, CONCAT(', sync_binlog=', @@sync_binlog), ', no binary log'))")
        return found

    def digest(self, tables):
        """What `CHECKSUM TABLE` says of all rows, and their number."""
        return [(self.sql(f"CHECKSUM TABLE {table} EXTENDED").split()[-1], self.sql(f"SELECT COUNT(*) FROM {table}")) for table in tables]

    def gtid(self):
        return self.sql("SELECT @@gtid_binlog_pos")

    def cpu(self):
        return cpu(int((self.folder / "pid").read_text()))

    def stop(self):
        self.client("SHUTDOWN")
        self.process.wait(120)
        shutil.rmtree(self.folder)


class Session:
    """A connection that stays: statements in, one value out."""

    def __init__(self, server):
        call = [RUN, "mariadb", "--no-defaults", "--batch", "--unbuffered", "--skip-column-names", *server.arguments(), "bench"]
        self.process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, text):
        """`text` ends with a query of one value."""
        self.process.stdin.write(text + ";\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the client ended at: {text[:200]}")
        return answer.strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
