//! Every way of signing in, and what becomes of a token that ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::{Fault, Memory};
use serde_json::{Value as Json, json};

use super::rig::{Asked, Forgets, Notes, Reply, Server, connect, erp, ok, push, remembering, status, with};

fn resources() -> Json {
    json!({
        "stock": {"pull": {"path": "/stock", "data_selector": ".items", "primary_key": ".sku"}},
        "orders": {"push": {"create": {"path": "/orders", "id": ".id"}}},
    })
}

fn stock() -> Reply {
    ok(json!({"items": [{"sku": "1"}], "id": 9}))
}

#[tokio::test]
async fn fixed_credentials_go_along_as_configured() {
    for (auth, header, expected) in [
        (json!({"type": "bearer", "token": "tok"}), "authorization", "Bearer tok"),
        (
            json!({"type": "bearer", "token": "tok", "scheme": "Token"}),
            "authorization",
            "Token tok",
        ),
        (
            json!({"type": "basic", "username": "u", "password": "pass"}),
            "authorization",
            "Basic dTpwYXNz",
        ),
        (
            json!({"type": "api_key", "name": "DOLAPIKEY", "value": "key1"}),
            "dolapikey",
            "key1",
        ),
    ] {
        let server = Server::start(|_| stock()).await;
        connect(&erp(&server.url(), auth, resources()))
            .pass("stock", "")
            .await
            .unwrap();
        assert_eq!(server.asked()[0].header(header), Some(expected));
    }
    let server = Server::start(|_| stock()).await;
    let auth = json!({"type": "api_key", "in": "query", "name": "key", "value": "a b"});
    connect(&erp(&server.url(), auth, resources()))
        .pass("stock", "")
        .await
        .unwrap();
    assert_eq!(server.asked()[0].param("key"), Some("a b"));
}

#[tokio::test]
async fn fixed_credentials_that_are_refused_are_for_a_person() {
    let server = Server::start(|_| status(401, json!({}))).await;
    let rig = connect(&erp(
        &server.url(),
        json!({"type": "bearer", "token": "tok1"}),
        resources(),
    ));
    let error = rig
        .target("orders")
        .create(&[push(1, json!({}))])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.fault, Fault::Denied);
    assert!(error.hint.unwrap().contains("under auth"));
    assert_eq!(server.asked().len(), 1);
}

/// A server that gives out numbered tokens and takes only the last of them.
struct Tokens {
    given: AtomicU64,
    /// The refresh token that is good now; each works once.
    refresh: Mutex<String>,
    life: u64,
    /// Tokens up to this one have ended.
    ended: AtomicU64,
}

impl Tokens {
    fn new(life: u64) -> Arc<Tokens> {
        Arc::new(Tokens {
            given: AtomicU64::new(0),
            refresh: Mutex::new("refresh-0".to_owned()),
            life,
            ended: AtomicU64::new(0),
        })
    }

    fn answer(&self, asked: &Asked) -> Reply {
        if asked.path == "/api/token" {
            return self.give(asked);
        }
        let number = asked
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer access-"));
        let number: u64 = number.and_then(|text| text.parse().ok()).unwrap_or(0);
        match number > self.ended.load(Ordering::SeqCst) && number <= self.given.load(Ordering::SeqCst) {
            true => stock(),
            false => status(401, json!({"error": "token ended"})),
        }
    }

