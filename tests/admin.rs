//! The private address of the real daemon: health, metrics, the API and the page, and who is let in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{CANARY, Desk, Running, Setup, Shop};

const HOSTILE: &str = r#"<script>alert(1)</script>"><img src=x onerror=alert(2)>{{7331*7331}}"#;

fn token() -> String {
    format!("{CANARY}-admin-token")
}

/// A daemon with an admin address; one of its orders cannot be mapped.
struct Office {
    desk: Desk,
    address: SocketAddr,
    hostile: i64,
}

impl Office {
    fn new(shop: &Shop, has_token: bool) -> Office {
        let hostile = shop.some_ids(3)[1];
        assert!(
            shop.world()
                .update_order(hostile, |order| order.note = Some(HOSTILE.to_owned()))
        );
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let token_line = match has_token {
            true => "  token: \"${file:./admin-token}\"\n  hosts: [sync.example.com]\n",
            false => "",
        };
        let setup = Setup {
            flow: "    schedule: \"0 0 1 1 *\"\n".to_owned(),
            max_wait: "1s".to_owned(),
            webhooks: format!("admin:\n  listen: {address}\n{token_line}"),
            map: "      id: .id\n      note: 'if ((.note // \"\") | contains(\"<script>\")) then error(.note) else .note end'\n"
                .to_owned(),
            ..Setup::default()
        };
        let desk = Desk::with(shop, setup);
        desk.write("admin-token", &token());
        Office { desk, address, hostile }
    }

    /// The daemon, once its first pass is done and the hostile order has failed.
    fn daemon(&self) -> Running {
        let mut daemon = self.desk.daemon();
        daemon.until("the admin address", || TcpStream::connect(self.address).is_ok());
        daemon.until("the failure", || {
            let told = self.desk.run(&["failures", "list", "--json"]).out;
            told.contains("\"reason\"")
        });
        daemon
    }

    fn ask(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut whole = String::new();
        stream.read_to_string(&mut whole).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        Answer {
            code: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str, lines: &[&str]) -> Answer {
        self.send("GET", path, lines, "")
    }

    fn send(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
        let host = match lines.iter().any(|line| line.starts_with("Host:")) {
            true => String::new(),
            false => format!("Host: {}\r\n", self.address),
        };
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        self.ask(&format!(
            "{method} {path} HTTP/1.1\r\n{host}{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    }

    fn failure(&self) -> i64 {
        let told = self.get("/api/v1/failures", &[&bearer()]).json();
        assert_eq!(told[0]["record"], self.hostile.to_string(), "{told}");
        told[0]["id"].as_i64().unwrap()
    }
}

struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&start))
    }
}

fn bearer() -> String {
    format!("Authorization: Bearer {}", token())
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

#[test]
fn programs_get_health_metrics_status_and_failures() {
    let shop = Shop::of(20);
    let office = Office::new(&shop, true);
    let daemon = office.daemon();
    assert_eq!(office.get("/healthz", &[]).code, 200);
    let ready = office.get("/readyz", &[]);
    assert_eq!(ready.code, 200, "{}", ready.body);
    for path in ["/metrics", "/api/v1/status", "/api/v1/failures", "/api/v1/openapi.json"] {
        let told = office.get(path, &[]);
        assert_eq!(told.code, 401, "{path}: {}", told.body);
        assert!(told.header("www-authenticate").is_some(), "{}", told.head);
        assert_eq!(office.get(path, &[&bearer()]).code, 200, "{path}");
        assert_eq!(office.get(path, &["Authorization: Bearer wrong"]).code, 401, "{path}");
    }
    let status = office.get("/api/v1/status", &[&bearer()]).json();
    assert_eq!(status["flows"][0]["name"], "orders-to-csv", "{status}");
    assert_eq!(status["flows"][0]["failed"], 1, "{status}");
    assert_eq!(status["daemon"]["running"], true);
    let metrics = office.get("/metrics", &[&bearer()]).body;
    for line in [
        "selorax_sync_flow_records{flow=\"orders-to-csv\",place=\"failed\"} 1",
        "selorax_sync_connector_circuit{connector=\"store\",state=\"closed\"} 1",
        "# TYPE selorax_sync_connector_requests_total counter",
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line} is not in:\n{metrics}"
        );
    }
    let id = office.failure();
    let whole = office.get(&format!("/api/v1/failures/{id}"), &[&bearer()]).json();
    assert!(whole["reason"].as_str().unwrap().contains("<script>"), "{whole}");
    for odd in [
        "0",
        "-1",
        "'%20OR%201=1%20--",
        "%25",
        "_",
        "%00",
        "99999999999999999999",
    ] {
        let told = office.get(&format!("/api/v1/failures/{odd}"), &[&bearer()]);
        assert_eq!(told.code, 404, "{odd}: {}", told.body);
    }
    assert_eq!(office.get("/api/v1/failures?limit=x", &[&bearer()]).code, 400);
    assert_eq!(
        office.get("/api/v1/failures?flow=%27", &[&bearer()]).json(),
        serde_json::json!([])
    );
    daemon.stop();
    office.desk.find_secrets();
}

