//! Lists that do not hold still: repeated, empty and shifting pages, ties, and totals that lie.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::{Fault as Trouble, Use, Window};
use sandbox::{FIXED_START_MS, Fault, Movement, Options, Rule, When};

use super::rig::{Rig, Setup, cursor, drive};

fn paged(orders: usize) -> Setup {
    Setup::of(Options {
        orders,
        limit_max: 10,
        ..Options::default()
    })
}

fn all(rig: &Rig) -> BTreeSet<i64> {
    rig.world.final_orders().into_keys().collect()
}

#[tokio::test]
async fn api_11_a_page_that_repeats_is_asked_again_and_then_fails_the_pass_aloud() {
    let rig = paged(45).start().await;
    let once = rig
        .world
        .fault(Rule::list(Fault::RepeatPreviousPage).page(3).when(When::Times(1)));
    let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
    assert_eq!(rig.world.fired(once), 1);
    assert_eq!(walk.keys(), all(&rig));

    let rig = paged(45).impatient().start().await;
    assert_eq!(rig.once().await.error, None);
    let watermark = rig.watermark().await.unwrap();
    rig.clock.advance(Duration::from_secs(3_600));
    rig.world.update_any(45);
    let always = rig.world.fault(Rule::list(Fault::RepeatPreviousPage).page(2));
    let error = rig.once().await.error.unwrap();
    assert!(rig.world.fired(always) >= 2);
    assert!(error.contains("page 2 is the same as the one before"), "{error}");
    assert_eq!(rig.watermark().await.unwrap(), watermark);
    rig.world.remove_fault(always);
    assert_eq!(rig.once().await.error, None);
    rig.assert_delivered();
}

/// The last page for ever, its rows in another order each time, under a count that never agrees.
#[tokio::test]
async fn api_11_the_last_page_for_ever_ends_loudly_whatever_the_order_of_its_rows() {
    for tied in [false, true] {
        let rig = paged(38).start().await;
        let stamp = FIXED_START_MS - 500 * 86_400_000;
        if tied {
            for id in all(&rig).into_iter().take(8) {
                let aged = rig.world.update_order_quietly(id, |order| {
                    (order.created_ms, order.updated_ms) = (stamp, stamp);
                });
                assert!(aged);
            }
        }
        let endless = rig.world.fault(Rule::list(Fault::LastPageForEver));
        let total = rig
            .world
            .fault(Rule::list(Fault::WrongTotal { total: Some(1_000_000) }));
        let error = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap_err();
        assert!(rig.world.fired(endless) > 0 && rig.world.fired(total) > 0);
        assert_eq!(error.fault, Trouble::Transient { reached: false });
        assert!(
            error.answer.contains("page 5 is the same as the one before"),
            "tied {tied}: {error}"
        );
        assert!(rig.world.request_count() < 12, "{} requests", rig.world.request_count());

        let error = drive(rig.orders().history(Window::default(), None)).await.unwrap_err();
        assert!(
            error.answer.contains("is the same as the one before"),
            "tied {tied}: {error}"
        );
        assert!(rig.world.request_count() < 60, "{} requests", rig.world.request_count());
    }
}

#[tokio::test]
async fn api_11_a_page_size_cut_down_without_a_word_loses_nothing() {
    // The answer names the page size it used, or not.
    let rig = Setup::orders(45).start().await;
    let clamped = rig.world.fault(Rule::list(Fault::ClampLimit { rows: 7 }));
    let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
    assert!(rig.world.fired(clamped) > 6);
    assert_eq!(walk.keys(), all(&rig));
    let walk = drive(rig.orders().history(Window::default(), None)).await.unwrap();
    assert_eq!(walk.keys(), all(&rig));
    assert_eq!((walk.covered.len(), walk.notes.len()), (45, 0));
}

#[tokio::test]
async fn api_11_a_pass_too_deep_for_its_cap_becomes_a_walk_over_history() {
    let rig = paged(450).impatient().start().await;
    assert_eq!(rig.once().await.error, None);
    rig.clock.advance(Duration::from_secs(3_600));
    rig.change_all();
    assert_eq!(rig.once().await.error, None);
    rig.assert_delivered();
    assert_eq!(rig.rows().len(), 900, "each order once for each of its versions");
    // The watermark was fixed before the walk, so the next pass is a short one.
    rig.world.clear_requests();
    assert_eq!(rig.once().await.error, None);
}

#[tokio::test]
async fn api_12_no_total_ends_a_reading_and_an_empty_page_is_doubted() {
    let totals = [
        None,
        Some(0),
        Some(1),
        Some(10),
        Some(20),
        Some(44),
        Some(46),
        Some(i64::MAX),
        Some(-3),
    ];
    for total in totals {
        let rig = paged(45).start().await;
        let wrong = rig.world.fault(Rule::list(Fault::WrongTotal { total }));
        let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
        assert!(rig.world.fired(wrong) > 0);
        assert_eq!(walk.keys(), all(&rig), "total {total:?}");
        let walk = drive(rig.orders().history(Window::default(), None)).await.unwrap();
        assert_eq!(walk.keys(), all(&rig), "history, total {total:?}");
    }
}

#[tokio::test]
async fn api_12_an_empty_page_in_the_middle_is_read_again_and_then_fails_the_pass() {
    for total in [Some(45), None, Some(0), Some(9), Some(1_000)] {
        let rig = paged(45).start().await;
        let wrong = rig.world.fault(Rule::list(Fault::WrongTotal { total }));
        let empty = rig
            .world
            .fault(Rule::list(Fault::EmptyPage).page(3).when(When::Times(1)));
        let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
        assert_eq!(rig.world.fired(empty), 1);
        assert_eq!(walk.keys(), all(&rig), "total {total:?}");

        let empty = rig.world.fault(Rule::list(Fault::EmptyPage).page(3));
        let error = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap_err();
        assert!(rig.world.fired(empty) >= 2 && rig.world.fired(wrong) > 0);
        assert!(
            error.answer.contains("page 3 is empty and page 4 is not"),
            "total {total:?}: {error}"
        );
    }
}

