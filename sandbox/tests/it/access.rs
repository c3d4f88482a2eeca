//! Who may ask, and what the refusals look like.

use std::time::Duration;

use sandbox::{Auth, Options, Rate, Sandbox};

use crate::client::{get, send, shop};

type Headers<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn each_way_of_getting_the_credentials_wrong_has_its_own_answer() {
    let sandbox = shop(3).await;
    let access = sandbox.world().access();
    let bearer = format!("Bearer {}", access.access_token);
    let (id, secret) = (
        ("X-Client-Id", &*access.client_id),
        ("X-Client-Secret", &*access.client_secret),
    );
    let store = ("X-Store-Id", "22");
    let cases: [(Headers<'_>, u16, &str); 11] = [
        (&[], 401, "missing_token"),
        (&[("Authorization", &bearer)], 200, ""),
        (&[("Authorization", "Bearer sx_at_00")], 401, "invalid_token"),
        (&[("Authorization", "Basic abc")], 401, "missing_token"),
        (&[id, secret, store], 200, ""),
        (&[id, store], 401, "missing_token"),
        (&[secret, store], 401, "missing_token"),
        (&[id, secret], 400, "missing_store_id"),
        (&[id, ("X-Client-Secret", "sx_secret_00"), store], 401, "invalid_client"),
        (&[("X-Client-Id", "sx_app_00"), secret, store], 401, "invalid_client"),
        (&[id, secret, ("X-Store-Id", "23")], 401, "not_installed"),
    ];
    for (headers, status, code) in cases {
        let reply = send(sandbox.addr(), "GET", "/api/apps/v1/orders", headers, "").await;
        assert_eq!(reply.status, status, "{headers:?}");
        if status != 200 {
            assert_eq!(reply.json()["code"], code, "{headers:?}");
            assert_eq!(reply.json()["status"], status);
        }
    }
    let reply = send(
        sandbox.addr(),
        "GET",
        "/api/apps/v1/orders?store_id=22",
        &[id, secret],
        "",
    )
    .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn the_log_tells_which_credentials_came_and_never_their_values() {
    let sandbox = shop(1).await;
    let access = sandbox.world().access();
    let bearer = format!("Bearer {}", access.access_token);
    let both = [
        ("Authorization", &*bearer),
        ("X-Client-Id", &*access.client_id),
        ("X-Store-Id", "22"),
    ];
    send(sandbox.addr(), "GET", "/api/apps/v1/store", &both, "").await;
    send(sandbox.addr(), "GET", "/api/apps/v1/orders/7?x=1", &[], "").await;
    let requests = sandbox.world().requests();
    assert_eq!((requests[0].auth, requests[0].store_id_with_bearer), (Auth::Both, true));
    assert_eq!(
        (requests[1].auth, requests[1].order, requests[1].status),
        (Auth::None, Some(7), Some(401))
    );
    assert!(requests[0].header_names.contains(&"x-client-id".to_owned()));
    assert!(!format!("{requests:?}").contains(&access.access_token));
    sandbox.world().clear_requests();
    assert_eq!(sandbox.world().request_count(), 0);
}

#[tokio::test]
async fn a_missing_scope_is_named_and_a_revoked_key_stops_working() {
    let sandbox = shop(1).await;
    sandbox
        .world()
        .set_access(|access| access.scopes = vec!["read_store".to_owned()]);
    let reply = get(&sandbox, "/orders").await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.json()["required_scope"], "read:orders");
    let reply = get(&sandbox, "/store").await;
    assert_eq!(reply.json()["data"]["currency"], "BDT");
    let old = sandbox.world().access();
    sandbox
        .world()
        .set_access(|access| access.client_secret = "sx_secret_new".to_owned());
    let headers = [
        ("X-Client-Id", &*old.client_id),
        ("X-Client-Secret", &old.client_secret),
        ("X-Store-Id", "22"),
    ];
    let reply = send(sandbox.addr(), "GET", "/api/apps/v1/store", &headers, "").await;
    assert_eq!(reply.json()["code"], "invalid_client");
}

#[tokio::test]
async fn the_servers_own_limit_answers_429_and_the_log_shows_the_busiest_window() {
    let rate = Rate {
        requests: 3,
        window: Duration::from_secs(60),
        announce: true,
    };
    let sandbox = Sandbox::start(Options {
        orders: 1,
        rate: Some(rate),
        ..Options::default()
    })
    .await
    .unwrap();
    for left in ["2", "1", "0"] {
        let reply = get(&sandbox, "/store").await;
        assert_eq!((reply.status, reply.header("RateLimit-Remaining")), (200, Some(left)));
    }
    let reply = get(&sandbox, "/store").await;
    assert_eq!(reply.status, 429);
    let seconds: u64 = reply.header("Retry-After").unwrap().parse().unwrap();
    assert!((58..=60).contains(&seconds));
    assert_eq!(sandbox.world().busiest(Duration::from_secs(60)), 4);
    assert_eq!(sandbox.world().busiest(Duration::ZERO), 1);
}

#[tokio::test]
async fn only_loopback_addresses_are_listened_on() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = Sandbox::start(Options {
        listen,
        ..Options::default()
    })
    .await;
    assert!(refused.is_err_and(|error| error.to_string().contains("loopback")));
}

#[tokio::test]
async fn a_stopped_sandbox_frees_its_port() {
    let sandbox = shop(1).await;
    let addr = sandbox.addr();
    sandbox.stop().await;
    let again = Sandbox::start(Options {
        listen: addr,
        orders: 1,
        ..Options::default()
    })
    .await
    .unwrap();
    assert_eq!(get(&again, "/store").await.status, 200);
}