#[test]
fn a_store_that_refuses_the_credentials_makes_it_unready() {
    let shop = Shop::of(20);
    let office = Office::new(&shop, true);
    office.desk.write("client-secret", "sx_secret_of_some_other_app");
    let mut daemon = office.desk.daemon();
    daemon.until("the admin address", || TcpStream::connect(office.address).is_ok());
    daemon.until("the refusal", || office.get("/readyz", &[]).code == 503);
    let told = office.get("/readyz", &[]);
    assert!(told.body.contains("refuses the credentials"), "{}", told.body);
    assert_eq!(office.get("/healthz", &[]).code, 200);
    daemon.stop();
}

#[test]
fn what_a_program_asks_for_is_done_by_the_daemon() {
    let shop = Shop::of(20);
    let office = Office::new(&shop, true);
    let daemon = office.daemon();
    let id = office.failure();
    // It fails again: the order is as it was.
    let told = office
        .send("POST", &format!("/api/v1/failures/{id}/retry"), &[&bearer()], "")
        .json();
    assert_eq!(
        (&told["status"], &told["code"]),
        (&"unfinished".into(), &3.into()),
        "{told}"
    );
    assert!(shop.world().update_order(office.hostile, |order| order.note = None));
    let told = office
        .send("POST", "/api/v1/flows/orders-to-csv/run", &[&bearer()], "")
        .json();
    assert_eq!(told["status"], "done", "{told}");
    assert_eq!(
        office.get("/api/v1/failures", &[&bearer()]).json(),
        serde_json::json!([])
    );
    assert_eq!(
        office.send("POST", "/api/v1/flows/other/run", &[&bearer()], "").code,
        404
    );
    assert_eq!(
        office
            .send("POST", "/api/v1/failures/12345/retry", &[&bearer()], "")
            .code,
        404
    );
    assert_eq!(office.get("/api/v1/flows/orders-to-csv/run", &[&bearer()]).code, 405);
    daemon.stop();
}

