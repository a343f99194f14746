"""Times Whimbrel on SQLite files: copy, backlog, lag, idle, memory, row path. Medians of RUNS runs.

Both sides of a comparison end durable: the rival's target is synced after its single commit (SQLite does that with
synchronous=FULL, its default), ours commits batch by batch with synchronous=FULL. No ratio is printed if the databases
differ after the run.
"""

import hashlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from daemon import ROOT, Daemon, median

RUNS = int(os.environ.get("RUNS", "3"))
ROWS = int(os.environ.get("ROWS", "2000000"))
MANY = int(os.environ.get("MANY_ROWS", "5000000"))

TABLE = """CREATE TABLE wide(id INTEGER PRIMARY KEY, a INTEGER, b REAL, c TEXT, d TEXT, e BLOB, f INTEGER, g TEXT,
 h REAL, i TEXT)"""
FILL = """WITH RECURSIVE n(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM n WHERE n < {last})
INSERT INTO wide SELECT n, n * 7919 % 1000003, n / 7.0, 'name ' || n, CASE n % 5 WHEN 0 THEN NULL ELSE 'city ' || n % 997
 END, CAST(printf('%016x', n * 31) AS BLOB), n % 2, 'status-' || n % 9, n * 0.001, 'a note of middling length, number ' || n
 FROM n"""


def sql(file, text):
    subprocess.run(["sqlite3", str(file), text], check=True, stdout=subprocess.DEVNULL)


def digest(file, table="wide"):
    db = sqlite3.connect(file)
    total, rows = 0, 0
    for row in db.execute(f"SELECT * FROM {table}"):
        rows += 1
        total = (total + int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest())) % (1 << 128)
    db.close()
    return rows, total


def source_of(folder, rows):
    source = folder / "source.db"
    sql(source, f"PRAGMA journal_mode = WAL; {TABLE}; {FILL.format(first=1, last=rows)}; PRAGMA wal_checkpoint(TRUNCATE)")
    return source


def copy(folder):
    source = source_of(folder, ROWS)
    expected = digest(source)
    times = {"whimbrel": [], "dump": [], "vacuum": []}
    cpu, peak, equal = [], [], True
    for run in range(RUNS):
        place = folder / f"copy-{run}"
        place.mkdir()
        start = time.monotonic()
        subprocess.run(f"sqlite3 {source} .dump | sqlite3 {place}/dump.db", shell=True, check=True)
        times["dump"].append(time.monotonic() - start)
        start = time.monotonic()
        sql(source, f"VACUUM INTO '{place}/vacuum.db'")
        with open(place / "vacuum.db", "rb") as file:
            os.fsync(file.fileno())
        times["vacuum"].append(time.monotonic() - start)
        target = place / "target.db"
        daemon = Daemon(place, f"sqlite:{source}", f"sqlite:{target}")
        start = time.monotonic()
        daemon.retry("job", "start", "bench")
        daemon.wait("streaming")
        times["whimbrel"].append(time.monotonic() - start)
        cpu.append(daemon.cpu())
        peak.append(daemon.memory("VmHWM"))
        daemon.retry("job", "delete", "bench", "--yes")
        daemon.stop()
        equal &= digest(target) == expected and digest(place / "dump.db") == expected
        shutil.rmtree(place)
    ours, dump = median(times["whimbrel"]), median(times["dump"])
    print(f"copy of {ROWS} rows: whimbrel {ours:.2f} s ({ROWS / ours:,.0f} rows/s, {median(cpu) / ROWS * 1e6:.2f} CPU s a million,"
          f" peak {median(peak):.0f} MB), .dump | sqlite3 {dump:.2f} s, VACUUM INTO {median(times['vacuum']):.2f} s")
    print(f"  ratio to .dump: {dump / ours:.2f}x" if equal else "  the databases differ: no ratio")


