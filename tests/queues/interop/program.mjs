// What another program does with our queues, as its own author would write it. Says what happens as lines of JSON.
//
//   node program.mjs add PREFIX QUEUE NAME DATA         one job; says its id
//   node program.mjs work PREFIX QUEUE complete|fail    a worker, until standard input ends; says each job's end
//   node program.mjs board PREFIX QUEUES                Bull Board's API for queues with commas between; says its port
//
// REDIS_URL is in the environment.

import http from 'node:http'
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'

const [role, prefix, names, ...rest] = process.argv.slice(2)
const connection = new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null })
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n')

async function add(name, data) {
  const job = await new Queue(names, { connection, prefix }).add(name, JSON.parse(data))
  say({ id: job.id, timestamp: job.timestamp })
  process.exit(0)
}

function work(how) {
  const handle = async (job) => {
    if (how === 'fail') throw new Error('Node could not do it')
    return { by: 'node', data: job.data }
  }
  const worker = new Worker(names, handle, { connection, prefix })
  worker.on('completed', (job) => say({ completed: job.id }))
  worker.on('failed', (job, error) => say({ failed: job.id, attempts: job.attemptsMade, error: error.message }))
  worker.on('ready', () => say({ ready: true }))
}

// Bull Board brings the routes; a server adapter brings the web server. This one is the smallest there is.
class PlainServer {
  setQueues(queues) { this.queues = queues; return this }
  setApiRoutes(routes) { this.routes = routes; return this }
  setErrorHandler() { return this }
  setEntryRoute() { return this }
  setUIConfig() { return this }
  setViewsPath() { return this }
  setStaticPath() { return this }

  async answer(request, response) {
    const url = new URL(request.url, 'http://board')
    const route = this.routes.find((known) => [known.route].flat().includes(url.pathname) && known.method === 'get')
    if (!route) return response.writeHead(404).end()
    const query = Object.fromEntries(url.searchParams)
    const { status = 200, body } = await route.handler({ queues: this.queues, query, params: {}, body: {}, headers: {} })
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
}

function board() {
  const serverAdapter = new PlainServer()
  const queues = names.split(',').map((name) => new BullMQAdapter(new Queue(name, { connection, prefix })))
  createBullBoard({ queues, serverAdapter, options: { validateResponses: true } })
  const server = http.createServer((request, response) => {
    serverAdapter.answer(request, response).catch((error) => response.writeHead(500).end(String(error)))
  })
  server.listen(0, '127.0.0.1', () => say({ port: server.address().port }))
}

process.stdin.on('end', () => process.exit(0)).resume()
await { add, work, board }[role](...rest)
