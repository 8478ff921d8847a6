"""Where the packets of parser tests were seen."""

from panotui.wire.origin import Origin

HERE = Origin(time_ns=1_700_000_000_000_000_000, packet=7, interface=1, flow=3)
