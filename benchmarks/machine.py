"""What benchmarks say about the machine they ran on; no names, no paths."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path


def describe(*packages: str) -> dict[str, str]:
    """Processor, cores, memory, and versions of Python and of packages."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{model[1] if model else 'unknown'} ({platform.machine()})",
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "Python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def memory_facts() -> dict[str, int]:
    """Bytes that this process has in memory now, and the most it ever had."""
    text = Path("/proc/self/status").read_text()
    return {
        name: 1024 * int(re.search(rf"{key}:\s+(\d+)", text)[1]) for name, key in (("now", "VmRSS"), ("peak", "VmHWM"))
    }


def in_words(machine: dict[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in machine.items())
