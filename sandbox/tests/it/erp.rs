//! The pretend ERP as a client meets it.

mod access;
mod lists;
mod losses;
mod restore;
mod twists;
mod writes;

use sandbox::erp::{Erp, ErpOptions};
use sandbox::{Clock, FIXED_START_MS};

use crate::client::{self, Reply};

/// With a clock that stands until the test moves it.
pub(crate) async fn erp() -> Erp {
    erp_with(|_| {}).await
}

pub(crate) async fn erp_with(edit: impl FnOnce(&mut ErpOptions)) -> Erp {
    let mut options = ErpOptions {
        clock: Clock::Fixed(FIXED_START_MS),
        ..ErpOptions::default()
    };
    edit(&mut options);
    Erp::start(options).await.unwrap()
}

pub(crate) async fn ask(erp: &Erp, method: &str, path: &str, body: &str) -> Reply {
    with_headers(erp, method, path, &[], body).await
}

pub(crate) async fn with_headers(erp: &Erp, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Reply {
    let bearer = format!("Bearer {}", erp.books().credentials().token);
    let mut headers = vec![("Authorization", bearer.as_str())];
    headers.extend(more);
    client::send(erp.addr(), method, &format!("/api{path}"), &headers, body).await
}

pub(crate) async fn get(erp: &Erp, path: &str) -> Reply {
    ask(erp, "GET", path, "").await
}

/// An order with this reference and key.
pub(crate) async fn order(erp: &Erp, reference: &str, key: &str) -> Reply {
    let body = format!(r#"{{"reference":"{reference}","total":10.50}}"#);
    with_headers(erp, "POST", "/sales-orders", &[("Idempotency-Key", key)], &body).await
}
