"""Findings: rules that detect conditions, data with their meaning, the life of each finding."""

from __future__ import annotations

from panotui.diagnosis.addressing import AsymmetryRule, OwnAddressRule
from panotui.diagnosis.arp import ArpRule
from panotui.diagnosis.cameras import CAMERA_RULES
from panotui.diagnosis.clock import CameraClockRule, TimeRule
from panotui.diagnosis.cloud import ReachRule
from panotui.diagnosis.connections import SessionRule
from panotui.diagnosis.dhcp import DhcpRule
from panotui.diagnosis.dns import DnsRule
from panotui.diagnosis.facts import Rule
from panotui.diagnosis.forged import ForgedNamesRule
from panotui.diagnosis.gateway import GatewayRule
from panotui.diagnosis.link import LinkRule
from panotui.diagnosis.mirror import MirrorRule
from panotui.diagnosis.security import (
    BeaconRule,
    CleartextRule,
    DriftRule,
    ScanRule,
    TunnelRule,
    ViolationRule,
)
from panotui.diagnosis.silence import SilenceRule
from panotui.diagnosis.tls import TlsRule
from panotui.diagnosis.topology import TopologyRule
from panotui.diagnosis.traffic import TrafficRule
from panotui.diagnosis.unusual import UnusualRule
from panotui.diagnosis.uplink import PolicyUseRule, UplinkRule
from panotui.diagnosis.vantage import VantageRule
from panotui.model.baseline import Baseline

RULES: tuple[type[Rule], ...] = (
    VantageRule,
    LinkRule,
    TrafficRule,
    TopologyRule,
    SilenceRule,
    MirrorRule,
    DhcpRule,
    ArpRule,
    GatewayRule,
    OwnAddressRule,
    AsymmetryRule,
    DnsRule,
    ForgedNamesRule,
    TimeRule,
    CameraClockRule,
    ReachRule,
    TlsRule,
    SessionRule,
    UplinkRule,
    PolicyUseRule,
    *CAMERA_RULES,
    ViolationRule,
    ScanRule,
    CleartextRule,
    TunnelRule,
    BeaconRule,
    DriftRule,
)


def all_rules(baseline: Baseline | None = None) -> list[Rule]:
    """Every rule, a new instance each, lowest layer first; with a baseline, also those about
    deviations.
    """
    rules: list[Rule] = [rule() for rule in RULES]
    return rules if baseline is None else [*rules, UnusualRule(baseline)]
