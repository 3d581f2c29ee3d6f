"""The quickstart in Python, on the gRPC client that `pnpm generate --lang python` wrote from the contracts."""

import os
import sys

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from mecha.state.v1 import state_pb2 as pb
from mecha.state.v1.state_pb2_grpc import StateServiceStub


def main() -> None:
    state = connect()
    for item in state.List(pb.ListRequest(prefix="py-", keys_only=True)).items:
        state.Delete(pb.DeleteRequest(key=item.key))

    # Set and get. An absent key is no error.
    state.Set(pb.SetRequest(key="py-1", value=b"teapot", content_type="text/plain"))
    first = state.Get(pb.GetRequest(key="py-1")).item
    assert first.value == b"teapot", first
    assert not state.Get(pb.GetRequest(key="py-99")).HasField("item")
    proves("set and get")

    # Compare and set: who writes with an old etag is refused, reads again, and then succeeds.
    state.Set(pb.SetRequest(key="py-1", value=b"cup"))
    condition = pb.Precondition(etag=first.etag)
    assert refusal(state.Set, pb.SetRequest(key="py-1", value=b"spoon", precondition=condition)) == "ETAG_MISMATCH"
    condition = pb.Precondition(etag=state.Get(pb.GetRequest(key="py-1")).item.etag)
    state.Set(pb.SetRequest(key="py-1", value=b"spoon", precondition=condition))
    proves("compare-and-set conflict and retry")

    # A transaction: all of it or nothing.
    write = pb.Operation(set=pb.SetOperation(key="py-2", value=b"saucer"))
    check = pb.Operation(check=pb.CheckOperation(key="py-1", precondition=pb.Precondition(absent=True)))
    assert refusal(state.Transact, pb.TransactRequest(operations=[write, check])) == "ALREADY_EXISTS"
    assert not state.Get(pb.GetRequest(key="py-2")).HasField("item")
    state.Transact(pb.TransactRequest(operations=[write]))
    proves("a transaction: all or nothing")

    # List by prefix, in order.
    keys = [item.key for item in state.List(pb.ListRequest(prefix="py-", keys_only=True)).items]
    assert keys == ["py-1", "py-2"], keys
    proves("list")

    # Watch: what is there, then `synced`, then changes. The item lives for 300 ms, and the watch tells when it is gone.
    request = pb.SetRequest(key="py-draft", value=b"")
    request.ttl.FromMilliseconds(300)
    state.Set(request)
    seen = []
    changes = state.Watch(pb.WatchRequest(key="py-draft"), timeout=10)
    for change in changes:
        seen.append(change.WhichOneof("change"))
        if change.HasField("deleted"):
            assert change.deleted.expired
            break
    changes.cancel()
    assert seen == ["item", "synced", "deleted"], seen
    assert not state.Get(pb.GetRequest(key="py-draft")).HasField("item")
    proves("watch, and items that expire")


def connect() -> StateServiceStub:
    """Finds the runtime where `mecha run` says it is, and proves with the token which app this is."""
    endpoint = os.environ.get("MECHA_ENDPOINT", "http://127.0.0.1:3600").removeprefix("http://")
    channel = grpc.insecure_channel(endpoint)
    token = os.environ.get("MECHA_API_TOKEN")
    if token:
        channel = grpc.intercept_channel(channel, Bearer(token))
    return StateServiceStub(channel)


class Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Sends the token with every call."""

    def __init__(self, token: str) -> None:
        self._metadata = ("authorization", f"Bearer {token}")

    def _intercept(self, next_call, details, request):
        metadata = [*(details.metadata or ()), self._metadata]
        return next_call(details._replace(metadata=metadata), request)

    intercept_unary_unary = _intercept
    intercept_unary_stream = _intercept


def refusal(method, request) -> str:
    """Calls what must be refused, and returns why it was."""
    try:
        method(request)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            info = ErrorInfo()
            if detail.Unpack(info):
                return info.reason
        raise
    sys.exit(f"{request} should have been refused")


def proves(what: str) -> None:
    print(f"python: {what}", flush=True)


if __name__ == "__main__":
    main()
