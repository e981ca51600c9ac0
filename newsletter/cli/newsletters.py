"""`newsletter newsletters`: what is published here, and how its mail looks."""

from typing import Annotated, Any

import typer
from sqlalchemy import select

from newsletter.accounts import audit
from newsletter.cli import output, state
from newsletter.core.errors import InputError
from newsletter.core.sections import TrackingMode
from newsletter.core.sentences import say
from newsletter.issues import identity
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import find_newsletter
from newsletter.rendering import palette
from newsletter.rendering.palette import Palette
from newsletter.rendering.templates import TemplateFolders

app = typer.Typer(help="What is published here: identity and look.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NEWSLETTER", help="Its short name.")]
_SenderName = Annotated[
    str | None, typer.Option(help="Who its mail is from; empty: the newsletter's name.")
]
_SenderAddress = Annotated[str | None, typer.Option(help="The address it is from.")]
_ReplyTo = Annotated[str | None, typer.Option(help="Where answers go; empty: to the sender.")]
_Postal = Annotated[str | None, typer.Option(help="At the foot of every mail: the law wants it.")]
_Tracking = Annotated[
    TrackingMode | None,
    typer.Option(help="Whether opens and clicks are measured, and whether by person."),
]
_Approval = Annotated[
    bool | None,
    typer.Option("--approval/--no-approval", help="A second person approves each broadcast."),
]
_Hold = Annotated[
    int | None,
    typer.Option(metavar="MINUTES", help="How long what was sent off can still be taken back."),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as `Field Notes`.")],
    *,
    sender_name: _SenderName = None,
    sender_address: _SenderAddress = None,
    reply_to: _ReplyTo = None,
    postal_address: _Postal = None,
    tracking: _Tracking = None,
    approval: _Approval = None,
    hold: _Hold = None,
    dry_run: output.DryRun = False,
) -> None:
    """Make a newsletter. Its short name is made of its name and stays."""
    typed = _typed(name, sender_name, sender_address, reply_to, postal_address, tracking)
    typed |= _before_sending(approval, hold)
    runtime = state.runtime()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        made = identity.create(session, typed, runtime.settings)
        audit.record(session, audit.at_the_command_line(), "newsletter.added", newsletter=made.slug)
    output.say(f"{'Would make' if dry_run else 'Made'} newsletter {made.slug!r}.")


@app.command("list")
def list_(*, as_json: output.AsJson = False) -> None:
    """All newsletters."""
    with state.runtime().sessions.reading() as session:
        found = session.scalars(select(Newsletter).order_by(Newsletter.slug)).all()
    rows = [
        {"newsletter": one.slug, "name": one.name, "sender": one.sender_address} for one in found
    ]
    output.print_table(
        rows, as_json=as_json, empty="None yet: `newsletter newsletters create NAME`."
    )


@app.command()
def show(name: _Name, *, as_json: output.AsJson = False) -> None:
    """One newsletter: its identity, its template, its colours, and whether they can be read."""
    with state.runtime().sessions.reading() as session:
        found = find_newsletter(session, name)
    facts = _facts(found)
    if as_json:
        output.print_json(facts)
        return
    colours = facts.pop("palette")
    for key, value in facts.items():
        output.say(f"{key.replace('_', ' '):16} {_said(value)}")
    for scheme, chosen in colours.items():
        for role, colour in chosen.items():
            output.say(f"{f'{scheme}.{role}':16} {colour}")
    _warn(found)


