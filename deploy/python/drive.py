"""Drives one job from Python, start to end: create, start, watch, pause, delete.

Make the stubs once, beside this file, then run it against a daemon whose config names the stores `shop` and `copy`:

    pip install grpcio grpcio-tools grpcio-status
    python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/whimbrel/v1/*.proto
    python drive.py --server 127.0.0.1:7411 --source shop --target copy

With TLS and a token: --ca ca.pem --token-file token; where the daemon asks for a certificate, also
--certificate me.pem --key me.key.
"""

import argparse
import sys

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from whimbrel.v1 import job_pb2, job_pb2_grpc, plan_pb2, spec_pb2


def connect(arguments):
    """A channel, and the metadata that every call carries."""
    metadata = []
    if arguments.token_file:
        with open(arguments.token_file) as file:
            metadata = [("authorization", f"Bearer {file.read().strip()}")]
    if not arguments.ca:
        return grpc.insecure_channel(arguments.server), metadata
    files = [arguments.ca, arguments.key, arguments.certificate]
    credentials = grpc.ssl_channel_credentials(*(name and open(name, "rb").read() for name in files))
    return grpc.secure_channel(arguments.server, credentials), metadata


def explain(error):
    """What the daemon says, its reason for programs, and what to type next."""
    text = f"{error.code().name}: {error.details()}"
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info, help_ = error_details_pb2.ErrorInfo(), error_details_pb2.Help()
        if detail.Unpack(info):
            text = f"{info.reason} {text}"
        elif detail.Unpack(help_):
            text += "".join(f"\nhint: {link.description}" for link in help_.links)
    return text


def watch_until(jobs, metadata, name, goal):
    """Prints each new state and returns when the job is in `goal`; a failed job ends the program."""
    last = None
    for message in jobs.WatchJob(job_pb2.WatchJobRequest(name=name), metadata=metadata):
        status = message.job.status
        state = job_pb2.ObservedState.Name(status.observed_state).removeprefix("OBSERVED_STATE_")
        if state != last:
            print(f"{name}: {state}", flush=True)
            last = state
        if state == goal:
            return
        if state in ("FAILED", "LOST"):
            sys.exit(f"{status.error.text}\nhint: {status.error.hint}")
    if goal != "GONE":
        sys.exit(f"{name} is gone")
    print(f"{name}: GONE", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="127.0.0.1:7411")
    parser.add_argument("--ca")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--token-file")
    parser.add_argument("--name", default="from-python")
    parser.add_argument("--source", default="shop")
    parser.add_argument("--target", default="copy")
    arguments = parser.parse_args()
    channel, metadata = connect(arguments)
    name = arguments.name
    spec = spec_pb2.JobSpec(
        name=name,
        labels={"made-by": "python"},
        source=spec_pb2.SourceSpec(store=arguments.source),
        targets=[spec_pb2.TargetSpec(store=arguments.target)],
    )
    with channel:
        jobs = job_pb2_grpc.JobServiceStub(channel)
        try:
            plan = jobs.PlanJob(plan_pb2.PlanJobRequest(spec=spec), metadata=metadata)
            print(f"plan: {'ok' if plan.ok else 'blocked'}, {len(plan.tables)} tables")
            jobs.CreateJob(job_pb2.CreateJobRequest(spec=spec, request_id=name), metadata=metadata)
            jobs.StartJob(job_pb2.StartJobRequest(name=name), metadata=metadata)
            watch_until(jobs, metadata, name, "STREAMING")
            pause = job_pb2.PauseJobRequest(name=name, max_pause=duration_pb2.Duration(seconds=3600))
            jobs.PauseJob(pause, metadata=metadata)
            watch_until(jobs, metadata, name, "PAUSED")
            jobs.DeleteJob(job_pb2.DeleteJobRequest(name=name), metadata=metadata)
            watch_until(jobs, metadata, name, "GONE")
        except grpc.RpcError as error:
            sys.exit(explain(error))


if __name__ == "__main__":
    main()
