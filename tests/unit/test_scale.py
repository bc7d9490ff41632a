"""What one project costs does not depend on how many others there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.projector.projections.pools import PoolChanges, PoolRow, Pools
from services.query.questions.rights import Rights
from shared.identity.principals import Principal
from shared.identity.roles import Places, Policy, Right


class OfAnother(str):
    """The name of a pool of another project: who looks at it for this one fails."""

    __slots__ = ()

    def startswith(self, *_: object) -> bool:
        raise AssertionError(f"{self} was looked at")


def cluster(name: str, parent: int) -> PoolRow:
    return PoolRow(name, parent, name.partition(".")[0], name, "magnum", 0, 9, None, False, 1, None)


def project(name: str) -> PoolRow:
    return PoolRow(name, None, name, name, "project", None, None, None, False, 1, None)


def test_what_touches_a_tree_looks_at_no_pool_of_another_project() -> None:
    known = Pools()
    for number, name in enumerate(("ours", "ours.old", "ours.old.inner", "others", OfAnother("others.one")), 1):
        known.add(name, number, None if "." not in name else 1, None)
    changes = PoolChanges(known)
    changes.create(project("new"), 10)
    changes.create(cluster(OfAnother("new.cluster"), 6), 11)
    fresh = changes.create(cluster("ours.fresh", 1), 12)
    changes.touched.clear()
    changes.touch_tree("ours", 13)
    assert changes.touched == {1: 13, 2: 13, 3: 13, fresh: 13}
    known.add("ours", 1, None, 5)  # again, as a cluster whose name was given again
    known.add("ours.old", 2, 1, None)
    assert sorted(known.inside.of("ours")) == ["ours.old", "ours.old.inner"]
    assert list(known.inside.of("ours.old")) == ["ours.old.inner"]


class Seen(dict[str, Mapping[str, frozenset[str]]]):
    """Bindings that count how often somebody looks through all of them."""

    looks = 0

    def items(self) -> Any:
        self.looks += 1
        return super().items()


def test_the_roles_of_all_projects_are_looked_through_once_for_all_principals() -> None:
    roles = frozenset({"reader"})
    bindings = Seen({f"p{number}": {f"egi:{number % 3}": roles, "group:ops": roles} for number in range(9)})
    places = Places(bindings)
    for number in range(3):
        person = Principal(id=f"egi:{number}", members=frozenset({f"egi:{number}"}))
        own = Rights(Policy(), bindings, person, places).sight(Right.SEE)
        assert own.roots == tuple(f"p{one}" for one in range(9) if one % 3 == number)
    everybody = Principal(id="egi:x", members=frozenset({"egi:x", "group:ops", "group:others"}))
    assert len(Rights(Policy(), bindings, everybody, places).sight(Right.NAMES).roots) == 9
    assert Rights(Policy(), bindings, Principal(id="egi:x", members=frozenset()), places).sight(Right.SEE).roots == ()
    assert bindings.looks == 1
