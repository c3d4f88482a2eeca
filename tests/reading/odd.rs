//! Orders that no shop should show: each is delivered exactly, or parked with the field named, and the
//! others never wait for it.

use sandbox::{Options, RowShape, Rule, Splice};

use super::rig::{Rig, Setup, expected};

/// A shop whose nth order is shown with the nth splice.
pub(super) async fn spliced(rows: RowShape, map: Vec<&'static str>, splices: &[Splice]) -> (Rig, Vec<i64>, Vec<u64>) {
    let mut setup = Setup::of(Options {
        orders: splices.len() + 5,
        rows,
        odd_percent: 0,
        ..Options::default()
    })
    .impatient();
    setup.map = map;
    let rig = setup.start().await;
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    let rules = ids
        .iter()
        .zip(splices)
        .map(|(id, splice)| rig.world.fault(Rule::splice(*id, splice.clone())))
        .collect();
    (rig, ids, rules)
}

const FIELDS: [&str; 31] = [
    "order_id",
    "store_id",
    "user_id",
    "order_status",
    "financial_status",
    "fulfillment_status",
    "sub_total",
    "tax",
    "shipping",
    "discount",
    "grand_total",
    "payment_method",
    "note",
    "created_at",
    "updated_at",
    "courier",
    "courier_id",
    "tracking_code",
    "store_serial_order_no",
    "items",
    "metafields",
    "items.0.order_item_id",
    "items.0.order_id",
    "items.0.product_id",
    "items.0.variant_id",
    "items.0.bundle_id",
    "items.0.name",
    "items.0.price",
    "items.0.quantity",
    "items.0.image",
    "items.0.sku",
];

#[tokio::test]
async fn api_20_null_or_nothing_in_any_field_is_delivered_or_parked_by_name() {
    for rows in [RowShape::WithLines, RowShape::Bare] {
        let fields: Vec<&str> = match rows {
            RowShape::WithLines => FIELDS.to_vec(),
            // Lines are in the detail, and so are the people.
            RowShape::Bare => [
                &FIELDS[..],
                &["customer_name", "customer_phone", "customer_email", "shipping_address"],
            ]
            .concat(),
        };
        for absent in [false, true] {
            let splices: Vec<Splice> = fields
                .iter()
                .map(|field| {
                    if absent {
                        Splice::drop(field)
                    } else {
                        Splice::member(field, "null")
                    }
                })
                .collect();
            let (rig, ids, rules) = spliced(rows, vec![], &splices).await;
            let run = rig.backfill().await;
            assert_eq!(run.error, None);
            let (latest, failures) = (rig.latest(), rig.failures().await);
            for (n, field) in fields.iter().enumerate() {
                let id = ids[n].to_string();
                let parked = failures
                    .iter()
                    .find(|failure| failure.key == id || (*field == "order_id" && failure.key.starts_with('?')));
                match (latest.get(&id), parked) {
                    (Some(_), None) => {}
                    (None, Some(failure)) => {
                        let named = if *field == "items" {
                            "lines"
                        } else {
                            field.rsplit('.').next().unwrap()
                        };
                        assert!(failure.reason.contains(named), "{field}: {}", failure.reason);
                    }
                    (found, parked) => panic!("{field} absent {absent} {rows:?}: {found:?}, {parked:?}"),
                }
                assert!(rig.world.fired(rules[n]) > 0, "{field}");
            }
            for id in &ids[fields.len()..] {
                assert_eq!(latest[&id.to_string()], expected(&rig.world.order(*id).unwrap()));
            }
            assert!(
                failures.len() <= 2,
                "only what cannot do without is parked: {failures:?}"
            );
        }
    }
}

