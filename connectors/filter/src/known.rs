//! What a filter may call. The list is of what is allowed: a function that a later release of the
//! interpreter brings is refused until somebody has thought about it.

/// Name and number of arguments.
pub(crate) const FUNCTIONS: &[(&str, &[usize])] = &[
    ("IN", &[1, 2]),
    ("abs", &[0]),
    ("add", &[0, 1]),
    ("all", &[0, 1, 2]),
    ("any", &[0, 1, 2]),
    ("arrays", &[0]),
    ("ascii", &[0]),
    ("ascii_downcase", &[0]),
    ("ascii_upcase", &[0]),
    ("booleans", &[0]),
    ("capture", &[1, 2]),
    ("ceil", &[0]),
    ("contains", &[1]),
    ("dec_add", &[1, 2]),
    ("dec_div", &[1, 2]),
    ("dec_mul", &[1, 2]),
    ("dec_round", &[1]),
    ("dec_sub", &[1, 2]),
    ("dec_sum", &[0]),
    ("del", &[1]),
    ("empty", &[0]),
    ("endswith", &[1]),
    ("error", &[0, 1]),
    ("explode", &[0]),
    ("false", &[0]),
    ("first", &[0, 1]),
    ("flatten", &[0, 1]),
    ("floor", &[0]),
    ("from_entries", &[0]),
    ("fromdate", &[0]),
    ("fromdateiso8601", &[0]),
    ("fromjson", &[0]),
    ("getpath", &[1]),
    ("gmtime", &[0]),
    ("group_by", &[1]),
    ("gsub", &[2, 3]),
    ("has", &[1]),
    ("implode", &[0]),
    ("in", &[1]),
    ("index", &[1]),
    ("indices", &[1]),
    ("inside", &[1]),
    ("isempty", &[1]),
    ("iterables", &[0]),
    ("join", &[1]),
    ("keys", &[0]),
    ("keys_unsorted", &[0]),
    ("last", &[0, 1]),
    ("length", &[0]),
    ("limit", &[2]),
    ("lookup", &[1]),
    ("ltrim", &[0]),
    ("ltrimstr", &[1]),
    ("map", &[1]),
    ("map_values", &[1]),
    ("match", &[1, 2]),
    ("max", &[0]),
    ("max_by", &[1]),
    ("min", &[0]),
    ("min_by", &[1]),
    ("mktime", &[0]),
    ("not", &[0]),
    ("nth", &[1, 2]),
    ("null", &[0]),
    ("nulls", &[0]),
    ("numbers", &[0]),
    ("objects", &[0]),
    ("pow", &[2]),
    ("reverse", &[0]),
    ("rindex", &[1]),
    ("round", &[0]),
    ("rtrim", &[0]),
    ("rtrimstr", &[1]),
    ("scalars", &[0]),
    ("scan", &[1, 2]),
    ("select", &[1]),
    ("skip", &[2]),
    ("sort", &[0]),
    ("sort_by", &[1]),
    ("split", &[1, 2]),
    ("splits", &[1, 2]),
    ("sqrt", &[0]),
    ("startswith", &[1]),
    ("strftime", &[1]),
    ("strings", &[0]),
    ("strptime", &[1]),
    ("sub", &[2, 3]),
    ("test", &[1, 2]),
    ("to_entries", &[0]),
    ("toarray", &[0]),
    ("toboolean", &[0]),
    ("todate", &[0]),
    ("todateiso8601", &[0]),
    ("tojson", &[0]),
    ("tonumber", &[0]),
    ("tostring", &[0]),
    ("trim", &[0]),
    ("trimstr", &[1]),
    ("trunc", &[0]),
    ("true", &[0]),
    ("type", &[0]),
    ("unique", &[0]),
    ("unique_by", &[1]),
    ("utf8bytelength", &[0]),
    ("values", &[0]),
    ("with_entries", &[1]),
];

pub(crate) const FORMATS: &[&str] = &[
    "@base64",
    "@base64d",
    "@base64url",
    "@html",
    "@json",
    "@text",
    "@uri",
    "@urid",
];

