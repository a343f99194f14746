"""Times Whimbrel between MariaDB servers, the rival beside it in the same run. Medians of RUNS runs.

Each part starts servers of its own (`mariadb.py`), prints their settings of durability, which are the same on both sides,
and prints no ratio unless `CHECKSUM TABLE` is the same at source, target and the rival's target. What is printed is kept
in `tests/bench/results`, with the commit and the command.
"""

import contextlib
import datetime
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from daemon import ROOT, Daemon, cpu, median
from mariadb import HOME, RUN, Server

RUNS = int(os.environ.get("RUNS", "3"))
ROWS = int(os.environ.get("ROWS", "2000000"))
WIDE = int(os.environ.get("WIDE_ROWS", str(ROWS // 50)))
BASE = int(os.environ.get("BASE_ROWS", "200000"))
CHANGES = int(os.environ.get("CHANGES", "400000"))
SECONDS = int(os.environ.get("SECONDS", "15"))
HUGE = int(os.environ.get("HUGE_ROWS", "1000000"))
THREADS = os.environ.get("SLAVE_THREADS", "4")
MYDUMPER = str(HOME / "mydumper" / "run")

NARROW = """CREATE TABLE {0} (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT UNSIGNED NOT NULL DEFAULT 0,
 c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', KEY k_1 (k)) CHARACTER SET latin1"""
GROUPS = "SUBSTRING(CONCAT(SHA2({0}, 512), SHA2({0} + 1, 512)), 1, {1})"
FILL = f"INSERT INTO {{table}} SELECT seq, 1 + seq * 7919 MOD 1000003, {GROUPS.format('seq', 119)}, {GROUPS.format('seq + 7', 59)} FROM seq_{{first}}_to_{{last}}"
WIDE_TABLE = "CREATE TABLE wide (id BIGINT PRIMARY KEY, " + ", ".join(
    f"i{n} INT, b{n} BIGINT, d{n} DECIMAL(18,4), t{n} DATETIME(3), v{n} VARCHAR(60), f{n} DOUBLE" for n in range(8)) + ", note TEXT)"
WIDE_FILL = "INSERT INTO wide SELECT seq, " + ", ".join(
    f"seq * {n + 3} MOD 99991, seq * 1000003, seq / 7 + {n}, '2026-01-01' + INTERVAL seq SECOND, CONCAT('value ', seq, ' of column {n}'), seq / {n + 3}"
    for n in range(8)) + ", REPEAT(CONCAT('note ', seq, ' '), 20) FROM seq_1_to_{last}"
SMALL = "CREATE TABLE {0} (id INT UNSIGNED NOT NULL PRIMARY KEY, a INT NOT NULL, c VARCHAR(100) NOT NULL)"

LOG = []


def say(text):
    print(text, flush=True)
    LOG.append(text)


def ratio(goal, ours, theirs, name, equal):
    """Times or rates: how many times better ours is."""
    if not equal:
        say(f"  the servers differ: no ratio to {name}")
    else:
        say(f"  ratio to {name}: {theirs / ours:.2f}x (goal {goal}x)")


@contextlib.contextmanager
def timed(into):
    start = time.monotonic()
    yield
    into.append(time.monotonic() - start)


def shell(command):
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, stderr=subprocess.DEVNULL)


def fill(server, table, first, last, step=100_000):
    for start in range(first, last + 1, step):
        server.sql(FILL.format(table=table, first=start, last=min(start + step - 1, last)))


# Copy


def mysql_copy(folder):
    source = Server(folder, 1, logs=True)
    source.lazily(True)
    source.sql(NARROW.format("sbtest1") + ";" + WIDE_TABLE)
    fill(source, "sbtest1", 1, ROWS)
    source.sql(WIDE_FILL.format(last=WIDE))
    source.lazily(False)
    tables = ["sbtest1", "wide"]
    expected = source.digest(tables)
    rows, times, used, peaks, equal = ROWS + WIDE, {"whimbrel": [], "dump": [], "mydumper": []}, [], [], True
    servers = {"source": [], "target": []}
    for run in range(RUNS):
        for way in times:
            target = Server(folder, 2)
            if run == 0 and way == "whimbrel":
                say(f"copy of {ROWS} rows and {WIDE} wide ones; source: {source.durability()}; targets: {target.durability()}")
            if way == "whimbrel":
                place = folder / f"copy-{run}"
                place.mkdir()
                daemon = Daemon(place, source.url(), target.url())
                before = source.cpu(), target.cpu()
                with timed(times[way]):
                    daemon.retry("job", "start", "bench")
                    daemon.wait("streaming")
                used.append(daemon.cpu() / rows * 1e6)
                servers["source"].append((source.cpu() - before[0]) / rows * 1e6)
                servers["target"].append((target.cpu() - before[1]) / rows * 1e6)
                peaks.append(daemon.memory("VmHWM"))
                daemon.stop()
            elif way == "dump":
                names, to = " ".join(source.arguments()), " ".join(target.arguments())
                with timed(times[way]):
                    shell(f"{RUN} mariadb-dump --no-defaults {names} --single-transaction --quick bench | {RUN} mariadb --no-defaults {to} bench")
            else:
                dump = folder / "dump"
                names, to = " ".join(source.arguments()), " ".join(target.arguments())
                with timed(times[way]):
                    shell(f"{MYDUMPER} mydumper {names} -B bench -o {dump} -t 4 -r 250000 --trx-consistency-only")
                    shell(f"{MYDUMPER} myloader {to} -B bench -d {dump} -t 4 -o")
                shutil.rmtree(dump)
            if target.digest(tables) != expected:
                say(f"  {way}: the target differs")
                equal = False
            target.stop()
    ours = median(times["whimbrel"])
    say(f"  whimbrel {ours:.2f} s ({rows / ours:,.0f} rows/s), mariadb-dump | mariadb {median(times['dump']):.2f} s,"
        f" mydumper + myloader {median(times['mydumper']):.2f} s")
    say(f"  CPU s a million rows: {median(used):.2f} (source {median(servers['source']):.2f}, target {median(servers['target']):.2f});"
        f" peak {median(peaks):.0f} MB (goal 128)")
    ratio(2, ours, median(times["dump"]), "mariadb-dump | mariadb", equal)
    ratio(1, ours, median(times["mydumper"]), "mydumper + myloader", equal)
    source.stop()


# Backlog


def single_changes(count, first_new, seed):
    """Statements of one row each; random rows of the base are changed or deleted, new ones come."""
    dice = random.Random(seed)
    new = gone = first_new
    for _ in range(count):
        kind, key = dice.random(), dice.randint(1, BASE)
        if kind < 0.35:
            yield f"UPDATE sbtest1 SET k = k + 1 WHERE id = {key}"
        elif kind < 0.7:
            yield f"UPDATE sbtest1 SET c = '{dice.getrandbits(400):0100x}' WHERE id = {key}"
        elif kind < 0.8 and gone < new:
            yield f"DELETE FROM sbtest1 WHERE id = {gone}"
            gone += 1
        else:
            yield f"INSERT INTO sbtest1 VALUES ({new}, {dice.randint(1, 999983)}, '{dice.getrandbits(400):0100x}', '{dice.getrandbits(200):050x}')"
            new += 1


def small_transactions(source, count, first_new):
    text = "\n".join(f"{statement};" for statement in single_changes(count, first_new, first_new)) + "\n"
    source.sql(text)
    return count


def large_transactions(source, count, first_new, size=50_000):
    """A third inserts, two thirds updates of ranges."""
    third = count // 3
    for start in range(0, 2 * third, size):
        take = min(size, 2 * third - start)
        low = 1 + start % max(1, BASE - take)
        source.sql(f"UPDATE sbtest1 SET k = k + 1, c = CONCAT(SUBSTRING(c, 2, 110), 'x') WHERE id BETWEEN {low} AND {low + take - 1}")
    fill(source, "sbtest1", first_new, first_new + third - 1, size)
    return 3 * third


def replicate(source, replica):
    """A native replica of what the source has now, stopped; parallel, optimistic."""
    names, to = " ".join(source.arguments()), " ".join(replica.arguments())
    shell(f"{RUN} mariadb-dump --no-defaults {names} --single-transaction --databases bench | {RUN} mariadb --no-defaults {to}")
    replica.sql(f"SET GLOBAL gtid_slave_pos = '{source.gtid()}'; SET GLOBAL slave_parallel_threads = {THREADS};"
                f"SET GLOBAL slave_parallel_mode = 'optimistic'; CHANGE MASTER TO master_host = '127.0.0.1', master_port = {source.port},"
                " master_user = 'bench', master_use_gtid = slave_pos")


class Pair:
    """A source, a target that a daemon follows it into, and a native replica; the same rows in all."""

    def __init__(self, folder, tables, with_replica=True):
        self.folder, self.tables = folder, tables
        self.source, self.target = Server(folder, 1, logs=True), Server(folder, 2)
        self.source.lazily(True)
        for table in tables:
            shape = NARROW if table.startswith("sbtest") else SMALL
            self.source.sql(shape.format(table))
        if "sbtest1" in tables:
            fill(self.source, "sbtest1", 1, BASE)
        self.source.sql("CREATE TABLE ends (n INT PRIMARY KEY)")
        self.source.lazily(False)
        self.replica = Server(folder, 3) if with_replica else None
        if self.replica:
            replicate(self.source, self.replica)
        self.ends = 0

    def follow(self, source_port=None, target_port=None, options=("", "")):
        self.daemon = Daemon(self.folder, self.source.url(source_port), self.target.url(target_port), options)
        self.daemon.retry("job", "start", "bench")
        self.daemon.wait("streaming")

    def pause(self):
        self.daemon.wait(", 0 changes behind")
        self.daemon.retry("job", "pause", "bench")
        self.daemon.wait("paused")

    def end(self):
        """The last transaction of a backlog."""
        self.ends += 1
        self.source.sql(f"INSERT INTO ends VALUES ({self.ends})")

    def until_ended(self, server):
        session = server.session()
        while session.ask(f"SELECT COUNT(*) FROM ends WHERE n = {self.ends}") == "0":
            time.sleep(0.005)
        session.close()

    def equal(self):
        digests = [server.digest(self.tables) for server in (self.source, self.target, self.replica) if server]
        return all(digest == digests[0] for digest in digests)

    def stop(self):
        self.daemon.stop()
        for server in (self.source, self.target, self.replica):
            if server:
                server.stop()


def backlog(folder, name, make, goal):
    pair = Pair(folder, ["sbtest1"])
    pair.follow()
    say(f"backlog of {CHANGES} rows in {name}; source: {pair.source.durability()}; target: {pair.target.durability()}; replica:"
        f" {pair.replica.durability()}, {THREADS} threads, optimistic")
    ours, theirs, used, peaks, equal, first_new = [], [], [], [], True, BASE + 1
    servers = {"source": [], "target": [], "replica": []}
    for run in range(RUNS):
        pair.pause()
        pair.source.lazily(True)
        changes = make(pair.source, CHANGES, first_new)
        first_new += CHANGES
        pair.end()
        pair.source.lazily(False)

        def whimbrel():
            before = pair.daemon.cpu(), pair.source.cpu(), pair.target.cpu()
            took = []
            with timed(took):
                pair.daemon.retry("job", "start", "bench")
                pair.until_ended(pair.target)
            ours.append(changes / took[0])
            used.append((pair.daemon.cpu() - before[0]) / changes * 1e6)
            servers["source"].append((pair.source.cpu() - before[1]) / changes * 1e6)
            servers["target"].append((pair.target.cpu() - before[2]) / changes * 1e6)
            peaks.append(pair.daemon.memory("VmHWM"))

        def native():
            before, took = pair.replica.cpu(), []
            with timed(took):
                pair.replica.sql("START SLAVE")
                pair.until_ended(pair.replica)
            pair.replica.sql("STOP SLAVE")
            theirs.append(changes / took[0])
            servers["replica"].append((pair.replica.cpu() - before) / changes * 1e6)

        # By turns first: the source's files may be warmer for the second.
        for side in (whimbrel, native) if run % 2 == 0 else (native, whimbrel):
            side()
        equal &= pair.equal()
    say(f"  whimbrel {median(ours):,.0f} changes/s, native replica {median(theirs):,.0f} changes/s")
    say(f"  CPU s a million changes: {median(used):.2f} (source {median(servers['source']):.2f}, target {median(servers['target']):.2f};"
        f" the native replica's server {median(servers['replica']):.2f}); peak {median(peaks):.0f} MB (goal 128)")
    ratio(goal, median(theirs), median(ours), "the native replica", equal)
    pair.stop()


def mysql_backlog(folder):
    backlog(folder, "transactions of one row", small_transactions, 4)


def mysql_large(folder):
    backlog(folder, "large transactions", large_transactions, 1.5)


# Reading


def mysql_read(folder):
    program = ROOT / "target" / "release" / "read"

    def bulk(source):
        fill(source, "sbtest1", BASE + 1, BASE + CHANGES * 2, 10_000)

    def small(source):
        small_transactions(source, CHANGES, BASE + 1)

    for name, make in (("bulk", bulk), ("transactions of one row", small)):
        place = folder / name.split()[0]
        place.mkdir()
        source = Server(place, 1, logs=True)
        source.lazily(True)
        source.sql(NARROW.format("sbtest1"))
        fill(source, "sbtest1", 1, BASE)
        source.sql("FLUSH BINARY LOGS")
        readers = [subprocess.Popen([program, source.url()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(RUNS)]
        for reader in readers:
            reader.stdout.readline()
        first = source.sql("SHOW BINARY LOGS").splitlines()[-1].split()[0]
        make(source)
        ours, theirs, used, changes = [], [], [], 0
        for reader in readers:
            raw = place / "raw"
            raw.mkdir()
            with timed(theirs):
                shell(f"{RUN} mariadb-binlog --no-defaults {' '.join(source.arguments())} --read-from-remote-server --raw --to-last-log"
                      f" --result-file={raw}/ {first}")
            size = sum(file.stat().st_size for file in raw.iterdir())
            shutil.rmtree(raw)
            before = cpu(reader.pid)
            reader.stdin.write("\n")
            reader.stdin.flush()
            # Ended only when it is waited for: until then its times can be read.
            answer = reader.stdout.readline().split()
            changes, took = int(answer[0]), float(answer[2])
            used.append((cpu(reader.pid) - before) / changes * 1e6)
            ours.append(took)
            reader.wait()
        say(f"reading a log of {name}, {changes} changes, {size / 1e6:.0f} MB: whimbrel {median(ours):.2f} s ({changes / median(ours):,.0f} changes/s,"
            f" {size / 1e6 / median(ours):.0f} MB/s, {median(used):.2f} CPU s a million), mariadb-binlog --raw {median(theirs):.2f} s ({size / 1e6 / median(theirs):.0f} MB/s)")
        ratio(1, median(ours), median(theirs), "mariadb-binlog --raw", True)
        source.stop()


# Lag


def mysql_lag(folder, rate=2000, rows=4):
    pair = Pair(folder, ["lags"])
    pair.follow()
    say(f"lag at {rate} changes/s in transactions of {rows} rows; source: {pair.source.durability()}; target: {pair.target.durability()}")
    first = 1

    def measure(server):
        nonlocal first
        seen, committed, stop = [], [], threading.Event()

        def read():
            session = server.session()
            while not stop.is_set():
                found = int(session.ask("SELECT COALESCE(MAX(id), 0) FROM lags"))
                seen.append((time.monotonic(), found))
                time.sleep(0.0005)
            session.close()

        reader = threading.Thread(target=read)
        reader.start()
        writer = pair.source.session()
        start = time.monotonic()
        for n in range(SECONDS * rate // rows):
            values = ", ".join(f"({first + one}, {n}, '{'lag' * 20}')" for one in range(rows))
            first += rows
            writer.ask(f"INSERT INTO lags VALUES {values}; SELECT 1")
            committed.append((first - 1, time.monotonic()))
            ahead = start + n * rows / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        took = time.monotonic() - start
        writer.close()
        while not seen or seen[-1][1] < first - 1:
            time.sleep(0.01)
        stop.set()
        reader.join()
        lags, looks = [], iter(seen)
        at, highest = next(looks)
        for last, when in committed:
            while highest < last:
                at, highest = next(looks)
            lags.append(max(0.0, (at - when) * 1000))
        lags.sort()
        pick = lambda share: lags[int((len(lags) - 1) * share)]
        return f"p50 {pick(0.5):.1f} ms, p99 {pick(0.99):.1f} ms, most {lags[-1]:.1f} ms ({len(lags) * rows / took:,.0f} changes/s)"

    say(f"  whimbrel: {measure(pair.target)} (goal p50 5, p99 50)")
    pair.pause()
    pair.replica.sql("START SLAVE")
    say(f"  native replica: {measure(pair.replica)}")
    pair.stop()


# A link in between


class Link:
    def __init__(self, port, rtt_ms=80, mbit=100):
        self.process = subprocess.Popen([sys.executable, pathlib.Path(__file__).with_name("proxy.py"), str(port), str(rtt_ms), str(mbit)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.port = int(self.process.stdout.readline())
        self.bytes_per_s = mbit * 1e6 / 8

    def bytes(self):
        self.process.stdin.write("\n")
        return [int(one) for one in self.process.stdout.readline().split()]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def small_rows(count, first, size):
    """Rows of about 100 bytes, in transactions of `size`."""
    dice = random.Random(first)
    text = []
    for start in range(first, first + count, size):
        values = ", ".join(f"({one}, {one * 7919 % 1000003}, '{dice.getrandbits(340):085x}')" for one in range(start, start + size))
        text.append(f"INSERT INTO small VALUES {values};")
    return "\n".join(text)


def through_link(folder, name, where, options=("", "")):
    pair = Pair(folder, ["small"], with_replica=False)
    link = Link(pair.target.port if where == "target" else pair.source.port)
    pair.follow(**{f"{where}_port": link.port}, options=options)
    rates, shares, used, equal, first, changes = [], [], [], True, 1, CHANGES // 1000 * 1000
    pair.source.lazily(True)
    # A job that has followed something.
    pair.end()
    pair.until_ended(pair.target)
    for _ in range(RUNS):
        took = []
        # A backlog, of small transactions where the target is far; the start of the job is in the time.
        pair.pause()
        pair.source.sql(small_rows(changes, first, 10 if where == "target" else 1000))
        pair.end()
        before, spent = link.bytes(), pair.daemon.cpu()
        with timed(took):
            pair.daemon.retry("job", "start", "bench")
            pair.until_ended(pair.target)
        first += changes
        carried = [now - then for now, then in zip(link.bytes(), before)]
        rates.append(changes / took[0])
        shares.append(max(carried) / took[0] / link.bytes_per_s * 100)
        used.append((pair.daemon.cpu() - spent) / changes * 1e6)
        equal &= pair.equal()
    goal = "goal 50,000 changes/s" if where == "target" else "goal 70 %"
    same = "equal" if equal else "THE SERVERS DIFFER"
    say(f"{name}: {median(rates):,.0f} changes/s, {median(shares):.0f} % of the link ({goal}); {median(used):.2f} CPU s a million; {same}")
    pair.stop()
    link.stop()


def mysql_far(folder):
    say(f"a link of 80 ms round trip and 100 Mbit/s; {CHANGES} rows of about 100 bytes")
    for n, (name, where, options) in enumerate((
            ("  target behind it", "target", ("", "")),
            ("  source behind it", "source", ("", "")),
            ("  source behind it, compressed", "source", ('options = { compression = "zlib" }', "")),
            ("  target behind it, compressed", "target", ("", 'options = { compression = "zlib" }')))):
        place = folder / str(n)
        place.mkdir()
        through_link(place, name, where, options)


# One huge transaction


def mysql_huge(folder):
    pair = Pair(folder, ["sbtest1"], with_replica=False)
    pair.follow()
    before = pair.daemon.cpu()
    pair.source.sql(FILL.format(table="sbtest1", first=BASE + 1, last=BASE + HUGE))
    pair.end()
    took = []
    with timed(took):
        pair.until_ended(pair.target)
    say(f"one transaction of {HUGE} rows: {HUGE / took[0]:,.0f} rows/s behind its commit, {(pair.daemon.cpu() - before) / HUGE * 1e6:.2f} CPU s a million,"
        f" peak {pair.daemon.memory('VmHWM'):.0f} MB (goal 128); {'equal' if pair.equal() else 'THE SERVERS DIFFER'}")
    pair.stop()


PARTS = {"mysql-copy": mysql_copy, "mysql-backlog": mysql_backlog, "mysql-large": mysql_large, "mysql-read": mysql_read,
         "mysql-lag": mysql_lag, "mysql-far": mysql_far, "mysql-huge": mysql_huge}


def main():
    git = lambda *call: subprocess.run(["git", *call], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    settings = [f"{name}={value}" for name, value in os.environ.items()
                if name in ("RUNS", "ROWS", "WIDE_ROWS", "BASE_ROWS", "CHANGES", "SECONDS", "HUGE_ROWS", "SLAVE_THREADS")]
    wanted = sys.argv[1:] or list(PARTS)
    say(" ".join([*settings, "tests/bench/run", *wanted]))
    say(f"commit {git('rev-parse', '--short', 'HEAD')}{' and changes' if git('status', '--porcelain') else ''}, {os.cpu_count()} processors,"
        f" {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC")
    try:
        for name in wanted:
            with tempfile.TemporaryDirectory(prefix="wb", dir="/tmp") as folder:
                PARTS[name](pathlib.Path(folder))
    finally:
        results = ROOT / "tests" / "bench" / "results"
        results.mkdir(exist_ok=True)
        when = datetime.datetime.now(datetime.timezone.utc)
        (results / f"{when:%Y%m%d-%H%M%S}-{wanted[0] if len(wanted) == 1 else 'mysql'}.txt").write_text("\n".join(LOG) + "\n")


if __name__ == "__main__":
    main()