    fn give(&self, asked: &Asked) -> Reply {
        let form = reqwest::Url::parse(&format!("http://x/?{}", asked.body)).unwrap();
        let field = |name: &str| {
            form.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let mut refresh = self.refresh.lock().unwrap();
        if field("grant_type").as_deref() == Some("refresh_token") && field("refresh_token").as_ref() != Some(&refresh)
        {
            return status(
                400,
                json!({"error": "invalid_grant", "error_description": "refresh token used"}),
            );
        }
        let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
        *refresh = format!("refresh-{number}");
        ok(json!({"access_token": format!("access-{number}"), "expires_in": self.life, "refresh_token": *refresh}))
    }
}

async fn token_server(tokens: &Arc<Tokens>) -> Server {
    let tokens = tokens.clone();
    Server::start(move |asked| tokens.answer(asked)).await
}

fn client(server: &Server) -> Json {
    json!({
        "type": "oauth2", "token_url": format!("{}/token", server.url()),
        "client_id": "client-id-1", "client_secret": "client-secret-1", "scope": "orders stock",
    })
}

fn refreshing(server: &Server) -> Json {
    let mut auth = client(server);
    auth["refresh_token"] = json!("refresh-0");
    auth
}

#[tokio::test]
async fn client_credentials_are_traded_for_a_token_that_is_replaced_before_its_end() {
    let tokens = Tokens::new(600);
    let server = token_server(&tokens).await;
    let rig = connect(&erp(&server.url(), client(&server), resources()));
    rig.pass("stock", "").await.unwrap();
    rig.clock.leap(Duration::from_secs(560));
    rig.pass("stock", "").await.unwrap();
    assert_eq!(server.count("POST", "/api/token"), 1);
    // Thirty seconds before its end.
    rig.clock.leap(Duration::from_secs(15));
    rig.pass("stock", "").await.unwrap();
    assert_eq!(server.count("POST", "/api/token"), 2);
    let asked = server.asked();
    let body = "grant_type=client_credentials&scope=orders+stock&client_id=client-id-1&client_secret=client-secret-1";
    assert_eq!(asked[0].body, body);
    assert_eq!(asked.last().unwrap().header("authorization"), Some("Bearer access-2"));
    // Of a short life a tenth.
    let tokens = Tokens::new(60);
    let server = token_server(&tokens).await;
    let rig = connect(&erp(&server.url(), client(&server), resources()));
    rig.pass("stock", "").await.unwrap();
    rig.clock.leap(Duration::from_secs(50));
    rig.pass("stock", "").await.unwrap();
    assert_eq!(server.count("POST", "/api/token"), 1);
    rig.clock.leap(Duration::from_secs(5));
    rig.pass("stock", "").await.unwrap();
    assert_eq!(server.count("POST", "/api/token"), 2);
}

#[tokio::test]
async fn er_04_many_that_are_refused_at_once_get_one_new_token() {
    let tokens = Tokens::new(3600);
    let server = token_server(&tokens).await;
    let rig = connect(&erp(&server.url(), refreshing(&server), resources()));
    rig.pass("stock", "").await.unwrap();
    tokens.ended.store(1, Ordering::SeqCst);
    let target = rig.target("orders");
    let creates = (0..20).map(|n| {
        let target = target.clone();
        async move { target.create(&[push(n, json!({}))]).await.remove(0) }
    });
    for created in futures::future::join_all(creates).await {
        created.unwrap();
    }
    assert_eq!(server.count("POST", "/api/token"), 2);
}

/// The new refresh token is on the disk before the new access token is used for the first time.
#[tokio::test]
async fn er_04_a_new_token_is_durable_before_it_is_used() {
    let notes = Arc::new(Notes::default());
    let tokens = Tokens::new(3600);
    let kept: Arc<Mutex<Vec<bool>>> = Arc::default();
    let (seen, log, shared) = (notes.clone(), kept.clone(), tokens.clone());
    let server = Server::start(move |asked| {
        if asked.path != "/api/token" {
            log.lock().unwrap().push(seen.get("oauth.tokens").is_some());
        }
        shared.answer(asked)
    })
    .await;
    let settings = erp(&server.url(), refreshing(&server), resources());
    remembering(&settings, notes.clone()).pass("stock", "").await.unwrap();
    assert_eq!(*kept.lock().unwrap(), [true]);
    // Not as it is: a copy of the state file is worth nothing alone.
    let all = format!("{:?}", notes.0.lock().unwrap());
    assert!(!all.contains("refresh-1") && !all.contains("access-1"), "{all}");
    // The next process goes on with it, and asks for no other.
    remembering(&settings, notes.clone()).pass("stock", "").await.unwrap();
    assert_eq!(server.count("POST", "/api/token"), 1);
    // When it ends there, the kept refresh token is what works.
    tokens.ended.store(1, Ordering::SeqCst);
    remembering(&settings, notes.clone()).pass("stock", "").await.unwrap();
    assert_eq!(server.count("POST", "/api/token"), 2);
}

#[tokio::test]
async fn er_04_a_token_that_was_lost_between_refresh_and_save_is_told_with_the_way_back() {
    let notes = Arc::new(Notes::default());
    let tokens = Tokens::new(3600);
    let server = token_server(&tokens).await;
    let settings = erp(&server.url(), refreshing(&server), resources());
    // What a process leaves that was killed after the server had changed the token.
    let mark = contract::Hash::of(b"refresh-0").hex();
    notes.put("oauth.renewing", mark).await;
    *tokens.refresh.lock().unwrap() = "refresh-9".to_owned();
    let error = remembering(&settings, notes.clone())
        .pass("stock", "")
        .await
        .unwrap_err();
    assert_eq!(error.fault, Fault::Denied);
    assert!(error.answer.contains("cut off while it renewed"), "{error}");
    let hint = error.hint.clone().unwrap();
    assert!(
        hint.contains("grant_type=authorization_code") && hint.contains("auth.refresh_token"),
        "{hint}"
    );
    assert!(hint.contains(&format!("{}/token", server.url())), "{hint}");
}

#[tokio::test]
async fn er_04_a_command_that_keeps_nothing_does_not_use_the_refresh_token_up() {
    let tokens = Tokens::new(3600);
    let server = token_server(&tokens).await;
    let settings = erp(&server.url(), refreshing(&server), resources());
    let error = remembering(&settings, Arc::new(Forgets))
        .pass("stock", "")
        .await
        .unwrap_err();
    assert!(
        error.fault == Fault::Denied && error.answer.contains("keeps nothing"),
        "{error}"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn er_05_after_three_refusals_nothing_is_asked_until_the_credentials_change() {
    let notes = Arc::new(Notes::default());
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/token" => status(400, json!({"error": "invalid_client"})),
        _ => stock(),
    })
    .await;
    let settings = erp(&server.url(), client(&server), resources());
    let rig = remembering(&settings, notes.clone());
    for _ in 0..6 {
        assert_eq!(rig.pass("stock", "").await.unwrap_err().fault, Fault::Denied);
    }
    assert_eq!(server.count("POST", "/api/token"), 3);
    // Not by another process either.
    let error = remembering(&settings, notes.clone())
        .pass("stock", "")
        .await
        .unwrap_err();
    assert!(error.answer.contains("3 times in a row"), "{error}");
    assert_eq!(server.count("POST", "/api/token"), 3);
    // Once more where it starts an hour later.
    let later = remembering(&settings, notes.clone());
    let forgiven = notes.get("auth.strikes").unwrap().replace(" 3 1790", " 3 1780");
    notes.put("auth.strikes", forgiven).await;
    assert!(later.pass("stock", "").await.unwrap_err().answer.contains("in a row"));
    let later = remembering(&settings, notes.clone());
    for _ in 0..3 {
        later.pass("stock", "").await.unwrap_err();
    }
    assert_eq!(server.count("POST", "/api/token"), 4);
    // But with others, or because a person asks.
    let mut other = settings.clone();
    other["auth"]["client_secret"] = json!("client-secret-2");
    remembering(&other, notes.clone()).pass("stock", "").await.unwrap_err();
    assert_eq!(server.count("POST", "/api/token"), 5);
    let findings = remembering(&settings, notes).connector.probe().await;
    assert!(findings[0].result.is_err());
    assert!(server.count("POST", "/api/token") > 5);
}

/// A new token that is refused as well is not followed by another one.
#[tokio::test]
async fn er_05_a_401_gets_one_new_token_and_then_a_person() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/token" => ok(json!({"access_token": "access-x", "expires_in": "3600"})),
        _ => status(401, json!({})),
    })
    .await;
    let rig = connect(&erp(&server.url(), client(&server), resources()));
    let target = rig.target("orders");
    let error = target.create(&[push(1, json!({}))]).await.remove(0).unwrap_err();
    assert_eq!(error.fault, Fault::Denied);
    assert_eq!(
        (server.count("POST", "/api/token"), server.count("POST", "/api/orders")),
        (2, 2)
    );
}

