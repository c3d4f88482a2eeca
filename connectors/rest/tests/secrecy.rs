//! No secret in an error, a log line, a shown request or a Debug text, also where the other side says it back; and
//! no connection to a peer that cannot prove who it is.

use std::sync::{Arc, Mutex};

use contract::{Act, Fault};
use rcgen::{CertifiedIssuer, KeyPair};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::rig::{Server, connect, erp, ok, push, read, serve, text};

const CANARY: &str = "c4n4ry/+ \"x\"";

fn resources() -> Json {
    json!({
        "stock": {"pull": {"path": "/stock", "data_selector": ".items", "primary_key": ".sku"}},
        "orders": {"push": {"create": {"path": "/orders", "id": ".id"}}},
    })
}

fn ways() -> Vec<Json> {
    vec![
        json!({"type": "bearer", "token": CANARY}),
        json!({"type": "basic", "username": "u", "password": CANARY}),
        json!({"type": "api_key", "name": "X-Key", "value": CANARY}),
        json!({"type": "session", "login": {"path": "/login", "form": {"user": "u", "pw": CANARY}}}),
        json!({"type": "api_key", "in": "query", "name": "key", "value": CANARY}),
    ]
}

/// Whether a text holds the canary, in whatever spelling.
fn holds(told: &str) -> bool {
    ["c4n4ry", "dTpjNG40cnkvKyAieCI="]
        .iter()
        .any(|part| told.contains(part))
}

#[tokio::test]
async fn sc_06_no_secret_is_told_even_if_it_is_said_back() {
    for auth in ways() {
        for code in [200, 302, 401, 403, 404, 422, 500] {
            let server = Server::start(move |asked| {
                let headers: Vec<String> = asked.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
                let said = format!("you sent {:?} {}", asked.query, headers.join("\n"));
                text(code, "text/plain", &said)
            })
            .await;
            let rig = connect(&erp(&server.url(), auth.clone(), resources()));
            let mut told = vec![rig.pass("stock", "").await.unwrap_err()];
            told.push(
                rig.target("orders")
                    .create(&[push(1, json!({}))])
                    .await
                    .remove(0)
                    .unwrap_err(),
            );
            for error in told {
                let all = format!("{error} {error:?}");
                assert!(!holds(&all), "{auth} {code}: {all}");
            }
            assert!(
                server.asked().iter().all(|asked| asked.headers.len() > 1),
                "it was asked"
            );
            assert!(!holds(&format!("{:?}", rig.connector)), "{auth}");
            let shown = rig
                .target("orders")
                .show(Act::Create(&[push(1, json!({"x": CANARY}))]))
                .unwrap();
            assert!(!holds(&shown), "{auth}: {shown}");
        }
        let (settings, _) = read(&erp("http://127.0.0.1:1", auth.clone(), resources()));
        assert!(!holds(&format!("{:?}", settings.unwrap())), "{auth}");
    }
}

#[tokio::test]
async fn sc_06_fetched_tokens_are_masked_as_well() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/token" => ok(json!({"access_token": "fetched-canary", "expires_in": 3600})),
        _ => text(422, "text/plain", &format!("you sent {:?}", asked.headers)),
    })
    .await;
    let auth = json!({
        "type": "oauth2", "token_url": format!("{}/token", server.url()), "client_id": "client-1", "client_secret": CANARY,
    });
    let rig = connect(&erp(&server.url(), auth, resources()));
    let error = rig
        .target("orders")
        .create(&[push(1, json!({}))])
        .await
        .remove(0)
        .unwrap_err();
    let all = format!("{error:?} {:?}", rig.connector);
    assert!(
        error.answer.contains("***") && !all.contains("fetched-canary") && !holds(&all),
        "{all}"
    );
}

#[tokio::test]
async fn sc_06_a_token_address_that_says_the_secret_back_is_masked() {
    let server = Server::start(|asked| text(400, "application/json", &json!({"error": asked.body}).to_string())).await;
    let auth = json!({
        "type": "oauth2", "token_url": format!("{}/token", server.url()), "client_id": "client-1", "client_secret": CANARY,
    });
    let rig = connect(&erp(&server.url(), auth, resources()));
    let error = rig.pass("stock", "").await.unwrap_err();
    let all = format!("{error} {error:?}");
    assert!(!holds(&all), "{all}");
}

/// Some take the key in each body.
#[tokio::test]
async fn sc_06_a_secret_within_a_body_is_masked() {
    let server = Server::start(|asked| text(422, "text/plain", &format!("you sent {}", asked.body))).await;
    let resources = json!({
        "orders": {"push": {"create": {"path": "/rpc", "body": {"args": ["OUTSIDE:\"db-1\"", "OUTSIDE:\"c4n4ry-in-jq\"", "."]}}}},
        "stock": {"pull": {
            "method": "POST", "path": "/rpc", "data_selector": ".", "primary_key": ".id",
            "body": {"key": "OUTSIDE:c4n4ry-as-it-is", "user": "OUTSIDE:2"},
        }},
    });
    let rig = connect(&erp(&server.url(), json!({"type": "none"}), resources));
    let target = rig.target("orders");
    let order = push(1, json!({}));
    let error = target.create(std::slice::from_ref(&order)).await.remove(0).unwrap_err();
    let shown = target.show(Act::Create(&[order])).unwrap();
    let pulled = rig.pass("stock", "").await.unwrap_err();
    let all = format!("{error:?} {shown} {pulled:?} {:?}", rig.connector);
    assert!(!holds(&all), "{all}");
    let asked = server.asked();
    assert_eq!(asked[0].body, r#"{"args":["db-1","c4n4ry-in-jq",{}]}"#);
    assert_eq!(asked[1].body, r#"{"key":"c4n4ry-as-it-is","user":2}"#);
}

/// A server whose certificate only `ca_file` vouches for.
async fn private(folder: &std::path::Path) -> u16 {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = own.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let log = Arc::new(Mutex::new(Vec::new()));
                    serve(stream, Arc::new(|_| ok(json!({"items": []}))), log).await;
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn api_28_a_private_ca_is_trusted_only_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let port = private(folder.path()).await;
    let mut settings = erp(
        &format!("https://localhost:{port}"),
        json!({"type": "none"}),
        resources(),
    );
    let error = connect(&settings).pass("stock", "").await.unwrap_err();
    assert_eq!(error.fault, Fault::Denied, "{error}");
    settings["ca_file"] = json!(folder.path().join("ca.pem").to_str().unwrap());
    connect(&settings).pass("stock", "").await.unwrap();
    // The certificate is for another name.
    settings["base_url"] = json!(format!("https://127.0.0.1:{port}"));
    assert_eq!(
        connect(&settings).pass("stock", "").await.unwrap_err().fault,
        Fault::Denied
    );
}
