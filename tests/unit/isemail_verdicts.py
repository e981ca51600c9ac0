"""Our verdict on each case of the is_email test set (version 3.05), by its number, with the reason.

The cases are Dominic Sayers' and Michael Rushton's, under the licence beside the corpus; here are
their numbers alone. is_email asks what a parser may read; we ask whom we would mail.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Cases judged alike.

    Attributes:
        category: of is_email, where all of them share it; else empty.
        why: where we and is_email part.
    """

    taken: bool
    cases: tuple[int, ...]
    category: str
    why: str


VERDICTS = (
    Verdict(
        taken=True,
        cases=(8, 9, 10, 11, 14, 19, 21, 22, 25, 29, 32, 100, 101),
        category="ISEMAIL_VALID_CATEGORY",
        why="agreed: an address",
    ),
    Verdict(
        taken=False,
        cases=(
            *(1, 2, 3, 4, 6, 7, 15, 16, 17, 18, 20, 30, 31, 34, 35, 36, 44, 47, 49, 50, 51, 52),
            *(53, 57, 62, 91, 94, 102, 103, 104, 105, 106, 107, 108, 109, 110, 113, 114, 118),
            *(119, 122, 123, 129, 130, 131, 133, 135, 136, 137, 160),
        ),
        category="ISEMAIL_ERR",
        why="agreed: no address",
    ),
    Verdict(
        taken=True,
        cases=(12, 13, 27, 33, 37, 38, 167, 168),
        category="ISEMAIL_DNSWARN",
        why="well-formed; whether the domain takes mail is asked where somebody signs up, not here",
    ),
    Verdict(
        taken=True,
        cases=(
            *(88, 89, 99, 127, 128, 132, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150, 151),
            *(152, 153, 154, 155, 156, 157, 158),
        ),
        category="",
        why="white space and line ends around an address, from a form or file, are cut off first",
    ),
    Verdict(
        taken=False,
        cases=(5, 166),
        category="",
        why="a domain without a dot is a name of one's own network: no mail comes out there",
    ),
    Verdict(
        taken=False,
        cases=(23, 24),
        category="ISEMAIL_RFC5321",
        why="there is no top-level domain of digits; 255.255.255.255 is an IP address, mistyped",
    ),
    Verdict(
        taken=False,
        cases=(26, 28, 39, 40, 41),
        category="ISEMAIL_RFC5322",
        why="longer than SMTP carries (RFC 5321 section 4.5.3.1): is_email warns, we refuse",
    ),
    Verdict(
        taken=False,
        cases=(42, 43, 45, 46, 48, 54, 55, 56, 58, 59, 60, 124, 125, 134, 138, 139),
        category="",
        why="a quoted local part: RFC 5321 advises against it, no provider gives one, and the "
        "control characters and quotes that it lets in are what injections are made of",
    ),
    Verdict(
        taken=False,
        cases=(
            *(61, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82),
            *(83, 84, 112, 115, 116, 117, 120, 159),
        ),
        category="",
        why="an address literal names a machine, not a person's mailbox; nobody subscribes with it",
    ),
    Verdict(
        taken=False,
        cases=(85, 86, 87),
        category="ISEMAIL_DEPREC",
        why="white space within: obsolete since RFC 5322, and in a form a slip of the hand",
    ),
    Verdict(
        taken=False,
        cases=(90, 92, 93, 95, 96, 97, 98, 121, 126, 140, 165),
        category="",
        why="a comment is part of a header, not of the address that goes into RCPT TO",
    ),
    Verdict(
        taken=False,
        cases=(161,),
        category="ISEMAIL_RFC5322",
        why="a slash cannot be in the name of a host",
    ),
)
