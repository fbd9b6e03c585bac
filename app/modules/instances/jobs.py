"""The work of workflows."""

from uuid import UUID

from app.queues.job import Job


class ExecuteWorkflowStep(Job, kind="execute_workflow_step", queue="workflow:runtime"):
    """Go on with an instance from this place: begin the step, or see what became of what it waits for.

    It does nothing where the instance has left that place.
    """

    instance_id: UUID
    step: str
    iteration: int
    attempt: int
