"""Where packets come from: capture files and pipes, live interfaces, the bundled demo.

Names in, `Source`s out (the protocol is in `panotui.model`); everything above is written once for
all of them.
"""

from __future__ import annotations

from panotui.sources.file import open_file

__all__ = ["open_file"]
