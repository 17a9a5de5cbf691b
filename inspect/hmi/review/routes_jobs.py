"""Jobs of the training machine: ``/api/review/jobs``."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from linegate.inspect.hmi.review.context import Review, act_of
from linegate.inspect.hmi.review.jobs import Jobs
from linegate.inspect.hmi.review.routes_labels import Labelling
from linegate.inspect.hmi.review.routes_queues import MOST_INT, Looking, Shared

router = APIRouter(prefix="/api/review")
Number = Annotated[int, Path(ge=1, le=MOST_INT)]


class JobIn(BaseModel):
    """A training job: how long, and why."""

    model_config = ConfigDict(extra="forbid")
    minutes: float = Field(25.0, ge=1, le=1440)
    seed: int = Field(1, ge=0, le=2**31 - 1)
    note: str = Field("", max_length=500)


def jobs_of(review: Review) -> Jobs:
    """The job table, as the screens reach it."""
    return Jobs(review.screens.writer, review.screens.reader, review.screens.data)


@router.get("/jobs")
def get_jobs(review: Shared, _who: Looking) -> list[dict[str, Any]]:
    """The last jobs with their progress."""
    return jobs_of(review).recent()


@router.post("/jobs")
def start_job(body: JobIn, review: Shared, who: Labelling) -> dict[str, int]:
    """Ask for a training."""
    act = act_of(who, "train", minutes=body.minutes)
    return {"id": jobs_of(review).start(act, minutes=body.minutes, note=body.note, seed=body.seed)}


@router.post("/jobs/{number}/cancel")
def cancel_job(number: Number, review: Shared, who: Labelling) -> dict[str, int]:
    """Stop one."""
    jobs_of(review).cancel(number, act_of(who, "job-cancel", str(number)))
    return {"id": number}


@router.get("/jobs/{number}/files/{name}")
def job_file(number: Number, name: str, review: Shared, _who: Looking) -> FileResponse:
    """A report or picture that the worker left. Served without scripts: it may quote what others wrote."""
    return without_scripts(jobs_of(review).file(number, name))


def without_scripts(path: FilePath) -> FileResponse:
    """A page that may quote what others wrote: it may show its own pictures, and nothing else."""
    policy = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"
    return FileResponse(path, headers={"Content-Security-Policy": policy})
