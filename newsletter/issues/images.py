"""Pictures of issues: made small and clean once, when they are uploaded."""

import io
import re
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from math import ceil

from PIL import Image as Picture
from PIL import ImageCms, ImageOps
from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from newsletter.core.errors import InputError, NotFoundError
from newsletter.core.sentences import Count, say
from newsletter.issues.markdown_writing import escaped
from newsletter.issues.models import Image

MAX_UPLOAD_BYTES = 10_000_000
MAX_PIXELS = 24_000_000
MAX_PHOTOGRAPH_PIXELS = 50_000_000
"""Of a JPEG that is made smaller while it is read; a progressive one is held whole before."""

MAX_WIDTH = 1_200
"""Twice the mail's column, for dense screens."""

MAX_HEIGHT = 4_000
MAX_ALT_CHARACTERS = 500
_LONGEST_NAME = 200
_HASH_CHARACTERS = 16
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png"}
_IN_TEXT = re.compile(r"\0(/i/(\d{1,9})-[0-9a-f]{16}\.(?:jpg|png))")
_JPEG_QUALITY = 85
_REDUCING_GAP = 2.0
"""So much larger than what is wanted a picture may stay before it is made smaller with care."""

_MADE_SMALLER_AS_THEY_ARE = ("L", "RGB", "RGBA", "CMYK")
_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
_ONE_AT_A_TIME = threading.Lock()
"""A small file may hold a picture of a hundred megabytes: of these a process has one at a time."""
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
        raise InputError(
            "image", say("expected at most %(most)s MB", most=MAX_UPLOAD_BYTES // 1_000_000)
        )
    try:
        with (
            _ONE_AT_A_TIME,
            Picture.open(io.BytesIO(upload), formats=_FORMATS) as opened,
        ):
            _refuse_huge(opened)
            kept_sharp = opened.format in ("PNG", "GIF")
            return _written(_clean(opened), kept_sharp=kept_sharp)
    except _UNREADABLE:
        raise InputError(
            "image",
            say("expected a picture as JPEG, PNG, GIF or WebP; this file cannot be read as one"),
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


def describe(image: Image, alt: str) -> None:
    """What it shows, as the next text that shows it will say; empty: it is decoration."""
    image.alt = _line(alt, MAX_ALT_CHARACTERS)


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


def of_newsletter(session: Session, newsletter_id: int, image_id: int) -> Image:
    """One of its pictures, without the bytes.

    Raises:
        NotFoundError: it has no such picture.
    """
    found = session.get(Image, image_id)
    if found is None or found.newsletter_id != newsletter_id:
        raise NotFoundError("image", str(image_id))
    return found


def gone(session: Session, text: str, base_url: str) -> list[str]:
    """Addresses in the text of pictures that were ours and are no more."""
    named = {int(found[2]): found[1] for found in _IN_TEXT.finditer(text.replace(base_url, "\0"))}
    there = session.scalars(select(Image.id).where(Image.id.in_(named))).all() if named else ()
    return [f"{base_url}{named[number]}" for number in named if number not in there]


def markdown(image: Image, base_url: str) -> str:
    """What shows it in an issue's text; decoration says so."""
    url = f"{base_url}{path(image)}"
    words = [] if image.width >= MAX_WIDTH // 2 else [f"width={image.width}"]
    if not image.alt:
        words.append("decorative")
    title = f' "{" ".join(words)}"' if words else ""
    return f"![{escaped(image.alt)}]({url}{title})"


def _refuse_huge(opened: Picture.Image) -> None:
    is_read_smaller = opened.format in ("JPEG", "MPO") and not opened.info.get("progressive")
    most = MAX_PHOTOGRAPH_PIXELS if is_read_smaller else MAX_PIXELS
    width, height = opened.size
    if width * height > most:
        raise InputError(
            "image",
            say(
                "expected at most %(most)s million pixels, found %(width)s by %(height)s",
                most=most // 1_000_000,
                width=Count(width),
                height=Count(height),
            ),
        )


def _clean(opened: Picture.Image) -> Picture.Image:
    """The pixels alone, upright and in the colours of the web; made small before all else."""
    profile = opened.info.get("icc_profile")
    picture = ImageOps.exif_transpose(_small(opened))
    see_through = picture.has_transparency_data
    picture = picture.convert("RGBA" if see_through else "RGB")
    if profile and not see_through:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB"))
            picture = made or picture
    clean = Picture.new(picture.mode, picture.size)
    clean.paste(picture)
    return clean


def _small(opened: Picture.Image) -> Picture.Image:
    """Of a size that is served, still as the camera was held; a JPEG is not read in full."""
    opened.seek(0)
    lies = opened.getexif().get(_ORIENTATION) in _LYING
    room = (MAX_HEIGHT, MAX_WIDTH) if lies else (MAX_WIDTH, MAX_HEIGHT)
    _read_smaller(opened, room)
    picture = opened
    if opened.mode not in _MADE_SMALLER_AS_THEY_ARE or "transparency" in opened.info:
        picture = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
    picture.thumbnail(room, Picture.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    return picture


def _read_smaller(opened: Picture.Image, room: tuple[int, int]) -> None:
    """`thumbnail` asks for this too, but only of pictures that are larger both ways than `room`."""
    share = _REDUCING_GAP * min(room[0] / opened.width, room[1] / opened.height)
    opened.draft(None, (ceil(opened.width * share), ceil(opened.height * share)))


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