#[tokio::test]
async fn api_12_history_sees_through_an_empty_page() {
    let rig = paged(45).start().await;
    let empty = rig
        .world
        .fault(Rule::list(Fault::EmptyPage).page(3).when(When::Times(1)));
    let walk = drive(rig.orders().history(Window::default(), None)).await.unwrap();
    assert_eq!(rig.world.fired(empty), 1);
    assert_eq!((walk.keys(), walk.notes.len()), (all(&rig), 0));
    assert_eq!(walk.covered.len(), 45);
}

#[tokio::test]
async fn api_13_an_order_placed_between_pages_makes_duplicates_only() {
    let rig = paged(45).impatient().start().await;
    assert_eq!(rig.once().await.error, None);
    rig.clock.advance(Duration::from_secs(3_600));
    rig.change_all();
    let mut placed = 0;
    rig.world.after_each_list(move |world, page| {
        if page <= 3 && placed < 3 {
            placed += 1;
            world.insert_order(|_| {});
        }
    });
    assert_eq!(rig.once().await.error, None);
    assert_eq!(rig.once().await.error, None);
    assert_eq!(all(&rig).len(), 48);
    rig.assert_delivered();
    assert_eq!(rig.rows().len(), 45 + 48, "each version once");
}

#[tokio::test]
async fn api_14_an_order_changed_before_it_was_read_is_taken_by_the_next_pass() {
    let rig = paged(45).impatient().start().await;
    assert_eq!(rig.once().await.error, None);
    rig.clock.advance(Duration::from_secs(3_600));
    rig.change_all();
    let newest = rig.world.now_ms();
    rig.clock.advance(Duration::from_secs(5));
    // Everything else keeps changing while pages are read, so no reading sees it all.
    let last = *all(&rig).last().unwrap();
    let clock = rig.clock.clone();
    rig.world.after_each_list(move |world, _| {
        clock.advance(Duration::from_secs(1));
        world.update_order(last, |order| order.discount += 100);
    });
    assert_eq!(rig.once().await.error, None);
    assert_eq!(
        rig.watermark().await.unwrap(),
        sandbox_stamp(newest),
        "the newest of the first answer"
    );
    rig.world.after_each_list(|_, _| {});
    assert_eq!(rig.once().await.error, None);
    rig.assert_delivered();
}

fn sandbox_stamp(ms: i64) -> contract::Cursor {
    contract::Cursor(format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap()))
}

#[tokio::test]
async fn api_15_an_order_deleted_between_pages_hides_no_other() {
    for page in 1..=4 {
        let rig = paged(45).impatient().start().await;
        let newest: Vec<i64> = {
            let mut orders: Vec<_> = rig.world.final_orders().into_values().collect();
            orders.sort_by_key(|order| -order.updated_ms);
            orders.iter().map(|order| order.id).collect()
        };
        let victim = newest[2];
        let mut done = false;
        rig.world.after_each_list(move |world, at| {
            if at == page && !done {
                done = world.delete_order(victim);
            }
        });
        let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
        assert!(rig.world.order(victim).is_none(), "it was deleted");
        assert!(walk.keys().is_superset(&all(&rig)), "deleted after page {page}");
    }
}

#[tokio::test]
async fn api_15_a_shop_that_moves_all_the_time_is_read_whole() {
    let rig = paged(60).impatient().start().await;
    rig.world.move_each_list_answer(Movement {
        moves_max: 40,
        ..Movement::default()
    });
    for _ in 0..4 {
        // A pass may find its pages too restless and say so; nothing is lost by it.
        let _told = rig.once().await.error;
    }
    assert_eq!(rig.world.moves_left(), 0);
    assert_eq!(rig.once().await.error, None);
    rig.assert_delivered();
}

/// Of a tie that spans pages each answer may show other rows. The walk by creation proves itself complete.
#[tokio::test]
async fn api_16_250_orders_with_one_stamp_across_pages_are_all_found() {
    let rig = Setup::of(Options {
        orders: 400,
        ..Options::default()
    })
    .impatient()
    .start()
    .await;
    assert_eq!(rig.once().await.error, None);
    rig.clock.advance(Duration::from_secs(3_600));
    let stamp = rig.world.now_ms();
    let tied = rig.world.tie_updated(250, stamp);
    for id in &tied {
        rig.world.update_order_quietly(*id, |order| order.shipping += 700);
    }
    rig.clock.advance(Duration::from_secs(60));
    for id in all(&rig).into_iter().filter(|id| !tied.contains(id)).take(100) {
        rig.world.update_order(id, |order| order.shipping += 900);
    }
    // The newest hundred and the tie take two pages, and the tie lies across both.
    for _ in 0..3 {
        assert_eq!(rig.once().await.error, None);
    }
    rig.assert_delivered();
    assert_eq!(rig.rows().len(), 400 + 250 + 100);

    // The same tie in time of creation: the walk counts, and reads on until it has all.
    rig.world.tie_created(400, stamp - 86_400_000);
    let walk = drive(rig.orders().history(Window::default(), None)).await.unwrap();
    assert_eq!(walk.keys(), all(&rig));
    assert_eq!((walk.covered.len(), walk.notes.len()), (400, 0));
}
