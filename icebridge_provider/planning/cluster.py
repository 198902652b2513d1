"""The cluster of a copy job: what a person writes in the connection, checked and turned into Databricks' own JSON.

Sources of the rules: Databricks' clusters API (``new_cluster`` of a job run), and the facts that managed Iceberg and
``DEEP CLONE`` into it need runtime 16.4 LTS, and that Unity Catalog cannot be reached from a cluster without isolation.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from icebridge_provider.exceptions import ConfigurationError

OLDEST_RUNTIME = (16, 4)
SECURITY_MODES = ("SINGLE_USER", "USER_ISOLATION")
_RUNTIME = re.compile(r"(\d+)\.(\d+)\.")
_SECRET_NAME = re.compile(
    r"(?i)(secret|password|passwd|passphrase|token|credentials?|(account|access|private|api)[._-]?key)(?!.*provider)"
)
_SECRET_REFERENCE = re.compile(r"\{\{secrets/[^/{}\s]+/[^/{}\s]+\}\}")
_PROFILE = re.compile(r"arn:aws[\w-]*:iam::\d{12}:instance-profile/\S+")
_GOOGLE = re.compile(r"[a-z]\d[a-z]?-[a-z]+")
_SINGLE_NODE_CONF = {"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"}


def build_photon_cluster(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``new_cluster`` of a job run; Photon unless ``photon`` is false.

    Keys of ``options``: ``spark_version``, ``node_type_id`` or ``instance_pool_id``, ``num_workers`` or ``autoscale``
    (``{"min": 2, "max": 8}``), ``driver_node_type_id``, ``policy_id``, ``spot``, ``instance_profile_arn``,
    ``custom_tags``, ``spark_conf``, ``photon``, ``data_security_mode``. What a policy gives may be left out with
    ``policy_id``. A cluster of 0 workers becomes a single-node cluster.

    :raises ConfigurationError: IB-440 an unknown key, IB-441 a value of the wrong kind, IB-442 a runtime that cannot
        write managed Iceberg, IB-443 keys that are missing or exclude each other, IB-444 a credential in clear.
    """
    _refuse_unknown(options)
    given = {key: _KINDS[key](key, value) for key, value in options.items() if value is not None}
    _refuse_incomplete(given)
    spec: dict[str, Any] = {key: given[key] for key in _PLAIN if key in given}
    spec["runtime_engine"] = "PHOTON" if given.get("photon", True) else "STANDARD"
    spec["data_security_mode"] = given.get("data_security_mode", SECURITY_MODES[0])
    if "policy_id" in given:
        spec["apply_policy_default_values"] = True
    spec.update(_size(given))
    spec.update(_cloud(given))
    return spec


def _wrong(key: str, value: object, fits: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-441",
        f"Cluster option {key} is {value!r}.",
        remedy=f"Give {fits} in the key cluster of the connection's extra.",
        option=key,
    )


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(key, value, "a text that is not empty")
    return value.strip()


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, value, "true or false")
    return value