#[test]
fn sc_01_what_an_order_says_is_inert_on_every_page() {
    let shop = Shop::of(20);
    let office = Office::new(&shop, true);
    let daemon = office.daemon();
    let id = office.failure();
    for path in ["/", "/failures", &format!("/failures/{id}"), "/deliveries"] {
        let page = office.get(path, &[&bearer()]);
        assert_eq!(page.code, 200, "{path}: {}", page.body);
        assert!(!page.body.contains("<script>alert"), "{path}: {}", page.body);
        assert!(!page.body.contains("<img"), "{path}: {}", page.body);
        assert!(
            !page.body.contains("53743561"),
            "no template is run in {path}: {}",
            page.body
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
    let page = office.get(&format!("/failures/{id}"), &[&bearer()]).body;
    assert!(
        page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"),
        "{page}"
    );
    daemon.stop();
}

#[test]
fn sc_02_only_a_form_of_ones_own_session_does_anything() {
    let shop = Shop::of(20);
    let office = Office::new(&shop, true);
    let daemon = office.daemon();
    let page = office.get("/failures", &[]);
    assert_eq!((page.code, page.header("location")), (303, Some("/login")));
    let wrong = office.send("POST", "/login", &[FORM], "token=wrong");
    assert_eq!(wrong.code, 401);
    let crossing = ["Origin: https://evil.example", FORM];
    let body = format!("token={}", token());
    assert_eq!(office.send("POST", "/login", &crossing, &body).code, 403);
    let login = office.send("POST", "/login", &[FORM], &body);
    assert_eq!(
        (login.code, login.header("location")),
        (303, Some("/")),
        "{}",
        login.body
    );
    let set = login.header("set-cookie").unwrap().to_owned();
    for part in [
        "__host-selorax-sync=",
        "secure",
        "httponly",
        "samesite=strict",
        "path=/",
    ] {
        assert!(set.contains(part), "{part} is not in {set}");
    }
    let cookie = set.split(';').next().unwrap().replace("__host-", "__Host-");
    let cookie = format!("Cookie: {cookie}");
    let page = office.get("/failures", &[&cookie]);
    assert_eq!(page.code, 200, "{}", page.body);
    let csrf = page
        .body
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(csrf.len(), 32);
    let id = office.failure();
    let (place, signed) = (format!("/failures/{id}/discard"), format!("csrf={csrf}"));
    for (lines, body) in [
        (vec![cookie.as_str(), FORM], ""),
        (vec![cookie.as_str(), FORM], "csrf=00000000000000000000000000000000"),
        (
            vec![cookie.as_str(), FORM, "Origin: https://evil.example"],
            signed.as_str(),
        ),
        (
            vec![cookie.as_str(), FORM, "Sec-Fetch-Site: cross-site"],
            signed.as_str(),
        ),
    ] {
        let told = office.send("POST", &place, &lines, body);
        assert_eq!(told.code, 403, "{lines:?}: {}", told.body);
    }
    assert_eq!(
        office
            .send("POST", &format!("/api/v1/failures/{id}/discard"), &[&cookie], "")
            .code,
        403
    );
    assert_eq!(office.get(&place, &[&cookie]).code, 405);
    assert_eq!(office.failure(), id, "nothing was done");
    let told = office.send("POST", &place, &[&cookie, FORM], &signed);
    assert_eq!(told.code, 200, "{}", told.body);
    assert_eq!(
        office.get("/api/v1/failures", &[&bearer()]).json(),
        serde_json::json!([])
    );
    let out = office.send("POST", "/logout", &[&cookie, FORM], &signed);
    assert_eq!(out.code, 303);
    assert_eq!(office.get("/failures", &[&cookie]).code, 303, "the session is over");
    daemon.stop();
}

#[test]
fn sc_03_another_name_is_not_served_and_guesses_have_to_wait() {
    let shop = Shop::of(20);
    let office = Office::new(&shop, true);
    let daemon = office.daemon();
    for host in ["evil.example", "localhost.evil.example:80", ""] {
        let told = office.get("/healthz", &[&format!("Host: {host}")]);
        assert_eq!(told.code, 421, "{host}: {}", told.body);
    }
    for host in ["sync.example.com", "localhost:1", "127.0.0.1"] {
        assert_eq!(office.get("/healthz", &[&format!("Host: {host}")]).code, 200, "{host}");
    }
    for n in 0..10 {
        let told = office.get("/api/v1/status", &["Authorization: Bearer a-guess-of-some-length"]);
        assert_eq!(told.code, 401, "guess {n}");
    }
    let told = office.get("/api/v1/status", &[&bearer()]);
    assert_eq!(
        (told.code, told.header("retry-after")),
        (429, Some("60")),
        "even with the right one"
    );
    daemon.stop();
}

#[test]
fn on_a_loopback_address_no_token_is_needed_and_other_sites_are_kept_out_all_the_same() {
    let shop = Shop::of(20);
    let office = Office::new(&shop, false);
    let daemon = office.daemon();
    assert_eq!(office.get("/", &[]).code, 200);
    assert_eq!(office.get("/metrics", &[]).code, 200);
    let place = "/api/v1/flows/orders-to-csv/run";
    for line in [
        "Origin: https://evil.example",
        "Sec-Fetch-Site: cross-site",
        "Cookie: a=b",
    ] {
        assert_eq!(office.send("POST", place, &[line], "").code, 403, "{line}");
    }
    let told = office.send("POST", place, &[], "");
    assert_eq!(told.code, 200, "{}", told.body);
    daemon.stop();
}