#[tokio::test]
async fn trouble_at_the_token_address_says_nothing_of_the_record() {
    for reply in [Reply::Reset, status(503, json!({}))] {
        let told = reply.clone();
        let server = Server::start(move |asked| match asked.path.as_str() {
            "/api/token" => told.clone(),
            _ => stock(),
        })
        .await;
        let rig = connect(&erp(&server.url(), client(&server), resources()));
        let error = rig
            .target("orders")
            .create(&[push(1, json!({}))])
            .await
            .remove(0)
            .unwrap_err();
        assert_eq!(error.fault, Fault::Transient { reached: false }, "{reply:?}: {error}");
    }
}

#[tokio::test]
async fn a_session_is_opened_with_a_form_or_json_and_kept_by_cookie_or_token() {
    let cookie = json!({"type": "session", "login": {"path": "/login", "form": {"password": "p&w1", "user": "u"}}});
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/login" => with(
            with(ok(json!({})), "Set-Cookie", "sid=abc123; Path=/; HttpOnly"),
            "Set-Cookie",
            "lang=bn2x",
        ),
        _ if asked.header("cookie") == Some("sid=abc123; lang=bn2x") => stock(),
        _ => status(401, json!({})),
    })
    .await;
    connect(&erp(&server.url(), cookie, resources()))
        .pass("stock", "")
        .await
        .unwrap();
    assert_eq!(server.asked()[0].body, "password=p%26w1&user=u");

    let token = json!({
        "type": "session",
        "login": {"path": "/login", "json": {"params": {"db": "prod", "n": 1}}, "success": ".result.uid != null"},
        "token_path": ".result.token", "send": {"name": "X-Session", "prefix": ""},
    });
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/login" => ok(json!({"result": {"uid": 2, "token": "tok-777"}})),
        _ if asked.header("x-session") == Some("tok-777") => stock(),
        _ => status(401, json!({})),
    })
    .await;
    connect(&erp(&server.url(), token, resources()))
        .pass("stock", "")
        .await
        .unwrap();
    assert_eq!(server.asked()[0].body, r#"{"params":{"db":"prod","n":1}}"#);
}

