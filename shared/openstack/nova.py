"""Nova: a quota set is a grant with the source `nova`, a flavor is a template."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shared.capacity import COUNT_MAX, DIMENSIONS, Capacity
from shared.hours import instant_of
from shared.openstack.document import Item
from shared.openstack.wanted import (
    Amount,
    Given,
    Grants,
    Malformed,
    Note,
    Result,
    Template,
    Unmapped,
    Wanted,
    granted,
    shaped,
    template_name,
)

SOURCE = "nova"
# Nova's name of a limit, in a quota set and in the limits that any user may read, and the dimension that it is.
LIMITS = (("instances", "maxTotalInstances", "servers"), ("cores", "maxTotalCores", "cores"),
          ("ram", "maxTotalRAMSize", "memory"))  # fmt: skip
# What a flavor asks for beside cores, memory and disc, which no dimension counts.
UNCOUNTED = ("resources:", "resources", "pci_passthrough:", "accel:", "trait:")
MIB_PER_GIB = 1024
NO_DISC = (
    "Nova limits no disc, so none is granted that was not before; --tempdisc grants it, --disc none leaves it out of "
    "flavors"
)


class Flavor(msgspec.Struct, frozen=True):
    """`ram` and `swap` are MiB, `disk` and `ephemeral` GiB. No swap is 0, or an empty text before 2.75."""

    name: str
    vcpus: Amount
    ram: Amount
    id: str | int = ""
    disk: Amount = 0
    ephemeral: Amount | None = msgspec.field(name="OS-FLV-EXT-DATA:ephemeral", default=0)
    swap: Amount | str | None = 0
    disabled: bool = msgspec.field(name="OS-FLV-DISABLED:disabled", default=False)
    extra_specs: dict[str, Any] | None = None

    def disc(self) -> int:
        """GiB of the root disc, the ephemeral disc and swap, which is rounded up."""
        if not isinstance(self.swap, int) and self.swap:
            raise Malformed(f"swap: {self.swap!r} is not a number")
        swap = self.swap if isinstance(self.swap, int) else 0
        return self.disk + (self.ephemeral or 0) - (-swap // MIB_PER_GIB)


def map_quota(item: Item, given: Given) -> Result:
    """A quota set, plain or detailed, or the `limits` of a user. Raises Malformed."""
    limits = shaped(item.data, dict[str, Any])
    if item.kind == "limits":
        limits = shaped(limits.get("absolute"), dict[str, Any])
    name = f"nova quota of {limits['id']}" if isinstance(limits.get("id"), str) else "nova quota"
    counts, unlimited = dict(given.amounts), []
    for limit, absolute, dimension in LIMITS:
        count = limit_of(limits, absolute if item.kind == "limits" else limit)
        if count is not None and count >= 0:
            counts[dimension] = count
        elif dimension not in counts:
            unlimited.append(f"{limit} is {'unlimited (-1)' if count is not None else 'not in it'}: give --{dimension}")
    if unlimited:
        return Result([], [Unmapped(name, f"{'; '.join(unlimited)} to say how much there is")], [])
    capacity = Capacity(**counts)
    if not capacity:
        return Result([], [Unmapped(name, "it grants nothing: instances, cores and ram are 0")], [])
    period = None
    if given.start is not None and given.end is not None:
        period = granted(instant_of(given.start), instant_of(given.end))
    says_disc = any(counts.get(disc) for disc in DIMENSIONS[3:])
    notes = [] if says_disc else [Note(name, NO_DISC)]
    return Result([Grants(SOURCE, name, period, (capacity,))], [], notes)


def limit_of(limits: dict[str, Any], name: str) -> int | None:
    """None where there is none. A detailed quota says `{"limit", "in_use", "reserved"}`."""
    value = limits.get(name)
    if isinstance(value, dict):
        value = value.get("limit")
    if value is None:
        return None
    count = shaped(value, int)
    if count > COUNT_MAX:
        raise Malformed(f"{name}: {count} is more than {COUNT_MAX}")
    return count


def map_flavors(items: Iterable[Item], given: Given) -> tuple[Result, dict[str, str]]:
    """The templates, and by which of them a flavor's id or name is known."""
    wanted: dict[str, Template] = {}
    result, ids, names = Result([], [], []), {}, {}
    for item in items:
        label = label_of(item.data)
        try:
            flavor = shaped(item.data, Flavor)
            template = template_of(flavor, given)
        except Malformed as error:
            short = isinstance(item.data, dict) and "vcpus" not in item.data and "links" in item.data
            why = "the short list does not say how big a flavor is: fetch /flavors/detail" if short else str(error)
            result.unmapped.append(Unmapped(label, why))
            continue
        if wanted.setdefault(template.name, template) != template:
            other = wanted[template.name]
            result.unmapped.append(
                Unmapped(label, f"the template {template.name!r} is taken by flavor {other.flavor!r}")
            )
            continue
        ids[str(flavor.id)] = names[flavor.name] = template.name
        result.notes.extend(notes_on(flavor, template, label))
    templates: list[Wanted] = list(wanted.values())
    return result._replace(wanted=templates), {**names, **ids}


def template_of(flavor: Flavor, given: Given) -> Template:
    name = template_name(flavor.name) or template_name(f"flavor-{flavor.id}")
    disc = {given.disc: flavor.disc()} if given.disc is not None else {}
    capacity = Capacity(servers=1, cores=flavor.vcpus, memory=flavor.ram, **disc)
    return Template(name, capacity, str(flavor.id))


def notes_on(flavor: Flavor, template: Template, label: str) -> Iterable[Note]:
    if template.name != flavor.name:
        yield Note(label, f"the template is called {template.name!r}")
    uncounted = sorted(name for name in flavor.extra_specs or {} if name.startswith(UNCOUNTED))
    if uncounted:
        yield Note(label, f"no dimension counts {', '.join(uncounted)}")
    if flavor.disabled:
        yield Note(label, "it is disabled at Nova, and a template all the same: servers of it may run")


def label_of(data: Any) -> str:
    name = data.get("name") or data.get("id") if isinstance(data, dict) else None
    return f"flavor {name}" if name else "a flavor"
