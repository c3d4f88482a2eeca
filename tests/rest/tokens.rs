//! Credentials that end while records are under way.

use sandbox::When;
use sandbox::erp::{Fault, Kind, Loss, Rule, Way};

use super::once;
use crate::support::{Erp, ErpSetup, Shop};

fn signed_in_by(grant: &str) -> ErpSetup {
    ErpSetup {
        auth: format!(
            "{{type: oauth2, token_url: TOKEN_URL, client_id: erp-client, client_secret: '${{file:./erp-secret}}'{grant}}}"
        ),
        ..ErpSetup::default()
    }
}

const BY_REFRESH: &str = ", refresh_token: '${file:./erp-refresh}'";

fn at(erp: &Erp, mut setup: ErpSetup) -> ErpSetup {
    setup.auth = setup.auth.replace("TOKEN_URL", &format!("{}/token", erp.url()));
    setup
}

#[test]
fn er_04_a_token_that_ends_mid_run_is_renewed_once_and_nothing_is_lost_or_doubled() {
    for (grant, refreshes) in [("", false), (BY_REFRESH, true)] {
        let shop = Shop::of(30);
        let erp = Erp::open(|options| {
            options.ways = vec![Way::OAuth];
            options.keeps_keys = false;
        });
        let ended = Fault::error(401, "unauthorized", "The token has ended");
        let ended = erp.books().fault(Rule::create(ended).when(When::Nth(11)));
        let desk = at(&erp, signed_in_by(grant)).desk(&shop, &erp);
        once(&desk).ends(0);
        assert_eq!(erp.books().fired(ended), 1);
        erp.check(&shop);
        let counts = erp.books().access_counts();
        let given = if refreshes { counts.refreshed } else { counts.granted };
        assert_eq!((given, counts.bad_refreshes), (2, 0), "{counts:?}");
        // The next run has what the last one was given: it does not use up another refresh token.
        once(&desk).ends(0);
        assert_eq!(erp.books().access_counts().bad_refreshes, 0);
        desk.find_secrets();
    }
}

#[test]
fn er_05_a_refresh_that_is_refused_for_good_pauses_and_says_what_to_do() {
    let shop = Shop::of(5);
    let erp = Erp::open(|options| options.ways = vec![Way::OAuth]);
    let refused = Fault::preset("refresh-refused").unwrap();
    let refused = erp.books().fault(Rule::new(Kind::Token, refused));
    let desk = at(&erp, signed_in_by(BY_REFRESH)).desk(&shop, &erp);
    let told = once(&desk).ends(1);
    let tries = erp.books().fired(refused);
    assert!((1..=3).contains(&tries), "{tries} tries");
    assert!(
        told.err.contains("invalid_grant") || told.err.contains("revoked"),
        "{}",
        told.err
    );
    assert_eq!(erp.created().len(), 0);
    // A further run does not go on asking until the credentials are others.
    once(&desk).ends(1);
    once(&desk).ends(1);
    assert!(erp.books().fired(refused) <= 3, "{} tries", erp.books().fired(refused));
    erp.books().clear_faults();
    desk.find_secrets();
}

#[test]
fn er_04_a_refresh_whose_answer_is_lost_is_told_with_the_step_to_take() {
    let shop = Shop::of(3);
    let erp = Erp::open(|options| options.ways = vec![Way::OAuth]);
    erp.books()
        .fault(Rule::new(Kind::Token, Fault::AnswerLost(Loss::Reset)).when(When::Times(1)));
    let desk = at(&erp, signed_in_by(BY_REFRESH)).desk(&shop, &erp);
    // The refresh token is used up and its successor is lost: no program can mend that, a person can.
    let told = once(&desk).ends(1);
    assert!(told.err.contains("refresh_token"), "{}", told.err);
    desk.write("erp-refresh", &erp.books().refresh_token());
    once(&desk).ends(0);
    erp.check(&shop);
}

#[test]
fn er_04_a_session_that_ends_is_opened_again() {
    let shop = Shop::of(12);
    let erp = Erp::open(|options| options.ways = vec![Way::Session]);
    let ended = Fault::error(401, "unauthorized", "The session has ended");
    let ended = erp.books().fault(Rule::create(ended).when(When::Nth(6)));
    let password = "'${file:./erp-password}'";
    for send in [
        String::new(),
        ", token_path: .token, send: {name: X-Session-Token, prefix: ''}".to_owned(),
    ] {
        let setup = ErpSetup {
            auth: format!(
                "{{type: session, login: {{path: /login, json: {{username: sync, password: {password}}}}}{send}}}"
            ),
            ..ErpSetup::default()
        };
        let desk = setup.desk(&shop, &erp);
        desk.write("erp-password", &erp.books().credentials().password);
        once(&desk).ends(0);
        desk.find_secrets();
    }
    assert_eq!(erp.books().fired(ended), 1);
    assert!(erp.books().access_counts().logins >= 3);
    // Both runs had a state of their own, and the second found what the first had sent only by its key.
    erp.check(&shop);
}
