"""Cluster policies: a definition against a specification, rule by rule, in the service's words. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.peers.databricks.errors import invalid

KINDS = frozenset({"fixed", "forbidden", "allowlist", "blocklist", "regex", "range", "unlimited"})

JOB_COMPUTE = {
    "cluster_type": {"type": "fixed", "value": "job"},
    "spark_version": {"type": "unlimited", "defaultValue": "auto:latest-lts"},
    "node_type_id": {"type": "unlimited", "defaultValue": "i3.xlarge", "isOptional": True},
}
PERSONAL_COMPUTE = {
    "data_security_mode": {"type": "fixed", "value": "SINGLE_USER", "hidden": True},
    "num_workers": {"type": "fixed", "value": 0, "hidden": True},
    "cluster_type": {"type": "fixed", "value": "all-purpose"},
}
FAMILIES: dict[str, dict[str, Any]] = {
    "job-cluster": {"name": "Job Compute", "definition": JOB_COMPUTE},
    "personal-vm": {"name": "Personal Compute", "definition": PERSONAL_COMPUTE},
}


def parse(text: str) -> dict[str, Any]:
    """A policy definition; raises 400 when it is not JSON or has a rule of an unknown type."""
    try:
        rules = json.loads(text or "{}")
    except ValueError as error:
        raise invalid(f"The policy definition is not valid JSON: {error}") from None
    if not isinstance(rules, dict):
        raise invalid("The policy definition must be a JSON object.")
    for path, rule in rules.items():
        if not isinstance(rule, dict) or rule.get("type") not in KINDS:
            raise invalid(
                f"The policy definition of '{path}' has no valid type, it must be one of {', '.join(sorted(KINDS))}."
            )
    return rules


def value_at(spec: Mapping[str, Any], path: str) -> Any:
    """The value a policy path names: `autoscale.max_workers`, `spark_conf.spark.speculation`, `custom_tags.team`."""
    head, _, rest = path.partition(".")
    found = spec.get(head)
    if not rest or found is None:
        return found
    if head in {"spark_conf", "spark_env_vars", "custom_tags"}:
        return found.get(rest)
    return value_at(found, rest) if isinstance(found, dict) else None


def with_defaults(spec: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    """The specification with the policy's fixed and default values where it says nothing."""
    found = json.loads(json.dumps(spec))
    for path, rule in rules.items():
        value = rule.get("value") if rule["type"] == "fixed" else rule.get("defaultValue")
        if value is not None and path != "cluster_type" and value_at(found, path) is None:
            _put(found, path, value)
    return found


def _put(spec: dict[str, Any], path: str, value: Any) -> None:
    head, _, rest = path.partition(".")
    if not rest:
        spec[head] = value
    elif head in {"spark_conf", "spark_env_vars", "custom_tags"}:
        spec.setdefault(head, {})[rest] = value
    else:
        _put(spec.setdefault(head, {}), rest, value)


def check_policy(spec: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
    """Raise 400 with every rule of the policy that the specification of a job cluster breaks."""
    broken = [text for path, rule in rules.items() if (text := _broken(path, rule, spec))]
    if broken:
        raise invalid("Cluster validation error: " + "; ".join(broken))


def _broken(path: str, rule: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    value = "job" if path == "cluster_type" else value_at(spec, path)
    kind, optional = rule["type"], rule.get("isOptional", False)
    if kind == "forbidden":
        return f"Validation failed for {path}, the value cannot be present" if value is not None else ""
    if value is None:
        missing = kind != "unlimited" and not optional and "*" not in path
        return f"Validation failed for {path}, the value must be present" if missing else ""
    return _compared(path, rule, value)


def _compared(path: str, rule: Mapping[str, Any], value: Any) -> str:
    kind, shown = rule["type"], json.dumps(value)
    if kind == "fixed" and _plain(value) != _plain(rule["value"]):
        return f"Validation failed for {path}, the value must be {_plain(rule['value'])} (is {shown})"
    if kind == "allowlist" and _plain(value) not in [_plain(item) for item in rule["values"]]:
        return f"Validation failed for {path}, the value must be one of {json.dumps(rule['values'])} (is {shown})"
    if kind == "blocklist" and _plain(value) in [_plain(item) for item in rule["values"]]:
        return f"Validation failed for {path}, the value must not be one of {json.dumps(rule['values'])} (is {shown})"
    if kind == "regex" and not re.fullmatch(rule["pattern"], _plain(value)):
        return f"Validation failed for {path}, the value must match the regex {rule['pattern']} (is {shown})"
    if kind == "range":
        return _ranged(path, rule, value)
    return ""


def _ranged(path: str, rule: Mapping[str, Any], value: Any) -> str:
    if "minValue" in rule and value < rule["minValue"]:
        return f"Validation failed for {path}, the value must be at least {rule['minValue']} (is {value})"
    if "maxValue" in rule and value > rule["maxValue"]:
        return f"Validation failed for {path}, the value must be at most {rule['maxValue']} (is {value})"
    return ""


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
