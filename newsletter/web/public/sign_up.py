"""Signing up: a page for people, a form for other sites, JSON for programs; all without a session.

A POST here subscribes nobody by itself where the list confirms: it puts a mail into the outbox.
"""

import asyncio
import time
from functools import partial

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from newsletter.core import logs
from newsletter.core.errors import ConfigurationError, InputError
from newsletter.core.runtime import Runtime
from newsletter.mail.address import Address
from newsletter.sending import confirmation
from newsletter.tracking.recording import Visit
from newsletter.web.bodies import read_body
from newsletter.web.deps import Judging, Running, Visiting
from newsletter.web.mail_domains import MailDomains
from newsletter.web.pages import language_of
from newsletter.web.public.sign_up_answers import (
    ANYWHERE,
    Answers,
    JsonAnswers,
    PageAnswers,
    form_page,
    not_found_json,
    wrong_json,
)
from newsletter.web.public.sign_up_form import ADDRESS, Door, Form, Submission, public_form
from newsletter.web.public.sign_up_proof import is_proved
from subscribers.evidence import Evidence
from subscribers.models import ConsentMethod, SubscriberList
from subscribers.sign_up import Wish
from subscribers.sign_up_limits import Origin, Passage, judge

ANSWER_SECONDS = 0.25
"""Whether an address is known takes a few milliseconds more or less; nobody gets to see them."""
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"

log = logs.get(__name__)
router = APIRouter()


@router.api_route("/s/{slug}", methods=["GET", "HEAD"])
def show(slug: str, request: Request, runtime: Running) -> Response:
    """The form of a public list."""
    return form_page(request, runtime.keys, _found(runtime, slug))


@router.post("/s/{slug}")
async def sign_up(
    slug: str, request: Request, runtime: Running, visit: Visiting, domains: Judging
) -> Response:
    """From the page, or as JSON."""
    if _kind(request) == _JSON:
        return await _by_json(slug, request, runtime, visit, domains)
    return await _by_form(slug, Door.PAGE, request, runtime, visit, domains)


@router.post("/s/{slug}/embed")
async def sign_up_from_elsewhere(
    slug: str, request: Request, runtime: Running, visit: Visiting, domains: Judging
) -> Response:
    """From a form on another site, which cannot say when it was shown."""
    return await _by_form(slug, Door.EMBED, request, runtime, visit, domains)


@router.options("/s/{slug}")
def allow(slug: str) -> Response:
    """Browsers ask before a script of another site may send JSON."""
    del slug
    allowed = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Max-Age": "86400",
    }
    return Response(status_code=204, headers={**ANYWHERE, **allowed})


async def _by_form(
    slug: str, door: Door, request: Request, runtime: Runtime, visit: Visit, domains: MailDomains
) -> Response:
    if _kind(request) != _FORM:
        raise HTTPException(415)
    body = await read_body(request)
    form = await run_in_threadpool(_found, runtime, slug)
    try:
        sent = Submission.of_form(body)
    except InputError:
        raise HTTPException(422) from None
    reception = _Reception(runtime, visit, domains, form, door, language_of(request))
    return await reception.receive(sent, PageAnswers(request, runtime.keys, form, sent))


async def _by_json(
    slug: str, request: Request, runtime: Runtime, visit: Visit, domains: MailDomains
) -> Response:
    body, language = await read_body(request), language_of(request)
    try:
        form = await run_in_threadpool(_found, runtime, slug)
    except HTTPException:
        return not_found_json(language)
    try:
        sent = Submission.of_json(body)
    except InputError as error:
        return wrong_json({error.place: error.problem}, language, 400)
    reception = _Reception(runtime, visit, domains, form, Door.API, language)
    return await reception.receive(sent, JsonAnswers(runtime.keys, form, language))


def _found(runtime: Runtime, slug: str) -> Form:
    with runtime.sessions.reading() as session:
        form = public_form(session, slug)
    if form is None:
        raise HTTPException(404)
    return form


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class _Reception:
    """One sign-up on its way through the checks; no transaction is open while DNS is asked."""

    def __init__(
        self,
        runtime: Runtime,
        visit: Visit,
        domains: MailDomains,
        form: Form,
        door: Door,
        language: str,
    ) -> None:
        self._runtime = runtime
        self._visit = visit
        self._domains = domains
        self._form = form
        self._door = door
        self._language = language

    async def receive(self, sent: Submission, answers: Answers) -> Response:
        """Check, take in, answer."""
        if sent.trap:
            return await _at_the_usual_time(answers.done(), time.monotonic())
        unfit = self._unfit(sent, answers)
        if unfit:
            return unfit
        address, given, problems = sent.checked(self._form)
        if address is None or problems:
            return answers.wrong(problems)
        stopped = await self._stopped(sent, address, answers)
        if stopped:
            return stopped
        # Not before: a body sent slowly, or slow DNS, would use up the time that hides the rest.
        begun = time.monotonic()
        try:
            wish = Wish(address, self._evidence(sent), given, self._language)
            await run_in_threadpool(self._take_in, wish)
        except ConfigurationError as error:
            log.error("sign_up.impossible", list_id=self._form.list_id, error=str(error))  # noqa: TRY400 - what is to be done stands in the sentence
            raise HTTPException(503) from None
        return await _at_the_usual_time(answers.done(), begun)

    def _unfit(self, sent: Submission, answers: Answers) -> Response | None:
        """The answer to a form that was not read, or that showed what is not so any more."""
        if self._door is Door.PAGE and not self._form.was_read(self._runtime.keys, sent.stamp):
            return answers.hasty()
        names_none = self._door is Door.API and not sent.edition
        if not names_none and self._form.shown(sent.edition) is None:
            return answers.outdated()
        return None

    async def _stopped(
        self, sent: Submission, address: Address, answers: Answers
    ) -> Response | None:
        """The answer to those who do not get through: too many, or a domain without mail."""
        sessions, keys = self._runtime.sessions, self._runtime.keys
        limits = self._runtime.settings.signup
        proof = partial(is_proved, sessions, keys, sent.proof)
        origin = Origin.of(self._visit.ip)
        judgement = await run_in_threadpool(
            judge, sessions, keys, limits, origin, address.domain, proof
        )
        if judgement.passage is Passage.CLOSED:
            return answers.closed(judgement)
        if judgement.passage is Passage.PROOF:
            return answers.unproved(judgement)
        objection = await self._domains.objection(address.domain)
        return answers.wrong({ADDRESS: objection}) if objection else None

    def _take_in(self, wish: Wish) -> None:
        with self._runtime.sessions.writing() as session:
            to = session.get_one(SubscriberList, self._form.list_id)
            confirmation.sign_up(session, self._runtime, to, wish)

    def _evidence(self, sent: Submission) -> Evidence:
        site, form = self._runtime.settings.site, self._form
        path = f"/s/{form.slug}/embed" if self._door is Door.EMBED else f"/s/{form.slug}"
        return Evidence(
            ConsentMethod.FORM,
            source=f"{site.public_url}{path}",
            wording=form.shown(sent.edition) or str(form.wording),
            form=f"{form.slug}: {self._door}",
            ip=self._visit.ip,
            user_agent=self._visit.user_agent,
        )


async def _at_the_usual_time(response: Response, begun: float) -> Response:
    """Not before `ANSWER_SECONDS` are over: what was found and done since then does not show."""
    await asyncio.sleep(max(0.0, begun + ANSWER_SECONDS - time.monotonic()))
    return response
