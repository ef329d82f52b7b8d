"""Hold pinned versions against the known vulnerabilities: ``make audit``, or ``python tests/faults/audit_pins.py FILE``.

pip-audit is installed if it is not there. It ends well for packages that its index does not know, and with a traceback
where none answers; here both are a line that says that nothing has been proved.

Exit codes: 0 all are audited, no vulnerability is known; 1 some are known; 2 not all could be audited.
"""

# ruff: noqa: T201 -- a command that prints
from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

_NAMED = 5


def main() -> None:
    """Audit the file that the command line names."""
    [pins] = sys.argv[1:]
    if find_spec("pip_audit") is None:
        words = ["pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "pip-audit"]
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            _not_audited(pins, f"pip-audit cannot be installed: {_last_line(done.stderr)}")
    words = ["-r", pins, "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        _not_audited(pins, _last_line(done.stderr))
    known = [f"{one['name']} {one['version']}: {_told(one)}" for one in found if one.get("vulns")]
    for line in known:
        print(line)
    if skipped := [one["name"] for one in found if "skip_reason" in one]:
        some = ", ".join(skipped[:_NAMED]) + (", ..." if len(skipped) > _NAMED else "")
        _not_audited(pins, f"the index knows nothing of {len(skipped)} of {len(found)} packages ({some})")
    if known:
        sys.exit(
            f"{pins}: {len(known)} of {len(found)} packages have known vulnerabilities; pin newer versions"
        )
    print(f"{pins}: {len(found)} packages audited, no vulnerability is known")


def _told(package: dict) -> str:
    return ", ".join(
        f"{one['id']} (mended in {', '.join(one['fix_versions']) or 'no version'})"
        for one in package["vulns"]
    )


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "nothing said"


def _not_audited(pins: str, cause: str) -> NoReturn:
    print(f"{Path(pins)}: not audited: {cause}; try again where PyPI answers", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
