"""The two rules of folding say the same for columns of the engine and for records."""

from __future__ import annotations

import msgspec

from panotui.model import FlowRecord
from panotui.state.flows.folding import fold_records
from tests.made_up import Scene, answered


def _udp(number: int, resolver: str) -> object:
    return answered(number, "192.168.5.5", resolver, 53, protocol=17, syn_out=0, syn_in=0)


def _scan(number: int, source: str) -> object:
    return answered(
        number, source, f"10.20.0.{number % 250}", 22, packets_in=0, bytes_in=0, payload_in=0,
        payload_out=0, packets_out=2, syn_out=2,
    )  # fmt: skip


def test_an_engine_and_a_recording_fold_the_same_flows() -> None:
    scene = Scene()
    scene.tick(
        [
            *(_udp(n, "192.168.5.1") for n in range(1, 30)),
            *(_udp(n, "9.9.9.9") for n in range(30, 31)),  # one question stands alone
            *(_scan(n, "10.20.0.66") for n in range(40, 60)),
            *(_scan(n, "10.20.0.67") for n in range(60, 65)),  # too few for a scan
            *(answered(n, "192.168.5.5", "203.0.113.9", 443) for n in range(70, 75)),
        ]  # type: ignore[list-item]
    )
    whole = scene.engine.flow_page(rows=200)
    page = scene.engine.flow_page(rows=200, fold=True)
    assert page.total == whole.matched == 29 + 1 + 20 + 5 + 5
    assert page.matched == 1 + 1 + 1 + 5 + 5
    assert sorted((f.kind, f.flows) for f in page.folds.values()) == [("dns", 29), ("scan", 20)]
    rows, folds = fold_records(list(whole.rows))
    assert {r.id: _numbers(r) for r in rows} == {r.id: _numbers(r) for r in page.rows}
    assert folds == dict(page.folds)


def _numbers(row: FlowRecord) -> dict[str, object]:
    names = ("packets_out", "packets_in", "bytes_out", "bytes_in", "first_time_ns", "last_time_ns")
    return {name: value for name, value in msgspec.structs.asdict(row).items() if name in names}
