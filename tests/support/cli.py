"""Runs commands in this process against a real Airflow home, and gives back what they said."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from icebridge_provider.cli.dispatch import execute
from icebridge_provider.cli.main import parser
from icebridge_provider.cli.output import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Exit code, standard output and standard error of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """Code of the refusal."""
        return str(self.json["error"]["code"])


def icebridge(*arguments: str) -> Said:
    """Run ``icebridge …`` as the console script would."""
    options = parser().parse_args(arguments)
    output = Output(as_json=options.json, stdout=io.StringIO(), stderr=io.StringIO())
    code = execute(options.run, options, output)
    return Said(code=code, out=output.stdout.getvalue(), err=output.stderr.getvalue())
