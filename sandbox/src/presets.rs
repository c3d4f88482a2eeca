//! Ready-made faults: the answers a client of the platform must survive.

use crate::fault::{Canned, Fault};

impl Fault {
    /// 429 with `Retry-After` in seconds.
    pub fn too_many(seconds: u64) -> Fault {
        Fault::too_many_text(&[&seconds.to_string()])
    }

    /// 429 with these `Retry-After` headers as they are: none, a date, nonsense, or two of them.
    pub fn too_many_text(values: &[&str]) -> Fault {
        let answer = Canned::error(429, "rate_limit_exceeded", "Too many requests, please try again later.");
        Fault::Answer(
            values
                .iter()
                .fold(answer, |answer, value| answer.header("Retry-After", value)),
        )
    }

    /// 429 with `Retry-After` as an HTTP date; `at_ms` is world time, ms since 1970.
    pub fn too_many_until(at_ms: i64) -> Fault {
        Fault::too_many_text(&[&crate::answer::http_date(at_ms)])
    }

    pub fn error_500() -> Fault {
        Fault::Answer(Canned::error(500, "internal_error", "Internal server error"))
    }

    /// 500 with the raw message of the database under `error`, and no code.
    pub fn error_500_sql() -> Fault {
        let body = r#"{"error":"ER_LOCK_DEADLOCK: Deadlock found when trying to get lock","status":500}"#;
        let mut answer = Canned::error(500, "", "");
        body.clone_into(&mut answer.body);
        Fault::Answer(answer)
    }

    /// 500 with a page of HTML of about this many bytes.
    pub fn error_500_html(bytes: usize) -> Fault {
        let line = "<p>Something broke <script>alert(1)</script></p>\n";
        let body = format!(
            "<!doctype html><html><body>\n{}</body></html>",
            line.repeat(bytes / line.len() + 1)
        );
        Fault::Answer(Canned::html(500, &body))
    }

    pub fn bad_gateway() -> Fault {
        let body = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
        Fault::Answer(Canned::html(502, body))
    }

    /// 503, with `Retry-After` if seconds are given.
    pub fn unavailable(seconds: Option<u64>) -> Fault {
        let answer = Canned::error(503, "service_unavailable", "Service unavailable");
        Fault::Answer(match seconds {
            Some(seconds) => answer.header("Retry-After", &seconds.to_string()),
            None => answer,
        })
    }

    pub fn gateway_timeout() -> Fault {
        let body = "<html><head><title>504 Gateway Time-out</title></head><body>nginx</body></html>";
        Fault::Answer(Canned::html(504, body))
    }

    /// 500 and not one byte of a body.
    pub fn error_500_empty() -> Fault {
        let mut answer = Canned::error(500, "", "");
        answer.body.clear();
        Fault::Answer(answer)
    }

    /// 400 with one of the platform's codes.
    pub fn bad_request(code: &str) -> Fault {
        let message = match code {
            "missing_store_id" => "Missing store id. Provide X-Store-Id header or store_id parameter.",
            "invalid_installation" => "No active installation for this store.",
            _ => "Validation failed",
        };
        Fault::Answer(Canned::error(400, code, message))
    }

    pub fn conflict() -> Fault {
        Fault::Answer(Canned::error(409, "conflict", "Already exists"))
    }

    /// 500 of a platform whose metafield tables are not installed.
    pub fn metafields_missing() -> Fault {
        let body = r#"{"error":"ER_NO_SUCH_TABLE: Table 'selorax.app_metafield_values' doesn't exist","status":500}"#;
        let mut answer = Canned::error(500, "", "");
        body.clone_into(&mut answer.body);
        Fault::Answer(answer)
    }

    /// 200 with a login page.
    pub fn login_page() -> Fault {
        Fault::Answer(Canned::html(
            200,
            "<!doctype html><html><body><form>Log in to continue</form></body></html>",
        ))
    }

