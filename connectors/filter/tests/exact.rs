//! Digits survive, odd text survives, and amounts are reckoned without a float.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use contract::Value;
use filter::{Env, Filter};

fn run(source: &str, input: &str) -> Result<String, String> {
    let input = Value::parse(input).unwrap();
    let filter = Filter::compile(source, &Env::default()).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    filter
        .one(&input, &input)
        .map(|value| value.to_json())
        .map_err(|error| error.message)
}

#[test]
fn digits_pass_through_every_road() {
    for number in [
        "19.90",
        "1460.00",
        "0.10",
        "0",
        "-0.50",
        "90.750",
        "123456789012345678901234567890",
        "0.000000000000000000000000000001",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "1234567890123456789012345678901234567890123456789012345678901.5",
    ] {
        for road in [
            ".",
            ". | .",
            "[.] | .[0]",
            "{a: .} | .a",
            "tojson | fromjson",
            "tostring | tonumber",
            "(. as $x | $x)",
            "[.] | map(.) | first",
            "[., .] | unique | .[0]",
            "[.] | add",
            ". + null",
            "- (- .)",
            "\"\\(.)\" | tonumber",
        ] {
            assert_eq!(run(road, number).as_deref(), Ok(number), "{road}");
        }
        assert_eq!(run("tostring", number).unwrap(), format!("\"{number}\""));
        assert_eq!(run(". | tostring", number).unwrap(), format!("\"{number}\""));
    }
    assert_eq!(run("19.90", "1").as_deref(), Ok("19.90"));
    assert_eq!(
        run("[100000000000000000000000000001]", "1").as_deref(),
        Ok("[100000000000000000000000000001]")
    );
}

#[test]
fn comparisons_are_exact() {
    for (source, expected) in [
        ("19.90 == 19.9", "true"),
        ("9007199254740993.1 == 9007199254740993.2", "false"),
        ("9007199254740993.1 < 9007199254740993.2", "true"),
        ("9223372036854775808 > 9223372036854775807", "true"),
        ("1 == 1.00", "true"),
        ("0.1 + 0.2 == 0.3", "false"),
        ("dec_add(0.1; 0.2) == 0.3", "true"),
    ] {
        assert_eq!(run(source, "1").as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn decimal_functions_are_exact_or_fail() {
    for (source, expected) in [
        ("0.1 | dec_add(0.2)", "0.3"),
        ("dec_add(\"1460.00\"; 0.005)", "1460.005"),
        ("dec_sub(0.30; 0.1)", "0.20"),
        ("dec_sub(1.50; 1.50)", "0.00"),
        ("dec_add(0; 1.50)", "1.50"),
        ("dec_mul(0; 1.50)", "0.00"),
        ("dec_mul(1.10; 1.10)", "1.2100"),
        ("1.005 | dec_mul(100) | dec_round(0)", "101"),
        ("2.5 | dec_round(0)", "3"),
        ("-2.5 | dec_round(0)", "-3"),
        ("-0.001 | dec_round(2)", "0.00"),
        ("19.9 | dec_round(2)", "19.90"),
        ("\"7\" | dec_round(3)", "7.000"),
        ("dec_div(10; 3) | dec_round(4)", "3.3333"),
        ("[] | dec_sum", "0"),
        ("[1.10, \"2.2\"] | dec_sum", "3.30"),
        (
            "dec_add(79228162514264337593543950334; 1)",
            "79228162514264337593543950335",
        ),
    ] {
        assert_eq!(run(source, "null").as_deref(), Ok(expected), "{source}");
    }
    for (source, why) in [
        ("dec_add(79228162514264337593543950335; 1)", "28 digits"),
        ("dec_add(7922816251426433759354395033; 0.123)", "28 digits"),
        ("dec_mul(0.00000000000001; 0.000000000000001)", "28 digits"),
        ("dec_mul(123456789012345.6789; 123456789012345.6789)", "28 digits"),
        ("dec_div(1; 0)", "divide by zero"),
        ("dec_add(null; 1)", "takes numbers, not null"),
        ("dec_add(\"1,000\"; 1)", "1,000"),
        ("dec_add(\" 1\"; 1)", "takes numbers"),
        ("dec_round(1.5)", "takes a whole number"),
        ("1 | dec_round(-1)", "takes a whole number"),
        ("1 | dec_round(29)", "takes a whole number"),
        ("{} | dec_sum", "takes an array"),
    ] {
        let message = run(source, "1").expect_err(source);
        assert!(message.contains(why), "{source}: {message}");
    }
}

#[test]
fn odd_text_and_the_order_of_fields_survive() {
    let input = "{\"z\":\"a\\u0000b\",\"রহিম\":\"😀\\u202eabc\",\"a\":\"\\ufffd\\u200f\",\"\":\"tab\\t\"}";
    let kept = Value::parse(input).unwrap();
    for road in [
        ". | .",
        "with_entries(.)",
        "to_entries | from_entries",
        ". + {}",
        "tojson | fromjson",
    ] {
        assert_eq!(run(road, input).unwrap(), kept.to_json(), "{road}");
    }
    assert_eq!(run(".[\"রহিম\"] | length", input).as_deref(), Ok("5"));
    assert_eq!(
        run("del(.z) | keys_unsorted", input).as_deref(),
        Ok("[\"রহিম\",\"a\",\"\"]")
    );
    assert_eq!(run("\"a\\u0000\" + .z", input).as_deref(), Ok("\"a\\u0000a\\u0000b\""));
}

#[test]
fn one_value_is_asked_for_and_given() {
    assert_eq!(run("empty", "1").as_deref(), Ok("null"));
    assert_eq!(run(".a?", "1").as_deref(), Ok("null"));
    assert!(run(".[]", "[1,2]").unwrap_err().contains("several values"));
    assert_eq!(run("1, error", "1").unwrap_err(), "1");
}

#[test]
fn sums_of_money_are_warned_of() {
    let env = Env::default();
    for (source, words) in [
        (".subtotal + .tax_total", vec!["subtotal"]),
        (".lines | map(.quantity * .unit_price)", vec!["unit_price"]),
        ("[.lines[].total] | add", vec!["total"]),
        (".grand_total | . / 2", vec!["grand_total"]),
        ("(.a.price // 0) - 1", vec!["price"]),
        (".total += 5", vec!["total"]),
        (".quantity + 1", vec![]),
        (".total | tostring + \" BDT\"", vec![]),
        ("dec_add(.subtotal; .tax_total)", vec![]),
        ("(.total | tostring) + \" BDT\"", vec![]),
        (".total > 5", vec![]),
    ] {
        let filter = Filter::compile(source, &env).unwrap();
        let found: Vec<&str> = filter
            .warnings()
            .iter()
            .map(|warning| &source[warning.at.clone()])
            .collect();
        assert_eq!(found, words, "{source}");
        assert!(
            filter
                .warnings()
                .iter()
                .all(|warning| warning.hint.as_ref().unwrap().contains("dec_"))
        );
    }
}