def _count(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(key, value, "a whole number of 0 or more")
    return value


def _texts(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        shown = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
        raise _wrong(key, shown, "an object whose values are all texts")
    return dict(value)


def _conf(key: str, value: object) -> dict[str, str]:
    conf = _texts(key, value)
    for name, text in conf.items():
        if _SECRET_NAME.search(name) and not _SECRET_REFERENCE.fullmatch(text):
            raise ConfigurationError(
                "IB-444",
                f"Cluster option {key} holds a credential in clear: {name}.",
                remedy="Put it into a secret scope and write {{secrets/<scope>/<key>}} as its value.",
                option=name,
            )
    return conf


def _range(key: str, value: object) -> dict[str, int]:
    fits = '{"min": 1, "max": 8} with min below max'
    if not isinstance(value, Mapping) or set(value) != {"min", "max"}:
        raise _wrong(key, value, fits)
    low, high = _count(f"{key}.min", value["min"]), _count(f"{key}.max", value["max"])
    if low >= high:
        raise _wrong(key, dict(value), fits)
    return {"min_workers": low, "max_workers": high}


def _runtime(key: str, value: object) -> str:
    text = _text(key, value)
    found = _RUNTIME.match(text)
    if found is None:
        raise _wrong(key, value, "a runtime key such as 16.4.x-scala2.12")
    if (int(found[1]), int(found[2])) < OLDEST_RUNTIME:
        raise ConfigurationError(
            "IB-442",
            f"Runtime {text} cannot write managed Iceberg tables.",
            remedy="Take spark_version 16.4.x-scala2.12 or newer.",
            spark_version=text,
        )
    return text


def _mode(key: str, value: object) -> str:
    text = _text(key, value)
    if text not in SECURITY_MODES:
        raise _wrong(key, value, f"one of {', '.join(SECURITY_MODES)} (others cannot use Unity Catalog)")
    return text


def _profile(key: str, value: object) -> str:
    text = _text(key, value)
    if not _PROFILE.fullmatch(text):
        raise _wrong(key, value, "the ARN of an instance profile (arn:aws:iam::<account>:instance-profile/<name>)")
    return text


_KINDS: dict[str, Callable[[str, object], Any]] = {
    "spark_version": _runtime,
    "node_type_id": _text,
    "driver_node_type_id": _text,
    "instance_pool_id": _text,
    "policy_id": _text,
    "autoscale": _range,
    "num_workers": _count,
    "spot": _flag,
    "instance_profile_arn": _profile,
    "custom_tags": _texts,
    "spark_conf": _conf,
    "photon": _flag,
    "data_security_mode": _mode,
}
_PLAIN = (
    "spark_version",
    "node_type_id",
    "driver_node_type_id",
    "instance_pool_id",
    "policy_id",
    "autoscale",
    "num_workers",
    "custom_tags",
    "spark_conf",
)


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    for key in options:
        if key not in _KINDS:
            near = difflib.get_close_matches(str(key), _KINDS, 1)
            raise ConfigurationError(
                "IB-440",
                f"There is no cluster option {key!r}.",
                remedy=f"Did you mean {near[0]}?" if near else f"Take some of {', '.join(sorted(_KINDS))}.",
                option=str(key),
            )


def _refuse_incomplete(given: Mapping[str, Any]) -> None:
    """Check what belongs together; with a policy, what is missing is the policy's to give."""
    for one, other in (("num_workers", "autoscale"), ("node_type_id", "instance_pool_id")):
        if one in given and other in given:
            raise _misfit(f"{one} and {other} exclude each other", f"Keep one of {one} and {other}.")
        if one not in given and other not in given and "policy_id" not in given:
            raise _misfit(f"neither {one} nor {other} is given", f"Give {one} or {other}, or a policy_id.")
    if "spark_version" not in given and "policy_id" not in given:
        raise _misfit("no spark_version is given", "Give spark_version, for example 16.4.x-scala2.12, or a policy_id.")
    if "instance_pool_id" in given and {"spot", "driver_node_type_id"} & set(given):
        raise _misfit("the instance pool decides on spot and node types", "Leave out spot and driver_node_type_id.")


def _misfit(what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError("IB-443", f"The cluster cannot be built: {what}.", remedy=remedy)


def _size(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("num_workers") != 0:
        return {}
    return {
        "spark_conf": {**_SINGLE_NODE_CONF, **given.get("spark_conf", {})},
        "custom_tags": {**given.get("custom_tags", {}), "ResourceClass": "SingleNode"},
    }


def _cloud(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of the cloud whose node types are named; each has its own word for spot instances."""
    profile = {key: given[key] for key in ("instance_profile_arn",) if key in given}
    if "spot" not in given:
        return {"aws_attributes": profile} if profile else {}
    node = given.get("node_type_id", "")
    if node.startswith("Standard_"):
        return {"azure_attributes": {"availability": _word(given, "SPOT_WITH_FALLBACK_AZURE", "ON_DEMAND_AZURE")}}
    if _GOOGLE.match(node):
        return {"gcp_attributes": {"availability": _word(given, "PREEMPTIBLE_WITH_FALLBACK_GCP", "ON_DEMAND_GCP")}}
    spot = {"availability": _word(given, "SPOT_WITH_FALLBACK", "ON_DEMAND"), "first_on_demand": 1}
    return {"aws_attributes": {**spot, **profile}}


def _word(given: Mapping[str, Any], spot: str, on_demand: str) -> str:
    return spot if given["spot"] else on_demand
