-- The dialect that Redis, Valkey and fakeredis share: Lua 5.1 without os, io, random numbers and
-- loading of code, plus the few fields of redis and cjson that all three have.
stds.redis = {
  read_globals = {
    "KEYS",
    "ARGV",
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    -- Only the loader's form of it: the loader refuses any other.
    "require",
    redis = { fields = { "call", "pcall", "error_reply", "status_reply" } },
    cjson = { fields = { "encode", "decode", "null" } },
    math = { fields = { "abs", "ceil", "floor", "fmod", "huge", "max", "min", "pow" } },
    string = {
      fields = {
        "byte",
        "char",
        "find",
        "format",
        "gmatch",
        "gsub",
        "len",
        "lower",
        "match",
        "rep",
        "sub",
        "upper",
      },
    },
    table = { fields = { "concat", "insert", "remove", "sort" } },
  },
}
std = "redis"
max_line_length = 100
max_cyclomatic_complexity = 25 -- a main chunk is the whole decision, and every `and` counts
