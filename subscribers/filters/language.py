"""Segments as people write them: `status = active and attributes.plan = "pro"`. Pure."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NoReturn

from newsletter.core.sentences import Count, Sentence, say
from subscribers.filters import tree as tree_of
from subscribers.filters.tokens import SegmentError, Token, tokens, unquoted
from subscribers.filters.tree import (
    CHOICES,
    MAX_AMOUNT,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_TERMS,
    SEVERAL,
    TAGS,
    All,
    Attribute,
    Compare,
    Exists,
    Field,
    Filter,
    Moment,
    Not,
    On,
    Operator,
    Sample,
    Some,
    Value,
    Within,
)
from subscribers.filters.writing import written


def parse(text: str) -> Filter:
    """The tree that the text means.

    Raises:
        SegmentError: says where reading stopped and what was expected there.
    """
    if len(text) > MAX_CHARACTERS:
        raise SegmentError(
            text, MAX_CHARACTERS, say("at most %(most)s characters", most=Count(MAX_CHARACTERS))
        )
    tree = _Parser(text).whole()
    if len(written(tree)) > MAX_CHARACTERS:
        raise SegmentError(
            text,
            len(text),
            say("at most %(most)s characters written in full", most=Count(MAX_CHARACTERS)),
        )
    return tree


class _Parser:
    """Reads one text from the left to the right; `whole` is called once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._at = 0
        self._depth = 0
        self._terms = 0

    def whole(self) -> Filter:
        tree = self._some()
        if self._next.kind != "end":
            self._fail(say("`and`, `or` or the end"))
        return tree

    def _some(self) -> Filter:
        terms = [self._all()]
        while self._took("or"):
            terms.append(self._all())
        return Some(tuple(terms)) if len(terms) > 1 else terms[0]

    def _all(self) -> Filter:
        terms = [self._term()]
        while self._took("and"):
            terms.append(self._term())
        return All(tuple(terms)) if len(terms) > 1 else terms[0]

    def _term(self) -> Filter:
        self._depth += 1
        self._leave_room(0)
        if self._took("not"):
            term: Filter = Not(self._term())
        elif self._took("("):
            term = self._some()
            self._take(")")
        else:
            term = self._leaf()
        self._depth -= 1
        return term

    def _leaf(self) -> Filter:
        self._terms += 1
        if self._terms > MAX_TERMS:
            self._fail(say("at most %(most)s terms", most=MAX_TERMS))
        word = self._next
        if word.kind == "word":
            if word.text in ("list", "tag"):
                return self._list_or_tag()
            if word.text in ("on", "sample") or word.text.endswith("_within"):
                return self._call()
        field = self._field()
        if self._took("exists"):
            return Exists(field)
        if self._took("is"):
            return self._is_null(field)
        return self._compare(field)

    def _list_or_tag(self) -> Filter:
        """`list = "a"` and `tag in ("a", "b")` are short for what is said of each value."""
        is_list = self._take_any().text == "list"
        operator = self._operator((Operator.IS, Operator.IS_NOT, *SEVERAL))
        values = self._values(TAGS if not is_list else Field.NAME, operator)
        found: list[Filter] = [
            On(str(value)) if is_list else Compare(TAGS, Operator.HAS, (value,)) for value in values
        ]
        one = Some(tuple(found)) if len(found) > 1 else found[0]
        is_negated = operator in (Operator.IS_NOT, Operator.NOT_IN)
        self._leave_room(is_negated + (len(found) > 1))
        return Not(one) if is_negated else one

    def _call(self) -> Filter:
        name = self._take_any()
        moment = name.text.removesuffix("_within")
        if name.text.endswith("_within") and moment not in set(Moment):
            known = ", ".join(f"{each}_within" for each in Moment)
            raise SegmentError(self._text, name.offset, say("one of %(known)s", known=known))
        self._take("(")
        if name.text == "on":
            term: Filter = On(self._string(say("the short name of a list in double quotes")))
        elif name.text == "sample":
            term = self._sample()
        else:
            term = self._within(Moment(moment))
        self._take(")")
        return term

    def _sample(self) -> Filter:
        token = self._next
        hundredths = Decimal(token.text[:-1]) * 100 if token.kind == "share" else Decimal(0)
        if not 0 < hundredths <= tree_of.HUNDREDTHS or hundredths % 1:
            self._fail(say("a share from 0.01%% to 100%%, such as 10%%"))
        self._at += 1
        seed = self._string(say("a text in double quotes")) if self._took(",") else ""
        return Sample(int(hundredths), seed)

    def _within(self, moment: Moment) -> Filter:
        token = self._next
        digits = token.text[:-1] if token.kind == "duration" else ""
        if not digits or len(digits) > len(str(MAX_AMOUNT)) or int(digits) == 0:
            self._fail(
                say(
                    "a time such as 12h, 30d or 4w, at most %(most)s of them",
                    most=Count(MAX_AMOUNT),
                )
            )
        self._at += 1
        return Within(moment, int(digits), token.text[-1])

    def _field(self) -> Field | Attribute:
        token = self._next
        if token.kind == "word" and token.text == "attributes":
            self._at += 1
            return self._attribute()
        if token.kind != "word" or token.text not in set(Field):
            names = ", ".join([*Field, "attributes.NAME", "list", "tag"])
            self._fail(
                say("a field (%(names)s), on(…), sample(…) or opened_within(…)", names=names)
            )
        self._at += 1
        return Field(token.text)

    def _attribute(self) -> Attribute:
        path: list[str] = []
        begin = self._next.offset
        while not path or self._is_next("."):
            self._take(".")
            token = self._next
            if token.kind not in ("word", "text"):
                self._fail(say("the name of an attribute; in double quotes unless it is one word"))
            self._at += 1
            path.append(unquoted(token.text) if token.kind == "text" else token.text)
        if not tree_of.is_path(path):
            limit = say(
                "at most %(most)s names, none empty, without quotes in them", most=tree_of.MAX_PATH
            )
            raise SegmentError(self._text, begin, limit)
        return Attribute(tuple(path))

    def _is_null(self, field: Field | Attribute) -> Filter:
        is_not = self._took("not")
        self._take("null")
        self._leave_room(1)
        return Exists(field) if is_not else Not(Exists(field))

    def _compare(self, field: Field | Attribute) -> Filter:
        operator = self._operator(tree_of.operators_of(field))
        if operator in (Operator.IS, Operator.IS_NOT) and self._took("null"):
            self._leave_room(1)
            return Exists(field) if operator is Operator.IS_NOT else Not(Exists(field))
        return Compare(field, operator, self._values(field, operator))

    def _operator(self, known: Sequence[Operator]) -> Operator:
        word = self._next
        name = word.text.lower()
        if name == "not" and self._tokens[self._at + 1].text.lower() == "in":
            self._at += 1
            name = "not in"
        if word.kind not in ("word", "sign") or name not in known:
            self._at = self._tokens.index(word)
            self._fail(say("one of %(known)s", known=", ".join([*known, "exists"])))
        self._at += 1
        return Operator(name)

    def _values(self, field: Field | Attribute, operator: Operator) -> tuple[Value, ...]:
        if operator not in SEVERAL:
            return (self._value(field, operator),)
        self._take("(")
        values = [self._value(field, operator)]
        while self._took(","):
            values.append(self._value(field, operator))
        self._terms += len(values) - 1
        if self._terms > MAX_TERMS:
            self._fail(say("at most %(most)s terms, each value counted", most=MAX_TERMS))
        self._take(")")
        return tuple(values)

    def _value(self, field: Field | Attribute, operator: Operator) -> Value:
        token = self._next
        value = _value_of(token, is_choice=field in CHOICES)
        expected = tree_of.expected_value(field, operator, value)
        if expected or value is None:
            self._fail(expected or say("a value"))
        self._at += 1
        return value

    def _string(self, expected: Sentence) -> str:
        token = self._next
        value = unquoted(token.text) if token.kind == "text" else ""
        if not value or not tree_of.is_usable(value):
            self._fail(expected)
        self._at += 1
        return value

    def _leave_room(self, levels: int) -> None:
        """What is short for several terms is written in full one day: it has to be read again."""
        if self._depth + levels > MAX_DEPTH:
            self._fail(say("at most %(most)s levels of `not` and parentheses", most=MAX_DEPTH))

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take_any(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _is_next(self, word: str) -> bool:
        return self._next.kind in ("word", "sign") and self._next.text.lower() == word

    def _took(self, word: str) -> bool:
        found = self._is_next(word)
        self._at += found
        return found

    def _take(self, word: str) -> None:
        if not self._took(word):
            self._fail(say("`%(word)s`", word=word))

    def _fail(self, expected: Sentence) -> NoReturn:
        raise SegmentError(self._text, self._next.offset, expected)


def _value_of(token: Token, *, is_choice: bool) -> Value | None:
    """None where no value stands."""
    match token.kind:
        case "text":
            return unquoted(token.text)
        case "number":
            return _number(token.text)
        case "day":
            return _day(token.text)
        case "word" if token.text in ("true", "false"):
            return token.text == "true"
        case "word" if is_choice:
            return token.text
    return None


def _number(text: str) -> int | float:
    """2.0 is 2: numbers are compared, not their spellings."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < tree_of.MAX_NUMBER else value


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
