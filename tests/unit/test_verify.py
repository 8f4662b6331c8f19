"""`dockercomp verify`, offline: one sentence for each thing that holds, and for each way in which it may not."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from dockercomp import cli
from dockercomp.protocol import keychain, merkle, receipts
from dockercomp.protocol.orders import ImagePin, VerifySpec
from dockercomp.protocol.receipts import (
    ChunkReceipt,
    ChunkRecord,
    Contributor,
    FileDigest,
    Independence,
    Inputs,
    JobReceipt,
    Master,
    Output,
    Verification,
    Vote,
)
from dockercomp.protocol.signing import fingerprint, public_key
from tests.unit.fake_api import TOKEN, FakeMaster, serving

SEED, OTHER, NEXT = b"1" * 32, b"2" * 32, b"3" * 32
KEY = public_key(SEED)
PIN = ImagePin(name="i", config_digest="sha256:" + "1" * 64, platform="linux/amd64")
RESULT = b"apple 1\n"

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `dockercomp verify` in an empty home; its exit code and lines."""
    for key, value in {"HOME": tmp_path, "XDG_CONFIG_HOME": tmp_path / ".config", "DC_HOME": tmp_path / "dc"}.items():
        monkeypatch.setenv(key, str(value))
    for key in ("DC_API_TOKEN", "DC_HOST", "DC_PORT", "DC_PUBLIC_URL"):
        monkeypatch.delenv(key, raising=False)

    def run(*argv: object) -> tuple[int, list[str]]:
        code = cli.run(["verify", *map(str, argv)])
        out, err = capsys.readouterr()
        return code, (out or err).splitlines()

    return run


def record(index: int) -> bytes:
    votes = [
        Vote(client=client, owner=owner, verdict=verdict, digest="a" * 64, size=8)  # type: ignore[arg-type]
        for client, owner, verdict in (("c1", "lab", "agreed"), ("c2", "home", "agreed"), ("c3", "x", "outvoted"))
    ]
    made = ChunkRecord(
        job="j1",
        chunk=f"j1.0.{index:012d}",
        stage="map",
        index=index,
        basis="quorum",
        quorum=2,
        output_digest=hashlib.sha256(RESULT).hexdigest(),
        output_size=len(RESULT),
        votes=votes,
    )
    return receipts.encode_record(made)


LEAVES = [merkle.leaf(record(index)) for index in range(3)]


def job_receipt(output: Output | None = None, **changes: object) -> JobReceipt:
    found = JobReceipt(
        master=Master(url="https://dc.example.org", key=KEY),
        job="j1",
        name="words",
        scientist="ada",
        submitted="2026-01-01T00:00:00.000Z",
        ended="2026-01-01T00:01:00.000Z",
        image=PIN,
        order="b" * 64,
        inputs=Inputs(),
        output=output or Output(digest=hashlib.sha256(RESULT).hexdigest(), size=len(RESULT)),
        verification=Verification(
            rules=receipts.written_out(VerifySpec()),
            chunks={"quorum": 3},
            results=7,
            outvoted=1,
            least=Independence(clients=2, owners=2, address_blocks=1, tokens=1),
            estimated_error={"basis": "adaptive", "share": 0.0, "low": 0.0, "high": 0.0004, "confidence": 0.95},
        ),
        clients=2,
        owners=2,
        contributors=[
            Contributor(client="c1", owner="lab", agreed=3),
            Contributor(client="c2", owner="home", agreed=3),
        ],
        chunks=3,
        records=merkle.root(LEAVES).hex(),
    )
    return msgspec.structs.replace(found, **changes)


def chunk_receipt() -> ChunkReceipt:
    return ChunkReceipt(
        master=Master(url="https://dc.example.org", key=KEY),
        image=PIN,
        order="b" * 64,
        rules={},
        record=record(1).decode(),
        of="c" * 64,
        edition=1,
        records=merkle.root(LEAVES).hex(),
        place=1,
        chunks=3,
        path=[each.hex() for each in merkle.path(LEAVES, 1)],
    )


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    return written(tmp_path / "receipt.json", receipts.sign(job_receipt(), SEED))


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return written(tmp_path / "out" / "result", RESULT)


