"""Run the official kaggle client as a command: check its output, not only its exit code, and hide credentials.

The client (2.2) exits with 0 even if a push, a creation or every single upload failed, so its output is checked too. All output
passes through `scrub`, so that no key reaches a log, a notebook or an error.
"""

import base64
import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from aslutils.system.errors import UserError

FAILURES = re.compile(r"(?:creation|push) error\b|^Upload unsuccessful|not valid (?:dataset|competition|kernel|model) sources",
                      re.MULTILINE)
BAR = re.compile(r"^ *\d+%\|.*$", re.MULTILINE)                  # the client's own progress bars
REFUSED = re.compile(r"Authentication required|\b401\b|Unauthenticated|Unauthorized")
RULES = re.compile(r"\brules\b")                                # the client's hint at every refusal names them too
SOURCES = re.compile(r"not valid competition sources")
DENIED = re.compile(r"\b403\b|Forbidden|denied|don't have access")
UNKNOWN = re.compile(r"\b404\b|was not found")
SERVER = re.compile(r"\b(?:5\d\d|429)\b.* Error|problem on Kaggle's side|You have been rate limited|Max retries exceeded|"
                    r"Connection (?:refused|aborted)|ConnectionError|timed out")
SECRETS = "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_API_V1_TOKEN"
RULES_PAGE = "https://www.kaggle.com/competitions/asl-fingerspelling/rules"
TOKEN_PAGE = "https://www.kaggle.com/settings/api"


class KaggleError(UserError):
    """Kaggle or its client refused; the message holds the client's output, without credentials.

    kind: "credentials" (none, or refused), "rules" (the competition's are not accepted), "server" (Kaggle fails or cannot be
    reached: worth trying again later) or "refused" (anything else).
    """

    def __init__(self, message: str, kind: str = "refused"):
        super().__init__(message)
        self.kind = kind


def run_client(*arguments: str, echo: bool = False) -> str:
    """Run `kaggle <arguments>` and return its output, scrubbed.

    echo: print its output as it arrives (uploads and downloads have bars).
    Raises KaggleError if it failed, whatever its exit code.
    """
    # -P keeps the working folder off the path: aslutils/kaggle must not shadow the client
    command = [sys.executable, "-P", "-m", "kaggle", "-W", *map(str, arguments)]
    environment = {**os.environ, **_kaggle_secrets()}
    environment |= {name: environment[name].strip() for name in SECRETS if name in environment}     # a line end would be refused
    hidden = secrets()
    words = []
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, encoding="utf-8", errors="replace") as client:
        for line in client.stdout:                               # universal newlines: the \r of a bar also ends a line
            line = scrub(line, hidden)
            words.append(line)
            if echo:
                print(line.rstrip("\n"), end="\r" if BAR.match(line) else "\n", file=sys.stderr, flush=True)
    said = BAR.sub("", "".join(words)).strip()
    if client.returncode or FAILURES.search(said):
        raise _error(arguments, said)
    return said


def listing(*arguments: str) -> list[dict]:
    """All rows of a list that the client returns in pages, such as `listing("kernels", "files", "owner/slug")`."""
    rows, token = [], ""
    while True:
        page = ["--page-token", token] if token else []
        said = run_client(*arguments, "--format", "json", "--page-size", "200", *page)
        start = re.search(r"^\[", said, re.MULTILINE)
        rows += json.loads(said[start.start():]) if start else []
        following = re.search(r"^Next Page Token = (\S+)$", said, re.MULTILINE)
        if not following:
            return rows
        token = following.group(1)


def _error(arguments, said: str) -> KaggleError:
    """The KaggleError for a failed call: what happened, what to do, the client's output."""
    asked = f"kaggle {' '.join(map(str, arguments[:2]))}"
    words = "\n".join(said.splitlines()[-15:]) or "(nothing)"
    if "No module named kaggle" in said:
        return KaggleError(f"the kaggle client is not installed: {sys.executable} -m pip install 'kaggle>=2.2.5,<2.3' six")
    if REFUSED.search(said):
        return KaggleError(_credentials_advice(asked), "credentials")
    if SOURCES.search(said) or (arguments[0] == "competitions" and (RULES.search(said) or DENIED.search(said))):
        return KaggleError(f"{asked}: Kaggle refuses until you accept the competition's rules: open {RULES_PAGE}, log in, click "
                           f"\"I Understand and Accept\", then start this again. Client output:\n{words}", "rules")
    if SERVER.search(said):
        internet = " (in a Kaggle notebook: is internet on, in its settings?)" if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") else ""
        return KaggleError(f"{asked}: Kaggle is not responding properly{internet}; start this again later, finished "
                           f"work is kept. Client output:\n{words}", "server")
    return KaggleError(f"{asked} failed; client output:\n{words}")


