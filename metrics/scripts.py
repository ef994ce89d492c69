"""What must happen in Redis at once or not at all, as Lua. All keys of one call share a hash tag, for Cluster.

They are sent whole (EVAL): Redis keeps them compiled by their digest, and nothing has to be loaded again after a
restart or a failover.
"""

# Adds triples (n, s, q) of one arm and signal from ARGV[from]. What stands there and is no number is replaced by what is
# added, and counted. Any other error, such as a full memory, ends the script before it has written anything.
_ADD = """
local function add(key, from)
  local bad = 0
  for i = from, #ARGV, 6 do
    for j = i, i + 4, 2 do
      local reply = redis.pcall('HINCRBYFLOAT', key, ARGV[j], ARGV[j + 1])
      if type(reply) == 'table' and reply.err then
        bad = bad + 1
        if string.find(reply.err, 'WRONGTYPE') then return bad end
        if not (string.find(reply.err, 'float') or string.find(reply.err, 'Infinity')) then error(reply) end
        redis.call('HSET', key, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
        break
      end
    end
  end
  return bad
end
"""

# KEYS: the writer's marker, the sums, the sums of two epochs ago. ARGV: batch number, marker's life in seconds, triples.
# Gives the number of corrupt values, or -1 for a batch that was there before.
APPLY = (
    _ADD
    + """
local last = redis.pcall('GET', KEYS[1])
last = type(last) == 'string' and tonumber(last) or 0
if tonumber(ARGV[1]) <= last then return -1 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('UNLINK', KEYS[3]) end
return add(KEYS[2], 3)
"""
)

# KEYS: the marker of (decision, signal), and as above. ARGV: the value as JSON, marker's life, at most one triple.
CREDIT = (
    _ADD
    + """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return -1 end
if #ARGV < 3 then return 0 end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('UNLINK', KEYS[3]) end
return add(KEYS[2], 3)
"""
)

# KEYS: the labels. ARGV: field, most fields. Clients choose the words, so their number is bounded.
LABEL = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[2]) then
  return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
end
return 0
"""

# KEYS: a day's corrections. ARGV: decision id, what it was said to be, most of them, life in seconds, 1 to replace an older one.
KEEP = """
local there = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if there and ARGV[5] ~= '1' then return 0 end
if not there and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""

# KEYS: the mark of a change, when the last one was, sums. ARGV: factor, when, the mark's life and the other's in seconds. Multiplies all sums
# once for a mark; gives the number of corrupt values, or -1 where the mark stands.
DISCOUNT = """
if not redis.call('SET', KEYS[1], ARGV[2], 'NX', 'EX', ARGV[3]) then return -1 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[4])
local bad = 0
for k = 3, #KEYS do
  local all = redis.pcall('HGETALL', KEYS[k])
  if all.err then bad = bad + 1 else
    for i = 1, #all, 2 do
      local value = tonumber(all[i + 1])
      if value then redis.call('HSET', KEYS[k], all[i], string.format('%.17g', value * ARGV[1])) else bad = bad + 1 end
    end
  end
end
return bad
"""
