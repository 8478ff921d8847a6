"""What building does beyond copying files."""

from __future__ import annotations

import compileall
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Compiled(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles a checkout's modules when it is installed in place, as installers do with a wheel.

    Where Python may not write compiled modules (`PYTHONDONTWRITEBYTECODE`), each start of a
    checkout would compile them anew, which doubles its time. Python looks at a source's date, so
    that one that was edited since is compiled as ever.
    """

    PLUGIN_NAME = "custom"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling after a wheel; `version` is its kind."""
        if version == "editable":
            compileall.compile_dir(str(Path(self.root) / "panotui"), quiet=2)
