"""The tasks that Celery's workers run. Where the broker is, both sides are told when they start."""

from celery import Celery  # type: ignore[import-not-found]

from bench.wordcount import count

app = Celery("bench")
app.conf.update(
    task_serializer="pickle",
    result_serializer="pickle",
    accept_content=["pickle"],
    task_acks_late=True,
    result_expires=600,
)
words = app.task(count, name="words")


@app.task(name="same")  # type: ignore[untyped-decorator]
def same(number: int) -> int:
    return number
