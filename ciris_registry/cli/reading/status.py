"""Reads the status of a namespace from all its partitions; it writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ciris_registry.cli.reading.service_type import Damage, TypeStatus, read_type
from ciris_registry.errors import InvalidNameError, StoreUnavailableError
from ciris_registry.names import service_type_name

if TYPE_CHECKING:
    from ciris_registry.store import Store, Stores


@dataclass(frozen=True, slots=True)
class Status:
    """One namespace; ``in_use`` names all of its service types, shown or not."""

    url: str
    namespace: str
    in_use: tuple[str, ...]
    service_types: tuple[TypeStatus, ...]
    damaged: tuple[Damage, ...]


async def read_status(stores: Stores, url: str, only: str | None = None) -> Status:
    """All service types of the namespace, or only one, in use or not.

    A partition that is away is named among what is damaged, unless all of them are.

    Raises:
        StoreUnavailableError: Redis cannot be reached.
    """
    found: list[_Read] = []
    away: list[StoreUnavailableError] = []
    damaged: list[Damage] = []
    for store in await stores.all():
        try:
            found.append(await _read_partition(store, only))
        except StoreUnavailableError as error:
            away.append(error)
            damaged.append(Damage(f"partition {store.partition}", str(error)))
    if not found:
        raise away[0]
    shown = [await read_type(await stores.of(only), only)] if only is not None else []
    return Status(
        url=url,
        namespace=stores.first.namespace,
        in_use=tuple(sorted(one for read in found for one in read.in_use)),
        service_types=tuple(
            shown
            or sorted(
                (one for read in found for one in read.service_types),
                key=attrgetter("service_type"),
            )
        ),
        damaged=(*damaged, *(one for read in found for one in read.damaged)),
    )


class _Read(NamedTuple):
    """What was read of one partition."""

    in_use: list[str]
    service_types: list[TypeStatus]
    damaged: list[Damage]


async def _read_partition(store: Store, only: str | None) -> _Read:
    """The service types of one partition; if ``only`` one is to be shown, their names alone."""
    read = _Read([], [], [])
    for name in await store.processes.service_types():
        try:
            read.in_use.append(service_type_name(name))
        except InvalidNameError as error:
            read.damaged.append(Damage(f"service type {name!r}", str(error)))
    if only is None:
        read.service_types.extend([await read_type(store, one) for one in read.in_use])
    return read
