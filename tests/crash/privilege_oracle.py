"""Watches one world: invariant I6 after every change, and what must hold at the ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

from tests.crash.privilege_random import UUIDS, Change, make_change
from tests.crash.privilege_world import COPIER, SOURCE_NAME, STAGED_NAME, TARGET_NAME, View, World
from tests.peers.databricks import privileges
from tests.peers.databricks.model import Securable

OLD, NEW = UUIDS[SOURCE_NAME], UUIDS[STAGED_NAME]
Sight = dict[tuple[str, str], View | None]


class Oracle:
    """Knows what was at the beginning and says what should not be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._begun = deepcopy(world)
        self._begun.changed = lambda: None
        self._before = self._sight()
        self._allowed: dict[tuple[str, str], list[View]] = {}
        self._excused: set[str] = set()
        self._disturbed = False
        self._published = False
        self.looks = 0
        self.said: list[str] = []

    def look(self) -> None:
        """Evaluate I6 as of this instant."""
        self.looks += 1
        self.said += self._gained()
        if not self._disturbed:
            self.said += self._lost()
            self.said += self._touched()

    def _sight(self) -> Sight:
        return {(user, uuid): self._world.sees(user, uuid) for user in self._world.users() for uuid in (OLD, NEW)}

    def _gained(self) -> Iterator[str]:
        """Nobody reads a table it could not read before, nor with fewer masks and filters."""
        for (user, uuid), view in self._sight().items():
            fine = [self._before[user, OLD], self._before[user, uuid], *self._allowed.get((user, uuid), ())]
            if view is not None and user != COPIER and not any(_within(view, one) for one in fine):
                yield f"I6 {user} reads {self._world.name_of(uuid)} and could not before: {view}"

    def _lost(self) -> Iterator[str]:
        """Everybody reads, under a name in use, what it read before; owners also find what they own in the archive."""
        now, owner = self._sight(), privileges.owner_of(self._begun.state, Securable("TABLE", SOURCE_NAME))
        in_use = [uuid for uuid, name in ((OLD, SOURCE_NAME), (NEW, TARGET_NAME)) if self._world.name_of(uuid) == name]
        for user in self._world.users():
            wanted = self._before[user, OLD]
            if wanted is None or user in self._excused | self._world.gone:
                continue
            owns = owner in privileges.identities_of(self._world.state, user)
            if not any(now[user, uuid] == wanted for uuid in [*in_use, *([OLD] if owns else [])]):
                yield f"I6 {user} lost what it read: {[now[user, uuid] for uuid in in_use]}, not {wanted}"

    def _touched(self) -> Iterator[str]:
        if _others(self._world) != _others(self._begun):
            yield "something was changed beyond the two tables"

    def should_have_been_refused(self) -> Iterator[str]:
        """A copy that somebody reads who could not read the source must not be published."""
        for user in self._world.users():
            view = self._before[user, NEW]
            if view is not None and user != COPIER and not _within(view, self._before[user, OLD]):
                yield f"I6 {user} reads the copy and not the source, and nobody refused"

    def cut_over(self) -> None:
        """The new table is in use; only owners read the old one."""
        self.look()
        self._published = True
        if self._world.name_of(NEW) != TARGET_NAME:
            self.said.append("the copy was not published")
        state, name = self._world.state, self._world.name_of(OLD)
        owner = privileges.owner_of(state, Securable("TABLE", name))
        for user in self._world.users():
            stays = owner in privileges.identities_of(state, user) or user == COPIER or self._world.read_only
            if not stays and self._world.sees(user, OLD) is not None:
                self.said.append(f"I6 {user} still reads the old table")

    def rolled_back(self) -> None:
        """Everything is as it was, apart from principals that do not exist any more."""
        self.look()
        self._same_as(self._begun)

    def _same_as(self, wanted: World) -> None:
        dropped = self._world.name_of(NEW) == "" and not self._published
        for uuid in (OLD,) if dropped else (OLD, NEW):
            if self._world.name_of(uuid) != wanted.name_of(uuid):
                self.said.append(f"{wanted.name_of(uuid)} is called {self._world.name_of(uuid) or 'nothing'}")
            here, there = _held(self._world, uuid), _held(wanted, uuid)
            for principal in sorted((here.keys() | there.keys()) - self._world.gone):
                if here.get(principal) != there.get(principal):
                    was = f"{principal} holds {here.get(principal)} on {self._world.name_of(uuid)}"
                    self.said.append(f"I6 {was}, not {there.get(principal)}")

        self.said += self._differently_protected(wanted)

    def _differently_protected(self, wanted: World) -> Iterator[str]:
        """Filters, masks, policies and tags are as they were; what was put on a copy that has readers stays."""
        for uuid in (OLD, NEW):
            here, there = self._world.name_of(uuid), wanted.name_of(uuid)
            if not here or not there or (uuid == NEW and self._world.opened(here)):
                continue
            if _limits(self._world, here) != _limits(wanted, there):
                yield f"{here} has {_limits(self._world, here)} on it, not {_limits(wanted, there)}"

    def granted_before(self, name: str) -> set[str]:
        """Principals that were granted SELECT on a table itself at the beginning."""
        held = self._begun.grants_on(name)
        return {one for one, what in held.items() if what & {"SELECT", "ALL_PRIVILEGES"} and one != COPIER}

    def gone(self, principal: str) -> None:
        """A principal does not exist from now on; who read by it only is not ours to mind."""
        self._world.gone.add(principal)
        self._disturbed = True

    def somebody(self, change: Callable[[], None]) -> None:
        """Let somebody else change privileges: what that gives and takes is not ours."""
        before = self._sight()
        change()
        self._disturbed = True
        for (user, uuid), view in self._sight().items():
            if view is not None:
                self._allowed.setdefault((user, uuid), []).append(view)
            elif before[user, uuid] is not None:
                self._excused.add(user)

    def taken_back(self, change: Change, error: Exception) -> None:
        """The cut-over stopped: what it changed is taken back, what the other one changed stands."""
        wanted = deepcopy(self._begun)
        make_change(wanted, change)
        said = len(self.said)
        self._same_as(wanted)
        if len(self.said) > said:
            self.said.append(f"after {change} and {error}")


