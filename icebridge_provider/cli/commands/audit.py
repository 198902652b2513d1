"""``audit``: the hash-chained record and what an auditor takes home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.files import read_text
from icebridge_provider.cli.output import Answer, Output
from icebridge_provider.exceptions import ConfigurationError


def verify(arguments: Any, output: Output) -> Answer:
    """Check the chain of events and every certificate, in the ledger or, without one, in a bundle."""
    if arguments.bundle:
        return _verify_bundle(Path(arguments.bundle), arguments.public_key)
    from icebridge_provider.steps.audit import verify_audit

    output.note("Checking the record …")
    earlier = _checkpoints(Path(arguments.since)) if arguments.since else None
    found = verify_audit(surroundings.ledger(), _keys(arguments.public_key), arguments.plan or "", earlier)
    verdict = (
        f"{found['events']:,} events, {found['plans']} plans, {found['certificates']} certificates "
        f"({found['signed']} signed): {'all hold' if found['ok'] else 'something was changed'}. "
        f"Last event: {found['head']}"
    )
    return Answer(document=found, shown=(*found["problems"], *found["notes"], verdict), ok=bool(found["ok"]))


def bundle(arguments: Any, output: Output) -> Answer:
    """Write the evidence of one plan to one zip whose index.html is readable offline."""
    from icebridge_provider.steps.bundle import bundle as write

    path = Path(arguments.out or f"icebridge-{arguments.plan}.zip")
    output.note(f"Writing {path} …")
    write(surroundings.ledger(), arguments.plan, path, _keys(arguments.public_key))
    line = f"Written: {path}. Check it anywhere with `icebridge audit verify --bundle {path}`."
    return Answer(document={"plan": arguments.plan, "file": str(path)}, shown=(line,))


def _verify_bundle(path: Path, files: list[str] | None) -> Answer:
    from icebridge_provider.steps.bundle import verify_bundle

    problems = verify_bundle(path, _of_files(files) if files else None)
    trust = "" if files else " The keys in it were used: who signed is shown only by --public-key."
    verdict = f"{path} is {'whole' if not problems else 'not what was written'}.{trust}"
    document = {"ok": not problems, "bundle": str(path), "problems": problems, "keys": "given" if files else "own"}
    return Answer(document=document, shown=(*problems, verdict), ok=not problems)


def _checkpoints(path: Path) -> dict[int, str]:
    from zipfile import BadZipFile

    from icebridge_provider.steps.bundle import checkpoints_of

    try:
        return dict(checkpoints_of(path))
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise ConfigurationError(
            "IB-764",
            f"{path} is no bundle of an earlier audit.",
            remedy="Name a zip that `icebridge audit bundle` wrote.",
            file=path,
        ) from error


def _keys(files: list[str] | None) -> dict[str, str]:
    """Return the public keys that are trusted: those of the files, and that of the configured signing key."""
    signer = surroundings.signer()
    own = getattr(signer, "public_pem", None)
    return _of_files(files) | ({signer.key_id: own} if signer and own else {})


def _of_files(files: list[str] | None) -> dict[str, str]:
    from icebridge_provider.state.signing import keys_by_id

    return dict(keys_by_id(read_text(Path(file)) for file in files or ()))
