"""What email-validator finds wrong with an address, in sentences that can be translated."""

from collections.abc import Mapping

from newsletter.core.sentences import Sentence, quoted, say

_KNOWN: Mapping[str, Sentence] = {
    known: known
    for known in (
        say("An email address must have an @-sign."),
        say("There must be something before the @-sign."),
        say("There must be something after the @-sign."),
        say("A display name and angle brackets around the email address are not permitted here."),
        say("The part after the @-sign is not valid. It should have a period."),
        say("The part after the @-sign is not valid. It is not within a valid top-level domain."),
        say(
            "The part after the @-sign is a special-use or reserved name that cannot be used "
            "with email."
        ),
        say("The part after the @-sign contains invalid characters"),
        say("The email address contains invalid characters before the @-sign"),
        say("An email address cannot have two periods in a row."),
        say("An email address cannot have a period immediately before the @-sign."),
        say("An email address cannot have a period immediately after the @-sign."),
        say("An email address cannot start with a period."),
        say("An email address cannot end with a period."),
    )
}
"""What people really mistype; of sentences that name characters, the part before the colon."""


def in_words(error: Exception) -> Sentence:
    """What the library says; what is not among the known is nobody's to translate."""
    problem, colon, characters = str(error).partition(": ")
    known = _KNOWN.get(problem)
    if known is None:
        return quoted(error)
    if not colon:
        return known
    return say("%(problem)s: %(characters)s", problem=known, characters=characters)
