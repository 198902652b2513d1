"""Random worlds of privileges: most of one that can be cut over, then a few things that make trouble, or none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random

from tests.crash.privilege_world import COPIER, SOURCE_NAME, STAGED_NAME, World
from tests.peers.databricks.model import (
    ALL_USERS,
    CatalogRow,
    ColumnRow,
    Policing,
    PolicyRow,
    PrincipalRow,
    SchemaRow,
    Securable,
    State,
    TableRow,
)

USERS = ("ann", "bob", "cy", "dee", "eve")
GROUPS = ("analysts", "engineers", "everybody in sales")
SIDES = ("f", "m")
NOISE = ("MODIFY", "APPLY_TAG")
UUIDS = {SOURCE_NAME: "uuid-source", STAGED_NAME: "uuid-copy", "f.s.n": "uuid-n1", "m.s.n": "uuid-n2"}


def random_world(seed: int, troubles: int | None = None) -> World:
    """The same world for the same seed, with so many things that make trouble (random: mostly none)."""
    rng = Random(seed)
    world = _empty(rng)
    for reader in rng.sample((*USERS, *GROUPS, ALL_USERS), rng.randint(0, 4)):
        _let_read(world, rng, reader)
    for _ in range(rng.randint(0, 4)):
        _noise(world, rng)
    if rng.random() < 0.5:
        _equal_policies(world, rng)
    if rng.random() < 0.5:
        _protections(world, rng)
    chosen = rng.choice((0, 0, 0, 1, 1, 2))
    for trouble in rng.sample(TROUBLES, chosen if troubles is None else troubles):
        trouble(world, rng)
    return world


def _empty(rng: Random) -> World:
    state = State()
    for name in (*USERS, COPIER, "admin"):
        state.principals[name] = PrincipalRow(name=name)
    for group in GROUPS:
        state.groups[group] = {user for user in USERS if rng.random() < 0.4}
    if rng.random() < 0.4:
        state.groups[GROUPS[2]].add(GROUPS[0])
    state.metastore.owner = "admin"
    for side in SIDES:
        state.catalogs[side] = CatalogRow(name=side, owner=rng.choice(("admin", "admin", COPIER, "dee")))
        state.schemas[f"{side}.s"] = SchemaRow(name="s", catalog=side, owner=rng.choice(("admin", COPIER)))
        give(state, "CATALOG", side, COPIER, "USE_CATALOG", "USE_SCHEMA")
    for name in UUIDS:
        catalog, _, table = name.split(".")
        columns = [ColumnRow(name=column, type_text="string", type_name="STRING") for column in ("id", "password")]
        owner = COPIER if name == STAGED_NAME else "admin"
        state.tables[name] = TableRow(name=table, catalog=catalog, schema="s", columns=columns, owner=owner)
    state.tables[SOURCE_NAME].owner = rng.choice(("admin", COPIER, "eve", GROUPS[1]))
    give(state, "TABLE", SOURCE_NAME, COPIER, "MANAGE", "SELECT")
    files = {
        name: {
            "table-uuid": uuid,
            "at": f"{uuid}/0.metadata.json",
            "location": f"file:///nowhere/{uuid}",
            "properties": {"icebridge.plan-id": "w", "icebridge.token": "t"} if name == STAGED_NAME else {},
        }
        for name, uuid in UUIDS.items()
    }
    return World(
        state=state,
        files=files,
        foreign=rng.random() < 0.7,
        read_only=rng.random() < 0.1,
        tells_groups=rng.random() < 0.5,
        tells_all_policies=rng.random() < 0.5,
    )


def give(state: State, kind: str, name: str, principal: str, *wanted: str) -> None:
    """Grant, without asking who may."""
    state.grants.setdefault(Securable(kind, name), {}).setdefault(principal, set()).update(wanted)


def take(state: State, kind: str, name: str, principal: str) -> None:
    """Take everything from a principal on one securable."""
    state.grants.get(Securable(kind, name), {}).pop(principal, None)


def _let_read(world: World, rng: Random, reader: str) -> None:
    give(world.state, "TABLE", SOURCE_NAME, reader, rng.choice(("SELECT", "SELECT", "ALL_PRIVILEGES")))
    if rng.random() < 0.1:
        give(world.state, "TABLE", STAGED_NAME, reader, "SELECT")
    for side in SIDES:
        _let_in(world.state, rng, side, reader)


def _let_in(state: State, rng: Random, side: str, reader: str) -> None:
    for holder in {rng.choice((reader, reader, ALL_USERS))}:
        give(state, "CATALOG", side, holder, "USE_CATALOG")
    place, name = rng.choice((("CATALOG", side), ("SCHEMA", f"{side}.s")))
    give(state, place, name, rng.choice((reader, reader, ALL_USERS)), "USE_SCHEMA")


def _somebody(rng: Random) -> str:
    return rng.choice((*USERS, *GROUPS))


def _noise(world: World, rng: Random) -> None:
    """What opens no table by itself."""
    state, side, who = world.state, rng.choice(SIDES), _somebody(rng)
    match rng.randrange(5):
        case 0:
            give(state, "TABLE", rng.choice((SOURCE_NAME, STAGED_NAME)), who, rng.choice(NOISE))
        case 1:
            give(state, "CATALOG", side, who, "USE_CATALOG", "BROWSE")
        case 2:
            give(state, "SCHEMA", f"{side}.s", who, "USE_SCHEMA", "CREATE_TABLE")
        case 3:
            give(state, "TABLE", f"{side}.s.n", who, "SELECT")
        case _:
            state.policies.append(_policy(rng, "DENY", Securable("TABLE", f"{side}.s.n")))


def _policy(rng: Random, kind: str, on: Securable, for_type: str = "TABLE", *, when: str = "") -> PolicyRow:
    denied = {"TABLE": "SELECT", "SCHEMA": "USE_SCHEMA", "CATALOG": "USE_CATALOG"}[for_type]
    limits = kind in {"ROW_FILTER", "COLUMN_MASK"}
    return PolicyRow(
        name=f"p{rng.randrange(10**6)}",
        type=kind,
        on=on,
        for_type=for_type,
        to=tuple(rng.sample((*USERS, *GROUPS), rng.randint(1, 2))),
        excepted=tuple(rng.sample(USERS, rng.randint(0, 1))),
        privileges=() if limits else (denied,),
        function_name="m.gov.keep" if limits else "",
        on_column="password" if kind == "COLUMN_MASK" else "",
        when=when,
    )


def _equal_policies(world: World, rng: Random) -> None:
    """The same limits on both tables; where they look at tags, the copy may be without those that the source has."""
    state, kind = world.state, rng.choice(("DENY", "DENY", "ROW_FILTER", "COLUMN_MASK"))
    when = "" if kind == "DENY" and rng.random() < 0.7 else "hasTag('pii')"
    if when:
        row = rng.choice((state.tables[SOURCE_NAME], state.tables[SOURCE_NAME], state.schemas["f.s"]))
        row.tags["pii"] = ""
    if kind == "DENY" and rng.random() < 0.5:
        rng.choice((state.tables[STAGED_NAME], state.schemas["m.s"])).tags["pii"] = ""
    for_type = rng.choice(("TABLE", "SCHEMA", "CATALOG")) if kind == "DENY" and not when else "TABLE"
    made = _policy(rng, kind, Securable("CATALOG", "f"), for_type, when=when)
    twin = copy.copy(made)
    twin.on = Securable("CATALOG", "m")
    state.policies += [made, twin]


def _protections(world: World, rng: Random) -> None:
    """What stands on the source alone, and is put on the copy before anybody reads it."""
    state, row = world.state, world.state.tables[SOURCE_NAME]
    if rng.random() < 0.5:
        row.row_filter = Policing(function_name="m.gov.rows", columns=("id",))
    for column in row.columns:
        if rng.random() < 0.4:
            column.mask = Policing(function_name="m.gov.stars", columns=rng.choice(((), ("id",))))
    if rng.random() < 0.4:
        kind, on = rng.choice(("DENY", "ROW_FILTER", "COLUMN_MASK")), Securable("TABLE", SOURCE_NAME)
        state.policies.append(_policy(rng, kind, on, when=rng.choice(("", "hasTag('pii')"))))
        row.tags.setdefault("pii", "")
    row.comment = rng.choice(("", "orders, one line each"))


# Trouble


def _inherited_source(world: World, rng: Random) -> None:
    kind, name = rng.choice((("SCHEMA", "f.s"), ("CATALOG", "f")))
    give(world.state, kind, name, _somebody(rng), rng.choice(("SELECT", "ALL_PRIVILEGES")))


def _inherited_target(world: World, rng: Random) -> None:
    kind, name = rng.choice((("SCHEMA", "m.s"), ("CATALOG", "m")))
    who = _somebody(rng)
    give(world.state, kind, name, who, rng.choice(("SELECT", "ALL_PRIVILEGES")))
    _let_in(world.state, rng, "m", who)


def _no_way_in(world: World, rng: Random) -> None:
    side = rng.choice(SIDES)
    kind, name = rng.choice((("CATALOG", side), ("SCHEMA", f"{side}.s")))
    for who in (*USERS, *GROUPS, ALL_USERS):
        if rng.random() < 0.5:
            take(world.state, kind, name, who)


def _crossed_ways(world: World, rng: Random) -> None:
    """A group's members reach the two sides by grants of their own, each another side."""
    group, (one, two) = rng.choice(GROUPS[:2]), rng.sample(USERS, 2)
    world.state.groups[group] |= {one, two}
    give(world.state, "TABLE", SOURCE_NAME, group, "SELECT")
    give(world.state, "CATALOG", "f", one, "USE_CATALOG", "USE_SCHEMA")
    give(world.state, "CATALOG", "m", two, "USE_CATALOG", "USE_SCHEMA")


