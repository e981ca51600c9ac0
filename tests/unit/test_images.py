"""Uploaded pictures become small, clean ones, or a sentence that says why not."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from newsletter.core.errors import InputError
from newsletter.issues import images

COLOUR = (200, 60, 20)


def written(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def read(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def with_place() -> bytes:
    """A photograph lying on its side, with where it was taken and a comment."""
    picture = Image.new("RGB", (40, 20), COLOUR)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "Somebody's kitchen"
    exif.get_ifd(0x8825)[1] = "N"
    return written(picture, "JPEG", exif=exif, comment=b"a secret")


def test_a_photograph_stands_upright_and_tells_nothing() -> None:
    upload = with_place()
    assert b"kitchen" in upload
    made = images.make(upload)
    assert (made.mime, made.width, made.height) == ("image/jpeg", 20, 40)
    assert b"kitchen" not in made.data
    assert b"a secret" not in made.data
    assert b"Exif" not in made.data


def test_text_in_a_png_goes() -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("Author", "Ada Secret")
    made = images.make(written(Image.new("RGB", (4, 4)), "PNG", pnginfo=note))
    assert made.mime == "image/png"
    assert b"Ada Secret" not in made.data


def test_a_wide_picture_becomes_1200_wide() -> None:
    made = images.make(written(Image.new("RGB", (3000, 1000), COLOUR), "WEBP"))
    assert (made.mime, made.width, made.height) == ("image/jpeg", 1200, 400)
    assert read(made.data).size == (1200, 400)


def test_what_is_transparent_stays_so() -> None:
    made = images.make(written(Image.new("RGBA", (10, 10), (1, 2, 3, 0)), "WEBP"))
    assert made.mime == "image/png"
    assert read(made.data).getpixel((5, 5))[3] == 0


def test_of_a_moving_picture_the_first_frame_stays() -> None:
    frames = [Image.new("P", (8, 8), number) for number in range(3)]
    made = images.make(written(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert made.mime == "image/png"
    assert getattr(read(made.data), "n_frames", 1) == 1


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is this large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "upload",
    [
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        bomb(8_000, 5_000),
        bomb(7_000, 7_000),
        bomb(10_000, 10_000),
        bomb(60_000, 60_000),
        bomb(100, 100),
        with_place()[:200],
        b"GIF89a" + b"\xff" * 50,
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\0" * 40,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"x" * (images.MAX_UPLOAD_BYTES + 1),
    ],
)
def test_what_is_no_picture_or_a_bomb_is_refused_in_a_sentence(upload: bytes) -> None:
    with pytest.raises(InputError, match="expected"):
        images.make(upload)


def test_a_small_file_of_many_pixels_is_refused_before_it_is_read() -> None:
    with pytest.raises(InputError, match="at most 24 million pixels, found 8,000 by 5,000"):
        images.make(bomb(8_000, 5_000))


def test_a_photograph_may_have_more_pixels_unless_it_is_held_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 300)
    monkeypatch.setattr(images, "MAX_PHOTOGRAPH_PIXELS", 500)
    picture = Image.new("RGB", (20, 20), COLOUR)
    assert images.make(written(picture, "JPEG")).width == 20
    for upload in (
        written(picture, "JPEG", progressive=True),
        written(picture, "PNG"),
        written(picture.resize((30, 20)), "JPEG"),
    ):
        with pytest.raises(InputError, match="million pixels"):
            images.make(upload)


@pytest.mark.parametrize(("orientation", "size"), [(1, (1200, 600)), (6, (1200, 2400))])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_made_small_before_anything_else(
    monkeypatch: pytest.MonkeyPatch, kind: str, orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upload = written(Image.new("RGB", (4800, 2400), COLOUR), kind, exif=exif)
    seen = []
    convert = Image.Image.convert

    def watched(self: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        seen.append(self.width * self.height)
        return convert(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "convert", watched)
    read_as = []
    resize = Image.Image.resize

    def resized(self: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        read_as.append(self.width * self.height)
        return resize(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", resized)
    made = images.make(upload)
    assert (made.width, made.height) == size
    assert seen
    assert max(seen) <= size[0] * size[1]
    assert kind == "PNG" or max(read_as) <= 4 * size[0] * size[1]


def test_a_palette_with_a_transparent_colour_is_made_small_without_edges() -> None:
    picture = Image.new("P", (2400, 20), 0)
    picture.putpalette([0, 0, 0, *COLOUR])
    picture.paste(1, (1200, 0, 2400, 20))
    made = read(images.make(written(picture, "PNG", transparency=0)).data)
    assert made.size == (1200, 10)
    assert made.getpixel((100, 5))[3] == 0
    assert made.getpixel((1100, 5)) == (*COLOUR, 255)


def test_of_all_pictures_one_is_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clean, held = images._clean, []

    def watched(opened: Image.Image) -> Image.Image:
        held.append(images._ONE_AT_A_TIME.locked())
        return clean(opened)

    monkeypatch.setattr(images, "_clean", watched)
    images.make(with_place())
    assert held == [True]
    with pytest.raises(InputError):
        images.make(b"not a picture")
    assert not images._ONE_AT_A_TIME.locked()
