"""What must happen in Redis at once or not at all, as Lua. All keys of one call share a hash tag, for Cluster.

They are sent whole (EVAL): Redis keeps them compiled by their digest, and nothing has to be loaded again after a
restart or a failover.
"""

# Adds triples (n, s, q) of one arm and signal from ARGV[from]. What stands there and is no number, what cannot be sums of rewards in
# [0, 1] any more, and a key that is no hash are replaced by what is added, and counted. Any other error, such as a full memory,
# ends the script before it has written anything.
_ADD = """
local function add(key, from)
  local bad = 0
  for i = from, #ARGV, 6 do
    local sums = {}
    for j = i, i + 4, 2 do
      local reply = redis.pcall('HINCRBYFLOAT', key, ARGV[j], ARGV[j + 1])
      if type(reply) == 'table' and reply.err then
        if string.find(reply.err, 'WRONGTYPE') then redis.call('DEL', key)
        elseif not (string.find(reply.err, 'float') or string.find(reply.err, 'Infinity')) then error(reply) end
        break
      end
      sums[#sums + 1] = tonumber(reply)
    end
    local n, s, q = sums[1], sums[2], sums[3]
    local slack = 1e-6 * (1 + math.abs(n or 0))
    if not q or n < 0 or q < -slack or q > s + slack or s > n + slack then
      bad = bad + 1
      redis.call('HSET', key, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
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

# KEYS: the marker of (decision, signal) or (session, signal), and as above. ARGV: the value as JSON, marker's life, triples.
CREDIT = (
    _ADD
    + """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return -1 end
if #ARGV < 3 then return 0 end
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('UNLINK', KEYS[3]) end
return add(KEYS[2], 3)
"""
)

# KEYS: the claim of (session, signal), the decisions of the session. ARGV: the claim as JSON, its life in seconds, the
# earliest time that counts. Gives the claim that stands and the decisions; nothing for a session that is not known.
OPEN = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  if redis.call('EXISTS', KEYS[2]) == 0 then return {} end
  if redis.call('ZCOUNT', KEYS[2], ARGV[3], '+inf') == 0 then return {'late'} end
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
return {redis.call('GET', KEYS[1]), unpack(redis.call('ZRANGE', KEYS[2], 0, -1))}
"""

# KEYS: the mark that guards, the time for the reader, the sums of this epoch and of the one before. ARGV: the time, the
# guard's life and the other's in seconds, the factor. Gives the number of values left alone, or -1 while the guard stands.
DISCOUNT = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return -1 end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[3])
local bad = 0
for k = 3, 4 do
  local stored = redis.pcall('HGETALL', KEYS[k])
  if stored.err then
    bad = bad + 1
    stored = {}
  end
  for i = 1, #stored, 2 do
    local plain = string.find(stored[i], '^[nsq]|') and string.find(stored[i + 1], '^[-+]?[%d.]+[eE]?[-+]?%d*$')
    local value = plain and tonumber(stored[i + 1])
    if value and math.abs(value) < math.huge then
      redis.call('HSET', KEYS[k], stored[i], string.format('%.17g', value * ARGV[4]))
    else
      bad = bad + 1
    end
  end
end
return bad
"""

# KEYS: the decisions of a session. ARGV: the last rank to go, life in seconds, then a time and an id for each.
SESSION = """
redis.call('ZADD', KEYS[1], unpack(ARGV, 3))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

# KEYS: the stream. ARGV: most entries, then two fields with their values for each entry.
STREAM = """
for i = 2, #ARGV, 4 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
end
"""

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
