"""Questions to a TCP port: is it free, and does TekNav answer there."""

import asyncio
import socket

from app.embedded.errors import CannotStart


def reach(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def address(host: str, port: int) -> str:
    place = reach(host)
    return f"http://[{place}]:{port}" if ":" in place else f"http://{place}:{port}"


async def wait_for_port(host: str, port: int, seconds: float) -> None:
    """Return when the port is free.

    Raises:
        CannotStart: it is still taken after `seconds`, or the host is not an address of this machine.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            family, kind, proto, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, proto) as candidate:
                candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                candidate.bind(place)
                return
        except PermissionError as error:
            raise CannotStart(f"PORT {port} needs more rights: set PORT to 1024 or more.") from error
        except socket.gaierror as error:
            raise CannotStart(f"HOST {host} is not an address: set HOST to one of this machine's.") from error
        except OSError as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise CannotStart(
                    f"PORT {port} on {host} cannot be used ({error.strerror}): set PORT or HOST to another."
                ) from error
        await asyncio.sleep(0.1)


async def ready(host: str, port: int) -> bool:
    """Whether `GET /health/ready` answers 200 within two seconds."""
    request = f"GET /health/ready HTTP/1.1\r\nHost: {reach(host)}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(reach(host), port)
            try:
                writer.write(request.encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]
