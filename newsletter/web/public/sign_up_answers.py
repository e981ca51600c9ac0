"""What a sign-up is answered: the same thing said in pages and in JSON.

No answer depends on whether the address is known.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from newsletter.core.catalogues import READERS
from newsletter.core.sentences import Sentence, say
from newsletter.core.tokens import TokenKeys
from newsletter.web import headers
from newsletter.web.pages import for_reader, language_of, render
from newsletter.web.public.sign_up_form import ADDRESS, TRAP, Form, Submission
from newsletter.web.public.sign_up_proof import challenge
from subscribers.sign_up_limits import Judgement

ANYWHERE = {"Access-Control-Allow-Origin": "*"}
"""Scripts of any site may sign people up and read the answer: there is no session to abuse."""
_MAILED = say("Please look into your mailbox: a mail there says what is left to do.")
_JOINED = say("You are on the list. If anything is left to do, a mail in your mailbox says so.")
_HASTY = say("That was quick. Please look at the form once more, then press the button again.")
_OUTDATED = say(
    "What you agree to has been put in other words. Please read it, then press the button."
)
_CLOSED = say("Very many have signed up from where you are. Please try again later.")
_NO_LIST = say("There is no such list that anybody may sign up to.")


class Answers(Protocol):
    """How one kind of caller is answered."""

    def done(self) -> Response:
        """The wish was taken in; whatever the address is, this is all that is said."""

    def wrong(self, problems: Mapping[str, str]) -> Response:
        """By field, what has to be mended."""

    def hasty(self) -> Response:
        """The form was not read, or is not one of ours."""

    def outdated(self) -> Response:
        """The form showed another wording than the present one."""

    def unproved(self, judgement: Judgement) -> Response:
        """A proof of work is asked for."""

    def closed(self, judgement: Judgement) -> Response:
        """Not now, whoever it is."""


class PageAnswers:
    """For people, with the form as they filled it in."""

    def __init__(self, request: Request, keys: TokenKeys, form: Form, sent: Submission) -> None:
        self._request = request
        self._keys = keys
        self._form = form
        self._sent = sent

    def done(self) -> Response:
        sentence = _MAILED if self._form.confirms else _JOINED
        return render(self._request, "signed_up.html", form=self._form, sentence=sentence)

    def wrong(self, problems: Mapping[str, str]) -> Response:
        by_id = {_place(key, "field_"): sentence for key, sentence in problems.items()}
        return self._again(422, problems=by_id)

    def hasty(self) -> Response:
        return self._again(422, notice=_HASTY)

    def outdated(self) -> Response:
        return self._again(422, notice=_OUTDATED)

    def unproved(self, judgement: Judgement) -> Response:
        shown = self._again(429, challenge=challenge(self._keys), notice=_CLOSED)
        shown.headers["Content-Security-Policy"] = headers.WITH_WORKER
        return _retry(shown, judgement)

    def closed(self, judgement: Judgement) -> Response:
        shown = render(
            self._request, "sign_up_later.html", status=429, form=self._form, sentence=_CLOSED
        )
        return _retry(shown, judgement)

    def _again(self, status: int, **variables: Any) -> Response:
        return form_page(self._request, self._keys, self._form, self._sent, status, **variables)


class JsonAnswers:
    """For programs."""

    def __init__(self, keys: TokenKeys, form: Form, language: str) -> None:
        self._keys = keys
        self._form = form
        self._language = language

    def done(self) -> Response:
        sentence = _MAILED if self._form.confirms else _JOINED
        return _message_json(202, "accepted", sentence, self._language)

    def wrong(self, problems: Mapping[str, str]) -> Response:
        places = {_place(key, "fields."): sentence for key, sentence in problems.items()}
        return wrong_json(places, self._language)

    def hasty(self) -> Response:
        return wrong_json({"body": _HASTY}, self._language)

    def outdated(self) -> Response:
        return wrong_json({"edition": _OUTDATED}, self._language)

    def unproved(self, judgement: Judgement) -> Response:
        asked = json.loads(challenge(self._keys))
        answer = _message_json(
            429, "proof of work needed", _CLOSED, self._language, challenge=asked
        )
        return _retry(answer, judgement)

    def closed(self, judgement: Judgement) -> Response:
        return _retry(_message_json(429, "too many", _CLOSED, self._language), judgement)


def form_page(
    request: Request,
    keys: TokenKeys,
    form: Form,
    sent: Submission | None = None,
    status: int = 200,
    **variables: Any,
) -> Response:
    """The form, empty or as it was filled in; who read it once need not wait again."""
    sent, language = sent or Submission(""), language_of(request)
    return render(
        request,
        "sign_up.html",
        status=status,
        form=form,
        sent=sent,
        trap=TRAP,
        edition=form.edition_in(language),
        stamp=sent.stamp if form.was_read(keys, sent.stamp) else form.stamp(keys),
        **{"problems": {}, "notice": "", "challenge": "", **variables},
    )


def wrong_json(problems: Mapping[str, str], language: str, status: int = 422) -> Response:
    """What has to be mended, by place in the document."""
    errors = [
        {"field": place, "message": str(READERS.translated(language, sentence))}
        for place, sentence in problems.items()
    ]
    return _json(status, {"status": "wrong", "errors": errors}, language)


def not_found_json(language: str) -> Response:
    return _message_json(404, "not found", _NO_LIST, language)


def _message_json(
    status: int, state: str, sentence: Sentence, language: str, **more: Any
) -> Response:
    said = str(READERS.translated(language, sentence))
    return _json(status, {"status": state, "message": said, **more}, language)


def _json(status: int, body: Mapping[str, Any], language: str) -> Response:
    return JSONResponse(body, status, {**ANYWHERE, **for_reader(language)})


def _place(key: str, of_answers: str) -> str:
    return key if key == ADDRESS else of_answers + key


def _retry(response: Response, judgement: Judgement) -> Response:
    response.headers["Retry-After"] = str(judgement.seconds_left)
    return response