def _unequal_policy(world: World, rng: Random) -> None:
    kind = rng.choice(("DENY", "DENY", "ROW_FILTER", "COLUMN_MASK"))
    for_type = rng.choice(("TABLE", "SCHEMA", "CATALOG")) if kind == "DENY" else "TABLE"
    for side in rng.choice((SIDES, SIDES, ("f",), ("m",))):
        world.state.policies.append(_policy(rng, kind, Securable("CATALOG", side), for_type))


def _unequal_tags(world: World, rng: Random) -> None:
    world.state.tables[rng.choice((SOURCE_NAME, STAGED_NAME))].tags.clear()
    for side in SIDES:
        made = _policy(rng, rng.choice(("DENY", "ROW_FILTER")), Securable("CATALOG", side), when="hasTag('secret')")
        made.name, made.to, made.excepted = "secrets", (rng.choice(USERS), *GROUPS), ()
        world.state.policies.append(made)
    world.state.policies[-1].type = world.state.policies[-2].type
    if rng.random() < 0.5:  # the copy inherits another value, which hides nothing
        for policy in world.state.policies[-2:]:
            policy.when = "hasTagValue('secret', 'yes')"
        world.state.schemas["m.s"].tags["secret"] = "no"
    first, last = world.state.policies[-2:]
    last.privileges, last.function_name, last.to = first.privileges, first.function_name, first.to
    world.state.tables[SOURCE_NAME].tags["secret"] = "yes"


