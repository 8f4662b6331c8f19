"""The command line: what it answers, where, and with which exit code."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dockercomp import cli, starter
from dockercomp.protocol.bundle import pack
from dockercomp.protocol.errors import DockercompError, Forbidden, InvalidJob, Unavailable
from dockercomp.protocol.keychain import KeyChain, link
from dockercomp.protocol.messages import PART_LIMIT
from dockercomp.protocol.signing import fingerprint, public_key
from dockercomp.protocol.views import ChunkView, Forecast, ReplicaView, RunningChunk, StageView
from dockercomp.trail import Trail
from tests.unit.fake_api import TOKEN, FakeMaster, completed, job, serving

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with serving() as found:
        yield found


@pytest.fixture
def environment(master: FakeMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DC_HOME", str(tmp_path / "dc"))
    monkeypatch.setenv("DC_PORT", master.url.rpartition(":")[2])
    monkeypatch.setenv("DC_API_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(environment: None, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: str) -> tuple[int, str, str]:
        code = cli.run(list(argv))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def words(environment: None, tmp_path: Path) -> Path:
    starter.create(tmp_path / "words")
    return tmp_path / "words"


def test_submit_says_how_to_follow(run: Run, words: Path, master: FakeMaster) -> None:
    code, out, err = run("submit", "words", "words/example.txt")
    assert (code, out) == (0, "job j1 is submitted; follow it with: dockercomp watch j1\n")
    assert err.splitlines() == [
        "note: volunteers can read the program and the data that they compute on",
        "sending 1 file, 89 bytes",
    ]
    assert master.submitted[0][1].inputs[0].name == "example.txt"


def test_submit_watch_and_output_bring_the_result(run: Run, words: Path, master: FakeMaster, tmp_path: Path) -> None:
    master.result = b"so 1\n"
    master.history = [job(), job(accepted=5), completed(b"so 1\n")]
    code, out, err = run("submit", "words", "words/example.txt", "--output", "out")
    assert code == 0
    assert (tmp_path / "out" / "result").read_bytes() == b"so 1\n"
    assert "words is complete after 10 s: 10 chunks, 2 equal results each\nresult: 5 bytes, SHA-256 " in out
    assert "written to out/result" in out
    assert "words   50 %  map 5/10" in err


def test_json_is_one_document_and_nothing_else(run: Run, words: Path, master: FakeMaster) -> None:
    master.history = [job(), completed(b"")]
    code, out, _ = run("submit", "words", "words/example.txt", "--watch", "--json")
    assert code == 0
    assert json.loads(out)["state"] == "completed"


@pytest.mark.parametrize(
    ("state", "words_"),
    [("failed", "job j1 has failed: chunk 3 failed 3 times"), ("cancelled", "job j1 was cancelled: ")],
)
def test_a_job_that_does_not_complete_is_exit_code_1(run: Run, master: FakeMaster, state: str, words_: str) -> None:
    master.history = [job(), job(state, error="chunk 3 failed 3 times", failures=3)]
    code, out, err = run("watch", "j1")
    assert (code, out) == (1, "")
    assert words_ in err
    assert "dockercomp logs j1" in err


@pytest.mark.parametrize(
    ("argv", "code", "words_"),
    [
        (["submit", "nothing"], 2, "nothing is not a folder"),
        (["submit", "words", "gone.txt"], 2, "gone.txt does not exist"),
        (["submit", "words"], 2, "needs at least one INPUT"),
        (["submit", "words", "words/example.txt", "--output", "words/map.py"], 2, "cannot be written to"),
        (["submit"], 2, "Missing argument 'FOLDER'"),
        (["sumbit", "words"], 2, "No such command 'sumbit'"),
        (["watch", "j9"], 2, "there is no job j9"),
        (["status", "j1", "--token", "wrong"], 4, "does not know this token"),
        (["ls", "--url", "http://10.1.2.3:1"], 4, "plain HTTP beyond this machine"),
        (["results", "j1"], 2, "job j1 still runs; wait for it with: dockercomp watch j1"),
        (["init", "words"], 2, "words exists already"),
        (["image", "push", "x", "--archive", "gone.tar"], 2, "gone.tar cannot be read"),
    ],
)
def test_mistakes_are_one_clear_paragraph(run: Run, words: Path, argv: list[str], code: int, words_: str) -> None:
    found, out, err = run(*argv)
    assert (found, out) == (code, "")
    assert err.startswith("dockercomp: ")
    assert words_ in err


@pytest.mark.parametrize(
    ("error", "code", "words_"),
    [
        (InvalidJob("quorum 9 is more than there are clients"), 2, "quorum 9 is more than"),
        (Forbidden("only admins may"), 4, "only admins may"),
        (DockercompError("the master failed, request r1"), 3, "request r1"),
    ],
)
def test_what_the_master_refuses(
    run: Run, words: Path, master: FakeMaster, error: DockercompError, code: int, words_: str
) -> None:
    master.failures = [("submit", error)]
    found, _, err = run("submit", "words", "words/example.txt")
    assert found == code
    assert words_ in err


def test_a_database_that_cannot_be_reached(run: Run, master: FakeMaster) -> None:
    master.failures = [("job", Unavailable("the store cannot be reached"))] * 9
    code, _, err = run("status", "j1")
    assert code == 3
    assert "cannot serve now: the store cannot be reached. Try again in a moment." in err


def test_a_master_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        port = gone.url.rpartition(":")[2]
    monkeypatch.setenv("DC_PORT", port)
    code, out, err = run("ls", "--json")
    assert code == 3
    assert f"the master at http://127.0.0.1:{port} does not answer: Connection refused. Is it running?" in err
    assert "server/start" in json.loads(out)["error"]["detail"]


def test_errors_are_json_too_when_asked_for(run: Run) -> None:
    code, out, _ = run("status", "j9", "--json")
    assert code == 2
    assert json.loads(out)["error"] == {
        "title": "There is no such thing", "status": 404, "code": "not_found", "detail": "there is no job j9",
    }  # fmt: skip
    for argv, words_ in ((["ls", "--json", "--bogus"], "--bogus"), (["results", "j1", "--json"], "needs --output DIR")):
        code, out, _ = run(*argv)
        assert code == 2
        assert words_ in json.loads(out)["error"]["detail"]


def test_lists(run: Run, master: FakeMaster) -> None:
    assert run("ls")[1:] == ("", "there are no jobs yet; make one: dockercomp init NAME\n")
    master.listed = [job(id="j2", name="[b]:smile:", accepted=3), completed(b"")]
    code, out, _ = run("ls")
    assert code == 0
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["JOB", "NAME", "STATE", "CHUNKS"],
        ["j2", "[b]:smile:", "running", "3/10"],
        ["j1", "words", "completed", "10/10"],
    ]
    assert [each["id"] for each in json.loads(run("ls", "--json", "--limit", "1")[1])] == ["j2"]
    assert "lab-7" in run("clients")[1]
    assert "dockercomp/python" in run("image", "ls")[1]


def test_status_names_everything_that_is_known(run: Run, master: FakeMaster) -> None:
    master.history = [job(accepted=4, waiting="no client is alive", results_wrong=1, results_returned=9)]
    code, out, _ = run("status", "j1")
    facts = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert "4 of 10 chunks" in facts["map"]
    assert "9, 1 outvoted" in facts["results"]
    assert "no client is alive" in facts["waiting"]
    assert "error" not in facts
    view = job(accepted=4, eta_low_s=60.0, eta_high_s=90.0, missing=["a.txt", "b.txt"], missing_count=7, reused=3)
    master.history = [view]
    out = " ".join(run("status", "j1")[1].split())
    assert "remaining 1 min 00 s to 1 min 30 s" in out
    assert "missing a.txt missing b.txt missing and 5 more" in out
    assert "reused 3 chunks" in out
    chunk = {"stage": "map", "client": "c1"}
    slow = RunningChunk(lease="l1", index=7, seconds=90.0, progress=0.25, message="step 3", **chunk)  # type: ignore[arg-type]
    fast = RunningChunk(lease="l2", index=8, seconds=2.0, **chunk)  # type: ignore[arg-type]
    master.running = [fast, slow]
    out = " ".join(run("status", "j1")[1].split())
    assert "running map 7 on c1 for 1 min 30 s, 25%, step 3 running map 8 on c1 for 2 s" in out


def test_logs_show_the_failed_chunks(run: Run, master: FakeMaster) -> None:
    failed = ReplicaView(
        client="c1",
        state="failed",
        failure="the program ended with exit code 3",
        log_head="first\nlines",
        log_tail="end",
    )
    good = ReplicaView(client="c2", state="valid")
    master.history = [job(failures=1)]
    master.chunks = [ChunkView(id="j1.0.0", stage="map", index=0, state="accepted", replicas=[failed, good])]
    assert run("logs", "j1")[2] == "no chunk of job j1 has failed; of those run again: dockercomp logs j1 --all\n"
    expected = "map 0 on c1: the program ended with exit code 3\n    first\n    lines\n    …\n    end\n"
    assert run("logs", "j1", "--all")[1] == expected
    assert json.loads(run("logs", "j1", "--all", "--json")[1])[0]["replicas"][0]["log_tail"] == "end"


def test_the_logs_of_running_chunks_are_shown_line_by_line_and_once() -> None:
    logs: dict[str, tuple[int, bytes]] = {}
    asked: list[str] = []

    def read(lease: str, start: int) -> tuple[int, bytes]:
        asked.append(lease)
        begin, log = logs[lease]
        return max(begin, start), log[max(0, start - begin) :]

    trail = Trail(read)

    def shown(**now: tuple[int, bytes]) -> list[str]:
        logs.update(now)
        running = [
            RunningChunk(
                lease=lease, stage="map", index=int(lease[1:]), client="c1", seconds=1.0, log_tail=log.decode()[-3:]
            )
            for lease, (_, log) in now.items()
        ]
        return [line.removeprefix("map ") for line in trail.lines(running)]

    assert shown(l0=(0, b"one\ntwo\nhal")) == ["0 on c1: one", "0 on c1: two"]
    assert shown(l0=(0, b"one\ntwo\nhalf\n"), l1=(0, b"x\n")) == ["0 on c1: half", "1 on c1: x"]
    assert shown(l0=(100, b"far on\n"), l1=(0, b"x\nx\n")) == ["0 on c1: …", "0 on c1: far on", "1 on c1: x"]
    asked.clear()
    assert shown(l0=(100, b"far on\n")) == []
    assert asked == []
    assert shown() == []


def test_logs_follow_what_runs_until_the_job_ends(run: Run, master: FakeMaster) -> None:
    master.history = [job(), job(), completed(b"")]
    master.running = [RunningChunk(lease="c1.j1.0.0", stage="map", index=0, client="c1", seconds=1.0, log_tail="one\n")]
    master.logs = {"c1.j1.0.0": (0, b"one\n")}
    code, out, err = run("logs", "j1", "--follow")
    assert (code, out) == (0, "map 0 on c1: one\n")
    assert err == "no chunk of job j1 has failed\n"


def test_results_to_the_output_or_into_a_folder(run: Run, master: FakeMaster, tmp_path: Path) -> None:
    master.result = b"so 1\n"
    master.history = [completed(b"so 1\n")]
    assert run("results", "j1") == (0, "so 1\n", "")
    assert run("results", "j1", "--output", "out") == (0, "out/result\n", "")
    assert json.loads(run("results", "j1", "--output", "out", "--json")[1])["id"] == "j1"
    assert (tmp_path / "out" / "result").read_bytes() == b"so 1\n"


def test_the_receipt_is_saved_beside_the_result_and_its_lack_is_said(
    run: Run, master: FakeMaster, tmp_path: Path
) -> None:
    master.result, master.history, master.receipt = b"so 1\n", [completed(b"so 1\n")], b'{"signed": 1}\n'
    assert run("results", "j1", "--output", "out")[0] == 0
    assert (tmp_path / "out" / "receipt.json").read_bytes() == b'{"signed": 1}\n'
    assert run("receipt", "j1") == (0, '{"signed": 1}\n', "")
    assert run("receipt", "j1", "--output", "r.json") == (0, "r.json\n", "")
    assert (tmp_path / "r.json").read_bytes() == b'{"signed": 1}\n'
    master.receipt = None
    code, out, err = run("results", "j1", "--output", "out")
    assert (code, out) == (0, "out/result\n")
    assert "its receipt is still being made; later: dockercomp receipt j1" in err
    assert not (tmp_path / "out" / "receipt.json").exists(), "not that of an earlier result"


def test_the_masters_key_is_noted_at_first_and_another_one_is_refused(
    run: Run, master: FakeMaster, tmp_path: Path
) -> None:
    old, new, thief = b"m" * 32, b"n" * 32, b"x" * 32
    assert run("ls")[0] == 0
    code, out, _ = run("master-key")
    assert (code, out.splitlines()[:2]) == (0, [public_key(old), fingerprint(public_key(old))])
    master.chain = KeyChain(key=public_key(new), links=[link(old, new, "t")])
    code, out, _ = run("master-key")
    assert (code, out.splitlines()[0]) == (0, public_key(new)), "signed by the one that was noted"
    assert "after 1 change" in out
    master.chain = KeyChain(key=public_key(thief), links=[link(old, new, "t"), link(thief, thief, "t")])
    code, out, err = run("master-key")
    assert (code, out) == (4, "")
    assert "shows another key" in err and "ask its admin" in err and "masters.json" in err
    master.result, master.history = b"so 1\n", [completed(b"so 1\n")]
    assert run("results", "j1", "--output", "out")[0] == 4
    assert not (tmp_path / "out").exists()


def test_cancel(run: Run) -> None:
    assert run("cancel", "j1") == (0, "job j1 is cancelled\n", "")


def test_init_makes_a_job_that_validates_and_runs(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("init", "mine")
    assert code == 0
    assert "dockercomp submit mine mine/example.txt" in out
    assert "all is well" in run("validate", "mine", "mine/example.txt")[1]
    folder = tmp_path / "mine"
    data = (folder / "example.txt").read_bytes() * 2
    for program in ("map.py", "reduce.py"):
        done = subprocess.run([sys.executable, folder / program], input=data, capture_output=True, check=True)
        data = done.stdout
    assert data.splitlines()[0] == b"a\t2"
    assert len(data.splitlines()) == 16


def test_every_template_makes_a_job_that_validates(run: Run, tmp_path: Path) -> None:
    for template in starter.TEMPLATES:
        code, out, err = run("init", template, "--template", template)
        assert code == 0, err
        example = "examples" if template == "files" else "example.txt"
        assert f"dockercomp submit {template} {template}/{example} " in out
        assert "all is well" in run("validate", template, f"{template}/{example}")[1]
        for program in (tmp_path / template).glob("*.py"):
            compile(program.read_text(), program, "exec")
    names = json.loads(run("validate", "files", "files/examples", "--json")[1])["inputs"]
    assert [each["name"] for each in names] == ["barrow.txt", "rain.txt"]


def test_options_say_more_than_the_job_file(run: Run, words: Path, master: FakeMaster) -> None:
    options = ["--no-reuse", "--priority", "7", "--name", "other", "--notify", "mailto:a@b", "--notify", "https://h/x"]
    assert run("submit", "words", "words/example.txt", *options)[0] == 0
    spec = master.submitted[0][1].spec
    assert (spec.reuse, spec.priority, spec.name, spec.notify) == (False, 7, "other", ["mailto:a@b", "https://h/x"])
    code, _, err = run("submit", "words", "words/example.txt", "--priority", "700")
    assert code == 2
    assert "priority: must be between -100 and 100" in err


def test_a_dry_run_sends_nothing(run: Run, words: Path, master: FakeMaster) -> None:
    stages = [StageView(name="map", chunks=1200, issued=0, accepted=0)]
    master.forecast = Forecast(stages=stages, reused=200, clients=3, containers=8, waiting="all are paused")
    code, out, err = run("submit", "words", "words/example.txt", "--dry-run")
    facts = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()[1:]}
    assert (code, err) == (0, "")
    assert facts == {
        "map": "1,200 chunks",
        "inputs": "1 files, 89 bytes, of which 89 are still to be sent",
        "reused": "200 chunks are computed already",
        "clients": "3 could run it now, with 8 containers",
        "takes": "unknown: no job of this name has told yet how long a chunk runs",
        "waits": "all are paused",
    }
    assert master.foretold[0].inputs[0].name == "example.txt"
    assert not {"blob_put", "submit"} & set(master.calls)
    master.forecast = replace(master.forecast, seconds_low=100.0, seconds_high=300.0)
    assert "about 1 min 40 s to 5 min 00 s" in run("submit", "words", "words/example.txt", "--dry-run")[1]


def test_a_result_of_several_files(run: Run, master: FakeMaster, tmp_path: Path) -> None:
    first, second = pack([("a", b"1"), ("d/b", b"")]), pack([("a", b"2" * 100_000), ("ü #.txt", b"3")])
    master.result = first + second
    master.files = {"000000000/a": b"1", "d/b": b"", "000000001/a": b"2" * 100_000, "ü #.txt": b"3"}
    master.history = [completed(master.result, result_files=4)]
    (tmp_path / "out" / "result").mkdir(parents=True)
    (tmp_path / "out" / "result" / "of an earlier job").write_text("")
    code, out, err = run("results", "j1", "--output", "out")
    assert (code, out) == (0, "out/result\n"), err
    found = tmp_path / "out" / "result"
    assert {path.relative_to(found).as_posix(): path.read_bytes() for path in found.rglob("*") if path.is_file()} == (
        master.files
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["job.json", "receipt.json", "result"]
    code, out, err = run("results", "j1")
    assert (code, out) == (2, "")
    assert "the result is 4 files: take all with --output DIR, or one with --file NAME" in err
    assert run("results", "j1", "--file", "ü #.txt")[1] == "3"
    assert [each["name"] for each in json.loads(run("results", "j1", "--list", "--json")[1])] == list(master.files)
    assert "no file gone" in run("results", "j1", "--file", "gone")[2]


def test_files_that_do_not_arrive_whole_leave_what_was_there(run: Run, master: FakeMaster, tmp_path: Path) -> None:
    whole = pack([("a", b"1" * 1000)])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result").write_text("an earlier result")
    for result, files in ((whole[:-1], ["a"]), (whole, ["b"]), (whole, ["../a"]), (whole, ["a", "b"]), (whole, [])):
        master.result, master.files = result, dict.fromkeys(files, b"")
        master.history = [completed(result, result_files=1)]
        code, _, err = run("results", "j1", "--output", "out")
        assert code != 0
        assert "the result" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result"]
    assert (tmp_path / "out" / "result").read_text() == "an earlier result"


def test_a_name_that_is_a_file_of_one_chunk_and_a_folder_of_another(
    run: Run, master: FakeMaster, tmp_path: Path
) -> None:
    master.result = pack([("x", b"1"), ("y/z", b"2")]) + pack([("x/z", b"3"), ("y", b"4")])
    master.files = dict.fromkeys(["x", "y/z", "x/z", "y"], b"")
    master.history = [completed(master.result, result_files=4)]
    assert run("results", "j1", "--output", "out")[0] == 0
    found = tmp_path / "out" / "result"
    assert (found / "x").read_bytes() == b"1"
    assert (found / "000000001" / "x" / "z").read_bytes() == b"3"
    assert (found / "000000001" / "y").read_bytes() == b"4"


def test_validate_needs_no_master(run: Run, words: Path, master: FakeMaster) -> None:
    answer = json.loads(run("validate", "words", "words/example.txt", "--json")[1])
    assert answer["spec"]["name"] == "words"
    assert answer["inputs"][0]["size"] == 89
    (words / "job.toml").write_text((words / "job.toml").read_text().replace("chunk_size", "chunk_sise"))
    code, _, err = run("validate", "words")
    assert code == 2
    assert "job.toml, line 6: unknown key 'chunk_sise' in [input]; did you mean 'chunk_size'?" in err
    assert master.calls == []


def test_tokens_links_and_images(run: Run, master: FakeMaster, tmp_path: Path) -> None:
    assert run("token", "create", "--owner", "lab", "--days", "2", "--trusted") == (0, "curl … | sh\n", "")
    [made] = master.tokens
    assert (made.owner, made.uses, made.valid_hours, made.trusted) == ("lab", 100, 48.0, True)
    assert run("login-link")[1] == f"{master.url}/login/once\n"
    (tmp_path / "image.tar").write_bytes(b"archive")
    code, out, _ = run("image", "push", "tool", "--archive", "image.tar")
    assert (code, out.split()[0]) == (0, "tool")


def test_help_documents_the_exit_codes(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "130  interrupted" in out


def test_a_watch_is_interrupted_and_resumed(environment: None, master: FakeMaster) -> None:
    command: list[Any] = [sys.executable, "-m", "dockercomp.cli", "watch", "j1", "--output", "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        master.wait_for("job", 2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("the job goes on; resume with: dockercomp watch j1 --output out\n")
    master.history = [completed(b"")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert Path("out/result").read_bytes() == b""


def test_an_upload_whose_process_was_killed_goes_on_where_it_stopped(
    run: Run, words: Path, master: FakeMaster, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(b"a line\n" * (4 * PART_LIMIT // 7))
    reached, released = threading.Event(), threading.Event()

    def stall(offset: int) -> None:
        if offset == 2 * PART_LIMIT:
            reached.set()
            released.wait(60)

    master.gate = stall
    command = [sys.executable, "-m", "dockercomp.cli", "submit", "words", "large"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert reached.wait(60)
        process.kill()
    master.gate = lambda offset: None
    master.calls.clear()
    code, _, err = run("submit", "words", "large")
    released.set()
    assert code == 0
    assert master.calls.count("blob_put") == 2  # of four parts
    assert err.splitlines()[1].startswith("sending 1 file, 33,")
    assert "sent  50 %" in err