def _within(view: View, base: View | None) -> bool:
    """Whether a view shows no more than another: it has all of its filters and masks."""
    return base is not None and all(set(one) <= set(two) for one, two in zip(base, view, strict=True))


def _held(world: World, uuid: str) -> dict[str, set[str]]:
    return {one: what for one, what in world.grants_on(world.name_of(uuid)).items() if what}


def _limits(world: World, name: str) -> object:
    """What stands on a table itself and limits or describes it."""
    row, on = world.state.tables[name], Securable("TABLE", name)
    columns = [(column.name, column.mask, dict(column.tags)) for column in row.columns]
    own = sorted((policy.name, policy.type, policy.to) for policy in world.state.policies if policy.on == on)
    return row.comment, row.row_filter, dict(row.tags), columns, own


def _others(world: World) -> object:
    """What is no business of a cut-over: everything but grants on the two tables."""
    ours = {Securable("TABLE", name) for name in (SOURCE_NAME, STAGED_NAME, TARGET_NAME, world.name_of(OLD))}
    grants = {key: held for key, held in world.state.grants.items() if key not in ours and held}
    owners = [privileges.owner_of(world.state, Securable("TABLE", name)) for name in ("f.s.n", "m.s.n")]
    rows = [world.state.tables[name].owner for uuid in (OLD, NEW) if (name := world.name_of(uuid))]
    policies = [(one.name, one.type, one.to) for one in world.state.policies if one.on not in ours]
    source = [_limits(world, name) for name in [world.name_of(OLD)] if name]
    return grants, owners, rows[:1], policies, source