def test_a_genuine_receipt_of_this_result(run: Run, receipt: Path, result: Path) -> None:
    code, lines = run(receipt, result, "--key", KEY)
    assert (code, lines) == (
        0,
        [
            "genuine: the receipt of job j1 (words) of ada, signed by the key that you gave",
            f"the result: {result} is its result, 8 bytes",
            "computed by: 2 clients of 2 owners: c1 (lab), c2 (home)",
            "checked: of 3 chunks 3 rest on agreeing results of different clients, at least 2 clients of 2 owners each,"
            " compared by bytes; 1 result outvoted",
            "estimated error: none of the chunks wrong, at most 0.04 % with 95 % confidence",
        ],
    )


def test_the_folder_that_was_saved_will_do(run: Run, receipt: Path, result: Path) -> None:
    assert run(receipt, result.parent, "--key", KEY)[0] == 0


@pytest.mark.parametrize("form", ["fingerprint", "file", "fingerprint in a file", "chain", "an older key's chain"])
def test_the_key_may_be_given_in_every_form(run: Run, receipt: Path, result: Path, tmp_path: Path, form: str) -> None:
    link = keychain.link(SEED, NEXT, "t")
    given = {
        "fingerprint": fingerprint(KEY),
        "file": written(tmp_path / "key", f"{KEY}\n".encode()),
        "fingerprint in a file": written(tmp_path / "print", fingerprint(KEY).encode()),
        "chain": written(tmp_path / "chain", msgspec.json.encode(keychain.KeyChain(key=KEY))),
        "an older key's chain": written(
            tmp_path / "newer", msgspec.json.encode(keychain.KeyChain(key=public_key(NEXT), links=[link]))
        ),
    }[form]
    code, lines = run(receipt, result, "--key", given)
    assert code == 0, lines


def test_the_key_noted_for_a_master_is_enough(run: Run, receipt: Path, result: Path, tmp_path: Path) -> None:
    note = {"https://dc.example.org": keychain.KeyChain(key=KEY)}
    written(tmp_path / ".config" / "dockercomp" / "masters.json", msgspec.json.encode(note))
    code, lines = run(receipt, result)
    assert code == 0
    assert lines[0].endswith("signed by the key of the master at https://dc.example.org, as it was noted here")


def test_without_a_key_nothing_is_believed(run: Run, receipt: Path, result: Path) -> None:
    code, lines = run(receipt, result)
    assert code == 1
    assert lines == [
        f"not genuine: the receipt is signed by a key that is not trusted here, {fingerprint(KEY)}; it names the master"
        " https://dc.example.org: get that master's key from its admin or the publication, and give it with --key"
    ]


def test_another_masters_receipt(run: Run, result: Path, tmp_path: Path) -> None:
    master = Master(url="https://dc.example.org", key=public_key(OTHER))
    forged = written(tmp_path / "forged", receipts.sign(job_receipt(master=master), OTHER))
    code, lines = run(forged, result, "--key", KEY)
    assert code == 1 and "signed by a key that is not trusted here" in lines[0]


def test_an_edited_receipt(run: Run, receipt: Path, result: Path) -> None:
    receipt.write_bytes(receipt.read_bytes().replace(b"ada", b"bob"))
    assert run(receipt, result, "--key", KEY) == (1, ["not genuine: the receipt was changed after it was signed"])


def test_a_truncated_receipt(run: Run, receipt: Path, result: Path) -> None:
    receipt.write_bytes(receipt.read_bytes()[:500])
    code, lines = run(receipt, result, "--key", KEY)
    assert (code, lines) == (1, ["not genuine: the receipt is cut off: its end is missing; fetch it again"])


def test_another_result(run: Run, receipt: Path, result: Path) -> None:
    result.write_bytes(b"apple 2\n")
    code, lines = run(receipt, result, "--key", KEY)
    assert code == 1
    assert lines[0].startswith("genuine: ")
    assert lines[1].startswith(f"another result: {result} is another result than the receipt's: 8 bytes")


def test_a_file_for_a_receipt_and_a_wrong_key_are_refused_in_words(run: Run, receipt: Path, result: Path) -> None:
    assert run(result, result, "--key", KEY)[0] == 1
    code, lines = run(receipt, result, "--key", "nonsense")
    assert code == 2 and "--key nonsense: neither a key" in lines[0]


def test_json_tells_the_same(run: Run, receipt: Path, result: Path) -> None:
    code, lines = run(receipt, result, "--key", KEY, "--json")
    told = json.loads("\n".join(lines))
    assert (code, told["genuine"], len(told["said"])) == (0, True, 5)
    receipt.write_bytes(b"{}")
    code, lines = run(receipt, result, "--key", KEY, "--json")
    assert (code, json.loads("\n".join(lines))["genuine"]) == (1, False)