/// Known to jq, refused here, and why.
pub(crate) const REFUSED: &[(&[&str], &str)] = &[
    (
        &[
            "env",
            "input",
            "inputs",
            "input_filename",
            "input_line_number",
            "debug",
            "stderr",
            "halt",
            "halt_error",
            "get_search_list",
            "$__loc__",
            "$__prog_args",
            "import",
            "include",
        ],
        "a filter sees its record and nothing else",
    ),
    (
        &["now", "localtime", "strflocaltime", "date"],
        "a filter gives the same result whenever and wherever it runs",
    ),
    (
        &[
            "range",
            "repeat",
            "recurse",
            "recurse_down",
            "while",
            "until",
            "walk",
            "paths",
            "leaf_paths",
            "combinations",
            "foreach",
            "label",
            "break",
            "def",
            "limit_depth",
            "getpaths",
            "tostream",
            "fromstream",
            "truncate_stream",
        ],
        "a filter may not loop on its own; `map`, `select` and `reduce` over the record's lists will do",
    ),
];

pub(crate) fn arities(name: &str) -> Option<&'static [usize]> {
    let function = FUNCTIONS.iter().find(|(known, _)| *known == name);
    function.map(|(_, arities)| *arities)
}

pub(crate) fn refused(name: &str) -> Option<&'static str> {
    let found = REFUSED.iter().find(|(names, _)| names.contains(&name));
    found.map(|(_, why)| *why)
}

/// Functions made of others. Those that begin with `_` cannot be called from a filter.
pub(crate) const PRELUDE: &str = r#"
def empty: {}[] as $x | .;
def error: error_empty as $x | .;
def error(msgs): (msgs | error_empty) as $x | .;
def select(f): if f then . else empty end;
def add(f): [f] | add;
def map(f): [.[] | f];
def map_values(f): .[] |= f;
def del(f): _delete([path(f)]);
def with_entries(f): to_entries | map(f) | from_entries;
def first: .[0];
def last: .[-1];
def nth($n): .[$n];
def nth($n; g): first(skip($n; g));
def isempty(g): first((g | false), true);
def all(g; cond): isempty(g | cond and empty);
def any(g; cond): isempty(g | cond or empty) | not;
def all(cond): all(.[]; cond);
def any(cond): any(.[]; cond);
def all: all(.[]; .);
def any: any(.[]; .);
def in(xs): . as $x | xs | has($x);
def inside(xs): . as $x | xs | contains($x);
def index($i): indices($i) | .[0];
def rindex($i): indices($i) | .[-1];
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def min_by(f): reduce min_by_or_empty(f) as $x (null; $x);
def max_by(f): reduce max_by_or_empty(f) as $x (null; $x);
def min: min_by(.);
def max: max_by(.);
def unique_by(f): [group_by(f)[] | .[0]];
def unique: unique_by(.);
def values: select(. != null);
def nulls: select(. == null);
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def arrays: select(type == "array");
def objects: select(type == "object");
def iterables: select(type == "array" or type == "object");
def scalars: select(type != "array" and type != "object");
def ascii: [.] | implode;
def todate: todateiso8601;
def fromdate: fromdateiso8601;
def _parts($re; $flags): _pattern($re; $flags) | _matches($re; $flags // "");
def _captured: map(select(.name) | {(.name): .string}) | add + {};
def test($re; $flags): _parts($re; $flags) | length > 0;
def match($re; $flags): _parts($re; $flags)[] | .[0] + {captures: .[1:]};
def capture($re; $flags): _parts($re; $flags)[] | _captured;
def scan($re; $flags): _parts($re; "g" + $flags)[] | [.[].string] | if .[1] then .[1:] else .[0] end;
def split($re; $flags): _pattern($re; "g") | _split($re; "g" + $flags);
def splits($re; $flags): split($re; $flags)[];
def sub($re; f; $flags):
  reduce (_pattern($re; $flags) | _split_matches($re; $flags)[]) as $x ("";
    . + ($x | if type == "array" then _captured | f else . end));
def gsub($re; f; $flags): sub($re; f; "g" + $flags);
def test($re): test($re; "");
def match($re): match($re; "");
def capture($re): capture($re; "");
def scan($re): scan($re; "");
def splits($re): splits($re; "");
def sub($re; f): sub($re; f; "");
def gsub($re; f): sub($re; f; "g");
def @text: tostring;
def @json: tojson;
def @html: tostring | escape_html;
def @uri: tostring | encode_uri;
def @urid: tostring | decode_uri;
def @base64: tostring | encode_base64;
def @base64url: @base64 | split("+") | join("-") | split("/") | join("_");
def @base64d: tostring | decode_base64;
"#;
