"""The final failure: out of the queue and into its dead-letter queue in one Lua step.

The script is made of BullMQ's two sources; the second runs only when the first has accepted the lock token, so a job
is never in both queues nor in neither.
"""

import time
from typing import Any

import bullmq
from bullmq.redis_connection import loadScript

SOURCE = f"""
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


def letter_keys_and_args(
    job: bullmq.Job, letters: Any, queue_name: str, token: str, reason: str
) -> tuple[list[str], list[Any]]:
    """What the script wants: the keys and arguments of both its halves.

    It answers -100 when the letter is there already, another number below zero when the lock token was refused.
    """
    # True: the job leaves its queue together with its hash, because it lives among the dead letters now.
    keys, args = job.backend.scripts.moveToFailedArgs(job, reason, True, token, False)
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
    return (
        [*keys, *scripts.getKeys(_ADD_KEYS), scripts.toKey(job.id)],
        [len(args), *args, *scripts.addJobArgs(letter), letter.timestamp],
    )
