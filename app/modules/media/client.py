"""Where the bytes of files lie, what they are, and the pictures that are made of them."""

import io
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID

from app.core.settings import Settings

PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/webp": "WEBP"}
KINDS = (*PICTURES, "application/pdf")
WIDTHS = (320, 960, 1600)
MOST_PIXELS, LONGEST_SIDE = 40_000_000, 16_000
WEBP, QUALITY = "image/webp", 80
ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "application/x-pdf": "application/pdf"}


class NotAPicture(Exception):
    """The bytes cannot be read as the picture that they begin like; the message is for whoever sent them."""


class Folder:
    """A folder with one below it for each tenant. Web and workers on several hosts need to share it.

    All of it blocks: call it in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, tenant_id: UUID, name: str, data: bytes) -> None:
        """Whole or not at all; what was there under this name is replaced."""
        path = self._path / str(tenant_id) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{name}.{os.getpid()}.part")
        beside.write_bytes(data)
        beside.replace(path)

    def get(self, tenant_id: UUID, name: str) -> bytes:
        """
        Raises:
            FileNotFoundError.
        """
        return (self._path / str(tenant_id) / name).read_bytes()

    def remove(self, tenant_id: UUID, names: Iterable[str]) -> None:
        for name in names:
            (self._path / str(tenant_id) / name).unlink(missing_ok=True)

    def older(self, seconds: float) -> Iterator[tuple[str, str]]:
        """Tenant and name of all that has lain there for so long."""
        before = time.time() - seconds
        for folder in self._path.glob("*"):
            yield from ((folder.name, path.name) for path in folder.glob("*") if path.stat().st_mtime < before)

    def discard(self, tenant: str, name: str) -> None:
        (self._path / tenant / name).unlink(missing_ok=True)


def folder_of(settings: Settings) -> Folder:
    return Folder(settings.data_dir / "files")


def kind_of(data: bytes) -> str | None:
    """The media type that the first bytes say; None for what is not taken."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return "application/pdf" if data.startswith(b"%PDF-") else None


def size_of(kind: str, data: bytes) -> tuple[int, int]:
    """Width and height, from the header alone: nothing is decoded.

    Raises:
        NotAPicture: it is broken, or too large to be decoded.
    """
    # Here and below, because most processes never see a picture.
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=[PICTURES[kind]]) as picture:
            width, height = picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NotAPicture("it cannot be read as the picture that it begins like") from error
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE or min(width, height) < 1:
        raise NotAPicture(f"it has {width:,} × {height:,} pixels; {MOST_PIXELS:,} are allowed")
    return width, height


def smaller(kind: str, data: bytes) -> list[tuple[int, int, bytes]]:
    """The picture as WebP in several sizes: width, height and bytes. Turned as the camera noted, without its notes.

    Notes that cannot be read turn nothing.

    Raises:
        NotAPicture: it is broken.
    """
    from PIL import Image, ImageOps

    size_of(kind, data)
    try:
        with Image.open(io.BytesIO(data), formats=[PICTURES[kind]]) as opened:
            opened.load()
            try:
                turned = ImageOps.exif_transpose(opened)
            except Exception:
                turned = opened
            picture = turned.convert("RGBA" if opened.has_transparency_data else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NotAPicture(f"it cannot be decoded: {error}") from error
    widths = [*(width for width in WIDTHS if width < picture.width), min(picture.width, WIDTHS[-1])]
    made = []
    for width in dict.fromkeys(widths):
        height = max(1, round(picture.height * width / picture.width))
        out = io.BytesIO()
        picture.resize((width, height), Image.Resampling.LANCZOS).save(out, "WEBP", quality=QUALITY, exif=b"")
        made.append((width, height, out.getvalue()))
    return made
