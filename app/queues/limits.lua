--[[
  A queue's limits, over all worker processes. In front of this stands `fetch`, BullMQ's moveToActive.

  KEYS 1-11: those of moveToActive. 12: the bucket of starts. 13: leases of running jobs. 14: parked jobs by tenant.
  A tenant's own leases and parked jobs are under KEYS[13] and KEYS[14] with its id behind them.
  ARGV 1: what to do. 2: jobs per period, 3: the period in ms. 4: running at once, 5: of one tenant. 6: how long a
  lease lasts, in ms. 7: how long a parked job stays away where nobody wakes it, in ms. 8: prefix of the queue's keys.
  A limit of 0 is none.
]]
local call = redis.call
local wait, active, prioritized, events, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7]
local meta, counter, marker = KEYS[9], KEYS[10], KEYS[11]
local bucket, running, parked = KEYS[12], KEYS[13], KEYS[14]
local rate, period, most, most_of_tenant = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local lease_ms, away_ms, prefix = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local at_a_time, woken_at_a_time = 100, 2000
local time = call('TIME')
local now = time[1] * 1000 + time[2] / 1000

local function of(key, tenant) return key .. ':' .. tenant end

local function in_use(leases)
  call('ZREMRANGEBYSCORE', leases, '-inf', now)
  return call('ZCARD', leases)
end

local function lease(token, tenant)
  for _, leases in ipairs({running, of(running, tenant)}) do
    call('ZADD', leases, now + lease_ms, token)
    call('PEXPIRE', leases, lease_ms)
  end
end

local function count_parked(tenant)
  local n = call('ZCARD', of(parked, tenant))
  if n > 0 then call('HSET', parked, tenant, n) else call('HDEL', parked, tenant) end
end

local function mark()
  if call('HEXISTS', meta, 'paused') == 0 and (call('LLEN', wait) > 0 or call('ZCARD', prioritized) > 0) then
    call('ZADD', marker, 0, '0')
  end
end

-- Out of `active`, where BullMQ has just put it, to its tenant's others. The start that was none does not count.
local function park(id, tenant, created)
  local job = prefix .. id
  call('LREM', active, 1, id)
  call('DEL', job .. ':lock')
  call('HINCRBY', job, 'ats', -1)
  call('HSET', job, 'delay', away_ms)
  call('ZADD', delayed, (now + away_ms) * 0x1000, id)
  call('XADD', events, '*', 'event', 'delayed', 'jobId', id, 'delay', string.format('%.0f', now + away_ms))
  call('ZADD', of(parked, tenant), created, id)
  count_parked(tenant)
end

-- To the front of the queue with as many of the tenant's parked jobs, oldest first, as may start.
local function wake(tenant)
  local free = woken_at_a_time
  if most_of_tenant > 0 then free = math.min(free, most_of_tenant - in_use(of(running, tenant))) end
  local woken = {}
  while #woken < free do
    local id = call('ZPOPMIN', of(parked, tenant))[1]
    if not id then break end
    -- One that is not delayed any more was removed, or somebody made it due.
    if call('ZREM', delayed, id) == 1 then woken[#woken + 1] = id end
  end
  for i = #woken, 1, -1 do
    local id = woken[i]
    local priority = tonumber(call('HGET', prefix .. id, 'priority')) or 0
    if priority == 0 then
      call('RPUSH', wait, id)
    else
      call('ZADD', prioritized, priority * 0x100000000 + call('INCR', counter) % 0x100000000, id)
    end
    call('HSET', prefix .. id, 'delay', 0)
    call('XADD', events, '*', 'event', 'waiting', 'jobId', id, 'prev', 'delayed')
  end
  count_parked(tenant)
end

-- Milliseconds until the queue as a whole may start a job; 0 is now.
local function closed_for()
  local tokens = rate
  if rate > 0 then
    local kept = call('HMGET', bucket, 'tokens', 'at')
    if kept[1] then tokens = math.min(rate, kept[1] + math.max(0, now - kept[2]) * rate / period) end
    if tokens < 1 then return math.ceil((1 - tokens) * period / rate), tokens end
  end
  if most > 0 and in_use(running) >= most then
    return math.max(1, math.ceil(call('ZRANGE', running, 0, 0, 'WITHSCORES')[2] - now)), tokens
  end
  return 0, tokens
end

local function started(token, tenant, tokens)
  if rate > 0 then
    call('HSET', bucket, 'tokens', string.format('%.6f', tokens - 1), 'at', string.format('%.3f', now))
    call('PEXPIRE', bucket, math.ceil(period))
  end
  if most > 0 or most_of_tenant > 0 then lease(token, tenant) end
end

local function field(fields, name)
  for i = 1, #fields, 2 do if fields[i] == name then return fields[i + 1] end end
end

local function tenant_of(fields)
  local options = field(fields, 'opts')
  local tenant = options and cjson.decode(options).tenant
  -- What another program has added is the platform's.
  return type(tenant) == 'string' and tenant or ARGV[12]
end

-- ARGV 9: the lease's token. 10, 11: moveToActive's arguments behind the prefix. 12: whose jobs without a tenant are.
if ARGV[1] == 'fetch' then
  local token = ARGV[9]
  local closed_ms, tokens = closed_for()
  if closed_ms > 0 then return {0, 0, closed_ms, 0, ''} end
  for _ = 1, at_a_time do
    local answer = fetch(KEYS, {prefix, ARGV[10], ARGV[11]})
    local fields, id = answer[1], answer[2]
    if type(fields) ~= 'table' then
      answer[5] = ''
      return answer
    end
    local tenant = tenant_of(fields)
    if call('ZREM', of(parked, tenant), id) == 1 then count_parked(tenant) end
    -- What is to be failed without a run takes nobody's place.
    local free = most_of_tenant == 0 or field(fields, 'defa') or in_use(of(running, tenant)) < most_of_tenant
    if free then
      started(token, tenant, tokens)
      answer[5] = tenant
      return answer
    end
    park(id, tenant, field(fields, 'timestamp') or now)
  end
  return {0, 0, 1, 0, ''}
end

-- ARGV 9, 10, …: token and tenant of each lease.
if ARGV[1] == 'release' then
  for i = 9, #ARGV, 2 do
    call('ZREM', running, ARGV[i])
    call('ZREM', of(running, ARGV[i + 1]), ARGV[i])
    wake(ARGV[i + 1])
  end
  mark()
elseif ARGV[1] == 'renew' then
  for i = 9, #ARGV, 2 do lease(ARGV[i], ARGV[i + 1]) end
elseif ARGV[1] == 'wake' then
  for _, tenant in ipairs(call('HKEYS', parked)) do wake(tenant) end
  mark()
end
return call('HKEYS', parked)
