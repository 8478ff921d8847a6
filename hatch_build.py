"""Build steps beyond copying files."""

from __future__ import annotations

import compileall
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Compiled(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles a checkout's modules when it is installed in place, as installers do for a wheel.

    If Python may not write compiled modules (`PYTHONDONTWRITEBYTECODE`), each start of a checkout
    would compile them again, which doubles its time. Python compares dates, so an edited source is
    compiled as usual.
    """

    PLUGIN_NAME = "custom"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling after a wheel; `version` is its kind."""
        if version == "editable":
            compileall.compile_dir(str(Path(self.root) / "panotui"), quiet=2)
