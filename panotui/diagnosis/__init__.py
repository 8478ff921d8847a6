"""Findings: rules that say what holds, data that says what it means, the life of each finding."""

from __future__ import annotations

from panotui.diagnosis.addressing import ArpRule, AsymmetryRule, DhcpRule
from panotui.diagnosis.cameras import CameraRule, SessionEndRule, StreamRule
from panotui.diagnosis.cloud import PolicyUseRule, ReachRule, SessionRule, TlsRule, UplinkRule
from panotui.diagnosis.facts import Rule
from panotui.diagnosis.link import LinkRule, MirrorRule, TopologyRule, TrafficRule
from panotui.diagnosis.names_time import CameraClockRule, DnsRule, TimeRule
from panotui.diagnosis.security import (
    BeaconRule,
    CleartextRule,
    DriftRule,
    ScanRule,
    TunnelRule,
    ViolationRule,
)

RULES: tuple[type[Rule], ...] = (
    LinkRule,
    TrafficRule,
    TopologyRule,
    MirrorRule,
    DhcpRule,
    ArpRule,
    AsymmetryRule,
    DnsRule,
    TimeRule,
    CameraClockRule,
    ReachRule,
    TlsRule,
    SessionRule,
    UplinkRule,
    PolicyUseRule,
    CameraRule,
    StreamRule,
    SessionEndRule,
    ViolationRule,
    ScanRule,
    CleartextRule,
    TunnelRule,
    BeaconRule,
    DriftRule,
)


def all_rules() -> list[Rule]:
    """Every rule, new, lowest layer first."""
    return [rule() for rule in RULES]
