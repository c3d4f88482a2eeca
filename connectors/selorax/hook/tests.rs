use super::*;

const A_BODY: &str = r#"{"event_id":"550e8400-e29b-41d4-a716-446655440000","event_topic":"order.status_changed","store_id":22,"timestamp":"2024-02-28T10:00:00.000Z","data":{"order_id":1234,"status":"confirmed","previous_status":"pending"}}"#;
const B_BODY: &str = r#"{"event_id":"evt_abc123","event_topic":"customer.created","store_id":22,"store_name":"ফুলের দোকান","timestamp":"2026-03-01T10:30:00.000Z","data":{"user_id":301,"name":"রহিম","phone":"+8801712345678"}}"#;
const C_BODY: &str = "{ \"event_id\": \"e3\",  \"event_topic\": \"inventory.updated\", \"store_id\": 7, \"timestamp\": \"2026-03-01T10:30:00.000Z\", \"data\": { \"total\": 1500.0, \"url\": \"https:\\/\\/x.test\\/a\" } }\n";
const C_COMPACT: &str = r#"{"event_id":"e3","event_topic":"inventory.updated","store_id":7,"timestamp":"2026-03-01T10:30:00.000Z","data":{"total":1500.0,"url":"https://x.test/a"}}"#;
const A_TIME: &str = "1709107200";
const B_TIME: &str = "1772361000";
const A_SIGNATURE: &str = "sha256=405f8e2a4ff783393ea60dc56f9ac294187389836d175d347a3211b4821f98c3";

fn zeros() -> String {
    format!("whsec_{}", "0".repeat(64))
}

fn digits() -> String {
    format!("whsec_{}", "0123456789abcdef".repeat(4))
}

fn keyed(secrets: &[String]) -> Vec<Keyed> {
    secrets
        .iter()
        .map(|secret| Keyed::new_from_slice(secret.as_bytes()).unwrap())
        .collect()
}

fn judged(secrets: &[String], headers: &[(&str, &str)], body: &[u8]) -> Result<Stamp, Refused> {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let call = Call {
        headers: &headers,
        body,
    };
    verified(&call, &keyed(secrets))
}

fn signed(secret: &str, timestamp: &str, signature: &str, body: &str) -> Result<Stamp, Refused> {
    judged(
        &[secret.to_owned()],
        &[(SIGNATURE, signature), (TIMESTAMP, timestamp)],
        body.as_bytes(),
    )
}

#[test]
fn wh_01_the_four_vectors_are_good() {
    assert_eq!((A_BODY.len(), B_BODY.len(), C_BODY.len()), (215, 228, 173));
    let vectors = [
        (zeros(), A_TIME, A_BODY, A_SIGNATURE),
        (
            digits(),
            B_TIME,
            B_BODY,
            "sha256=74f4afb07a06811a544a6e7bb29abc6e004d124b536b33a2955d071f19574ae5",
        ),
        (
            digits(),
            B_TIME,
            C_BODY,
            "sha256=1aa43ffd4867a66820d2faf59b754525254bcfe5f9817947bede67dd5259eb76",
        ),
        (
            zeros(),
            A_TIME,
            "{}",
            "sha256=402f211e4bd092290eb7d6099124a65cf6f5adb55c5bb1d349e80ea6cbb72961",
        ),
    ];
    for (secret, timestamp, body, signature) in vectors {
        let stamp = timestamp.parse::<i64>().unwrap() * 1000;
        assert_eq!(signed(&secret, timestamp, signature, body), Ok(stamp), "{body}");
        // Any secret may have signed it.
        let others = ["another-secret-altogether".to_owned(), secret];
        let headers = [(SIGNATURE, signature), (TIMESTAMP, timestamp)];
        assert_eq!(judged(&others, &headers, body.as_bytes()), Ok(stamp));
        for (at, _) in body.char_indices() {
            let mut other = body.as_bytes().to_vec();
            other[at] ^= 1;
            assert_eq!(judged(&others, &headers, &other), Err(Refused::Signature), "byte {at}");
        }
    }
}

#[test]
fn wh_01_the_controls_that_must_fail_do() {
    for (body, timestamp, secret, signature) in [
        // Without the timestamp, with the key decoded, without the key's prefix, and over other bytes.
        (
            A_BODY,
            A_TIME,
            zeros(),
            "27d8aa8f46e663abd92a6c6adfb80b69a4c3e9317f825cbc2dc0474063e5213d",
        ),
        (
            A_BODY,
            A_TIME,
            zeros(),
            "2750eb76b757f623a51b2d18fc948da1f4b4f6b1980296aa9579076d8cb43359",
        ),
        (
            A_BODY,
            A_TIME,
            zeros(),
            "3760c46ec7f0fa351c0a254588dc9a4699e1cf5b3e6af0b5ea8088d921321a0d",
        ),
        (
            C_BODY,
            B_TIME,
            digits(),
            "78bdefba0b87ae2b14cf1b52fd15411b70fb76baae0f72b89bfab1d4b043b5c5",
        ),
    ] {
        let signature = format!("sha256={signature}");
        assert_eq!(signed(&secret, timestamp, &signature, body), Err(Refused::Signature));
    }
    // The last control is a good signature of the other bytes.
    let compact = "sha256=78bdefba0b87ae2b14cf1b52fd15411b70fb76baae0f72b89bfab1d4b043b5c5";
    assert!(signed(&digits(), B_TIME, compact, C_COMPACT).is_ok());
}

