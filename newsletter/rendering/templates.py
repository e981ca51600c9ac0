"""Find and fill the designers' files: an operator's own folder first, then the shipped one."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
    pass_context,
)
from jinja2.runtime import Context
from markupsafe import Markup

from newsletter.core.errors import ConfigurationError, InputError
from newsletter.core.sentences import quoted, say
from newsletter.rendering import speaking
from newsletter.rendering.compiled import ANY_PLACEHOLDER

TEXT_WIDTH = 72
DARK_SHEET = "dark.css"
_IN_WHEEL = Path(__file__).parents[1] / "templates" / "email"
_IN_CHECKOUT = Path(__file__).parents[2] / "templates" / "email"
_DESIGNERS_MISTAKES = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What an expression in a file may come to that is read without complaint: `{{ hours + "x" }}`."""


class TemplateError(InputError):
    """A designer's file is wrong: names the file and line."""


@dataclass(frozen=True)
class TemplateFolders:
    """Where templates are looked for, in order."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, own: Path | None = None) -> "TemplateFolders":
        """The operator's own folder, if there is one, before the shipped templates.

        Raises:
            ConfigurationError: the own folder does not exist.
        """
        shipped = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
        if own is None:
            return cls((shipped,))
        if not own.is_dir():
            raise ConfigurationError(say("templates.dir: %(own)s is not a folder", own=own))
        return cls((own, shipped))

    def render(self, name: str, variables: Mapping[str, Any]) -> str:
        """Fill one template; MJML and HTML escape what they are given.

        Raises:
            TemplateError: names the file and line, and what is wrong there.
        """
        try:
            return _environment(self.folders).get_template(name).render(variables)
        except TemplateNotFound as error:
            raise TemplateError(str(error.name), say("no such template")) from None
        except TemplateSyntaxError as error:
            raise TemplateError(f"{error.name}:{error.lineno}", quoted(error.message)) from None
        except UndefinedError as error:
            raise TemplateError(f"{name}:{_line_of(error, self.folders)}", quoted(error)) from None
        except _DESIGNERS_MISTAKES as error:
            problem = quoted(f"{type(error).__name__}: {error}")
            raise TemplateError(f"{name}:{_line_of(error, self.folders)}", problem) from None

    def of_issues(self) -> tuple[str, ...]:
        """The names of the templates that an issue can be set in: each has both parts of a mail."""
        both = [
            {file.stem for folder in self.folders for file in folder.glob(f"*.{kind}")}
            for kind in ("mjml", "txt")
        ]
        return tuple(sorted(set.intersection(*both)))

    def with_text(self, text: str) -> tuple[str, ...]:
        """Names of the files in which this stands as it is, such as the path of a picture."""
        sought = text.encode()
        files = {
            file.relative_to(folder).as_posix(): file
            for folder in reversed(self.folders)
            for file in folder.rglob("*")
            if file.is_file()
        }
        return tuple(sorted(name for name, file in files.items() if sought in file.read_bytes()))


@lru_cache(maxsize=4)
def _environment(folders: tuple[Path, ...]) -> Environment:
    """Kept per process; a designer's change is noticed by the file's time."""

    @pass_context
    def dark_rules(context: Context, prefix: str) -> Markup:
        """The dark style sheet; `prefix` narrows it to one mail program's marker."""
        sheet = environment.get_template(DARK_SHEET).render(context.get_all())
        return Markup(_prefixed(sheet, prefix))  # noqa: S704 - a designer's file

    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=_escapes,  # noqa: S701 - a function that escapes all but plain text
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    speaking.teach(environment)
    environment.globals["dark_rules"] = dark_rules
    environment.filters["fill"] = fill
    environment.filters["upper"] = _upper
    environment.filters["quote"] = lambda text: textwrap.indent(text, "> ", lambda _: True)
    return environment


def _escapes(name: str | None) -> bool:
    """All but the text part, which is no HTML."""
    return not (name or "").endswith(".txt")


def _upper(text: str) -> str:
    """Capitals, except in placeholders: a damaged one would be shown to readers."""
    pieces = ANY_PLACEHOLDER.split(str(text))
    return "".join(piece if n % 2 else piece.upper() for n, piece in enumerate(pieces))


def _prefixed(rules: str, prefix: str) -> str:
    """Every selector of a flat sheet behind `prefix`."""
    return re.sub(
        r"([^{}]+)(\{[^{}]*\})",
        lambda rule: ", ".join(f"{prefix}{one.strip()}" for one in rule[1].split(",")) + rule[2],
        rules,
    )


def fill(text: str, indent: str = "") -> str:
    """Text wrapped at 72 columns; long words such as URLs stay whole."""
    return textwrap.fill(
        text,
        TEXT_WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line_of(error: Exception, folders: tuple[Path, ...]) -> int:
    """The line of the innermost template the error came through."""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if any(trace.tb_frame.f_code.co_filename.startswith(str(f)) for f in folders):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
