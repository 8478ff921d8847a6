"""Captures that are made when a test asks for them: rare shapes whose truth is their construction.

`tests/data/index.toml` names each (`crafted/NAME`) with the function that makes it (`made`, as
module:function within this package). The same bytes come out each time.
"""
