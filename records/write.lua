-- Writes records, each with the time of its writing in a note beside it.
--
-- KEYS: for each record, its key and that of its note.
-- ARGV: what to do (put, amend, renew, delete or note), since when the source was
-- observed (0: what is written counts however old), the seconds that a note
-- lives, and for each record the number of words to set (names and values in
-- turn), these words, the number of names to unset, and these names.
--
-- Returns for each record what became of it, and then the record as it was
-- found, if that was looked at.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local verb, since, lifetime = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local at = 4

local function words()
  local n = tonumber(ARGV[at])
  local list = {unpack(ARGV, at + 1, at + n)}
  at = at + n + 1
  return list
end

local function sign(note)
  redis.call('SET', note, string.format('%.0f', now), 'EX', lifetime)
end

-- Whether somebody wrote the record since the observation began, or that can't
-- be known any more. A note from the future is of a clock that was put back, or
-- of another master's: it becomes one of now, so that it stops only what began
-- before.
local function overtaken(note)
  local noted = tonumber(redis.call('GET', note)) or 0
  if noted > now then
    sign(note)
  end
  return since > 0 and (noted >= since or since > now or now - since > lifetime * 1000000)
end

-- What makes the record that was found the one that set says.
local function difference(found, set)
  local differing, others, obsolete = {}, {}, {}
  for i = 1, #found, 2 do
    others[found[i]] = found[i + 1]
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

-- The note comes first: without memory for it, or the right to write it,
-- nothing has changed yet.
local function change(record, note, set, unset)
  sign(note)
  if #unset > 0 then
    redis.call('HDEL', record, unpack(unset))
  end
  if #set > 0 then
    redis.call('HSET', record, unpack(set))
  end
end

local function read(record)
  local found = redis.pcall('HGETALL', record)
  if not found.err then
    return found
  end
  if string.find(found.err, 'WRONGTYPE', 1, true) then
    return nil
  end
  error(found.err)
end

local function put(record, note, set)
  local found = read(record)
  if not found then
    return {'WRONGTYPE'}
  end
  local differing, obsolete = difference(found, set)
  if overtaken(note) and #differing + #obsolete > 0 then
    return {'OVERTAKEN'}
  end
  change(record, note, differing, obsolete)
  return {'OK', unpack(since > 0 and found or {})}
end

-- Sets properties of a record that exists.
local function renew(record, note, set)
  local found = read(record)
  if not found then
    return {'WRONGTYPE'}
  end
  if #found == 0 then
    return {'ABSENT'}
  end
  if overtaken(note) then
    return {'OVERTAKEN'}
  end
  change(record, note, set, {})
  return {'OK'}
end

local function delete(record, note)
  if overtaken(note) and redis.call('EXISTS', record) == 1 then
    return {'OVERTAKEN'}
  end
  sign(note)
  return {redis.call('DEL', record) == 1 and 'OK' or 'ABSENT'}
end

local answers = {}
for k = 1, #KEYS, 2 do
  local record, note, set, unset = KEYS[k], KEYS[k + 1], words(), words()
  if verb == 'put' then
    answers[#answers + 1] = put(record, note, set)
  elseif verb == 'renew' then
    answers[#answers + 1] = renew(record, note, set)
  elseif verb == 'delete' then
    answers[#answers + 1] = delete(record, note)
  else
    change(record, note, set, unset)
    answers[#answers + 1] = {'OK'}
  end
end
return answers
