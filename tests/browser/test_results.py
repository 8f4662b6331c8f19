"""Results as people see them: a preview, files, plots to keep, what is accepted so far, each chunk's provenance."""

import io
from collections.abc import Callable

from PIL import Image
from playwright.sync_api import Page, expect

from dockercomp.protocol import bundle
from dockercomp.protocol.messages import Failure, Lease
from dockercomp.protocol.orders import PlotSpec, ProgramSpec
from tests.browser.conftest import Visitor
from tests.browser.simulated_worker import SimulatedWorker

Worker = Callable[..., SimulatedWorker]
Job = Callable[..., str]
Person = Callable[..., Visitor]

LOOKS = 20_000
"""Milliseconds in which a page has certainly looked again at what it shows, however busy the machine."""


def saved(page: Page, role: str, name: str) -> tuple[str, bytes]:
    """What a link or button saves: its name and content."""
    with page.expect_download() as download:
        page.get_by_role(role, name=name).click()  # type: ignore[arg-type]
    return download.value.suggested_filename, download.value.path().read_bytes()


def picture(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (30, 20), colour).save(out, "PNG")
    return out.getvalue()


def test_a_plot_is_seen_and_kept_as_svg_png_and_csv(as_person: Person, worker: Worker, job: Job) -> None:
    plots = [PlotSpec(kind="bar", title="Länder", y_label="n"), PlotSpec(kind="line", title="None", y=["9"])]
    made = job("drawn", chunks=3, quorum=1, plots=plots)
    page = as_person("viola").open(f"/jobs/{made}")
    expect(page.get_by_text("nothing of its last stage is accepted").first).to_be_visible()
    worker().work(3, lambda lease: f"Land {lease.start}\t{lease.start}\n".encode())
    shown = page.get_by_role("img", name="Länder. A bar chart of n by x: 3 points")
    expect(shown).to_be_visible(timeout=LOOKS)
    expect(page.get_by_text("Plot 2, 'None', cannot be drawn: the result has no column '9'")).to_be_visible()
    expect(page.locator("#plot-1")).to_have_js_property("naturalWidth", 800)
    name, svg = saved(page, "link", "Save Länder as SVG")
    assert name == "drawn-1.svg" and b"Land 2" in svg
    name, png = saved(page, "button", "Save Länder as PNG")
    seen = Image.open(io.BytesIO(png))
    assert name == "drawn-1.png" and seen.size == (1600, 900)
    assert len(seen.convert("RGB").getcolors(1 << 20) or []) > 5
    assert saved(page, "link", "Save the points of Länder as CSV") == (
        "drawn-1.csv",
        b"x,n\nLand 0,0\nLand 1,1\nLand 2,2\n",
    )


def test_a_result_is_previewed_while_it_grows(as_person: Person, worker: Worker, job: Job) -> None:
    made, first = job("growing", chunks=3, quorum=1), worker()
    page = as_person("viola").open(f"/jobs/{made}")
    first.work(2, lambda lease: f"{lease.start},{lease.start}5\n".encode())
    result = page.get_by_role("region", name="Result so far", exact=True)
    expect(result).to_contain_text("2 of 3 results accepted", timeout=LOOKS)
    expect(result.get_by_role("cell", name="15", exact=True)).to_be_visible()
    first.work(1, lambda lease: f"{lease.start},{lease.start}5\n".encode())
    expect(page.get_by_role("heading", name="Result", exact=True)).to_be_visible(timeout=LOOKS)
    expect(page.get_by_role("cell", name="25", exact=True)).to_be_visible()


