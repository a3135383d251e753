"""A front for PostgreSQL with TLS, as managed databases have it: the test server only listens on a Unix socket."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@dataclass
class TlsFront:
    """Where it listens, the certificate to trust, and whether each connection was encrypted."""

    port: int
    certificate: Path
    encrypted: list[bool] = field(default_factory=list)


@contextlib.asynccontextmanager
async def tls_front(socket: Path, folder: Path, *, has_tls: bool = True) -> AsyncIterator[TlsFront]:
    """Serve PostgreSQL's socket on a port of 127.0.0.1, with or without TLS."""
    context, certificate = local_certificate(folder)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(8)
        is_request = head == SSL_REQUEST
        if is_request:
            writer.write(b"S" if has_tls else b"N")
            await writer.drain()
            if has_tls:
                await writer.start_tls(context)
        front.encrypted.append(is_request and has_tls)
        upstream, downstream = await asyncio.open_unix_connection(socket)
        downstream.write(b"" if is_request else head)
        await asyncio.gather(_pipe(reader, downstream), _pipe(upstream, writer))

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        plain = writer.transport
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # a client that does not trust it leaves
            await serve(reader, writer)
        writer.transport.abort()
        plain.abort()

    tasks: list[asyncio.Task[object]] = []
    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    front = TlsFront(server.sockets[0].getsockname()[1], certificate)
    try:
        yield front
    finally:
        server.close()
        await asyncio.gather(*tasks)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


def local_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context with a new certificate for localhost, and its file; `key.pem` is beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    names = [x509.DNSName("localhost"), *addresses]
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "database")]), datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    return context, files[0]
