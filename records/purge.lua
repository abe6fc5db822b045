-- Leaves the mark of a purge.
--
-- KEYS: the hash of the marks.
-- ARGV: the name of the mark, a random value, the name of the mark that stands for
-- all, and how many marks there may be.
--
-- Returns the name of the mark that it left. With too many marks, or something else
-- at the key, that is the one for all, which replaces the others: whoever held an
-- answer under one of them sees another value for all.

local key, name, value, all, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local marks = redis.pcall('HGETALL', key)
if marks.err and not string.find(marks.err, 'WRONGTYPE', 1, true) then
  error(marks.err)
end
local known = false
for i = 1, #marks, 2 do
  known = known or marks[i] == name
end
if marks.err or not known and #marks / 2 >= most then
  name = all
end
if name == all then
  redis.call('DEL', key)
end
redis.call('HSET', key, name, value)
return name
