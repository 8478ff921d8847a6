"""A request in plain words to the person who owns the firewall, made from the policy."""

from __future__ import annotations

from itertools import groupby

from panotui.policy.queries.export_csv import Opening, appliance, openings
from panotui.policy.queries.show import GUIDE_EXPLANATION, resolve
from panotui.site.view import SiteView


def firewall_text(view: SiteView) -> str:
    """The request as text for a mail or a ticket."""
    shown = resolve(view)
    site = f" of site {shown.site}" if shown.site else ""
    lines = [
        f"Firewall request for the AWS Panorama Appliance{site}",
        "",
        f"The appliance speaks from {appliance(view, 'any')}. Please allow:",
        "",
    ]
    for title, needed in (("Needed", "yes"), ("Also used", "no")):
        chosen = [o for o in openings(view) if o.needed == needed]
        if chosen:
            lines += [f"{title}:", *_table(chosen), ""]
    lines += [
        "Please note:",
        "- Filter by TLS name (SNI) or DNS name where the firewall can: AWS changes addresses.",
        "- Exempt these names from TLS inspection: the appliance checks AWS's own certificates and "
        "shows one of its own, so an inspected connection fails.",
        "- MQTT on port 443 is told from HTTPS by ALPN (x-amzn-mqtt-ca): do not strip it, and let "
        "idle connections live for at least 30 minutes.",
        "- Do not allow cameras to reach the internet, and nothing from the internet to the "
        "appliance or the cameras.",
        f"- {GUIDE_EXPLANATION}",
    ]
    if shown.private_link:
        lines.append("- With PrivateLink these names resolve to private addresses: that is right.")
    return "\n".join(lines) + "\n"


def _table(chosen: list[Opening]) -> list[str]:
    lines = []
    for (source, transport, port, direction), group in groupby(
        chosen, key=lambda o: (o.source, o.transport, o.port, o.direction)
    ):
        way = "inbound " if direction == "in" else ""
        lines.append(f"  {way}from {source}, {transport} {port}, to:")
        for opening in group:
            lines.append(f"    {opening.destination}  ({opening.service})")
    return lines
