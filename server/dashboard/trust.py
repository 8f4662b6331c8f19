"""How wrong a job's result may be, and what was found of a client: parts of their pages."""

from typing import Any

from server import describing
from server.api.services import Services
from server.dashboard.live import Part
from server.rights import Rights
from server.store.connection import Document

_SHOWN = 10


def of_job(services: Services, job: Document) -> Part:
    """The stated bound, and who was found wrong."""

    def found() -> dict[str, Any]:
        findings = services.store.findings.of_job(job["_id"])
        return {
            "trust": describing.trust(job),
            "running": job["state"] == "running",
            "edition": job.get("edition", 1),
            "withdrawn": job.get("withdrawn", ""),
            "warning": job.get("warning", ""),
            "findings": findings[:_SHOWN],
            "count": len(findings),
        }

    return Part("dashboard/jobs/trust.html", found, 5 if job["state"] == "running" else 0)


def of_client(services: Services, rights: Rights, client: Document) -> dict[str, Any]:
    """What was found of it, and that it was forgiven; findings name others' jobs, so only for those who see all."""
    findings = services.store.findings.of_client(client["_id"], _SHOWN) if rights.sees_all else []
    return {"findings": findings, "forgiven": client.get("forgiven") if rights.sees_all else None}