def test_a_reader_can_check_it_without_our_tools(receipt: Path, result: Path) -> None:
    """The program in docs/verification.md."""
    text = (Path(__file__).parents[2] / "docs" / "verification.md").read_text()
    program = text.partition("```python\n")[2].partition("```")[0]

    def check() -> int:
        command = [sys.executable, "-c", program, receipt, result, KEY]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode

    assert check() == 0
    result.write_bytes(b"else")
    assert check() != 0
    result.write_bytes(RESULT)
    receipt.write_bytes(receipt.read_bytes().replace(b"ada", b"bob"))
    assert check() != 0


# --- results of several files ----------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    written(tmp_path / "out" / "result" / "a.txt", b"a")
    written(tmp_path / "out" / "result" / "deep" / "b.txt", b"bb")
    written(tmp_path / "out" / "job.json", b"{}")
    return tmp_path / "out"


def of_files(*, listed: bool = True) -> Output:
    named = [
        FileDigest(name=name, size=len(data), digest=hashlib.sha256(data).hexdigest())
        for name, data in (("deep/b.txt", b"bb"), ("a.txt", b"a"))
    ]
    hashes = [receipts.file_hash(each.name, each.size, each.digest) for each in named]
    return Output(
        digest="d" * 64, size=100, files=2, files_digest=receipts.files_digest(hashes), listed=named if listed else []
    )


@pytest.fixture
def receipt_of_files(tmp_path: Path) -> Path:
    return written(tmp_path / "files.json", receipts.sign(job_receipt(of_files()), SEED))


def test_a_folder_of_files(run: Run, receipt_of_files: Path, files: Path) -> None:
    for folder in (files, files / "result"):
        code, lines = run(receipt_of_files, folder, "--key", KEY)
        assert (code, lines[1]) == (0, f"the result: {files / 'result'} is its result, 2 files")


def test_one_file_of_several(run: Run, receipt_of_files: Path, files: Path) -> None:
    code, lines = run(receipt_of_files, files / "result" / "deep" / "b.txt", "--key", KEY)
    assert (code, lines[1].endswith("b.txt is its file deep/b.txt")) == (0, True)


def test_which_file_differs_is_missing_or_too_many(run: Run, receipt_of_files: Path, files: Path) -> None:
    (files / "result" / "a.txt").write_bytes(b"A")
    (files / "result" / "deep" / "b.txt").rename(files / "result" / "c.txt")
    code, lines = run(receipt_of_files, files, "--key", KEY)
    assert code == 1
    assert "a.txt (differs)" in lines[1] and "c.txt (is not part of it)" in lines[1]
    assert "deep/b.txt (is missing)" in lines[1]


def test_so_many_files_that_none_is_named(run: Run, files: Path, tmp_path: Path) -> None:
    short = written(tmp_path / "short.json", receipts.sign(job_receipt(of_files(listed=False)), SEED))
    assert run(short, files, "--key", KEY)[0] == 0
    (files / "result" / "a.txt").write_bytes(b"A")
    code, lines = run(short, files, "--key", KEY)
    assert code == 1 and "a file differs, is missing or does not belong to it" in lines[1]


# --- chunks ----------------------------------------------------------------------------------------------------------


def test_a_chunks_receipt_and_its_place_in_the_jobs(run: Run, receipt: Path, result: Path, tmp_path: Path) -> None:
    chunk = written(tmp_path / "chunk.json", receipts.sign(chunk_receipt(), SEED))
    code, lines = run(chunk, result, "--key", KEY, "--of", receipt)
    assert (code, lines[0]) == (
        0,
        "genuine: the receipt of map chunk 1 of job j1, signed by the key that you gave",
    )
    assert lines[2:] == [
        "computed by: c1 (lab, agreed), c2 (home, agreed), c3 (x, outvoted)",
        "it is one of the 3 chunks that the receipt of job j1 covers",
    ]
    other = written(tmp_path / "other.json", receipts.sign(job_receipt(records="0" * 64), SEED))
    code, lines = run(chunk, result, "--key", KEY, "--of", other)
    assert (code, lines[-1]) == (
        1,
        "not genuine: chunk j1.0.000000000001 is not one of those that the receipt of job j1 covers",
    )
    result.write_bytes(b"else")
    assert run(chunk, result, "--key", KEY)[0] == 1


# --- online ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def master(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeMaster]:
    """A master that can be asked; `run` is told how to reach it."""
    with serving() as found:
        monkeypatch.setenv("DC_PORT", found.url.rpartition(":")[2])
        monkeypatch.setenv("DC_API_TOKEN", TOKEN)
        found.chain = keychain.KeyChain(key=KEY)
        yield found


