"""A web page that counts the words of a text on lent machines. It submits, shows how far that is, and the result.

The master is the one that DC_PUBLIC_URL and DC_API_TOKEN name. One Client serves all threads of the server.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask, redirect, render_template_string, request, url_for
from werkzeug.wrappers import Response

from dockercomp import Client, DockercompError

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Words</title>
{% if view %}
  {% if view.state == "running" %}<meta http-equiv="refresh" content="1">{% endif %}
  <h1>Job {{ view.id }}: {{ view.state }}</h1>
  <p>{% for stage in view.stages %}{{ stage.name }} {{ stage.accepted }}/{{ stage.chunks }} {% endfor %}
     {{ view.waiting }} {{ view.error }}</p>
  <pre>{{ result }}</pre><a href="{{ url_for('form') }}">Another</a>
{% else %}
  <form method="post"><textarea name="text" rows="10" cols="60" required aria-label="Text"></textarea>
  <button>Count words</button></form>
{% endif %}</html>"""

app = Flask(__name__)
client = Client()


@app.get("/")
def form() -> str:
    return render_template_string(PAGE)


@app.post("/")
def submit() -> Response:
    with TemporaryDirectory() as folder:
        text = Path(folder, "text.txt")
        text.write_text(request.form["text"], encoding="utf-8")
        job = client.submit(Path(__file__).with_name("words"), text)
    return redirect(url_for("show", job=job.id), 303)


@app.get("/jobs/<job>")
def show(job: str) -> str:
    found = client.job(job)
    view = found.view
    return render_template_string(PAGE, view=view, result=found.result_text() if view.state == "completed" else "")


@app.errorhandler(DockercompError)
def failed(error: DockercompError) -> tuple[str, int]:
    return render_template_string("{{ sentence }}", sentence=str(error)), error.status
