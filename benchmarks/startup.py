"""Start-up times: bare Python, `import galfit_ml`, `galfit-ml --help`, `galfit-ml backends`.

    python -m benchmarks.startup

Best and median of ten runs each, in milliseconds. Targets: the import below 300 ms over bare Python, the commands below
600 ms.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "bare Python": ["-c", "pass"],
    "import galfit_ml": ["-c", "import galfit_ml"],
    "galfit-ml --help": ["-m", "galfit_ml", "--help"],
    "galfit-ml backends": ["-m", "galfit_ml", "backends"],
}


def milliseconds(arguments: list[str]) -> float:
    """Wall time of one fresh interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    """Command line."""
    for name, arguments in COMMANDS.items():
        times = [milliseconds(arguments) for _ in range(10)]
        print(f"{name:20s} best {min(times):6.0f} ms   median {statistics.median(times):6.0f} ms")


if __name__ == "__main__":
    main()
