"""Nova: a quota set becomes a grant with the source `nova`, a flavor becomes a template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from services.cli.openstack.current import ID_SEPARATOR, IDS_MAX
from services.cli.openstack.desired import (
    Amount,
    Desired,
    DesiredGrants,
    DesiredTemplate,
    ImportOptions,
    Malformed,
    MappingResult,
    Note,
    Unmapped,
    converted,
    template_name,
    unique_name,
    whole_hours,
)
from services.cli.openstack.document import Item
from shared.capacity import COUNT_MAX, DIMENSIONS, Capacity
from shared.hours import instant_of

SOURCE = "nova"
# A limit's name in a quota set, its name in the limits that every user may read, and its dimension in Hourbook.
LIMITS = (
    ("instances", "maxTotalInstances", "servers"),
    ("cores", "maxTotalCores", "cores"),
    ("ram", "maxTotalRAMSize", "memory"),
)
# The extra specs of a flavor that ask for resources without a dimension in Hourbook.
UNCOUNTED = ("resources:", "resources", "pci_passthrough:", "accel:", "trait:")
MIB_PER_GIB = 1024
NO_DISC = (
    "Nova has no limit for disc: the grant gets no disc, or keeps what it had before; --tempdisc grants disc, --disc "
    "none leaves it out of flavors"
)


class Flavor(msgspec.Struct, frozen=True):
    """A flavor. `ram` and `swap` are in MiB, `disk` and `ephemeral` in GiB. No swap is 0, or "" before Nova 2.75."""

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
        """The root disc, the ephemeral disc and swap together, in GiB. Swap is rounded up. Raises Malformed."""
        if not isinstance(self.swap, int) and self.swap:
            raise Malformed(f"swap: {self.swap!r} is not a number")
        swap = self.swap if isinstance(self.swap, int) else 0
        return self.disk + (self.ephemeral or 0) - (-swap // MIB_PER_GIB)


def map_quota(item: Item, options: ImportOptions) -> MappingResult:
    """The grants of a quota set, plain or detailed, or of the `limits` of a user. Raises Malformed."""
    limits = converted(item.data, dict[str, Any])
    if item.kind == "limits":
        limits = converted(limits.get("absolute"), dict[str, Any])
    name = f"nova quota of {limits['id']}" if isinstance(limits.get("id"), str) else "nova quota"
    counts, unlimited = dict(options.amounts), []
    for limit, absolute, dimension in LIMITS:
        count = limit_of(limits, absolute if item.kind == "limits" else limit)
        if count is not None and count >= 0:
            counts[dimension] = count
        elif dimension not in counts:
            unlimited.append(f"{limit} is {'unlimited (-1)' if count is not None else 'missing'}: give --{dimension}")
    if unlimited:
        return MappingResult([], [Unmapped(name, f"{'; '.join(unlimited)} to name the amount")], [])
    capacity = Capacity(**counts)
    if not capacity:
        return MappingResult([], [Unmapped(name, "it grants nothing: instances, cores and ram are 0")], [])
    period = None
    if options.start is not None and options.end is not None:
        period = whole_hours(instant_of(options.start), instant_of(options.end))
    says_disc = any(counts.get(disc) for disc in DIMENSIONS[3:])
    notes = [] if says_disc else [Note(name, NO_DISC)]
    return MappingResult([DesiredGrants(SOURCE, name, period, (capacity,))], [], notes)


def limit_of(limits: dict[str, Any], name: str) -> int | None:
    """A limit; None when it is missing. In a detailed quota it is `{"limit", "in_use", "reserved"}`."""
    value = limits.get(name)
    if isinstance(value, dict):
        value = value.get("limit")
    if value is None:
        return None
    count = converted(value, int)
    if count > COUNT_MAX:
        raise Malformed(f"{name}: {count} is more than {COUNT_MAX}")
    return count


class SizedFlavor(NamedTuple):
    """A flavor, and the size of one server of it."""

    label: str
    flavor: Flavor
    capacity: Capacity


def map_flavors(items: Iterable[Item], options: ImportOptions) -> tuple[MappingResult, dict[str, str]]:
    """The desired templates, and the name of the template of each flavor, by the flavor's id and by its name."""
    result, ids, names = MappingResult([], [], []), dict[str, str](), dict[str, str]()
    sized = list(sized_flavors(items, options, result))
    owners, templates = owners_of(sized, options), dict[str, DesiredTemplate]()
    for one in sized:
        flavor, name = one.flavor, name_of(one, owners, options)
        before = templates.get(names.get(flavor.name, name))
        if before is not None and before.capacity != one.capacity:
            result.unmapped.append(Unmapped(one.label, "another document has it with another size, and came first"))
            continue
        templates[name] = DesiredTemplate(name, one.capacity, with_id(before, str(flavor.id)))
        ids[str(flavor.id)] = names[flavor.name] = name
        result.notes.extend(notes_on(flavor, name, one.label))
    desired: list[Desired] = list(templates.values())
    return result._replace(desired=desired), {**names, **ids}