def test_online_the_newest_receipt_is_told_from_one_whose_place_was_taken(
    run: Run, receipt: Path, result: Path, master: FakeMaster
) -> None:
    master.receipt = receipt.read_bytes()
    code, lines = run(receipt, result, "--key", KEY, "--online")
    assert (code, lines[-1]) == (0, "it is the newest receipt of its job")
    master.receipt = receipts.sign(job_receipt(edition=2, because="c1 was found wrong"), SEED)
    code, lines = run(receipt, result, "--key", KEY, "--online")
    assert (code, lines[-1]) == (
        1,
        "superseded: edition 2 of the receipt of job j1 has taken its place: c1 was found wrong",
    )
    master.receipt = None
    code, lines = run(receipt, result, "--key", KEY, "--online")
    assert (code, lines[-1]) == (
        0,
        "the master has no job j1 (any more), so whether the receipt was superseded cannot be told",
    )


def test_online_a_chunks_receipt_goes_with_its_jobs(
    run: Run, receipt: Path, result: Path, master: FakeMaster, tmp_path: Path
) -> None:
    master.receipt = receipt.read_bytes()
    digest = hashlib.sha256(receipts.opened(master.receipt).body.encode()).hexdigest()
    for of, code, word in ((digest, 0, "the newest"), ("c" * 64, 1, "superseded"), ("", 0, "fetch it again")):
        made = msgspec.structs.replace(chunk_receipt(), of=of)
        path = written(tmp_path / "chunk.json", receipts.sign(made, SEED))
        found = run(path, result, "--key", KEY, "--online")
        assert (found[0], word in found[1][-1]) == (code, True), found


def test_online_a_master_with_another_key_is_not_believed(
    run: Run, receipt: Path, result: Path, master: FakeMaster
) -> None:
    master.receipt = receipt.read_bytes()
    assert run(receipt, result, "--key", KEY, "--online")[0] == 0  # its key is noted now
    master.chain = keychain.KeyChain(key=public_key(OTHER))
    code, lines = run(receipt, result, "--key", KEY, "--online")
    assert code == 4 and "shows another key" in lines[-1]


# --- what it says of how a job was checked ---------------------------------------------------------------------------


CHECKED_OTHERWISE = {
    "3 rest on one client's word, unchecked": {"unchecked": 3},
    "3 rest on people's answers": {"people": 3},
    "3 rest on the word of a client that the admin trusts": {"trusted": 3},
    "1 rest on one client's word, in a job that checks by chance; 2 rest on results of earlier jobs": {
        "reused": 2,
        "single": 1,
    },
}
ERRORS = {
    "unknown: nothing was checked": {"basis": "none", "share": 0.0, "low": 0.0, "high": 1.0, "confidence": 0.95},
    "the master stated none": None,
    "stated in the receipt, in a form that this version cannot say in words": {"x": 1},
    "0.1 % of the chunks wrong, at most 0.25 % with 90 % confidence": {
        "basis": "adaptive",
        "share": 0.001,
        "low": 0.0,
        "high": 0.0025,
        "confidence": 0.9,
    },
    "no chunk wrong, unless clients agreed on the same wrong answer: every result is that of a quorum": {
        "basis": "quorum",
        "share": 0.0,
        "high": 0.0,
        "confidence": 0.95,
    },
}


@pytest.mark.parametrize(("words", "bases"), CHECKED_OTHERWISE.items())
@pytest.mark.parametrize(("sentence", "error"), ERRORS.items())
def test_jobs_that_were_checked_otherwise_say_so(
    run: Run, result: Path, tmp_path: Path, bases: dict[str, int], words: str, error: object, sentence: str
) -> None:
    checked = Verification(
        rules={"compare": "bytes"},
        chunks=bases,
        results=3,
        outvoted=0,
        estimated_error=error,  # type: ignore[arg-type]
    )
    path = written(tmp_path / "r.json", receipts.sign(job_receipt(verification=checked), SEED))
    code, lines = run(path, result, "--key", KEY)
    assert code == 0
    assert words in lines[3]
    assert lines[4] == f"estimated error: {sentence}"


def test_a_pipe_in_the_place_of_a_result_is_not_waited_for(run: Run, receipt: Path, result: Path) -> None:
    result.unlink()
    os.mkfifo(result)
    code, lines = run(receipt, result, "--key", KEY)
    assert (code, lines[-1]) == (1, f"another result: {result} is no regular file")
