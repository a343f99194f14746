"""The release binary with one job: what every bench runs and measures."""

import atexit
import os
import pathlib
import socket
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "release" / "whimbrel"
TICKS = os.sysconf("SC_CLK_TCK")


def median(figures):
    return statistics.median(figures)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def cpu(pid):
    """Seconds that a process has used."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Daemon:
    """Its job `bench` goes from the URL `source` to the URL `target`; each may have options of its store, as TOML."""

    def __init__(self, folder, source, target, options=("", ""), tables=()):
        self.folder = pathlib.Path(folder)
        self.address = f"127.0.0.1:{free_port()}"
        config = self.folder / "bench.toml"
        config.write_text(
            f'listen = "{self.address}"\n[http]\nlisten = "off"\n[state]\ndir = "{self.folder}/state"\n[source]\nretain_after_apply_s = 5\n'
            f'[log]\nfilter = "warn"\n[stores.source]\nurl = "{source}"\n{options[0]}\n[stores.target]\nurl = "{target}"\n{options[1]}\n')
        job = self.folder / "bench.yaml"
        listed = f"  tables: {list(tables)}\n" if tables else ""
        # LANES: to try other numbers.
        lanes = f"apply:\n  lanes: {os.environ['LANES']}\n" if "LANES" in os.environ else ""
        job.write_text(f"name: bench\nsource:\n  store: source\n{listed}targets:\n  - store: target\n{lanes}")
        self.log = open(self.folder / "daemon.log", "ab")
        self.process = subprocess.Popen([BINARY, "serve", "--config", config], stderr=self.log)
        atexit.register(self.process.kill)
        self.retry("apply", "-f", job)

    def cli(self, *arguments):
        call = [BINARY, *map(str, arguments), "--server", self.address]
        return subprocess.run(call, capture_output=True, text=True)

    def retry(self, *arguments):
        for _ in range(400):
            done = self.cli(*arguments)
            if done.returncode == 0:
                return
            time.sleep(0.02)
        raise SystemExit(f"{arguments}: {done.stdout}{done.stderr}")

    def state(self):
        # What it advises to type next names states, too.
        return self.cli("status", "bench").stdout.split("next:")[0]

    def wait(self, *words, every=0.02):
        while True:
            text = self.state()
            if all(word in text for word in words):
                return
            if "failed" in text or "lost" in text:
                raise SystemExit(text)
            time.sleep(every)

    def cpu(self):
        return cpu(self.process.pid)

    def memory(self, key):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(key):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
