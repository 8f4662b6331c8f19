"""Machines that compute the same bits say the same of their CPU."""

from pathlib import Path

from worker.processor import cpu_kind, kind_of

INTEL = """processor	: 0
vendor_id	: GenuineIntel
cpu family	: 6
model		: 85
model name	: Intel(R) Xeon(R) CPU @ 2.00GHz
cpu MHz		: {mhz}
flags		: fpu sse2 fma avx avx2{more}

processor	: 1
vendor_id	: Other
"""
ARM = """processor	: 0
BogoMIPS	: 243.75
Features	: fp asimd evtstrm sve
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x3
CPU part	: 0xd0c
"""


def test_clock_and_place_do_not_matter_and_instructions_do() -> None:
    slow, fast, more = (
        INTEL.format(mhz=1000, more=""),
        INTEL.format(mhz=2000, more=""),
        INTEL.format(mhz=1, more=" avx512f"),
    )
    assert kind_of(slow, "x86_64") == kind_of(fast, "x86_64") == "x86_64 GenuineIntel 6 85 fma avx avx2"
    assert kind_of(more, "x86_64") != kind_of(slow, "x86_64")


def test_arm_and_what_tells_nothing() -> None:
    assert kind_of(ARM, "aarch64") == "aarch64 0x41 8 0xd0c sve asimd"
    assert kind_of("nothing here\n", "riscv64") == ""


def test_this_machine(tmp_path: Path) -> None:
    assert cpu_kind() != "" and cpu_kind(tmp_path / "none") == ""