def _credentials_advice(asked: str) -> str:
    if secrets():
        return (f"{asked}: Kaggle refused the credentials: they are expired or revoked. Create a new token at "
                f"{TOKEN_PAGE} and replace the old one")
    return (f"{asked}: no Kaggle credentials. Create a token at {TOKEN_PAGE} and put it in the variable KAGGLE_API_TOKEN or the "
            "file ~/.kaggle/access_token; in a Kaggle notebook: Add-ons, Secrets, one named KAGGLE_API_TOKEN, and internet on")


def scrub(text: str, hidden=None) -> str:
    """`text` with every secret, also in its encoded form, replaced by ***; hidden: the secrets, default all known ones."""
    for secret in sorted(secrets() if hidden is None else hidden, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def secrets() -> set[str]:
    """All credentials that the client could use here: keys, tokens and their HTTP Basic form."""
    found, names = set(), set()
    for values in (os.environ, _kaggle_secrets()):
        names.add(values.get("KAGGLE_USERNAME", ""))
        for variable in SECRETS:
            value = values.get(variable, "").strip()
            found |= {value, _text(value)}
    for folder in _config_folders():
        found |= {_text(folder / "access_token"), _text(folder / "access_token.txt")}
        for file in ("kaggle.json", "credentials.json"):
            stored = _json(folder / file)
            names.add(stored.get("username", ""))
            found |= {str(stored.get(key, "")).strip() for key in ("key", "access_token", "refresh_token")}
    found.discard("")
    return found | {base64.b64encode(f"{name}:{key}".encode()).decode() for name in names if name for key in found}


def username() -> str:
    """The Kaggle name of the credentials' owner; "" if there are none or they do not name it."""
    stored = (_json(folder / "kaggle.json").get("username", "") for folder in _config_folders())
    name = os.environ.get("KAGGLE_USERNAME") or _kaggle_secrets().get("KAGGLE_USERNAME") or next(filter(None, stored), "")
    if name or not secrets():
        return name
    told = re.search(r"^- username: (.+)$", run_client("config", "view"), re.MULTILINE)
    return told.group(1).strip() if told and told.group(1).strip() != "None" else ""


def _config_folders() -> list[Path]:
    named = os.environ.get("KAGGLE_CONFIG_DIR")
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "kaggle"
    return [*([Path(named)] if named else []), home / ".kaggle", config]


def _text(path) -> str:
    """The text of a small file; "" if there is none or the value is not a path (it may be a token)."""
    try:
        return Path(path).read_text(encoding="utf-8").strip() if path and Path(path).is_file() else ""
    except (OSError, ValueError):                                # a token as a path: the name is too long
        return ""


def _json(path) -> dict:
    try:
        value = json.loads(_text(path) or "{}")
    except json.JSONDecodeError:                                 # the client reports what is wrong with its file
        return {}
    return value if isinstance(value, dict) else {}


def _kaggle_secrets() -> dict[str, str]:
    """Credentials in a Kaggle notebook's Secrets (Add-ons, Secrets); {} elsewhere, or if the variables are already set."""
    if not os.environ.get("KAGGLE_KERNEL_RUN_TYPE") or os.environ.get("KAGGLE_API_TOKEN") or os.environ.get("KAGGLE_KEY"):
        return {}
    return vault()


@lru_cache(maxsize=1)
def vault() -> dict[str, str]:
    """What a Kaggle notebook's Secrets hold of the client's variables, asked for once; {} elsewhere."""
    try:
        from kaggle_secrets import UserSecretsClient  # only Kaggle's image has it
    except ImportError:
        return {}
    kept, secrets = {}, UserSecretsClient()
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        try:
            kept[name] = secrets.get_secret(name).strip()
        except Exception:                                        # noqa: BLE001 - no such secret, or no internet: its own kinds of error
            continue
    return kept
