"""A nameserver on a free port of 127.0.0.1 that answers from a table, over UDP."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

SILENT, BROKEN = "silent", "broken"
Zone = Mapping[str, Sequence[str] | str]
"""By domain: records such as `MX 10 mail`, or SILENT, or BROKEN; what is not there is not there."""


@dataclass
class Nameserver:
    """What was asked, in order, as (domain, type)."""

    port: int
    questions: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def nameserver(zone: Zone) -> Iterator[Nameserver]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        server = Nameserver(listening.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listening, server, zone))
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", server.port))
            thread.join()


def _serve(listening: socket.socket, server: Nameserver, zone: Zone) -> None:
    while True:
        wire, asker = listening.recvfrom(4096)
        if not wire:
            return
        query = dns.message.from_wire(wire)
        (question,) = query.question
        domain = question.name.to_text(omit_final_dot=True)
        server.questions.append((domain, dns.rdatatype.to_text(question.rdtype)))
        known = zone.get(domain)
        if known == SILENT:
            continue
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if known is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif isinstance(known, str):
            answer.set_rcode(dns.rcode.SERVFAIL)
        else:
            _fill(answer, known)
        listening.sendto(answer.to_wire(), asker)


def _fill(answer: dns.message.Message, records: Sequence[str]) -> None:
    (question,) = answer.question
    kind = dns.rdatatype.to_text(question.rdtype)
    found = [
        text for record in records for type_, _, text in [record.partition(" ")] if type_ == kind
    ]
    if found:
        answer.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *found))
