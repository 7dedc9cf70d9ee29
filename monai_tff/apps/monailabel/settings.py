"""What a server is told when it starts: by `monai_tff serve`, or as `--conf` of MONAI Label's own command."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_tff.errors import ConfigError

TOKEN_VARIABLE = "MONAI_TFF_TOKEN"
"""Environment variable that may hold the token."""

SHORTEST_TOKEN = 16
OTHERS = stat.S_IRWXG | stat.S_IRWXO
MEGABYTE = 1024**2
KEYS = ("bundle", "bundles", "trust", "device", "queue", "max_upload_mb", "token_file")
"""Keys of `--conf`; all values may be text."""


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """The settings of one server.

    Attributes:
        bundles: folders or .zip files of bundles, or run folders.
        trust: skip the check that a bundle does nothing but predict.
        device: `cpu`, `cuda`, ...; None for what each bundle chooses.
        queue: requests that run or wait at once.
        max_upload_mb: most megabytes in one request.
        token: what callers must show, None for loopback callers only.
    """

    bundles: tuple[Path, ...]
    trust: bool = False
    device: str | None = None
    queue: int = 16
    max_upload_mb: int = 2048
    token: str | None = dataclasses.field(default=None, repr=False)

    @property
    def max_upload_bytes(self) -> int:
        """Most bytes in one request."""
        return self.max_upload_mb * MEGABYTE

    @classmethod
    def from_conf(cls, conf: Mapping[str, Any]) -> ServerSettings:
        """Reads the settings.

        Args:
            conf: keys of `KEYS`; `bundles` is a list, or paths separated by commas.

        Raises:
            ConfigError: for an unknown key, a wrong value, or no bundle.
        """
        unknown = sorted(set(conf) - set(KEYS))
        if unknown:
            raise ConfigError(f"--conf {unknown[0]}: there is no such key, expected one of {', '.join(KEYS)}.")
        listed = conf.get("bundles", ())
        paths = listed.split(",") if isinstance(listed, str) else list(listed)
        paths += [conf["bundle"]] if conf.get("bundle") else []
        bundles = tuple(Path(str(path).strip()) for path in paths if str(path).strip())
        if not bundles:
            raise ConfigError("--conf bundle: there is none, expected the path of a bundle to serve; name one.")
        token_file = conf.get("token_file")
        return cls(
            bundles=bundles,
            trust=_yes(conf.get("trust", False)),
            device=conf.get("device") or None,
            queue=_count("queue", conf.get("queue", cls.queue)),
            max_upload_mb=_count("max_upload_mb", conf.get("max_upload_mb", cls.max_upload_mb)),
            token=read_token(Path(token_file) if token_file else None),
        )


def read_token(file: Path | None) -> str | None:
    """The token that callers must show, from a file or from the environment variable `MONAI_TFF_TOKEN`.

    Args:
        file: holds the token and nothing else; None for the environment variable alone.

    Returns:
        The token, None where neither gives one.

    Raises:
        ConfigError: for a file that cannot be read or that others have a right to, or a token too short to be one.
    """
    if file is None:
        source, text = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE)
        if text is None:
            return None
    else:
        source = str(file)
        try:
            text = _private_text(file)
        except (OSError, UnicodeDecodeError) as error:
            found = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(
                f"{file}: cannot be read ({found}), expected a file with the token in it; check --token-file."
            ) from error
    token = text.strip()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{source}: the token has {len(token)} characters, expected {SHORTEST_TOKEN} or more plain ones without "
            "spaces; make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
        )
    return token


def _private_text(file: Path) -> str:
    """The text of a file that is its owner's alone; asked of the opened file, which nothing can replace meanwhile."""
    with file.open(encoding="utf-8") as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        if os.name == "posix" and mode & OTHERS:
            raise ConfigError(
                f"{file}: its mode is {mode:03o}, so others than its owner have a right to it, expected 600 for a file "
                f"with a token; run chmod 600 {file}, and make a new token if others may have read this one."
            )
        return opened.read()


def _yes(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false", "1", "0", "yes", "no"):
        raise ConfigError(f"--conf trust: found '{value}', expected true or false.")
    return text in ("true", "1", "yes")


def _count(name: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ConfigError(f"--conf {name}: found '{value}', expected a whole number of 1 or more.")
    return number
