use contract::Hash;

use super::*;
use crate::store::hands::store;
use crate::store::{Aim, Call, Claim, Course, Due, End, Ended, Keep, Parked, Plan, Said, Want};

const FLOW: &str = "orders";
const FEED: &str = "store.orders";
const BODY: &str = r#"[{"reference":"7"}]"#;

const COURSE: Course<'static> = Course {
    flow: FLOW,
    feed: FEED,
    target: "erp.orders",
    guard: None,
};

/// A create of which nobody knows whether it was carried out, and which only a person can judge.
async fn unsure(store: &Store) {
    let want = Want {
        flow: FLOW.to_owned(),
        key: Key("7".to_owned()),
        wish: Aim::Put,
        stamp: None,
        body: BODY.to_owned(),
        hash: Hash::of(BODY.as_bytes()),
        before: None,
        doubt: false,
        first: true,
    };
    let keep = Keep {
        wants: vec![want],
        ..Keep::default()
    };
    store.keep(&keep).await.unwrap();
    let claim = Claim {
        most: 1,
        busy: &[],
        creates: usize::MAX,
        only_sure: false,
    };
    let send = |_: &crate::store::Version| Plan::Send {
        call: Call::Create,
        idempotency: "k".to_owned(),
    };
    let claimed = store.turn_over(&COURSE, &[], &claim, &send).await.unwrap();
    let version = &claimed[0].version;
    let said = Said {
        reason: "it may be at the target or not".to_owned(),
        ..Said::default()
    };
    let ended = Ended {
        id: version.id,
        key: version.key.clone(),
        hash: version.hash,
        stamp: None,
        call: Call::Create,
        end: End::Parked { unsure: true, said },
    };
    let nothing = Claim { most: 0, ..claim };
    store.turn_over(&COURSE, &[ended], &nothing, &send).await.unwrap();
}

async fn cannot_be_mapped(store: &Store, why: &str) {
    let parked = Parked {
        flow: FLOW.to_owned(),
        key: Key("7".to_owned()),
        reason: why.to_owned(),
    };
    let keep = Keep {
        parked: vec![parked],
        ..Keep::default()
    };
    store.keep(&keep).await.unwrap();
}

#[tokio::test]
async fn er_01_a_newer_state_that_cannot_be_mapped_takes_nothing_from_a_call_in_doubt() {
    for retried in [true, false] {
        let (_folder, clock, store) = store().await;
        unsure(&store).await;
        cannot_be_mapped(&store, "no tax code").await;
        cannot_be_mapped(&store, "no such currency").await;
        let failures = store.failures().await.unwrap();
        let [failure] = failures.as_slice() else {
            panic!("{failures:#?}");
        };
        assert_eq!(
            failure.body.as_deref(),
            Some(BODY),
            "what may be there can still be told and sent"
        );
        assert_eq!(
            failure.reason,
            "it may be at the target or not; and what the record is by now cannot be sent: no such currency"
        );
        match retried {
            true => store.retry(failure, FEED).await.unwrap(),
            false => store.discard(failure).await.unwrap(),
        }
        // Whatever the person found there, the newer state is decided on again.
        clock.pass(1);
        let due = store.due(FEED, Due::Any, 10).await.unwrap();
        assert_eq!(due.iter().map(|due| due.key.0.as_str()).collect::<Vec<_>>(), ["7"]);
        let is_sent_again = store.next_call(&COURSE).await.unwrap().is_some();
        assert_eq!(is_sent_again, retried);
        assert_eq!(store.failures().await.unwrap().len(), 0);
    }
}
