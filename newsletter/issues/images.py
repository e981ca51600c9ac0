"""Pictures of issues: made small and clean once, when they are uploaded."""

import io
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from PIL import Image as Picture
from PIL import ImageCms, ImageOps
from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from newsletter.core.errors import InputError, NotFoundError
from newsletter.issues.markdown_writing import escaped
from newsletter.issues.models import Image

MAX_UPLOAD_BYTES = 10_000_000
MAX_PIXELS = 40_000_000
MAX_WIDTH = 1_200
"""Twice the mail's column, for dense screens."""

MAX_HEIGHT = 4_000
MAX_ALT_CHARACTERS = 500
_LONGEST_NAME = 200
_HASH_CHARACTERS = 16
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png"}
_JPEG_QUALITY = 85
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    MemoryError,
    struct.error,
    Picture.DecompressionBombError,
    Picture.DecompressionBombWarning,
)
"""What a file that is no picture, or a damaged one, comes to in Pillow."""


@dataclass(frozen=True, slots=True)
class Made:
    """A picture as it will be served."""

    data: bytes
    mime: str
    width: int
    height: int


def make(upload: bytes) -> Made:
    """An uploaded picture upright, at most 1,200 pixels wide, without anything but its pixels.

    What a camera wrote about place and person goes. Of a moving picture the first frame stays.
    Slow: outside of any transaction.

    Raises:
        InputError: it is too large, or no picture that we can read.
    """
    if len(upload) > MAX_UPLOAD_BYTES:
        raise InputError("image", f"expected at most {MAX_UPLOAD_BYTES // 1_000_000} MB")
    try:
        with Picture.open(io.BytesIO(upload), formats=_FORMATS) as opened:
            _refuse_huge(*opened.size)
            kept_sharp = opened.format in ("PNG", "GIF")
            return _written(_clean(opened), kept_sharp=kept_sharp)
    except _UNREADABLE:
        raise InputError(
            "image", "expected a picture as JPEG, PNG, GIF or WebP; this file cannot be read as one"
        ) from None


def add(
    session: Session,
    newsletter_id: int,
    made: Made,
    *,
    alt: str,
    name: str,
    uploaded_by: int | None,
) -> Image:
    """Keep a picture; the same one again is not kept twice. An empty `alt`: it is decoration."""
    digest = sha256(made.data).hexdigest()
    found = session.scalar(
        select(Image).where(Image.newsletter_id == newsletter_id, Image.sha256 == digest)
    )
    if found is not None:
        found.alt = _line(alt, MAX_ALT_CHARACTERS) or found.alt
        return found
    image = Image(
        newsletter_id=newsletter_id,
        sha256=digest,
        mime=made.mime,
        width=made.width,
        height=made.height,
        size_bytes=len(made.data),
        data=made.data,
        alt=_line(alt, MAX_ALT_CHARACTERS),
        name=_line(name.replace("\\", "/").rpartition("/")[2], _LONGEST_NAME),
        uploaded_by=uploaded_by,
    )
    session.add(image)
    session.flush()
    return image


def latest(session: Session, newsletter_id: int, *, most: int = 60) -> Sequence[Image]:
    """The newsletter's pictures without their bytes, the latest first."""
    return session.scalars(
        select(Image)
        .where(Image.newsletter_id == newsletter_id)
        .order_by(Image.id.desc())
        .limit(most)
    ).all()


def path(image: Image) -> str:
    """Where it is served, for ever: the bytes of a name never change."""
    return f"/i/{image.id}-{image.sha256[:_HASH_CHARACTERS]}.{_EXTENSIONS[image.mime]}"


def served(session: Session, name: str) -> Image:
    """The picture that `path` names, with its bytes; `name` is what stands behind `/i/`.

    Raises:
        NotFoundError: there is none of exactly that name.
    """
    number, _, _ = name.partition("-")
    found = None
    if number.isascii() and number.isdigit() and len(number) <= 9:  # noqa: PLR2004 - as ids go
        found = session.get(Image, int(number), options=[undefer(Image.data)])
    if found is None or path(found) != f"/i/{name}":
        raise NotFoundError("image", name[:80])
    return found


def markdown(image: Image, base_url: str) -> str:
    """What shows it in an issue's text; decoration says so."""
    url = f"{base_url}{path(image)}"
    words = [] if image.width >= MAX_WIDTH // 2 else [f"width={image.width}"]
    if not image.alt:
        words.append("decorative")
    title = f' "{" ".join(words)}"' if words else ""
    return f"![{escaped(image.alt)}]({url}{title})"


def _refuse_huge(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(
            "image",
            f"expected at most {MAX_PIXELS // 1_000_000} million pixels, "
            f"found {width:,} by {height:,}",
        )


def _clean(opened: Picture.Image) -> Picture.Image:
    """The pixels alone, upright and in the colours of the web."""
    opened.seek(0)
    opened.draft("RGB", (2 * MAX_WIDTH, 2 * MAX_HEIGHT))
    profile = opened.info.get("icc_profile")
    picture = ImageOps.exif_transpose(opened)
    see_through = picture.has_transparency_data
    picture = picture.convert("RGBA" if see_through else "RGB")
    if profile and not see_through:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB"))
            picture = made or picture
    picture.thumbnail((MAX_WIDTH, MAX_HEIGHT), Picture.Resampling.LANCZOS)
    clean = Picture.new(picture.mode, picture.size)
    clean.paste(picture)
    return clean


def _written(picture: Picture.Image, *, kept_sharp: bool) -> Made:
    """PNG where edges or transparency matter, JPEG for photographs."""
    file = io.BytesIO()
    if picture.mode == "RGBA" or kept_sharp:
        picture.save(file, "PNG", optimize=True)
        mime = "image/png"
    else:
        picture.save(file, "JPEG", quality=_JPEG_QUALITY, optimize=True, progressive=True)
        mime = "image/jpeg"
    return Made(file.getvalue(), mime, *picture.size)


def _line(text: str, most: int) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]
