"""Pictures that a preview could not show, as findings beside the lines that name them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from newsletter.broadcasts.checking import Checked, in_order
from newsletter.core.sentences import Sentence, say
from newsletter.rendering import pictures
from newsletter.rendering.findings import Finding, Severity
from newsletter.web.outside_pictures import OutsidePictures


def outside(checked: Checked) -> list[str]:
    """Where the mail's pictures are that are not ours to serve."""
    return pictures.addresses(checked.email.html) if checked.email else []


def with_unseen(
    checked: Checked, text: str, known: OutsidePictures, gone: Iterable[str] = ()
) -> Checked:
    """Also with what a preview found out a moment ago; nothing is fetched here.

    `gone` are pictures of our own that were deleted.
    """
    problems = {url: known.problem(url) for url in outside(checked)}
    problems |= dict.fromkeys(gone, say("it was deleted"))
    found = list(_findings(problems, text))
    return replace(checked, findings=in_order([*checked.findings, *found])) if found else checked


def _findings(problems: Mapping[str, Sentence | None], text: str) -> Iterator[Finding]:
    for url, problem in problems.items():
        if problem:
            said = say(
                "a picture is not shown, readers may not see it either: %(url)s: %(problem)s",
                url=url[:200],
                problem=problem,
            )
            yield Finding("picture-unseen", Severity.WARNING, said, _line_of(url, text))


def _line_of(url: str, text: str) -> int | None:
    """Where it is named first; None: by the template."""
    at = text.find(url)
    return text.count("\n", 0, at) + 1 if at >= 0 else None
