//! What would run away, overflow or look around is refused when compiled or stopped when run. That it
//! ends is told by the limit it names, not by a clock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use contract::Value;
use filter::{CompileError, Env, Filter, Table};

fn compile(source: &str) -> Result<Filter, CompileError> {
    Filter::compile(source, &Env::default())
}

fn fails(source: &str, input: &str) -> String {
    let input = Value::parse(input).unwrap();
    let filter = compile(source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    filter.run(&input, &input).expect_err(source).message
}

#[test]
fn programs_that_loop_or_look_around_do_not_compile() {
    for (source, at, why) in [
        ("def f: 1+f; f", "f", "call itself"),
        ("def f: f; f", "f", "call itself"),
        ("until(false; .)", "until", "loop"),
        ("[range(1e9)]", "range", "loop"),
        ("repeat(.)", "repeat", "loop"),
        ("[recurse]", "recurse", "loop"),
        ("[while(true; .)]", "while", "loop"),
        ("[..]", "..", "deep"),
        ("walk(.)", "walk", "loop"),
        ("[paths]", "paths", "loop"),
        ("[limit(3; repeat(1))]", "repeat", "loop"),
        ("foreach .[] as $x (0; . + $x)", "foreach", "reduce"),
        ("label $out | break $out", "$out", "first"),
        ("env", "env", "nothing else"),
        ("env.PATH", "env", "nothing else"),
        ("$ENV.PATH", "$ENV", "nothing else"),
        ("\"\\($ENV)\"", "$ENV", "nothing else"),
        ("{a: [$ENV.HOME]}", "$ENV", "nothing else"),
        ("try env catch .", "env", "nothing else"),
        ("input", "input", "nothing else"),
        ("[inputs]", "inputs", "nothing else"),
        ("debug", "debug", "nothing else"),
        ("stderr", "stderr", "nothing else"),
        ("halt", "halt", "nothing else"),
        ("halt_error", "halt_error", "nothing else"),
        ("now", "now", "whenever"),
        ("now | localtime", "now", "whenever"),
        ("(reduce .[] as $x (.; .a)) |= 1", "reduce", "place"),
        ("del(reduce .[] as $x (.; .a))", "reduce", "place"),
        ("_matches(\"a\"; \"\")", "_matches", "unknown function"),
        ("error_empty", "error_empty", "unknown function"),
        ("path(.a)", "path", "unknown function"),
        ("@sh", "@sh", "unknown format"),
        ("$missing", "$missing", "unknown variable"),
        ("import \"a\" as a; .", "", ""),
        ("include \"a\"; .", "", ""),
    ] {
        let error = compile(source).expect_err(source);
        assert!(error.message.contains(why), "{source}: {error:?}");
        if !at.is_empty() {
            assert_eq!(&source[error.at.clone()], at, "{source}: {error:?}");
        }
    }
}

#[test]
fn what_multiplies_is_stopped_by_count() {
    let steps = "too many steps";
    let weight = "larger than 1 MiB";
    let depth = "levels deep";
    let doubled = |part: &str, times: usize| vec![part; times].join(" | ");
    let bits = |times: usize| (0..times).map(|n| format!("(0,1) as $v{n} | ")).collect::<String>();
    let dots = |times: usize| (0..times).map(|n| format!("(.,.) as $v{n} | ")).collect::<String>();
    let hundred = format!("[{}]", vec!["1"; 100].join(","));
    let text = format!("\"{}\"", "a".repeat(50_000));
    for (source, input, limit) in [
        (
            "[.[] as $a | .[] as $b | .[] as $c | .[] as $d | 1] | length".to_owned(),
            hundred.as_str(),
            weight,
        ),
        (
            "isempty(.[] as $a | .[] as $b | .[] as $c | .[] as $d | empty)".to_owned(),
            &hundred,
            steps,
        ),
        (format!("[{}empty]", bits(20)), "1", steps),
        (format!("[{}empty]", dots(20)), "1", steps),
        (format!("first({}empty)", bits(20)), "1", steps),
        (format!("try ({}error) catch 1", bits(1)), "1", ""),
        (format!("[try ({}(1 | error)) catch empty]", bits(1)), "1", ""),
        (format!("[{}(try error catch empty)?]", bits(20)), "1", steps),
        (format!("[{}(.x? // empty)]", bits(20)), "1", steps),
        ("\"x\" * 1000000000".to_owned(), "1", weight),
        ("\"x\" * 1e60".to_owned(), "1", weight),
        (doubled(". + .", 40), "\"a\"", weight),
        (doubled(". * 2", 40), "\"a\"", weight),
        ("reduce .[] as $x (\"ab\"; . + .)".to_owned(), &hundred, weight),
        ("reduce .[] as $x ([1]; . + .)".to_owned(), &hundred, weight),
        (doubled("[.,.]", 40), "1", weight),
        (doubled("{a:.,b:.}", 40), "1", weight),
        (doubled("\"\\(.)\\(.)\"", 40), "\"ab\"", weight),
        ("reduce (.[] | 1,2,3) as $x (1; [.])".to_owned(), &hundred, depth),
        (
            "isempty(reduce .[] as $x (0; ., .) | empty)".to_owned(),
            &hundred,
            steps,
        ),
        (
            "[.[] | tojson | tojson | tojson | tojson | tojson | tojson | tojson | tojson]".to_owned(),
            "[\"\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\"]",
            "",
        ),
        ("test(\"(a{100}){100}\")".to_owned(), &text, "repeats too much"),
        (
            "test(\"((((a{9}){9}){9}){9}){9}\")".to_owned(),
            &text,
            "repeats too much",
        ),
        ("test(\"(a{0,40}){40}b\")".to_owned(), &text, steps),
        ("gsub(\"(a.*z)|a\"; \"b\")".to_owned(), &text, steps),
        (
            "[.[] as $a | .[] as $b | test(\"1\")] | length".to_owned(),
            &hundred,
            "must be strings",
        ),
        (
            ".[] as $a | .[] as $b | .[] as $c | 1".to_owned(),
            &hundred,
            "more than 10000 values",
        ),
        (".[1e9] = 1".to_owned(), "[1]", "out of bounds"),
        ("reduce .[] as $x (9; . * .)".to_owned(), &hundred, "60 digits"),
        (". / 0".to_owned(), "1", "divide by zero"),
        (". % 0".to_owned(), "1", "divide by zero"),
    ] {
        if limit.is_empty() {
            let input = Value::parse(input).unwrap();
            compile(&source).unwrap().run(&input, &input).ok();
            continue;
        }
        let message = fails(&source, input);
        assert!(message.contains(limit), "{source}: {message}");
    }
}

#[test]
fn a_limit_cannot_be_caught_and_the_next_run_is_fresh() {
    let filter = compile("try (reduce .[] as $x (\"ab\"; . + .)) catch \"caught\"").unwrap();
    let long = Value::parse(&format!("[{}]", vec!["1"; 100].join(","))).unwrap();
    let short = Value::parse("[1]").unwrap();
    for _ in 0..3 {
        assert!(filter.one(&long, &long).is_err());
        assert_eq!(filter.one(&short, &short).unwrap(), Value::text("abab"));
    }
}

/// The deepest filters that compile, run and fail on a quarter of a worker's stack.
#[test]
fn a_small_stack_is_enough() {
    let run = || {
        let nest = |open: &str, close: &str, n: usize| format!("{}.{}", open.repeat(n), close.repeat(n));
        let mut compiled = 0;
        for n in [
            10, 30, 32, 60, 80, 100, 120, 125, 127, 200, 240, 250, 255, 256, 500, 1000, 4000,
        ] {
            for source in [
                nest("(", ")", n),
                nest("[", "]", n),
                nest("{a:", "}", n),
                nest("\"\\(", ")\"", n),
                nest("- ", "", n),
                nest("try ", "", n),
                nest("", "?", n),
                nest("", "[0]?", n),
                nest("", ".a?", n),
                nest("", "|.", n),
                nest("", "+1", n),
                nest("", "//1", n),
                nest("", ",1", n),
                nest("", " as $x|.", n),
                nest("if . then 1 else ", " end", n),
                nest("if . then 1 el", "if . then 1 end", n.min(2)),
                nest("map(", ")", n),
                nest("select(", ")", n),
                nest("[first(", ")]", n / 2),
                nest("reduce (", ") as $x (0; 1)", n),
                nest(".a |= (", ")", n),
                nest("del(.[", "])", n),
                format!("[{}1]", "1,".repeat(n)),
                format!("{{{}a:1}}", "a:(.x? // 1),".repeat(n)),
                format!("if 0 then 1 {} else 2 end", "elif . then 1".repeat(n)),
                format!("\"{}\"", "\\(.)".repeat(n)),
                format!(". {}", "| map(select(.))?".repeat(n)),
            ] {
                if let Ok(filter) = compile(&source) {
                    compiled += 1;
                    for input in ["null", "1", "[1,[2]]", "{\"a\":{\"a\":[1]}}"] {
                        let input = Value::parse(input).unwrap();
                        filter.run(&input, &input).ok();
                    }
                }
            }
        }
        assert!(compiled > 100, "{compiled}");
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap();
    thread.join().unwrap();
}

#[test]
fn long_and_deep_texts_are_refused_with_a_reason() {
    assert!(
        compile(&format!("\"{}\"", "a".repeat(9000)))
            .unwrap_err()
            .message
            .contains("8192 bytes")
    );
    assert!(compile(&"(".repeat(40)).unwrap_err().message.contains("32 brackets"));
    assert!(compile(&"- ".repeat(400)).unwrap_err().message.contains("too deeply"));
    let wide = format!(
        "{{{}}}",
        (0..100)
            .map(|n| format!("f{n}: (.a.b.c | tostring)"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    assert!(compile(&wide).is_ok());
    // Brackets in texts and remarks are no nesting.
    assert!(compile(&format!("\"{}\"", "(".repeat(100))).is_ok());
    assert!(compile("# ((((((((((((((((((((((((((((((((((((((((((((((((((\n.").is_ok());
}

#[test]
fn mistakes_are_shown_with_place_and_remedy() {
    let table = Table::default();
    let env = Env {
        tables: [("status".to_owned(), table)].into(),
        ..Env::default()
    };
    for (source, at, message, hint) in [
        (
            "BDT",
            "BDT",
            "unknown function `BDT`",
            "a literal text is written '\"BDT\"'",
        ),
        ("Cash on delivery", "on", "found `on`", "'\"Cash on delivery\"'"),
        (
            "grand_total",
            "grand_total",
            "unknown function",
            "a field is written `.grand_total`",
        ),
        (
            ".a | tostrng",
            "tostrng",
            "unknown function",
            "did you mean `tostring`?",
        ),
        ("map(.a; .b)", "map", "takes 1 arguments, not 2", "`;`"),
        (
            ".a | lookup(\"staus\")",
            "lookup",
            "no table `staus`",
            "did you mean `status`?",
        ),
        ("'x'", "'", "found `'`", "double quotes"),
        (".a +", "", "found the end", ""),
        (".a | (.b", "", "closing parenthesis", ""),
        ("", "", "empty", "`.name` is a field"),
        ("$recod.a", "$recod", "unknown variable", "did you mean `$record`?"),
        ("1e400", "1e400", "exponent", ""),
    ] {
        let error = Filter::compile(source, &env).expect_err(source);
        assert_eq!(&source[error.at.clone()], at, "{source}: {error:?}");
        assert!(error.message.contains(message), "{source}: {error:?}");
        assert!(
            error.hint.unwrap_or_default().contains(hint),
            "{source}: {}",
            error.message
        );
    }
}

#[test]
fn messages_hold_an_excerpt_of_the_data_at_most() {
    let secret = "x".repeat(500);
    let input = Value::parse(&format!("{{\"a\":\"{secret}\",\"b\":[\"{secret}\"]}}")).unwrap();
    for source in [
        ".a.b",
        ".a | tonumber",
        ".a + 1",
        "error(.)",
        ".a | fromjson",
        ".b | tonumber",
    ] {
        let message = compile(source).unwrap().run(&input, &input).unwrap_err().message;
        assert!(message.chars().count() <= 200, "{source}: {message}");
        assert!(!message.contains(&secret[..60]), "{source}: {message}");
    }
}
