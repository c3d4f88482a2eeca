//! Stores whose secure connection cannot be trusted: nothing is sent to them, and the message says why.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::rig::Setup;

/// What a secure server let in: bytes that came through its handshake.
#[derive(Default)]
struct Seen(AtomicUsize);

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for these names, signed by the authority or by itself.
fn server(names: &[&str], expired: bool, authority: Option<&CertifiedIssuer<'static, KeyPair>>) -> ServerConfig {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// Answers every request on a secure connection with an empty store.
async fn serve(config: ServerConfig, seen: Arc<Seen>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), seen.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut part = [0; 4096];
                while let Ok(bytes) = stream.read(&mut part).await {
                    if bytes == 0 {
                        return;
                    }
                    seen.0.fetch_add(bytes, Ordering::Relaxed);
                    let body = r#"{"data":[],"pagination":{"page":1,"limit":250,"total":0},"status":200}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    if stream.write_all((head + body).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Checks a store at this port with the real binary, which trusts the authority given.
async fn check(port: u16, trusted: &CertifiedIssuer<'static, KeyPair>) -> (i32, String) {
    let mut setup = Setup::orders(0);
    setup.url = Some(format!("https://localhost:{port}"));
    let rig = setup.start().await;
    let ca: PathBuf = rig.folder.path().join("ca.pem");
    std::fs::write(&ca, trusted.pem()).unwrap();
    let (code, stdout, stderr) = rig
        .run_with(&["--once", "--wait", "1s"], &[("SSL_CERT_FILE", &ca)])
        .await;
    (code, stdout + &stderr)
}

#[tokio::test]
async fn api_28_a_certificate_that_cannot_be_trusted_is_refused_before_a_header_is_sent() {
    let (trusted, stranger) = (authority("one"), authority("another"));
    let seen = Arc::new(Seen::default());
    // It is the certificate that is looked at: a right one is let in, and the same server sees the request.
    let port = serve(server(&["localhost"], false, Some(&trusted)), seen.clone()).await;
    let (code, told) = check(port, &trusted).await;
    assert_eq!(code, 0, "{told}");
    assert!(seen.0.load(Ordering::Relaxed) > 100);

    let cases = [
        ("expired", server(&["localhost"], true, Some(&trusted)), "expired"),
        ("another name", server(&["shop.example"], false, Some(&trusted)), "name"),
        ("self-signed", server(&["localhost"], false, None), "certificate"),
        (
            "unknown authority",
            server(&["localhost"], false, Some(&stranger)),
            "issuer",
        ),
    ];
    for (what, config, word) in cases {
        let seen = Arc::new(Seen::default());
        let port = serve(config, seen.clone()).await;
        let (code, told) = check(port, &trusted).await;
        assert_eq!(code, 1, "{what}: {told}");
        assert_eq!(seen.0.load(Ordering::Relaxed), 0, "{what}: something was sent");
        assert!(
            told.contains("secure connection") && told.to_lowercase().contains(word),
            "{what}: {told}"
        );
    }
}

/// A server that knows nothing newer than TLS 1.0 turns the greeting down with an alert.
#[tokio::test]
async fn api_28_a_server_of_tls_1_0_and_one_that_speaks_plainly_get_no_header() {
    for (answer, word) in [
        (&[0x15, 3, 1, 0, 2, 2, 70][..], "secure connection"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\nThis port speaks plain HTTP",
            "cannot reach",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let greetings = Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = greetings.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut part = [0; 4096];
                let Ok(bytes) = stream.read(&mut part).await else {
                    continue;
                };
                kept.lock().unwrap().extend_from_slice(&part[..bytes]);
                stream.write_all(answer).await.unwrap_or_default();
            }
        });
        let (code, told) = check(port, &authority("one")).await;
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(word), "{told}");
        let greetings = greetings.lock().unwrap();
        assert_eq!(greetings.first(), Some(&0x16), "a handshake, and nothing else");
        let text = String::from_utf8_lossy(&greetings).to_lowercase();
        assert!(!text.contains("x-client") && !text.contains("get /"), "{text}");
    }
}

#[tokio::test]
async fn api_28_plain_http_to_another_machine_is_refused_by_the_config() {
    let mut setup = Setup::orders(0);
    setup.url = Some("http://192.0.2.7".to_owned());
    let rig = setup.start().await;
    let (code, _, stderr) = rig.run(&["--once"]).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("plain http is for loopback addresses only"), "{stderr}");
}