#[tokio::test]
async fn api_20_guests_are_never_merged_and_need_neither_name_nor_phone() {
    let map = vec![
        "customer: .customer.id",
        "phone: .customer.phone",
        "email: .customer.email",
    ];
    let (rig, ids, _) = spliced(RowShape::Bare, map, &[]).await;
    for id in &ids {
        rig.world.update_order_quietly(*id, |order| {
            order.user_id = None;
            order.customer.email = None;
            order.customer.phone = Some("01700000000".to_owned());
        });
    }
    rig.world
        .update_order_quietly(ids[0], |order| order.customer = Default::default());
    assert_eq!(rig.once().await.error, None);
    let latest = rig.latest();
    assert_eq!(latest.len(), ids.len(), "one phone, five guests, five orders");
    assert_eq!(latest[&ids[0].to_string()]["phone"], "");
    for id in &ids[1..] {
        let row = &latest[&id.to_string()];
        assert_eq!((row["customer"].as_str(), row["phone"].as_str()), ("", "01700000000"));
    }
}

#[tokio::test]
async fn api_21_numbers_are_taken_from_their_text_and_what_is_ambiguous_is_refused() {
    let cases = [
        ("\"1500.00\"", Ok("1500.00")),
        ("\" 1500.10 \"", Ok("1500.10")),
        ("1e3", Ok("1000")),
        ("1.5E+2", Ok("150")),
        ("-0", Ok("0")),
        ("-0.00", Ok("0.00")),
        ("0.1", Ok("0.1")),
        ("1460.000", Ok("1460.000")),
        (
            "123456789012345678901234567890.12",
            Ok("123456789012345678901234567890.12"),
        ),
        ("\"1,500.00\"", Err("1,500.00")),
        ("\"1.500,00\"", Err("1.500,00")),
        ("\"৳1500\"", Err("৳1500")),
        ("\"১৫০০\"", Err("১৫০০")),
        ("\"+5\"", Err("+5")),
        ("\"0x1F\"", Err("0x1F")),
        ("\"NaN\"", Err("NaN")),
        ("\"\"", Err("not a plain decimal")),
        ("true", Err("boolean")),
        ("[1]", Err("list")),
        ("1e99999", Err("exponent")),
        ("\"007.50\"", Err("leading zero")),
    ];
    let splices: Vec<Splice> = cases
        .iter()
        .map(|(json, _)| Splice::member("grand_total", json))
        .collect();
    let (rig, ids, rules) = spliced(RowShape::WithLines, vec![], &splices).await;
    assert_eq!(rig.once().await.error, None);
    let (latest, failures) = (rig.latest(), rig.failures().await);
    for (n, (json, outcome)) in cases.iter().enumerate() {
        assert!(rig.world.fired(rules[n]) > 0);
        let id = ids[n].to_string();
        let reason = failures
            .iter()
            .find(|failure| failure.key == id)
            .map(|failure| failure.reason.clone());
        match outcome {
            Ok(total) => assert_eq!(
                latest.get(&id).map(|row| row["total"].as_str()),
                Some(*total),
                "{json}: {reason:?}"
            ),
            Err(word) => {
                let reason = reason.unwrap_or_else(|| panic!("{json} was taken: {:?}", latest.get(&id)));
                assert!(
                    reason.contains("grand_total") && reason.contains(word),
                    "{json}: {reason}"
                );
                assert!(!latest.contains_key(&id));
            }
        }
    }
    assert_eq!(latest.len() + failures.len(), ids.len());
}

