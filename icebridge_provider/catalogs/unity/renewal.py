"""A service principal's token that can be thrown away: the workspace may refuse one before it expires by our clock.

Clocks are apart, tokens are revoked. The SDK keeps a token until it expires by its own clock and has no way to drop it;
it takes a strategy of ours, which keeps the SDK's own one and can make it anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from databricks.sdk.credentials_provider import CredentialsProvider, CredentialsStrategy, oauth_service_principal

if TYPE_CHECKING:
    from databricks.sdk.config import Config


class Renewable(CredentialsStrategy):
    """The SDK's OAuth for service principals, with :meth:`renew`."""

    def __init__(self) -> None:
        self._headers: CredentialsProvider = dict
        self._sign_in: Callable[[], CredentialsProvider] = lambda: dict

    def auth_type(self) -> str:
        """The SDK's name of this way to sign in."""
        return "oauth-m2m"

    def __call__(self, cfg: Config) -> CredentialsProvider:
        """Sign in; the headers that are given out are always those of the newest token."""

        def sign_in() -> CredentialsProvider:
            found: CredentialsProvider | None = oauth_service_principal(cfg)
            if found is None:
                raise ValueError(f"{cfg.host} does not say where OAuth clients sign in")
            return found

        self._sign_in = sign_in
        self.renew()
        return self.newest

    def newest(self) -> dict[str, str]:
        """Headers with the newest token."""
        return self._headers()

    def renew(self) -> None:
        """Forget the token; the next request signs in anew."""
        self._headers = self._sign_in()
