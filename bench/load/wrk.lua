-- wrk -s wrk.lua URL -- verify|measure EXPECTED [BODY]: sends GET, or POST with the bytes of the file BODY.
-- With `verify` every body is compared with the file EXPECTED; with `measure` there is no hook for each answer, and
-- only the bytes are counted. The last line of the output is JSON.

local threads = {}
local expected
bad = 0

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  if args[3] then
    wrk.method = "POST"
    wrk.body = read(args[3])
  end
  if args[1] == "verify" then
    expected = read(args[2])
    response = function(status, headers, body)
      if body ~= expected then bad = bad + 1 end
    end
  end
end

function done(summary, latency, requests)
  local wrong = 0
  for _, thread in ipairs(threads) do wrong = wrong + thread:get("bad") end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"bytes":%d,"us":%d,"p50Us":%d,"p99Us":%d,"wrong":%d,'
      .. '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99), wrong,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