    /// 200 whose JSON says it is a failure.
    pub fn false_200() -> Fault {
        Fault::Body(r#"{"message":"Internal server error","code":"internal_error","status":500}"#.to_owned())
    }

    /// 301, 302, 307, … to `location`.
    pub fn redirect(code: u16, location: &str) -> Fault {
        Fault::Answer(Canned::html(code, "moved").header("Location", location))
    }

    /// 401 with one of the platform's codes.
    pub fn unauthorised(code: &str) -> Fault {
        let message = match code {
            "missing_token" | "missing_auth" => "Access denied. Provide Bearer token or X-Client-Id + X-Client-Secret.",
            "invalid_client" => "Invalid client credentials.",
            "not_installed" => "App is not installed for this store.",
            "session_required" => "A dashboard session is required.",
            _ => "Invalid or expired access token.",
        };
        Fault::Answer(Canned::error(401, code, message))
    }

    /// 403 naming the scope that is missing.
    pub fn forbidden(scope: &str) -> Fault {
        Fault::Answer(insufficient_scope(scope))
    }

    pub fn not_found() -> Fault {
        Fault::Answer(Canned::error(404, "not_found", "Order not found"))
    }

    pub fn gone() -> Fault {
        Fault::Answer(Canned::error(410, "gone", "This API version has been retired."))
    }

    /// The header of a version that is going to end.
    pub fn sunset(value: &str) -> Fault {
        Fault::Header {
            name: "Sunset".to_owned(),
            value: value.to_owned(),
        }
    }

    /// The ready-made fault of this name, for people with `curl`; see [`PRESETS`].
    pub fn preset(name: &str) -> Option<Fault> {
        Some(match name {
            "429" => Fault::too_many(7),
            "429-bare" => Fault::too_many_text(&[]),
            "500" => Fault::error_500(),
            "500-sql" => Fault::error_500_sql(),
            "500-html" => Fault::error_500_html(2 << 20),
            "500-empty" => Fault::error_500_empty(),
            "502" => Fault::bad_gateway(),
            "503" => Fault::unavailable(Some(5)),
            "503-bare" => Fault::unavailable(None),
            "504" => Fault::gateway_timeout(),
            "login-page" => Fault::login_page(),
            "false-200" => Fault::false_200(),
            "missing_token" | "missing_auth" | "invalid_token" | "token_expired" | "invalid_client"
            | "not_installed" | "session_required" => Fault::unauthorised(name),
            "missing_store_id" | "invalid_installation" | "validation_error" => Fault::bad_request(name),
            "409" => Fault::conflict(),
            "metafields-missing" => Fault::metafields_missing(),
            "403" => Fault::forbidden("read:orders"),
            "404" => Fault::not_found(),
            "410" => Fault::gone(),
            "sunset" => Fault::sunset("Wed, 31 Dec 2026 23:59:59 GMT"),
            _ => return None,
        })
    }
}

/// The names [`Fault::preset`] knows.
pub const PRESETS: [&str; 28] = [
    "429",
    "429-bare",
    "500",
    "500-sql",
    "500-html",
    "500-empty",
    "502",
    "503",
    "503-bare",
    "504",
    "login-page",
    "false-200",
    "missing_token",
    "missing_auth",
    "invalid_token",
    "token_expired",
    "invalid_client",
    "not_installed",
    "session_required",
    "missing_store_id",
    "invalid_installation",
    "validation_error",
    "403",
    "404",
    "409",
    "410",
    "metafields-missing",
    "sunset",
];

pub(crate) fn insufficient_scope(scope: &str) -> Canned {
    let message = format!("Insufficient scope. Required: {scope}");
    let mut answer = Canned::error(403, "insufficient_scope", &message);
    answer.body =
        serde_json::json!({"message": message, "code": "insufficient_scope", "required_scope": scope, "status": 403})
            .to_string();
    answer
}