@app.command("set")
def set_(
    newsletter: _Name,
    *,
    name: Annotated[str | None, typer.Option(help="As readers see it.")] = None,
    sender_name: _SenderName = None,
    sender_address: _SenderAddress = None,
    reply_to: _ReplyTo = None,
    postal_address: _Postal = None,
    tracking: _Tracking = None,
    approval: _Approval = None,
    hold: _Hold = None,
    template: Annotated[
        str | None, typer.Option(help="Which template its issues are set in, such as `letter`.")
    ] = None,
    colour: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCHEME.NAME=#HEX",
            help="Such as `light.accent=#00695c`: light or dark; accent, page, card, ink, text or "
            "quiet. Nothing behind the = : the default's. Repeat for several.",
        ),
    ] = None,
    dry_run: output.DryRun = False,
) -> None:
    """Change a newsletter's identity or look. Mail on its way stays as it was frozen."""
    typed = _typed(name, sender_name, sender_address, reply_to, postal_address, tracking)
    typed |= _before_sending(approval, hold)
    runtime = state.runtime()
    if template is not None:
        _check_template(template, TemplateFolders.of(runtime.settings.templates.dir))
    with runtime.sessions.writing(rehearse=dry_run) as session:
        found = find_newsletter(session, newsletter)
        changes: dict[str, Any] = dict(identity.change(found, typed))
        changes |= _set_look(found, template, colour)
        if not changes:
            raise InputError(
                "newsletters set", say("nothing to change; `--help` lists what can be")
            )
        audit.record(
            session,
            audit.at_the_command_line(),
            "newsletter.changed",
            newsletter=found.slug,
            changed=sorted(changes),
        )
    said = ", ".join(name.replace("_", " ") for name in changes)
    output.say(f"{'Would change' if dry_run else 'Changed'} newsletter {found.slug!r}: {said}.")
    _warn(found)


def _typed(
    name: str | None,
    sender_name: str | None,
    sender_address: str | None,
    reply_to: str | None,
    postal_address: str | None,
    tracking: TrackingMode | None,
) -> dict[str, str]:
    given = {
        "name": name,
        "sender_name": sender_name,
        "sender_address": sender_address,
        "reply_to": reply_to,
        "postal_address": postal_address,
        "tracking_mode": tracking,
    }
    return {field: text for field, text in given.items() if text is not None}


def _before_sending(approval: bool | None, hold: int | None) -> dict[str, str]:
    typed = {} if approval is None else {"wants_approval": "yes" if approval else "no"}
    return typed if hold is None else {**typed, "hold_minutes": str(hold)}


def _check_template(template: str, folders: TemplateFolders) -> None:
    known = folders.of_issues()
    if template not in known:
        raise InputError("--template", say("expected one of %(known)s", known=", ".join(known)))


def _set_look(
    found: Newsletter, template: str | None, colours: list[str] | None
) -> dict[str, object]:
    changed: dict[str, object] = {}
    if template is not None and template != found.template:
        found.template = changed["template"] = template
    chosen = {scheme: dict(found.palette.get(scheme, {})) for scheme in palette.SCHEMES}
    for text in colours or ():
        place, given, colour = text.partition("=")
        scheme, _, role = place.partition(".")
        if not given or scheme not in chosen or role not in palette.CHOSEN:
            raise InputError(
                "--colour", say("expected such as light.accent=#00695c, found %(text)r", text=text)
            )
        chosen[scheme][role] = colour
    own = palette.checked(chosen)
    if own != found.palette:
        found.palette = changed["colours"] = own
    return changed


def _warn(found: Newsletter) -> None:
    for weak in Palette.of(found.palette).weaknesses():
        mend = f"--colour {weak.scheme}.{weak.name}={weak.nearest}" if weak.nearest else ""
        output.problem(
            f"{weak.scheme}.{weak.name} is hard to read: contrast {weak.contrast} of "
            f"{palette.LEAST_CONTRAST}" + (f"; {mend} is the nearest that is not" if mend else "")
        )


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in {None, ""} else str(value)


def _facts(found: Newsletter) -> dict[str, Any]:
    return {
        "newsletter": found.slug,
        **{field: getattr(found, field) for field in identity.FIELDS if hasattr(found, field)},
        "list_id": found.list_id,
        "template": found.template,
        "palette": found.palette,
    }
