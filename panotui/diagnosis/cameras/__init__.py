"""Findings about cameras along the ladder: reachability, RTSP answers, media, sessions; and
streams.
"""

from __future__ import annotations

from panotui.diagnosis.cameras.fate import FateRule
from panotui.diagnosis.cameras.media import MediaRule
from panotui.diagnosis.cameras.multicast import QuerierRule
from panotui.diagnosis.cameras.offers import OfferRule
from panotui.diagnosis.cameras.pieces import PiecesRule
from panotui.diagnosis.cameras.reach import ReachRule
from panotui.diagnosis.cameras.reboots import RebootRule
from panotui.diagnosis.cameras.refusals import RefusalRule
from panotui.diagnosis.cameras.sealed import SealedRule
from panotui.diagnosis.cameras.sessions import SessionEndRule
from panotui.diagnosis.cameras.streams import StreamRule
from panotui.diagnosis.facts import Rule

CAMERA_RULES: tuple[type[Rule], ...] = (
    ReachRule,
    RefusalRule,
    MediaRule,
    SealedRule,
    OfferRule,
    StreamRule,
    FateRule,
    PiecesRule,
    SessionEndRule,
    RebootRule,
    QuerierRule,
)
