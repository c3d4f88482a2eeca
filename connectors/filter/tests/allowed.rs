//! Every allowed function works, shown by one line each, and the language around them too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use contract::Value;
use filter::{Env, Filter, Subject, Table, functions};

fn env() -> Env {
    let entries = [("cod", "10"), ("7", "\"seven\""), ("true", "1.50")];
    let entries = entries.map(|(key, value)| (key.to_owned(), Value::parse(value).unwrap()));
    let strict = Table {
        entries: entries.into(),
        default: None,
    };
    let lenient = Table {
        default: Some(Value::text("other")),
        ..Table::default()
    };
    Env {
        tables: [("codes".to_owned(), strict), ("any".to_owned(), lenient)].into(),
        ..Env::default()
    }
}

fn outputs(source: &str, input: &str) -> String {
    let input = Value::parse(input).unwrap();
    let filter = Filter::compile(source, &env()).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    match filter.run(&input, &input) {
        Ok(outputs) => outputs.iter().map(Value::to_json).collect::<Vec<_>>().join(" "),
        Err(error) => format!("error: {error}"),
    }
}

/// Filter, input, outputs.
const FUNCTIONS: &[(&str, &str, &str)] = &[
    (r#"IN("a", "b")"#, r#""b""#, "true"),
    ("IN(.[]; 3)", "[1,2]", "false"),
    ("abs", "-1.50", "1.50"),
    ("add", "[1,2,3]", "6"),
    ("add", r#"["a","b"]"#, r#""ab""#),
    ("add", "[]", "null"),
    ("add(.[].a)", r#"[{"a":1},{"a":2}]"#, "3"),
    ("all", "[true,1]", "true"),
    ("all(. > 1)", "[1,2]", "false"),
    ("all(.[]; . > 0)", "[1,2]", "true"),
    ("any", "[false,null]", "false"),
    ("any(. > 1)", "[1,2]", "true"),
    ("any(.[]; . > 2)", "[1,2]", "false"),
    ("[.[] | arrays]", r#"[1,[2]]"#, "[[2]]"),
    ("ascii", "65", r#""A""#),
    ("ascii_downcase", r#""AbÉ""#, r#""abÉ""#),
    ("ascii_upcase", r#""ab""#, r#""AB""#),
    ("[.[] | booleans]", "[1,true]", "[true]"),
    (
        r#"capture("(?<y>\\d+)-(?<m>\\d+)")"#,
        r#""2026-07""#,
        r#"{"y":"2026","m":"07"}"#,
    ),
    (r#"capture("(?<y>A)"; "i")"#, r#""a""#, r#"{"y":"a"}"#),
    ("ceil", "1.2", "2"),
    (r#"contains("bar")"#, r#""foobar""#, "true"),
    (r#"contains({a: ["x"]})"#, r#"{"a":["xy"],"b":1}"#, "true"),
    (".a | dec_add(0.2)", r#"{"a":0.10}"#, "0.30"),
    ("dec_add(.a; .b)", r#"{"a":"0.1","b":0.2}"#, "0.3"),
    ("dec_div(4)", "1", "0.25"),
    ("dec_div(1; 8)", "null", "0.125"),
    ("dec_mul(3)", "19.90", "59.70"),
    ("dec_mul(1.005; 100)", "null", "100.500"),
    ("dec_round(2)", "2.345", "2.35"),
    ("dec_sub(0.01)", "1.00", "0.99"),
    ("dec_sub(5; 7.5)", "null", "-2.5"),
    ("map(.t) | dec_sum", r#"[{"t":0.1},{"t":"0.2"}]"#, "0.3"),
    ("del(.a, .b[0,1])", r#"{"a":1,"b":[1,2,3],"c":4}"#, r#"{"b":[3],"c":4}"#),
    ("empty", "1", ""),
    (r#"endswith("r")"#, r#""bar""#, "true"),
    ("error", r#""no""#, "error: no"),
    (r#"try error("no") catch ."#, "1", r#""no""#),
    ("explode", r#""aé""#, "[97,233]"),
    ("false", "1", "false"),
    ("first", "[1,2]", "1"),
    ("first(.[] | select(. > 1))", "[1,2,3]", "2"),
    ("flatten", "[1,[2,[3]]]", "[1,2,3]"),
    ("flatten(1)", "[1,[2,[3]]]", "[1,2,[3]]"),
    ("floor", "1.9", "1"),
    (
        "from_entries",
        r#"[{"key":"a","value":1},{"name":"b","value":null}]"#,
        r#"{"a":1,"b":null}"#,
    ),
    ("fromdate", r#""2026-01-01T00:00:00Z""#, "1767225600"),
    ("fromdateiso8601", r#""1970-01-01T00:01:00Z""#, "60"),
    ("fromjson", r#""{\"a\":19.90}""#, r#"{"a":19.90}"#),
    (r#"getpath(["a","b"])"#, r#"{"a":{"b":1}}"#, "1"),
    ("gmtime | .[0]", "0", "1970"),
    ("group_by(.a) | length", r#"[{"a":1},{"a":2},{"a":1}]"#, "2"),
    (r#"gsub("[^0-9]"; "")"#, r#""+880 17-11""#, r#""8801711""#),
    (r#"gsub("A"; "b"; "i")"#, r#""aA""#, r#""bb""#),
    (r#"has("a")"#, r#"{"a":null}"#, "true"),
    ("implode", "[97,233]", r#""aé""#),
    (r#"in({"a":1})"#, r#""a""#, "true"),
    (r#"index("b")"#, r#""éabab""#, "2"),
    ("indices(1)", "[1,2,1]", "[0,2]"),
    (r#"inside("foobar")"#, r#""bar""#, "true"),
    ("isempty(.[])", "[]", "true"),
    ("[.[] | iterables]", "[1,{}]", "[{}]"),
    (r#"join(", ")"#, r#"["a",null,1.50,true]"#, r#""a, , 1.50, true""#),
    ("keys", r#"{"b":1,"a":2}"#, r#"["a","b"]"#),
    ("keys_unsorted", r#"{"b":1,"a":2}"#, r#"["b","a"]"#),
    ("last", "[1,2]", "2"),
    ("last(.[])", "[1,2]", "2"),
    ("length", r#""রহিম""#, "4"),
    ("[limit(2; .[])]", "[1,2,3]", "[1,2]"),
    (r#".s | lookup("codes")"#, r#"{"s":"cod"}"#, "10"),
    (r#"map(lookup("codes"))"#, "[7,true]", r#"["seven",1.50]"#),
    (r#"lookup("any")"#, "9", r#""other""#),
    (
        r#"lookup("codes")"#,
        r#""bkash""#,
        r#"error: the table "codes" has no entry for "bkash" and no default"#,
    ),
    ("ltrim", r#""  a ""#, r#""a ""#),
    (r#"ltrimstr("+88")"#, r#""+8801711""#, r#""01711""#),
    (r#"ltrimstr("+88")"#, "null", "null"),
    ("map(. * 2)", "[1,2]", "[2,4]"),
    ("map_values(tostring)", r#"{"a":1.0}"#, r#"{"a":"1.0"}"#),
    (r#"match("b+") | .offset, .string"#, r#""abb""#, r#"1 "bb""#),
    (r#"[match("A"; "gi").offset]"#, r#""aAb""#, "[0,1]"),
    ("max", "[1,3,2]", "3"),
    ("max_by(.a)", r#"[{"a":1},{"a":2}]"#, r#"{"a":2}"#),
    ("min", "[]", "null"),
    ("min_by(.a)", r#"[{"a":1},{"a":2}]"#, r#"{"a":1}"#),
    ("gmtime | mktime", "86400", "86400"),
    ("not", "null", "true"),
    ("nth(1)", "[1,2]", "2"),
    ("nth(1; .[])", "[1,2]", "2"),
    ("null", "1", "null"),
    ("[.[] | nulls]", "[1,null]", "[null]"),
    ("[.[] | numbers]", r#"[1,"a"]"#, "[1]"),
    ("[.[] | objects]", "[1,{}]", "[{}]"),
    ("pow(.; 3)", "2", "8"),
    ("reverse", "[1,2]", "[2,1]"),
    (r#"rindex("a")"#, r#""aba""#, "2"),
    ("round", "2.5", "3"),
    ("rtrim", r#"" a ""#, r#"" a""#),
    (r#"rtrimstr(".0")"#, r#""5.0""#, r#""5""#),
    ("[.[] | scalars]", "[1,[]]", "[1]"),
    (r#"[scan("\\d")]"#, r#""a1b2""#, r#"["1","2"]"#),
    (r#"[scan("A"; "i")]"#, r#""aA""#, r#"["a","A"]"#),
    ("[.[] | select(. > 1)]", "[1,2]", "[2]"),
    ("[skip(1; .[])]", "[1,2,3]", "[2,3]"),
    ("sort", r#"["b",1,null,"a"]"#, r#"[null,1,"a","b"]"#),
    ("sort_by(.a)", r#"[{"a":2},{"a":1}]"#, r#"[{"a":1},{"a":2}]"#),
    (r#"split(",")"#, r#""a,b""#, r#"["a","b"]"#),
    (r#"split(" +"; null)"#, r#""a  b""#, r#"["a","b"]"#),
    (r#"[splits(", *")]"#, r#""a, b""#, r#"["a","b"]"#),
    (r#"[splits("x"; "i")]"#, r#""aXb""#, r#"["a","b"]"#),
    ("sqrt", "9", "3"),
    (r#"startswith("b")"#, r#""bar""#, "true"),
    (r#"strftime("%Y-%m-%d")"#, "0", r#""1970-01-01""#),
    ("[.[] | strings]", r#"[1,"a"]"#, r#"["a"]"#),
    (r#"strptime("%Y-%m-%d") | mktime"#, r#""1970-01-02""#, "86400"),
    (r#"sub("(?<d>\\d)"; "<\(.d)>")"#, r#""a1b2""#, r#""a<1>b2""#),
    (r#"sub("A"; "-"; "gi")"#, r#""aAb""#, r#""--b""#),
    (r#"test("^01[3-9][0-9]{8}$")"#, r#""01712345678""#, "true"),
    (r#"test("A"; "i")"#, r#""a""#, "true"),
    ("to_entries", r#"{"b":1}"#, r#"[{"key":"b","value":1}]"#),
    ("toarray", "1", "[1]"),
    ("toboolean", r#""true""#, "true"),
    ("todate", "0", r#""1970-01-01T00:00:00Z""#),
    ("todateiso8601", "60", r#""1970-01-01T00:01:00Z""#),
    ("tojson", r#"{"a":19.90}"#, r#""{\"a\":19.90}""#),
    ("tonumber", r#""007.50""#, "7.50"),
    ("tonumber", r#""1,500""#, r#"error: cannot read "1,500" as a number"#),
    ("tostring", "[1,19.90]", r#""[1,19.90]""#),
    ("trim", r#"" a\n""#, r#""a""#),
    (r#"trimstr("-")"#, r#""-a-""#, r#""a""#),
    ("trunc", "-1.5", "-1"),
    ("true", "1", "true"),
    (
        "[.[] | type]",
        r#"[null,true,1,"a",[],{}]"#,
        r#"["null","boolean","number","string","array","object"]"#,
    ),
    ("unique", "[2,1,2]", "[1,2]"),
    ("unique_by(.a) | length", r#"[{"a":1},{"a":1}]"#, "1"),
    ("utf8bytelength", r#""é""#, "2"),
    ("[.[] | values]", "[1,null]", "[1]"),
    (r#"with_entries(.key |= "x_" + .)"#, r#"{"a":1}"#, r#"{"x_a":1}"#),
];

/// The language around the functions.
const LANGUAGE: &[(&str, &str, &str)] = &[
    (".a.b[0]?", r#"{"a":{"b":[7]}}"#, "7"),
    (".a?", "1", ""),
    (".[-1]", "[1,2]", "2"),
    (".[1:3]", "[1,2,3,4]", "[2,3]"),
    (".[:2]", r#""éab""#, r#""éa""#),
    (".[2:]", "null", "null"),
    (r#".["a b"], ."c d""#, r#"{"a b":1,"c d":2}"#, "1 2"),
    (".a // \"none\"", r#"{"a":null}"#, r#""none""#),
    (
        "if .a > 1 then \"x\" elif .a == 1 then \"y\" else \"z\" end",
        r#"{"a":1}"#,
        r#""y""#,
    ),
    ("if . then 1 end", "false", "false"),
    (".a and (.b | not)", r#"{"a":1,"b":false}"#, "true"),
    ("try (.a | tonumber) catch \"bad\"", r#"{"a":"x"}"#, r#""bad""#),
    (r#""\(.a)-\(.b | tostring)!""#, r#"{"a":1.50,"b":"x"}"#, r#""1.50-x!""#),
    (
        r#"@base64, @uri, @html, @json, @text"#,
        r#""<é>""#,
        r#""PMOpPg==" "%3C%C3%A9%3E" "&lt;é&gt;" "\"<é>\"" "<é>""#,
    ),
    (
        r#"@base64, @base64url, (tojson | @base64url)"#,
        r#""??>>""#,
        r#""Pz8+Pg==" "Pz8-Pg==" "Ij8_Pj4i""#,
    ),
    (
        r#"@uri "q=\(.)", @base64d, @urid"#,
        r#""YQ==""#,
        r#""q=YQ%3D%3D" "a" "YQ==""#,
    ),
    (
        "[.lines[] | {sku, qty: .quantity, (.k): 1}]",
        r#"{"lines":[{"sku":"a","quantity":2,"k":"z"}]}"#,
        r#"[{"sku":"a","qty":2,"z":1}]"#,
    ),
    (".a as $x | .b | {x: $x, y: .}", r#"{"a":1,"b":2}"#, r#"{"x":1,"y":2}"#),
    (".[] as [$a, {b: $c}] | $a + $c", r#"[[1,{"b":2}]]"#, "3"),
    ("reduce .[] as $x (0; dec_add($x))", "[0.1,0.2]", "0.3"),
    ("reduce .[] as {t: $t} (\"0\"; dec_add($t))", r#"[{"t":0.1}]"#, "0.1"),
    (
        ".a = 1 | .b |= . + 1 | .c += 2 | .d //= 4",
        r#"{"b":1,"c":1}"#,
        r#"{"b":2,"c":3,"a":1,"d":4}"#,
    ),
    ("{a: 1} * {b: {c: 2}}", "null", r#"{"a":1,"b":{"c":2}}"#),
    ("[1,2,3] - [2]", "null", "[1,3]"),
    (r#""ab" * 2, ("a,b" / ",")"#, "null", r#""abab" ["a","b"]"#),
    ("7 % 4, -(3), 7 / 2, 6 / 2", "null", "3 -3 3.5 3"),
    ("{(1|tostring): 2}", "null", r#"{"1":2}"#),
    ("[.[] | .x?]", r#"[1,{"x":2}]"#, "[2]"),
    ("$record.a, ($record | .a)", r#"{"a":5}"#, "5 5"),
    ("# a remark\n.a", r#"{"a":5}"#, "5"),
    (".lines | first.x |= 3", r#"{"lines":[{"x":1}]}"#, r#"[{"x":3}]"#),
];

#[test]
fn every_allowed_function_has_a_line_and_works() {
    for (source, input, expected) in FUNCTIONS.iter().chain(LANGUAGE) {
        assert_eq!(outputs(source, input), *expected, "{source} on {input}");
    }
    let mut missing = BTreeSet::new();
    for (name, arities) in functions() {
        for arity in arities {
            let shown = FUNCTIONS
                .iter()
                .any(|(source, ..)| called(source, name) == Some(*arity));
            if !shown {
                missing.insert(format!("{name}/{arity}"));
            }
        }
    }
    assert!(missing.is_empty(), "no example: {missing:?}");
}

/// With how many arguments a source calls a function, by counting what stands in its parentheses.
fn called(source: &str, name: &str) -> Option<usize> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = source.match_indices(name).find(|(at, _)| {
        let before = source[..*at].chars().next_back();
        let after = source[at + name.len()..].chars().next();
        !before.is_some_and(|c| word(c) || c == '.') && !after.is_some_and(word)
    });
    let (at, _) = found?;
    let Some(rest) = source[at + name.len()..].strip_prefix('(') else {
        return Some(0);
    };
    let (mut depth, mut arguments) = (0, 1);
    for c in rest.chars() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ';' if depth == 0 => arguments += 1,
            _ => {}
        }
    }
    Some(arguments)
}

#[test]
fn refs_are_what_stands_beside_the_record() {
    let env = Env {
        refs: vec!["customers".to_owned(), "products".to_owned()],
        ..Env::default()
    };
    let record = Value::parse(r#"{"lines":[{"id":7},{"id":9}]}"#).unwrap();
    let refs = Value::parse(r#"{"customers":"CU-1","products":{"7":"IT-4"}}"#).unwrap();
    let whole = Subject::with_refs(&record, &refs);
    for (source, output) in [
        ("$refs.customers", r#""CU-1""#),
        ("[.lines[] | $refs.products[.id | tostring]]", r#"["IT-4",null]"#),
        (r#""\($refs["customers"])!""#, r#""CU-1!""#),
        ("$refs | length", "2"),
    ] {
        let filter = Filter::compile(source, &env).unwrap();
        assert_eq!(filter.one_on(&whole, &whole).unwrap().to_json(), output, "{source}");
        // Where nothing stands beside it, as in a dry look, it is null.
        assert!(filter.one(&record, &record).is_ok(), "{source}");
    }
    for source in ["$refs.custmers", "$refs.orders", r#"$refs["x"]"#] {
        assert!(Filter::compile(source, &env).is_err(), "{source}");
    }
    assert!(Filter::compile("$refs.customers", &Env::default()).is_err());
}
