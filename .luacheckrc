-- The dialect that Redis, Valkey and fakeredis share: Lua 5.1 without os, io, random numbers or
-- code loading, and the few fields of redis and cjson that all three have.
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
    -- Only in the form that the loader inlines; it rejects any other.
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
max_cyclomatic_complexity = 25 -- a script is one main chunk, and every `and` counts