#[tokio::test]
async fn api_22_sums_are_exact_and_a_total_that_is_not_the_sum_is_said_so() {
    let map = vec!["line_total: .lines[0].total", "subtotal: .subtotal"];
    let line = |price: &str, quantity: &str| {
        format!(r#"[{{"order_item_id":1,"order_id":1,"name":"x","price":{price},"quantity":{quantity}}}]"#)
    };
    // Price, quantity, subtotal, grand total; the line's total, and whether somebody is told.
    let cases = [
        ("33.33", "3", "99.99", "99.99", "99.99", false),
        ("0.1", "3", "0.3", "0.3", "0.3", false),
        ("1.105", "7", "7.735", "7.735", "7.735", false),
        ("500", "3", "1500", "1500", "1500", false),
        (
            "90071992547409.93",
            "1",
            "90071992547409.93",
            "90071992547409.93",
            "90071992547409.93",
            false,
        ),
        ("33.33", "3", "100.00", "100.00", "99.99", true),
        ("10.00", "1", "10.00", "10.01", "10.00", true),
    ];
    let splices: Vec<Splice> = cases
        .iter()
        .map(|(price, quantity, ..)| Splice::member("items", &line(price, quantity)))
        .collect();
    let (rig, ids, rules) = spliced(RowShape::WithLines, map, &splices).await;
    for (id, (_, _, subtotal, total, ..)) in ids.iter().zip(&cases) {
        for (field, value) in [
            ("sub_total", *subtotal),
            ("grand_total", *total),
            ("tax", "0"),
            ("shipping", "0"),
            ("discount", "0"),
        ] {
            rig.world.fault(Rule::splice(*id, Splice::member(field, value)));
        }
    }
    assert_eq!(rig.once().await.error, None);
    let (latest, flags) = (rig.latest(), rig.journal("flagged").await);
    for (n, (.., subtotal, total, line, told)) in cases.iter().enumerate() {
        assert!(rig.world.fired(rules[n]) > 0);
        let id = ids[n].to_string();
        let row = &latest[&id];
        assert_eq!(
            (
                row["subtotal"].as_str(),
                row["total"].as_str(),
                row["line_total"].as_str()
            ),
            (*subtotal, *total, *line)
        );
        let flagged = flags
            .iter()
            .any(|(key, detail)| key.as_ref() == Some(&id) && detail.contains("add up"));
        assert_eq!(flagged, *told, "order {id}: {flags:?}");
    }
    // Tax, charge and discount are parts as well.
    rig.world.clear_faults();
    rig.clock.advance(std::time::Duration::from_secs(60));
    rig.world.update_order(ids[9], |order| {
        (order.tax, order.discount, order.total_error) = (505, 33, 0)
    });
    rig.world.update_order(ids[10], |order| order.total_error = 1);
    assert_eq!(rig.once().await.error, None);
    let flags = rig.journal("flagged").await;
    let flagged = |id: i64| flags.iter().any(|(key, _)| *key == Some(id.to_string()));
    assert_eq!((flagged(ids[9]), flagged(ids[10])), (false, true));
}

#[tokio::test]
async fn api_23_ids_of_any_size_stay_whole_and_are_no_cursor() {
    let cases = [
        ("9007199254740993", "9007199254740993"),
        ("9223372036854775808", "9223372036854775808"),
        (
            "170141183460469231731687303715884105728",
            "170141183460469231731687303715884105728",
        ),
        ("0", "0"),
        ("-7", "-7"),
        ("\"0042\"", "42"),
        ("\"9007199254740995\"", "9007199254740995"),
    ];
    let splices: Vec<Splice> = cases.iter().map(|(json, _)| Splice::member("order_id", json)).collect();
    let (rig, ids, rules) = spliced(RowShape::WithLines, vec![], &splices).await;
    assert_eq!(rig.once().await.error, None);
    let latest = rig.latest();
    for ((json, shown), rule) in cases.iter().zip(&rules) {
        assert!(rig.world.fired(*rule) > 0);
        assert!(
            latest.contains_key(*shown),
            "{json} is not {shown}: {:?}",
            latest.keys()
        );
    }
    assert_eq!((latest.len(), rig.failures().await.len()), (ids.len(), 0));
    // What cannot be an id is parked, each on its own.
    let bad = ["1.5", "\"ord-7\"", "null", "{}", "\"\"", "true"];
    let splices: Vec<Splice> = bad.iter().map(|json| Splice::member("order_id", json)).collect();
    let (rig, ids, _) = spliced(RowShape::WithLines, vec![], &splices).await;
    assert_eq!(rig.once().await.error, None);
    let failures = rig.failures().await;
    assert_eq!((rig.latest().len(), failures.len()), (ids.len() - bad.len(), bad.len()));
    assert!(
        failures.iter().all(|failure| failure.reason.contains("order_id")),
        "{failures:?}"
    );
}
