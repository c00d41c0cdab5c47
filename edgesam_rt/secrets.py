"""Logins of cameras and brokers: read them, put them into addresses, say nothing of them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from edgesam_rt.errors import ConfigError
from edgesam_rt.paths import user_path

_HIDDEN = "***"
_USERINFO = re.compile(r"(?<=://)\S*@")  # a password may hold what an address may not
_ADDRESS = re.compile(r"(?s)(?<=//).*@")
_NAMED = re.compile(
    r"(?i)\b((?:[a-z-]*[_-])?(?:pass(?:word|wd)?|pwd|pw|token|secret|key|auth|sig(?:nature)?)\s*=\s*)"
    r"(?:\"[^\"]*\"|[^\s&!;,#\"']+)"
)


def redact(text: str) -> str:
    """Return a text without the logins and tokens of addresses and pipelines in it.

    Hidden are `user:password@` of an address and the values of parameters named like a secret
    (`password=`, `user-pw=`, `token=`, …).
    """
    return _NAMED.sub(rf"\g<1>{_HIDDEN}", _USERINFO.sub(f"{_HIDDEN}@", text))


def redact_address(text: str) -> str:
    """Return an address without its login, whatever characters that has."""
    return redact(_ADDRESS.sub(f"{_HIDDEN}@", text))


def with_login(url: str, login: str) -> str:
    """Put `user:password` into an address, in place of the login in it."""
    parts = urlsplit(url)
    user, _, password = login.partition(":")
    host = parts.netloc.rpartition("@")[2]
    place = f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=place))


def read_login(variable: str | None, file: str | None) -> str | None:
    """Return `user:password` from an environment variable or a file; None where none is named.

    A file's name without a slash is looked for in CREDENTIALS_DIRECTORY first, where systemd's
    `LoadCredential=` puts it.

    Raises:
        ConfigError: both are named, it is not there, or is not of that form.
    """
    if variable and file:
        raise ConfigError("login_env and login_file are both given: one login, one place.")
    if variable:
        text = os.environ.get(variable)
        if text is None:
            raise ConfigError(f"login_env: there is no {variable} in the environment.")
        return _form(text, f"login_env: {variable}")
    if file:
        return _form(read_secret(file, "login_file"), f"login_file: {file}")
    return None


def read_secret(file: str, key: str) -> str:
    """Return what a secret's file holds; a name without a slash may be a credential of systemd.

    Args:
        file: its path or name.
        key: of the configuration, for messages.

    Raises:
        ConfigError: it cannot be read; what it holds is not told.
    """
    path = _place_of(file)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{key}: {path}: cannot be read: {why}.") from None


def _place_of(file: str) -> Path:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    # An ExecReload= of systemd 252 has the variable, and may not look into the folder.
    if folder and "/" not in file and os.access(Path(folder) / file, os.R_OK):
        return Path(folder) / file
    return user_path(file)


def _form(text: str, where: str) -> str:
    login = text.strip()
    if not re.fullmatch(r"[^:\s][^:]*:.+", login) or "\n" in login:
        raise ConfigError(f"{where}: expected one line, user:password; got something else.")
    return login
