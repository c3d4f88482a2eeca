//! Credentials: every way in, tokens that end, and refresh tokens that are good for one use.

use std::time::Duration;

use sandbox::Rate;
use sandbox::erp::{Erp, Way};

use crate::client::{Reply, send};
use crate::erp::{erp, erp_with, get};

async fn bare(erp: &Erp, headers: &[(&str, &str)]) -> u16 {
    send(erp.addr(), "GET", "/api/stock", headers, "").await.status
}

async fn token(erp: &Erp, form: &str) -> Reply {
    let form = format!("{form}&client_id=erp-client&client_secret=erp-secret-31e8");
    send(erp.addr(), "POST", "/api/token", &[], &form).await
}

#[tokio::test]
async fn every_way_in_is_taken_and_told_apart_and_none_or_a_wrong_one_gets_401() {
    let erp = erp().await;
    let credentials = erp.books().credentials();
    let granted = token(&erp, "grant_type=client_credentials").await.json();
    assert_eq!(granted["expires_in"], 3600);
    assert!(granted["refresh_token"].is_null());
    let oauth = format!("Bearer {}", granted["access_token"].as_str().unwrap());
    let login = r#"{"username":"sync","password":"erp-password-77c2"}"#;
    let login = send(erp.addr(), "POST", "/api/login", &[], login).await;
    let cookie = login
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let form = "username=sync&password=erp-password-77c2";
    let session = send(erp.addr(), "POST", "/api/login", &[], form).await.json();
    let session = session["token"].as_str().unwrap().to_owned();
    for headers in [
        vec![("Authorization", "Bearer erp-token-5b1f")],
        vec![("Authorization", "Basic c3luYzplcnAtcGFzc3dvcmQtNzdjMg==")],
        vec![("X-Api-Key", credentials.api_key.as_str())],
        vec![("Authorization", oauth.as_str())],
        vec![("Cookie", cookie.as_str())],
        vec![("X-Session-Token", session.as_str())],
    ] {
        assert_eq!(bare(&erp, &headers).await, 200, "{headers:?}");
    }
    let in_query = send(erp.addr(), "GET", "/api/stock?api_key=erp-key-90ad", &[], "").await;
    assert_eq!(in_query.status, 200);
    let stock: Vec<_> = erp
        .books()
        .requests()
        .into_iter()
        .filter(|asked| asked.path == "/stock")
        .collect();
    let ways: Vec<Option<Way>> = stock.iter().map(|asked| asked.way).collect();
    let expected = [
        Way::Bearer,
        Way::Basic,
        Way::ApiKey,
        Way::OAuth,
        Way::Session,
        Way::Session,
        Way::ApiKey,
    ];
    assert_eq!(ways, expected.map(Some));
    assert_eq!(bare(&erp, &[]).await, 401);
    assert_eq!(bare(&erp, &[("Authorization", "Bearer erp-token")]).await, 401);
    erp.books().set_options(|options| options.ways = vec![Way::OAuth]);
    assert_eq!(get(&erp, "/stock").await.status, 401);
    erp.stop().await;
}

#[tokio::test]
async fn tokens_end_by_time_and_on_request() {
    let erp = erp().await;
    let granted = token(&erp, "grant_type=client_credentials").await.json();
    let bearer = format!("Bearer {}", granted["access_token"].as_str().unwrap());
    erp.books().advance(Duration::from_secs(3599));
    assert_eq!(bare(&erp, &[("Authorization", &bearer)]).await, 200);
    erp.books().advance(Duration::from_secs(1));
    assert_eq!(bare(&erp, &[("Authorization", &bearer)]).await, 401);
    let granted = token(&erp, "grant_type=client_credentials").await.json();
    let bearer = format!("Bearer {}", granted["access_token"].as_str().unwrap());
    erp.books().end_tokens();
    assert_eq!(bare(&erp, &[("Authorization", &bearer)]).await, 401);
    assert_eq!(erp.books().access_counts().granted, 2);
    erp.stop().await;
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_use() {
    let erp = erp().await;
    let first = token(&erp, "grant_type=refresh_token&refresh_token=erp-refresh-0")
        .await
        .json();
    let next = first["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(next, erp.books().refresh_token());
    let again = token(&erp, "grant_type=refresh_token&refresh_token=erp-refresh-0").await;
    assert_eq!((again.status, &again.json()["error"]), (400, &"invalid_grant".into()));
    let second = token(&erp, &format!("grant_type=refresh_token&refresh_token={next}")).await;
    assert_eq!(second.status, 200);
    let counts = erp.books().access_counts();
    assert_eq!((counts.refreshed, counts.bad_refreshes), (2, 1));
    let wrong = send(erp.addr(), "POST", "/api/token", &[], "grant_type=client_credentials").await;
    assert_eq!(wrong.status, 401);
    erp.stop().await;
}

#[tokio::test]
async fn beyond_its_own_limit_it_says_429_and_when_to_come_again() {
    let limited = Rate {
        requests: 2,
        window: Duration::from_secs(60),
        announce: false,
    };
    let erp = erp_with(|options| options.rate = Some(limited)).await;
    assert_eq!(
        (get(&erp, "/stock").await.status, get(&erp, "/stock").await.status),
        (200, 200)
    );
    let refused = get(&erp, "/stock").await;
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((55..=60).contains(&seconds), "{seconds}");
    erp.stop().await;
}
