-- Tables, strings and closures: a word count, a matrix of small tables, a queue of closures, a sort. Prints sums.
-- The argument multiplies the work.
local scale = tonumber(arg[1])
local seed = 12345
local function random(limit)
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % limit
end

local words, parts = {}, {}
for i = 1, math.floor(100000 * scale + 0.5) do
    parts[#parts + 1] = "word" .. random(5000) .. string.rep("x", random(20))
end
for word in table.concat(parts, " "):gmatch("%S+") do
    words[word] = (words[word] or 0) + 1
end
local keys = {}
for word in pairs(words) do keys[#keys + 1] = word end
table.sort(keys)
print(#keys, keys[1], keys[#keys], words[keys[1]])

local total = 0
for turn = 1, math.floor(20 * scale + 0.5) do
    local rows = {}
    for i = 1, 12000 do
        rows[i] = {id = i, x = random(1000), y = random(1000), name = "row " .. i % 300}
    end
    table.sort(rows, function(a, b)
        if a.x ~= b.x then return a.x < b.x end
        return a.id < b.id
    end)
    for i = 1, #rows, 7 do total = total + rows[i].x * i % 1009 + #rows[i].name end
end
print(total)

local queue, first, last = {}, 1, 0
local function push(action) last = last + 1; queue[last] = action end
for i = 1, 500 do push(function() return i end) end
local sum = 0
for _ = 1, math.floor(500000 * scale + 0.5) do
    local value = queue[first]()
    queue[first] = nil
    first = first + 1
    sum = (sum * 31 + value) % 1000003
    push(function() return (value * 7 + sum) % 997 end)
end
print(sum, last - first + 1)