#[test]
fn wh_02_what_is_missing_is_named_and_nothing_takes_its_place() {
    let secrets = [zeros()];
    let judge = |headers: &[(&str, &str)]| judged(&secrets, headers, A_BODY.as_bytes());
    assert_eq!(
        judge(&[(TIMESTAMP, A_TIME)]),
        Err(Refused::Missing("X-SeloraX-Signature"))
    );
    assert_eq!(
        judge(&[(SIGNATURE, A_SIGNATURE)]),
        Err(Refused::Missing("X-SeloraX-Timestamp"))
    );
    // The signature of the body alone, with and without a timestamp beside it.
    let body_only = "sha256=27d8aa8f46e663abd92a6c6adfb80b69a4c3e9317f825cbc2dc0474063e5213d";
    assert_eq!(
        judge(&[(SIGNATURE, body_only)]),
        Err(Refused::Missing("X-SeloraX-Timestamp"))
    );
    assert_eq!(
        judge(&[(SIGNATURE, body_only), (TIMESTAMP, A_TIME)]),
        Err(Refused::Signature)
    );
}

#[test]
fn wh_21_no_other_way_to_write_a_signature_is_taken() {
    let secrets = [zeros()];
    let hex = A_SIGNATURE.strip_prefix("sha256=").unwrap();
    let mut bad = vec![
        A_SIGNATURE.to_ascii_uppercase(),
        format!("sha256={}", hex.to_ascii_uppercase()),
        hex.to_owned(),
        format!("sha1={hex}"),
        format!(" {A_SIGNATURE}"),
        format!("{A_SIGNATURE} "),
        format!("{A_SIGNATURE},{A_SIGNATURE}"),
        format!("sha256={}é", &hex[..62]),
        format!("sha256={}\u{0665}", &hex[..62]),
    ];
    bad.extend(
        (0..=1000)
            .filter(|n| *n != 64)
            .map(|n| format!("sha256={}", "a".repeat(n))),
    );
    bad.extend((0..=70).map(|n| "s".repeat(n)));
    for signature in bad {
        let headers = [(SIGNATURE, signature.as_str()), (TIMESTAMP, A_TIME)];
        assert_eq!(
            judged(&secrets, &headers, A_BODY.as_bytes()),
            Err(Refused::Signature),
            "{signature}"
        );
    }
    let twice = [(SIGNATURE, A_SIGNATURE), (SIGNATURE, A_SIGNATURE), (TIMESTAMP, A_TIME)];
    assert_eq!(judged(&secrets, &twice, A_BODY.as_bytes()), Err(Refused::Signature));
}

#[test]
fn wh_23_only_ten_digits_are_a_timestamp() {
    for timestamp in [
        " 1709107200",
        "1709107200 ",
        "+1709107200",
        "-1709107200",
        "1e9",
        "1709107200000",
        "170910720",
        "1709107200.5",
        "170910720.",
        "",
        "0x65df1a00",
        "১৭০৯১০৭২০০",
        &"9".repeat(400),
    ] {
        // Well signed with just that text, so that nothing but its form can be what is refused.
        let mut mac = Keyed::new_from_slice(zeros().as_bytes()).unwrap();
        feed(&mut mac, timestamp.as_bytes(), A_BODY.as_bytes());
        let hex: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let told = signed(&zeros(), timestamp, &format!("sha256={hex}"), A_BODY);
        assert_eq!(told, Err(Refused::Signature), "{timestamp}");
    }
}

fn opened(headers: &[(&str, &str)], body: &[u8]) -> Result<Event, Refused> {
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let call = Call {
        headers: &headers,
        body,
    };
    event(&call, 1_709_107_200_000, 22)
}

#[test]
fn wh_08_the_signed_body_counts_and_headers_that_differ_are_told() {
    let said = opened(&[(TOPIC, "order.deleted"), (EVENT_ID, "other")], A_BODY.as_bytes()).unwrap();
    assert_eq!(said.id, "550e8400-e29b-41d4-a716-446655440000");
    assert_eq!(said.topic, "order.status_changed");
    let key = Key("1234".to_owned());
    assert_eq!(
        said.about,
        About::Record {
            resource: "orders",
            key
        }
    );
    assert!(said.contradicted);
    let plain = opened(&[], A_BODY.as_bytes()).unwrap();
    assert_eq!(
        Event {
            contradicted: false,
            ..said
        },
        plain
    );
}

