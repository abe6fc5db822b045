-- Writes records. Beside each, a timestamp says when it was last written.
--
-- KEYS: for each record, its key and the key of its timestamp.
-- ARGV: the operation (put, amend, update or delete), when the source was asked
-- (0: write unconditionally), the lifetime of a timestamp in seconds, and for each
-- record the number of words to set (names and values in turn), these words, the
-- number of names to unset, and these names.
--
-- Returns for each record a status and, after a conditional put, the previous
-- record.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stampText = string.format('%.0f', now)
local operation, since, lifetime = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local at = 4

local function words()
  local n = tonumber(ARGV[at])
  local list = {unpack(ARGV, at + 1, at + n)}
  at = at + n + 1
  return list
end

local function stamp(timestamp)
  redis.call('SET', timestamp, stampText, 'EX', lifetime)
end

-- Whether somebody wrote the record after the source was asked, or may have. A
-- timestamp in the future comes from a clock that was set back, or from another
-- master. It becomes the current time, and so stops only answers from before.
local function conflict(timestamp)
  local last = tonumber(redis.call('GET', timestamp)) or 0
  if last > now then
    stamp(timestamp)
  end
  return since > 0 and (last >= since or since > now or now - since > tonumber(lifetime) * 1000000)
end

-- The words to set and the names to unset that turn the previous record into the
-- one that set describes.
local function difference(previous, set)
  local differing, others, obsolete = {}, {}, {}
  for i = 1, #previous, 2 do
    others[previous[i]] = previous[i + 1]
  end
  for i = 1, #set, 2 do
    if others[set[i]] ~= set[i + 1] then
      differing[#differing + 1] = set[i]
      differing[#differing + 1] = set[i + 1]
    end
    others[set[i]] = nil
  end
  for name in pairs(others) do
    obsolete[#obsolete + 1] = name
  end
  return differing, obsolete
end

-- The timestamp comes first: if there is no memory for it, or no right to write
-- it, the record hasn't changed yet.
local function amend(record, timestamp, set, unset)
  stamp(timestamp)
  if #unset > 0 then
    redis.call('HDEL', record, unpack(unset))
  end
  if #set > 0 then
    redis.call('HSET', record, unpack(set))
  end
  return {'OK'}
end

local function read(record)
  local previous = redis.pcall('HGETALL', record)
  if not previous.err then
    return previous
  end
  if string.find(previous.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  error(previous.err)
end

local function put(record, timestamp, set)
  if since == 0 then
    stamp(timestamp)
    redis.call('DEL', record)
    redis.call('HSET', record, unpack(set))
    return {'OK'}
  end
  local previous = read(record)
  if not previous then
    return {'WRONGTYPE'}
  end
  local differing, obsolete = difference(previous, set)
  if conflict(timestamp) and #differing + #obsolete > 0 then
    return {'CONFLICT'}
  end
  amend(record, timestamp, differing, obsolete)
  return {'OK', unpack(previous)}
end

-- Sets properties of a record that exists.
local function update(record, timestamp, set)
  local previous = read(record)
  if not previous then
    return {'WRONGTYPE'}
  end
  if #previous == 0 then
    return {'ABSENT'}
  end
  if conflict(timestamp) then
    return {'CONFLICT'}
  end
  return amend(record, timestamp, set, {})
end

local function delete(record, timestamp)
  if conflict(timestamp) and redis.call('EXISTS', record) == 1 then
    return {'CONFLICT'}
  end
  stamp(timestamp)
  return {redis.call('DEL', record) == 1 and 'OK' or 'ABSENT'}
end

local write = ({put = put, amend = amend, update = update, delete = delete})[operation]
local replies = {}
for k = 1, #KEYS, 2 do
  local set, unset = words(), words()
  replies[#replies + 1] = write(KEYS[k], KEYS[k + 1], set, unset)
end
return replies
