-- Load for wrk: `wrk -s static_upstream.lua URL -- BODIES FIRST`. BODIES has one request body a line, each with ten
-- zeros in it; they are replaced by a number that grows from FIRST, so that no two requests are the same.
local DIGITS = "0000000000"
local requests, count, number = {}, 0, 0

function init(args)
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer sk-bench"
  for body in io.lines(args[1]) do
    local whole = wrk.format("POST", nil, nil, body)
    local from, to = whole:find(DIGITS, 1, true)
    requests[count] = { whole:sub(1, from - 1), whole:sub(to + 1) }
    count = count + 1
  end
  number = tonumber(args[2])
end

function request()
  number = number + 1
  local parts = requests[number % count]
  return parts[1] .. string.format("%010d", number) .. parts[2]
end

function done(summary, latency)
  local e = summary.errors
  local said = '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}\n'
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.write(said:format(summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, errors))
end
