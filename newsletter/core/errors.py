"""The one error tree: everything a person can mend derives from NewsletterError."""

from typing import Any

from newsletter.core.sentences import Sentence, joined, say


class NewsletterError(Exception):
    """Base of all errors that are shown to a person as one clear sentence, never as a traceback.

    Attributes:
        sentence: what is said; `str(error)` is its English.
    """

    def __init__(self, sentence: Sentence) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __reduce__(self) -> tuple[Any, ...]:
        """Handed on by another process it is as it was, whatever its maker takes."""
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(
    kind: type[NewsletterError], args: tuple[Any, ...], facts: dict[str, Any]
) -> NewsletterError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class InputError(NewsletterError):
    """Bad input: names the place and what was expected.

    Attributes:
        place: file, `file:line`, field or option the input came from.
        problem: what was found and what was expected instead.
    """

    def __init__(self, place: str, problem: Sentence) -> None:
        super().__init__(say("%(place)s: %(problem)s", place=place, problem=problem))
        self.place = place
        self.problem = problem


class NotFoundError(NewsletterError):
    """Something was named that does not exist.

    Attributes:
        kind: the glossary's word for the thing, such as `list`; a literal, as in `say`.
        name: what was asked for.
    """

    def __init__(self, kind: str, name: object, hint: Sentence | None = None) -> None:
        thing = Sentence(kind, {})
        missing = say("there is no %(kind)s %(name)r", kind=thing, name=str(name))
        super().__init__(joined("; ", [missing, hint]) if hint else missing)
        self.kind = kind
        self.name = str(name)


class RefusedError(NewsletterError):
    """A well-formed request that the present state of things forbids, such as sending twice."""


class BusyError(NewsletterError):
    """The database is held by somebody else for longer than anybody should wait."""


class ConfigurationError(NewsletterError):
    """The settings or the environment do not allow the system to start or to send."""


class SchemaError(ConfigurationError):
    """The database's tables are not those this version needs."""
