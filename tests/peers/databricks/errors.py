"""How the workspace says no."""

from __future__ import annotations


class ApiError(Exception):
    """An error answer: HTTP status, Databricks error code, message."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error_code, self.message = status, error_code, message


def absent(kind: str, name: str) -> ApiError:
    """Name what does not exist, as the service words it."""
    code = {"EXTERNAL_LOCATION": "EXTERNAL_LOCATION", "STORAGE_CREDENTIAL": "STORAGE_CREDENTIAL"}.get(kind, kind)
    return ApiError(404, f"{code}_DOES_NOT_EXIST", f"{spoken(kind)} '{name}' does not exist.")


def present(kind: str, name: str) -> ApiError:
    """Name what exists already."""
    return ApiError(400, f"{kind}_ALREADY_EXISTS", f"{spoken(kind)} '{name}' already exists")


def denied(privilege: str, kind: str, name: str) -> ApiError:
    """Name the privilege that is missing."""
    where = "Metastore" if kind == "METASTORE" else f"{spoken(kind)} '{name}'"
    return ApiError(403, "PERMISSION_DENIED", f"User does not have {privilege.replace('_', ' ')} on {where}.")


def invalid(message: str) -> ApiError:
    """Refuse what the request says."""
    return ApiError(400, "INVALID_PARAMETER_VALUE", message)


def spoken(kind: str) -> str:
    """``EXTERNAL_LOCATION`` -> ``External Location``."""
    return kind.replace("_", " ").title()
