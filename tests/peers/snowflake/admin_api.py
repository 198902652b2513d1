"""``/admin``: what a test may order and ask that no real account offers. Wants the admin credential."""

from __future__ import annotations

import asyncio
import datetime
import hmac
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.peers.snowflake.faults import Faults
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.tables import make_database
from tests.peers.snowflake.world import User, World


@dataclass
class Orders:
    """The routes' work."""

    world: World
    faults: Faults

    def routes(self) -> list[Route]:
        pairs: list[tuple[str, str, Callable[[Any], Any]]] = [
            ("POST", "/users", self.user),
            ("POST", "/databases", self.database),
            ("POST", "/clock", self.clock),
            ("POST", "/settings", self.settings),
            ("POST", "/faults", self.order),
            ("GET", "/faults", lambda _: [asdict(one) for one in self.faults.orders]),
            ("DELETE", "/faults", self.calm),
            ("GET", "/requests", lambda _: self.faults.log),
            ("DELETE", "/requests", self.forget),
            ("GET", "/queries", self.queries),
            ("GET", "/sessions", self.sessions),
            ("POST", "/sessions/kill", self.kill),
        ]
        return [Route(f"/admin{path}", self._route(work), methods=[method]) for method, path, work in pairs]

    def _route(self, work: Callable[[Any], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> JSONResponse:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self.world.admin_token.encode()):
                return JSONResponse({"message": "the admin credential is wanted"}, 401)
            body = await request.json() if await request.body() else {}
            try:
                return JSONResponse(await asyncio.to_thread(work, body))
            except (KeyError, TypeError, ValueError) as error:
                return JSONResponse({"message": f"{type(error).__name__}: {error}"}, 400)

        return answer

    def user(self, body: dict[str, Any]) -> Any:
        """``{"name", "password", "roles"}``; the first role is the default, all are made if new."""
        name, roles = body["name"].upper(), [role.upper() for role in body["roles"]]
        self.world.roles |= set(roles)
        self.world.users[name] = User(name=name, password=body["password"], roles=set(roles), default_role=roles[0])
        return {}

    def database(self, body: dict[str, Any]) -> Any:
        """``{"name"}``: a database with schema PUBLIC."""
        session = Session(
            world=self.world, user="", role="ACCOUNTADMIN", token="", id=0, conn=self.world.engine.connect()
        )
        make_database(session, body["name"])
        session.duck.close()
        return {}

    def clock(self, body: dict[str, Any]) -> Any:
        """``{"advance_seconds"}`` moves the account's clock; ``{"reset": true}`` sets it right."""
        if body.get("reset"):
            self.world.offset = datetime.timedelta()
        self.world.offset += datetime.timedelta(seconds=float(body.get("advance_seconds", 0)))
        return {"now": self.world.now().isoformat()}

    def settings(self, body: dict[str, Any]) -> Any:
        """``answer_within_seconds``, ``lock_timeout_seconds``, ``idle_abort_seconds``."""
        if unknown := set(body) - set(self.world.settings):
            raise ValueError(f"unknown settings: {sorted(unknown)}")
        self.world.settings |= {name: float(value) for name, value in body.items()}
        return self.world.settings

    def order(self, body: list[dict[str, Any]]) -> Any:
        self.faults.order(body)
        return {}

    def calm(self, _: Any) -> Any:
        self.faults.clear()
        return {}

    def forget(self, _: Any) -> Any:
        self.faults.log.clear()
        return {}

    def queries(self, _: Any) -> Any:
        with self.world.lock:
            found = list(self.world.queries.values())
        return [
            {
                "id": one.id, "session": one.session.id, "text": one.text, "tag": one.tag, "status": one.status,
                "code": one.error.code if one.error else None, "rows": one.rows,
            }
            for one in found
        ]  # fmt: skip

    def sessions(self, _: Any) -> Any:
        return [
            {
                "id": one.id,
                "user": one.user,
                "in_transaction": one.steps is not None,
                "locks": sorted(map(list, one.held)),
            }
            for one in list(self.world.sessions.values())
        ]

    def kill(self, _: Any) -> Any:
        """End every session, as an administrator would."""
        for one in list(self.world.sessions.values()):
            one.close()
        return {}