def sized_flavors(items: Iterable[Item], options: ImportOptions, result: MappingResult) -> Iterator[SizedFlavor]:
    """Yields the valid flavors. Adds the others to `result.unmapped`."""
    for item in items:
        label = flavor_label(item.data)
        try:
            flavor = converted(item.data, Flavor)
            disc = {options.disc: flavor.disc()} if options.disc is not None else {}
            yield SizedFlavor(label, flavor, Capacity(servers=1, cores=flavor.vcpus, memory=flavor.ram, **disc))
        except Malformed as error:
            short = isinstance(item.data, dict) and "vcpus" not in item.data and "links" in item.data
            why = "the short list does not have the size of a flavor: fetch /flavors/detail" if short else str(error)
            result.unmapped.append(Unmapped(label, why))


def owners_of(sized: Iterable[SizedFlavor], options: ImportOptions) -> dict[str, Capacity]:
    """The size that gets each plain name, when flavors of several sizes have the same plain name.

    It is the size of the flavor whose template had the name before, else of the flavor with exactly this name, else of
    the first flavor.
    """
    ranked: dict[str, tuple[int, Capacity]] = {}
    for one in sized:
        name = plain_name(one.flavor)
        rank = 0 if options.known.get(str(one.flavor.id)) == name else 1 if one.flavor.name == name else 2
        if name not in ranked or rank < ranked[name][0]:
            ranked[name] = rank, one.capacity
    return {name: capacity for name, (_, capacity) in ranked.items()}


def name_of(one: SizedFlavor, owners: Mapping[str, Capacity], options: ImportOptions) -> str:
    """The template's name: the plain name, or a unique name when the plain one belongs to another size."""
    name, own = plain_name(one.flavor), unique_name(one.flavor.name)
    return own if owners[name] != one.capacity or options.known.get(str(one.flavor.id)) == own else name


def plain_name(flavor: Flavor) -> str:
    """The flavor's name as a template's name, or one made of its id."""
    return template_name(flavor.name) or template_name(f"flavor-{flavor.id}")


def with_id(before: DesiredTemplate | None, flavor: str) -> str:
    """The ids of a template's flavors with one more, if the text stays short enough to be stored."""
    ids = [] if before is None else before.flavor.split(ID_SEPARATOR)
    more = ID_SEPARATOR.join([*ids, flavor])
    return more if flavor not in ids and (before is None or len(more) <= IDS_MAX) else ID_SEPARATOR.join(ids)


def notes_on(flavor: Flavor, template: str, label: str) -> Iterable[Note]:
    if template != flavor.name:
        yield Note(label, f"its template has the name {template!r}")
    uncounted = sorted(name for name in flavor.extra_specs or {} if name.startswith(UNCOUNTED))
    if uncounted:
        yield Note(label, f"Hourbook does not count {', '.join(uncounted)}")
    if flavor.disabled:
        yield Note(label, "it is disabled at Nova, and imported all the same, because servers of it may run")


def flavor_label(data: Any) -> str:
    name = data.get("name") or data.get("id") if isinstance(data, dict) else None
    return f"flavor {name}" if name else "a flavor"
