"""The receipt of a job that ran in real containers: what their control groups said stands in it."""

import hashlib
from pathlib import Path

from dockercomp import starter, verifying
from dockercomp.protocol.keychain import KeyChain
from dockercomp.protocol.receipts import ChunkReceipt, JobReceipt
from dockercomp.verifying import Keys
from tests.integration.shelf_parts import Shelf, completed


def test_limits_inputs_and_signatures_of_a_real_run(shelf: Shelf, tmp_path: Path) -> None:
    shelf.need("dockercomp/python")
    starter.create(tmp_path / "words")
    text = tmp_path / "words" / "example.txt"
    job = completed(shelf.client.submit(tmp_path / "words", text))
    job.save(tmp_path / "out")
    keys = Keys()
    keys.add("the master's key", shelf.client.master.call("master_keys", KeyChain))
    stated = verifying.genuine((tmp_path / "out" / "receipt.json").read_bytes(), keys).receipt
    assert isinstance(stated, JobReceipt)
    assert verifying.check(stated.output, tmp_path / "out")
    checked = stated.verification
    assert checked.chunks == {"quorum": stated.chunks}
    assert checked.cpus_limits and 0 < checked.cpus_limits[0] <= checked.cpus_limits[1] <= 2
    assert checked.memory_limits and 2**24 <= checked.memory_limits[0] <= checked.memory_limits[1] <= 2 * 2**30
    assert checked.cpu_s > checked.cpu_s_checking > 0
    assert len(stated.scientist_key) == 64, "the job was signed by its scientist, too"
    assert stated.inputs.listed[0].digest == hashlib.sha256(text.read_bytes()).hexdigest()

    chunk = next(job.chunks(stage="map"))
    raw = shelf.client.master.request("chunk_receipt", chunk=chunk.id).content
    found = verifying.genuine(raw, keys).receipt
    assert isinstance(found, ChunkReceipt)
    record = verifying.record_of(found, stated)
    assert {vote.input_digest for vote in record.votes} == {hashlib.sha256(text.read_bytes()).hexdigest()}
    assert all(vote.cpus_limit and vote.memory_limit and vote.wall_s and vote.returned for vote in record.votes)