def backlog(folder):
    changes = int(os.environ.get("CHANGES", "1000000"))
    rates, cpu, peak = [], [], []
    for run in range(RUNS):
        place = folder / f"backlog-{run}"
        place.mkdir()
        source, target = source_of(place, changes), place / "target.db"
        daemon = Daemon(place, f"sqlite:{source}", f"sqlite:{target}")
        daemon.retry("job", "start", "bench")
        daemon.wait("streaming", ", 0 changes behind")
        daemon.retry("job", "pause", "bench")
        daemon.wait("paused")
        third = changes // 3
        db = sqlite3.connect(source, isolation_level=None)
        for first in range(1, 2 * third, 1000):
            last = min(first + 999, 2 * third)
            db.execute("UPDATE wide SET a = a + 1, c = c || '!' WHERE id BETWEEN ? AND ?", (first, last))
        for first in range(changes + 1, changes + third, 1000):
            db.execute(FILL.format(first=first, last=min(first + 999, changes + third)))
        db.close()
        before, start = daemon.cpu(), time.monotonic()
        daemon.retry("job", "start", "bench")
        last = changes + third
        watch = sqlite3.connect(target)
        while not watch.execute("SELECT 1 FROM wide WHERE id = ?", (last,)).fetchone():
            time.sleep(0.01)
        took = time.monotonic() - start
        rates.append(3 * third / took)
        cpu.append((daemon.cpu() - before) / (3 * third) * 1e6)
        peak.append(daemon.memory("VmHWM"))
        daemon.wait(", 0 changes behind")
        same = digest(source) == digest(target)
        daemon.stop()
        shutil.rmtree(place)
        if not same:
            raise SystemExit("backlog: the databases differ: no figure")
    print(f"backlog of {changes} changes: {median(rates):,.0f} changes/s, {median(cpu):.2f} CPU s a million, peak {median(peak):.0f} MB")


def lag(folder, seconds=20, rate=1000):
    source, target = source_of(folder, 1000), folder / "target.db"
    daemon = Daemon(folder, f"sqlite:{source}", f"sqlite:{target}")
    daemon.retry("job", "start", "bench")
    daemon.wait("streaming")
    committed, seen, stop = {}, {}, threading.Event()

    def read():
        db = sqlite3.connect(target)
        last = 10_000_000
        while not stop.is_set():
            for (one,) in db.execute("SELECT id FROM wide WHERE id > ? ORDER BY id", (last,)).fetchall():
                seen[one] = time.monotonic()
                last = one
            time.sleep(0.001)

    reader = threading.Thread(target=read)
    reader.start()
    db = sqlite3.connect(source, isolation_level=None)
    start = time.monotonic()
    for n in range(1, seconds * rate + 1):
        db.execute("INSERT INTO wide(id, c) VALUES (?, 'lag')", (10_000_000 + n,))
        committed[10_000_000 + n] = time.monotonic()
        ahead = start + n / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    daemon.wait(", 0 changes behind")
    time.sleep(0.2)
    stop.set()
    reader.join()
    lags = sorted((seen[one] - at) * 1000 for one, at in committed.items())
    pick = lambda share: lags[int(len(lags) * share)]
    print(f"lag at {rate} changes/s: p50 {pick(0.5):.1f} ms, p99 {pick(0.99):.1f} ms, most {lags[-1]:.1f} ms ({len(lags)} commits)")
    daemon.stop()


def idle(folder, seconds=20):
    source, target = source_of(folder, 1000), folder / "target.db"
    daemon = Daemon(folder, f"sqlite:{source}", f"sqlite:{target}")
    daemon.retry("job", "start", "bench")
    daemon.wait("streaming")
    time.sleep(15)
    before = daemon.cpu()
    time.sleep(seconds)
    print(f"idle with one job: {(daemon.cpu() - before) / seconds * 100:.2f} % of a core, {daemon.memory('VmRSS'):.0f} MB")
    daemon.stop()


def memory(folder):
    source, target = source_of(folder, MANY), folder / "target.db"
    daemon = Daemon(folder, f"sqlite:{source}", f"sqlite:{target}")
    daemon.retry("job", "start", "bench")
    daemon.wait("streaming", every=0.2)
    print(f"peak while copying {MANY} rows: {daemon.memory('VmHWM'):.0f} MB")
    daemon.stop()
    daemon = Daemon(folder, f"sqlite:{source}", f"sqlite:{target}")
    daemon.wait("streaming")
    start = time.monotonic()
    sql(source, "UPDATE wide SET a = a + 1")
    print(f"  one transaction of {MANY} rows written in {time.monotonic() - start:.0f} s")
    daemon.wait(", 0 changes behind", every=0.2)
    print(f"peak through one transaction of {MANY} rows: {daemon.memory('VmHWM'):.0f} MB")
    same = digest(source) == digest(target)
    print("  equal" if same else "  the databases differ")
    daemon.stop()


def row(_):
    found = sorted((ROOT / "target" / "release" / "deps").glob("row-*"), key=os.path.getmtime)
    subprocess.run([[file for file in found if os.access(file, os.X_OK) and file.suffix == ""][-1]], check=True)


def main():
    wanted = sys.argv[1:] or ["copy", "backlog", "lag", "idle", "memory", "row"]
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as folder:
            globals()[name](pathlib.Path(folder))


if __name__ == "__main__":
    main()
