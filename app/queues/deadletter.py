"""The final failure: out of the queue and into its dead-letter queue in one Lua step.

`moveToFailed` of BullMQ's backend is the one funnel that every final failure passes, also "stalled too often",
which never calls a processor. We put our own in its place. The script is made of BullMQ's two sources; the
second runs only when the first has accepted the lock token, so a job is never in both queues nor in neither.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import bullmq
from bullmq.redis_connection import loadScript

_SOURCE = f"""
local function finish(KEYS, ARGV)
{loadScript("moveToFinished-14.lua")}
end
local function add(KEYS, ARGV)
{loadScript("addStandardJob-9.lua")}
end
local function part(list, first, last)
  local out = {{}}
  for i = first, last do out[#out + 1] = list[i] end
  return out
end
local count = tonumber(ARGV[1])
if redis.call('EXISTS', KEYS[24]) == 1 then return -100 end
local answer = finish(part(KEYS, 1, 14), part(ARGV, 2, 1 + count))
if type(answer) == 'number' and answer < 0 then return answer end
add(part(KEYS, 15, 23), part(ARGV, 2 + count, #ARGV))
return answer
"""
_ADD_KEYS = ["wait", "paused", "meta", "id", "completed", "delayed", "active", "events", "marker"]
_THERE_ALREADY, _GONE = -100, -1

Died = Callable[[str, str], Awaitable[None]]


def install(worker: bullmq.Worker, letters: bullmq.Queue, queue_name: str, died: Died) -> None:
    """Give `worker` the dead-letter step; `died(engine_id, message)` is called once the job is over there."""
    backend = worker.backend
    script = backend.conn.register_script(_SOURCE)

    async def move_to_failed(
        job: bullmq.Job,
        reason: str,
        _remove: Any,
        token: str,
        fetch_next: bool = True,
        fields: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        reason = reason or "the job failed without a message"
        # True: the job leaves its queue together with its hash, because it lives among the dead letters now.
        keys, args = backend.scripts.moveToFailedArgs(job, reason, True, token, fetch_next, fields)
        letter = bullmq.Job(
            letters,
            job.name,
            {
                "originalJobId": job.id,
                "originalQueue": queue_name,
                "lastError": reason,
                "failedAt": round(time.time() * 1000),
                "attempts": job.attemptsMade + 1,
                "payload": job.data,
            },
            {"jobId": job.id},
        )
        scripts = letters.backend.scripts
        answer = await script(
            keys=[*keys, *scripts.getKeys(_ADD_KEYS), scripts.toKey(job.id)],
            args=[len(args), *args, *scripts.addJobArgs(letter), letter.timestamp],
        )
        # -100: the letter is there, so an earlier call arrived whose answer was lost. -1: Redis was emptied in the
        # meantime; the row is the letter. Anything else below zero: the lock is another's, and so is the job.
        over = isinstance(answer, int) and answer in (_THERE_ALREADY, _GONE)
        if isinstance(answer, int) and answer < 0 and not over:
            raise backend.scripts.finishedErrors(
                {"code": answer, "jobId": job.id, "command": "deadLetter", "state": "active"}
            )
        await died(job.id, reason)
        return {"result": None if over else answer, "finishedOn": args[1]}

    backend.moveToFailed = move_to_failed