def _unequal_mask(world: World, rng: Random) -> None:
    row = world.state.tables[rng.choice((SOURCE_NAME, STAGED_NAME))]
    if rng.random() < 0.5:
        row.row_filter = Policing(function_name="m.gov.mine", columns=("id",))
    else:
        row.columns[1].mask = Policing(function_name="m.gov.stars")


def _grant_policy(world: World, rng: Random) -> None:
    world.state.policies.append(_policy(rng, "GRANT", Securable("CATALOG", rng.choice(SIDES))))


def _group_owns(world: World, rng: Random) -> None:
    world.state.tables[SOURCE_NAME].owner = rng.choice(GROUPS)


def _granted_before(world: World, rng: Random) -> None:
    give(world.state, "TABLE", STAGED_NAME, _somebody(rng), "SELECT")


TROUBLES: tuple[Callable[[World, Random], None], ...] = (
    _inherited_source,
    _inherited_target,
    _no_way_in,
    _crossed_ways,
    _unequal_policy,
    _unequal_tags,
    _unequal_mask,
    _grant_policy,
    _group_owns,
    _granted_before,
)


Change = tuple[str, ...]


def human_change(world: World, rng: Random) -> Change:
    """Choose something that somebody else might change meanwhile, on one of the two tables or above them."""
    uuid = rng.choice((UUIDS[SOURCE_NAME], UUIDS[STAGED_NAME]))
    held = world.grants_on(world.name_of(uuid))
    takers = sorted(held.keys() - {COPIER})
    match rng.randrange(7):
        case 5:
            return "bare", uuid
        case 6:
            return "limit", uuid
        case 0 | 1:
            return "grant", uuid, _somebody(rng), rng.choice(("SELECT", "ALL_PRIVILEGES", "MODIFY"))
        case 2 if takers:
            who = rng.choice(takers)
            return "revoke", uuid, who, *sorted(held[who])
        case 3:
            return "policy", uuid, rng.choice(("DENY", "ROW_FILTER")), str(rng.randrange(10**6))
        case _:
            return "above", rng.choice(SIDES), _somebody(rng)


def make_change(world: World, change: Change) -> None:
    """Make it, wherever the tables are named by now."""
    state = world.state
    match change:
        case ("grant", uuid, who, privilege):
            give(state, "TABLE", world.name_of(uuid), who, privilege)
        case ("revoke", uuid, who, *taken):
            held = world.grants_on(world.name_of(uuid))
            held[who] = held.get(who, set()) - set(taken)
        case ("policy", uuid, kind, seed):
            on = Securable("TABLE", world.name_of(uuid))
            state.policies.append(_policy(Random(seed), kind, on))
        case ("bare", uuid):
            row = state.tables[world.name_of(uuid)]
            row.row_filter = None
            for column in row.columns:
                column.mask = None
        case ("limit", uuid):
            for column in state.tables[world.name_of(uuid)].columns[:1]:
                column.mask = Policing(function_name="m.gov.somebodys")
        case ("above", side, who):
            give(state, "SCHEMA", f"{side}.s", who, "SELECT", "USE_SCHEMA")
