//! A plain path gives what the interpreter gives, on anything.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use contract::{Number, Value};
use filter::{Env, Filter, Subject};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?".prop_map(|text| Value::Number(Number::parse(&text).unwrap())),
        "\\PC{0,8}|[\\x00-\\x1f]{0,3}".prop_map(Value::text),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let fields = proptest::collection::btree_map("[abc]|a b", inner.clone(), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Value::List),
            fields.prop_map(|fields| Value::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())),
        ]
    })
}

fn paths() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        "[abc]".prop_map(|name| format!(".{name}")),
        Just(".[\"a b\"]".to_owned()),
        Just(".\"a\"".to_owned()),
        (-4i32..5).prop_map(|at| format!(".[{at}]")),
    ];
    let step = (step, prop_oneof![4 => Just(""), 1 => Just("?")]).prop_map(|(step, opt)| format!("{step}{opt}"));
    (
        proptest::collection::vec(step, 0..5),
        prop_oneof![3 => Just(""), 1 => Just(" | tostring")],
    )
        .prop_map(|(steps, end)| {
            let path = steps.concat();
            format!("{}{end}", if path.is_empty() { "." } else { &path })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn both_ways_agree(value in values(), path in paths()) {
        let env = Env::default();
        let plain = Filter::compile(&path, &env).unwrap();
        prop_assert!(plain.is_plain(), "{}", path);
        let interpreted = Filter::compile(&format!("{path} | ."), &env).unwrap();
        prop_assert!(!interpreted.is_plain());
        prop_assert_eq!(plain.run(&value, &value), interpreted.run(&value, &value), "{}", path);
        let subject = Subject::new(&value);
        for filter in [&plain, &interpreted] {
            let seen = filter.view_on(&subject, &subject).map(|value| value.into_owned());
            prop_assert_eq!(seen, interpreted.one(&value, &value), "{}", path);
        }
    }

    #[test]
    fn no_text_brings_the_compiler_down(source in "\\PC{0,40}|[.a|(){}\\[\\]\"\\\\,;:?$@#0-9+*/ -]{0,60}") {
        let env = Env::default();
        if let Ok(filter) = Filter::compile(&source, &env) {
            let input = Value::parse("{\"a\":[1,2.50,{\"a\":null}]}").unwrap();
            filter.run(&input, &input).ok();
        }
    }
}