#[test]
fn an_event_without_an_id_is_known_by_its_header_or_else_by_its_bytes() {
    let body = br#"{"event_topic":"order.created","data":{"order_id":"0042"}}"#;
    assert_eq!(opened(&[(EVENT_ID, "e-1")], body).unwrap().id, "e-1");
    let nameless = opened(&[], body).unwrap();
    assert_eq!(nameless.id, format!("body-{}", Hash::of(body).hex()));
    assert_eq!(
        nameless.about,
        About::Record {
            resource: "orders",
            key: Key("42".to_owned())
        }
    );
    assert_eq!(opened(&[], b"{}").unwrap().about, About::Unknown);
}

#[test]
fn wh_08_what_removes_or_pauses_counts_only_where_it_was_signed() {
    let unsaid = br#"{"event_id":"e","store_id":22,"data":{"order_id":7}}"#;
    for topic in [
        "shop/redact",
        "customers/redact",
        "customers/data_request",
        "app.uninstalled",
        "app.installed",
    ] {
        assert_eq!(
            opened(&[(TOPIC, topic)], unsaid).unwrap().about,
            About::Unknown,
            "{topic}"
        );
    }
    // Which record to read again does no harm.
    let key = Key("7".to_owned());
    let about = opened(&[(TOPIC, "order.updated")], unsaid).unwrap().about;
    assert_eq!(
        about,
        About::Record {
            resource: "orders",
            key
        }
    );
}

#[test]
fn every_topic_says_what_to_read_again() {
    let of = |topic: &str, data: &str| {
        let body = format!(r#"{{"event_id":"e","event_topic":"{topic}","store_id":"22","data":{data}}}"#);
        opened(&[], body.as_bytes()).unwrap().about
    };
    let record = |resource, key: &str| About::Record {
        resource,
        key: Key(key.to_owned()),
    };
    let deleted = |resource, key: &str| About::Deleted {
        resource,
        key: Key(key.to_owned()),
    };
    for (topic, data, about) in [
        ("order.created", r#"{"order_id":7}"#, record("orders", "7")),
        ("order.cancelled", r#"{"id":"7"}"#, record("orders", "7")),
        ("order.deleted", r#"{"order_id":7}"#, deleted("orders", "7")),
        ("order.updated", r#"{"order":{"order_id":7}}"#, record("orders", "7")),
        ("order.updated", r#"{"note":"x"}"#, About::Resource("orders")),
        ("product.updated", r#"{"product_id":5}"#, record("products", "5")),
        ("product.deleted", r#"{"product_id":5}"#, deleted("products", "5")),
        ("customer.created", r#"{"user_id":3}"#, record("customers", "3")),
        ("customer.updated", r#"{"customer_id":3}"#, record("customers", "3")),
        (
            "inventory.updated",
            r#"{"product_id":5,"sku_id":9}"#,
            record("inventory", "5"),
        ),
        ("inventory.updated", r#"{"sku_id":9}"#, About::Resource("inventory")),
        ("inventory.updated", r#"{"id":9}"#, About::Resource("inventory")),
        ("app.uninstalled", "{}", About::Uninstalled),
        ("app.installed", "{}", About::Installed),
        ("charge.created", "{}", About::Unknown),
        ("nonsense", r#"{"order_id":7}"#, About::Unknown),
    ] {
        assert_eq!(of(topic, data), about, "{topic} {data}");
    }
}

#[test]
fn wh_16_another_stores_event_is_known_as_such() {
    for (store, is_ours) in [
        ("22", true),
        ("\"22\"", true),
        ("null", true),
        ("23", false),
        ("\"x\"", false),
        ("{}", false),
    ] {
        let body =
            format!(r#"{{"event_id":"e","event_topic":"order.created","store_id":{store},"data":{{"order_id":1}}}}"#);
        let about = opened(&[], body.as_bytes()).unwrap().about;
        assert_eq!(about != About::OtherStore, is_ours, "{store}");
    }
}

#[test]
fn wh_14_what_is_no_json_object_is_refused_with_the_reason() {
    let deep = "[".repeat(100_000);
    for body in [
        b"\xff\xfe".as_slice(),
        b"",
        b"[]",
        b"\"x\"",
        b"{",
        b"{\"a\":1}x",
        deep.as_bytes(),
    ] {
        assert!(
            matches!(opened(&[], body), Err(Refused::Malformed(_))),
            "{:?}",
            &body[..body.len().min(20)]
        );
    }
}

#[test]
fn a_privacy_request_names_whatever_looks_like_the_person() {
    let body = r#"{"event_id":"e","event_topic":"customers/redact","store_id":22,"data":{"customer":{"id":301,
        "email":"rahim@example.com","phone":"01712345678"},"orders_to_redact":[7,"8",{"order_id":9}]}}"#;
    let About::Privacy(asked) = opened(&[], body.as_bytes()).unwrap().about else {
        panic!()
    };
    assert_eq!(asked.kind, PrivacyKind::Redact);
    assert_eq!(asked.customer, Some(Key("301".to_owned())));
    assert_eq!(asked.orders, ["7", "8", "9"].map(|id| Key(id.to_owned())));
    assert_eq!(asked.words, ["01712345678", "rahim@example.com"]);
}
