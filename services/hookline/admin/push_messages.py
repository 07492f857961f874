"""Push settings as messages."""

from hookline.admin import fields
from hookline.core.subscription import Push, PushTls
from hookline.v1 import subscription_pb2 as pb

_MOST_EVENTS = 10_000
_MOST_CALLS = 1_000
_LONGEST_PATH = 4096


def read_push(path: str, message: pb.Push) -> Push:
    """The settings that a message describes; what isn't set is as usual.

    Raises:
        RpcError: It describes none; says where.
    """
    usual = Push(target="")
    target = fields.text(f"{path}.target", message.target, longest=1024)
    if not target or " " in target:
        raise fields.wrong(
            f"{path}.target", f'is {fields.shown(target)}; name a gRPC target such as "dns:///scoring:50051"'
        )
    return Push(
        target=target,
        max_events=_number(f"{path}.max_events", message.max_events, usual.max_events, _MOST_EVENTS),
        deadline=(
            fields.duration(f"{path}.deadline", message.deadline)
            if message.HasField("deadline")
            else usual.deadline
        ),
        concurrency=_number(f"{path}.concurrency", message.concurrency, usual.concurrency, _MOST_CALLS),
        tls=_read_tls(f"{path}.tls", message.tls) if message.HasField("tls") else None,
    )


def write_push(push: Push) -> pb.Push:
    """The message that describes the settings."""
    message = pb.Push(target=push.target, max_events=push.max_events, concurrency=push.concurrency)
    message.deadline.FromTimedelta(push.deadline)
    if push.tls is not None:
        message.tls.CopyFrom(
            pb.PushTls(
                ca_file=push.tls.ca_file,
                certificate_file=push.tls.certificate_file,
                key_file=push.tls.key_file,
                server_name=push.tls.server_name,
            )
        )
    return message


def _read_tls(path: str, message: pb.PushTls) -> PushTls:
    if bool(message.certificate_file) is not bool(message.key_file):
        missing = "key_file" if message.certificate_file else "certificate_file"
        raise fields.wrong(f"{path}.{missing}", "is empty; a certificate and its key go together")
    return PushTls(
        ca_file=fields.text(f"{path}.ca_file", message.ca_file, longest=_LONGEST_PATH),
        certificate_file=fields.text(
            f"{path}.certificate_file", message.certificate_file, longest=_LONGEST_PATH
        ),
        key_file=fields.text(f"{path}.key_file", message.key_file, longest=_LONGEST_PATH),
        server_name=fields.text(f"{path}.server_name", message.server_name),
    )


def _number(path: str, value: int, usual: int, most: int) -> int:
    """A positive number; 0 is as usual."""
    if not 0 <= value <= most:
        raise fields.wrong(path, f"is {value}; it must be 1 to {most}, or 0 for {usual}")
    return value or usual