def test_what_is_no_text_is_shown_as_bytes_and_never_run(as_person: Person, worker: Worker, job: Job) -> None:
    made = job("markup", chunks=1, quorum=1)
    worker().work(1, b"<script>window.stolen = 1</script><b>\n")
    page = as_person().open(f"/jobs/{made}")
    expect(page.get_by_label("Preview of the result")).to_have_text("<script>window.stolen = 1</script><b>")
    made = job("bytes", chunks=1, quorum=1)
    worker().work(1, bytes(range(200, 256)))
    page.goto(page.url.rsplit("/", 1)[0] + f"/{made}")
    expect(page.get_by_label("Preview of the result")).to_contain_text("0000  c8 c9 ca")


def test_files_are_listed_seen_and_saved(as_person: Person, worker: Worker, job: Job) -> None:
    made = job("pictures", chunks=2, quorum=1, map=ProgramSpec(command=["x"], outputs=["**"]))

    def files(lease: Lease) -> bytes:
        return bundle.pack([("all.txt", b"in all\n"), (f"imágenes/#{lease.start}.png", picture("#a0b0c0"))])

    worker().work(2, files)
    page = as_person("viola").open(f"/jobs/{made}/files")
    names = page.locator(".file-name")
    expect(names).to_have_text(["000000000/all.txt", "imágenes/#0.png", "000000001/all.txt", "imágenes/#1.png"])
    assert saved(page, "link", "Download 000000001/all.txt") == ("all.txt", b"in all\n")
    name, tar = saved(page, "link", "Download all as .tar")
    assert name == f"pictures-{made}.tar" and len(tar) % 512 == 0
    page.get_by_role("link", name="imágenes/#1.png", exact=True).click()
    seen = page.get_by_role("img", name="Picture that is the file")
    expect(seen).to_be_visible()
    expect(seen).to_have_js_property("naturalWidth", 30)
    assert saved(page, "link", "Download (") == ("#1.png", picture("#a0b0c0"))


def test_a_chunk_tells_where_its_result_comes_from(as_person: Person, worker: Worker, job: Job) -> None:
    made = job("provenance", chunks=2)
    liar, honest, other = worker(), worker(), worker()
    liar.work(1, b"wrong\n")
    honest.work(1)
    page = as_person("viola").open(f"/jobs/{made}/chunks")
    expect(page.get_by_role("row").filter(has_text="map 0")).to_contain_text("number 0")
    page.get_by_role("link", name="map 0").click()
    expect(page.get_by_text("open", exact=True)).to_be_visible()
    other.work(1)
    replicas = page.get_by_role("region", name="Replicas").get_by_role("listitem")
    expect(replicas.filter(has_text=liar.id)).to_contain_text("wrong")
    for each in (honest, other):
        expect(replicas.filter(has_text=each.id)).to_contain_text("canonical")
    expect(page.get_by_label("Preview of the chunk's result")).to_have_text("0-1")
    assert saved(page, "link", "Download its result") == (f"{made}.0.000000000000.out", b"0-1\n")
    page.get_by_role("link", name=liar.id).click()
    expect(page.get_by_text("was outvoted by a quorum")).to_be_visible()


def test_chunks_are_filtered_by_state(as_person: Person, worker: Worker, job: Job) -> None:
    made = job("filtered", chunks=60, quorum=1)
    one = worker()
    one.work(52)
    one.fail(1, Failure(reason="exit", message="exit code 3", exit_code=3, log_head="boom"))
    page = as_person("viola").open(f"/jobs/{made}/chunks")
    table = page.get_by_role("region", name="Table of chunks").locator("tbody tr")
    expect(table).to_have_count(50)
    page.get_by_role("link", name="Next").click()
    expect(table).to_have_count(3)
    page.get_by_label("State").select_option("open")
    page.get_by_role("button", name="Show").click()
    expect(table).to_have_count(1)
    expect(table.first).to_contain_text("failed")
    page.get_by_role("link", name="map 52").click()
    page.get_by_text("Its log").click()
    expect(page.get_by_text("boom")).to_be_visible()
    page.get_by_label("Breadcrumb").get_by_role("link", name="Chunks").click()
    page.get_by_label("State").select_option("cancelled")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No such chunks")).to_be_visible()