#[tokio::test]
async fn a_session_that_ended_is_opened_again_also_where_a_200_says_so() {
    let auth = json!({
        "type": "session", "login": {"path": "/login", "json": {}}, "token_path": ".token",
        "expired": [302], "expired_when": ".error.code == 100",
    });
    let ended: [Reply; 3] = [
        status(401, json!({})),
        ok(json!({"error": {"code": 100}})),
        with(status(302, json!({})), "Location", "/login"),
    ];
    for reply in ended {
        let logins = Arc::new(AtomicU64::new(0));
        let (count, told) = (logins.clone(), reply.clone());
        let server = Server::start(move |asked| match asked.path.as_str() {
            "/api/login" => ok(json!({"token": format!("token-{}", count.fetch_add(1, Ordering::SeqCst))})),
            _ if asked.header("authorization") == Some("Bearer token-1") => stock(),
            _ => told.clone(),
        })
        .await;
        let rig = connect(&erp(&server.url(), auth.clone(), resources()));
        rig.target("orders")
            .create(&[push(1, json!({}))])
            .await
            .remove(0)
            .unwrap();
        assert_eq!(logins.load(Ordering::SeqCst), 2, "{reply:?}");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_is_for_a_person() {
    for reply in [
        status(401, json!({})),
        ok(json!({"result": false})),
        ok(json!({"result": true})),
    ] {
        let told = reply.clone();
        let server = Server::start(move |_| told.clone()).await;
        let auth = json!({
            "type": "session", "login": {"path": "/login", "json": {}, "success": ".result"}, "token_path": ".token",
        });
        let rig = connect(&erp(&server.url(), auth, resources()));
        let error = rig.pass("stock", "").await.unwrap_err();
        assert_eq!(error.fault, Fault::Denied, "{reply:?}: {error}");
        assert_eq!(server.count("GET", "/api/stock"), 0);
    }
}
