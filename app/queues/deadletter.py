"""The final failure: out of the queue and into its dead-letter queue in one Lua step.

The scripts are made of BullMQ's sources; the letter is added only when the job was taken out of its queue, so a job is
never in both queues nor in neither.
"""

from typing import Any

import bullmq
from bullmq.redis_connection import loadScript

from app.queues.clock import clock

_ADD = f"""
local function add(KEYS, ARGV)
{loadScript("addStandardJob-9.lua")}
end
"""
SOURCE = f"""
local function finish(KEYS, ARGV)
{loadScript("moveToFinished-14.lua")}
end
{_ADD}
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
# A worker that is none of ours has failed it, and left it among the failed jobs of its queue.
FAILED_SOURCE = f"""
{_ADD}
local letter, failed, job = KEYS[10], KEYS[11], KEYS[12]
if redis.call('EXISTS', letter) == 1 or redis.call('ZREM', failed, ARGV[1]) == 0 then return 0 end
redis.call('DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed')
local keys, args = {{}}, {{}}
for i = 1, 9 do keys[i] = KEYS[i] end
for i = 2, #ARGV do args[i - 1] = ARGV[i] end
add(keys, args)
return 1
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
    add_keys, add_args = _letter(job, letters, queue_name, reason, job.attemptsMade + 1)
    return [*keys, *add_keys], [len(args), *args, *add_args]


def failed_keys_and_args(job: bullmq.Job, letters: Any, queue_name: str, reason: str) -> tuple[list[str], list[Any]]:
    """What `FAILED_SOURCE` wants. It answers 0 when the job is not among the failed ones, or the letter is there."""
    add_keys, add_args = _letter(job, letters, queue_name, reason, job.attemptsMade)
    scripts = job.queue.backend.scripts
    return [*add_keys, scripts.toKey("failed"), scripts.toKey(job.id)], [job.id, *add_args]


def _letter(job: bullmq.Job, letters: Any, queue_name: str, reason: str, attempts: int) -> tuple[list[str], list[Any]]:
    """The keys and arguments that add the letter; the last key is where it will be."""
    now_ms = round(clock.now() * 1000)
    letter = bullmq.Job(
        letters,
        job.name,
        {
            "originalJobId": job.id,
            "originalQueue": queue_name,
            "lastError": reason,
            "failedAt": now_ms,
            "attempts": attempts,
            "payload": job.data,
        },
        {"jobId": job.id, "timestamp": now_ms},
    )
    scripts = letters.backend.scripts
    keys = [*scripts.getKeys(_ADD_KEYS), scripts.toKey(job.id)]
    return keys, [*scripts.addJobArgs(letter), letter.timestamp]
