--[[
  Counts one call against several windows at once, or against none of them.

  KEYS: one for each window, a hash of counts by the millisecond of the last call that each stands for. Calls of one
  sixtieth of the window share a count and leave together with the last of them: at no moment have more than the limit
  been let through in the window that lies behind it, and no hash grows over 61 fields.
  ARGV 1: what the call costs. Then for each window its limit and its length in ms.
  Answers {allowed, limit, remaining, ms until all is free, ms until this call would be}, of the window that tells most.
]]
local PARTS = 60
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cost = tonumber(ARGV[1])

local function read(key, most, per)
  local found = {most = most, per = per, cost = math.min(cost, most), used = 0, last = 0, stale = {}, live = {}}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local at, count = tonumber(fields[i]), tonumber(fields[i + 1])
    if at + per <= now then
      found.stale[#found.stale + 1] = fields[i]
    else
      found.used = found.used + count
      found.live[#found.live + 1] = {at, count}
      if at > found.last then found.last, found.last_count = at, count end
    end
  end
  return found
end

local function wait(window)
  local missing = window.used + window.cost - window.most
  if missing <= 0 then return 0 end
  table.sort(window.live, function(a, b) return a[1] < b[1] end)
  for _, entry in ipairs(window.live) do
    missing = missing - entry[2]
    if missing <= 0 then return entry[1] + window.per - now end
  end
  return window.per
end

local function count(key, window)
  local part = window.per / PARTS
  local sum = window.cost
  if window.last > 0 and window.last >= math.floor(now / part) * part then
    sum = sum + window.last_count
    window.stale[#window.stale + 1] = string.format('%.0f', window.last)
  end
  if #window.stale > 0 then redis.call('HDEL', key, unpack(window.stale)) end
  -- Redis' clock may have been set back: what is newer than now stays the newest.
  window.last = math.max(window.last, now)
  redis.call('HSET', key, string.format('%.0f', window.last), sum)
  redis.call('PEXPIRE', key, math.ceil(window.last + window.per - now))
  window.used = window.used + window.cost
end

local windows, longest, told = {}, 0, nil
for i, key in ipairs(KEYS) do
  local window = read(key, tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]))
  window.wait = wait(window)
  if window.wait > longest then longest, told = window.wait, window end
  windows[i] = window
end
if longest == 0 then
  for i, key in ipairs(KEYS) do
    count(key, windows[i])
    if not told or windows[i].most - windows[i].used < told.most - told.used then told = windows[i] end
  end
end
local reset = told.last > 0 and told.last + told.per - now or 0
return {longest == 0 and 1 or 0, told.most, math.max(0, told.most - told.used), math.ceil(reset), math.ceil(longest)}
