// BullMQ on Node, as it comes. Speaks what peers/program.py speaks: lines of JSON in, lines of JSON out.

import readline from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'

const NAME = 'bench'
const CONCURRENCY = 50
const BULK = 500
const KEPT = { attempts: 3, removeOnComplete: { count: 1000, age: 86_400 } } // what TekNav's queues keep

const connection = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null })
// process.hrtime is the monotonic clock that Python's time.monotonic reads too.
const now = () => Number(process.hrtime.bigint()) / 1e9
const range = (first, jobs) => Array.from({ length: jobs }, (_, position) => first + position)

async function timed(adding) {
  const started = now()
  await adding
  return now() - started
}

function producer() {
  const queue = new Queue(NAME, { connection })

  async function add(number) {
    const handedOver = now()
    await queue.add('noop', { n: number }, KEPT)
    return handedOver
  }

  async function addAll(numbers) {
    const remaining = numbers.values()
    const caller = async () => {
      for (const number of remaining) await add(number)
    }
    await Promise.all(range(0, CONCURRENCY).map(caller))
  }

  async function addBulk(numbers) {
    for (let start = 0; start < numbers.length; start += BULK) {
      const part = numbers.slice(start, start + BULK)
      await queue.addBulk(part.map((n) => ({ name: 'noop', data: { n }, opts: KEPT })))
    }
  }

  async function pace(numbers, every) {
    const started = now()
    const adding = []
    for (const [position, number] of numbers.entries()) {
      const wait = started + position * every - now()
      if (wait > 0) await sleep(wait * 1000)
      adding.push(add(number))
    }
    return Promise.all(adding)
  }

  return async ({ action, first, jobs, every_s }) => {
    if (action === 'add') return timed(addAll(range(first, jobs)))
    if (action === 'add_bulk') return timed(addBulk(range(first, jobs)))
    if (action === 'pace') return pace(range(first, jobs), every_s)
    const counts = await queue.getJobCounts('waiting', 'active')
    return counts.waiting + counts.active
  }
}

function consumer() {
  const calls = []
  let awaited = -1
  let reached = () => {}

  function seen(number) {
    calls.push([number, now()])
    if (calls.length === awaited) reached()
  }

  return async ({ action, calls: count, since }) => {
    if (action === 'work') {
      new Worker(NAME, async (job) => seen(job.data.n), { connection, concurrency: CONCURRENCY })
      return null
    }
    if (calls.length < count) {
      await new Promise((resolve) => {
        awaited = count
        reached = resolve
      })
    }
    return action === 'time_of' ? calls[count - 1][1] : calls.slice(since, count)
  }
}

const answer = (what) => process.stdout.write(JSON.stringify(what) + '\n')
const side = process.argv[2] === 'producer' ? producer() : consumer()
await connection.ping()
answer({ ok: null })
for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    answer({ ok: await side(JSON.parse(line)) })
  } catch (error) {
    answer({ error: String(error) })
  }
}
process.exit(0)
