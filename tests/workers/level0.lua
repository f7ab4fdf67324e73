#!/usr/bin/env lua
-- A worker in Lua, without an SDK: says that it is ready, then answers each line with one
-- line.  GET /level0?name=Ann answers {"hello":"Ann"}.
io.stdout:setvbuf("no") -- each line leaves at once
print('{"type":"ready","routes":[{"path":"/level0"}]}')

for line in io.lines() do
    -- The id stands first, and stays text: as a number it could lose its last digits.
    local id = line:match('^%s*{"id":(%d+)')
    if id then
        -- Only letters and digits: what a client sent is never printed as it came.
        local name = line:match('"query":"name=(%w*)"') or "world"
        print(('{"id":%s,"json":{"hello":"%s"}}'):format(id, name))
    end
end
