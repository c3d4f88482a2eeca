//! What the store should call about, and what it says that it does: the judgement over both. Pure; who lists, makes
//! and tells is elsewhere.

use contract::Subscription;
use url::Url;

use crate::config::{Config, STORE, Webhooks, is_sure};

/// A topic that flows listen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub topic: String,
    pub flows: Vec<String>,
    /// A store may not know it, and nothing is lost then.
    pub is_optional: bool,
}

/// The topics that flows of the store listen to, each once, in the order of the config.
pub fn needs(config: &Config) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for flow in config.flows.iter().filter(|flow| flow.from.connector == STORE) {
        for topic in &flow.triggers {
            match needs.iter_mut().find(|need| need.topic == *topic) {
                Some(need) => need.flows.push(flow.name.clone()),
                None => needs.push(Need {
                    topic: topic.clone(),
                    flows: vec![flow.name.clone()],
                    is_optional: !is_sure(topic),
                }),
            }
        }
    }
    needs
}

/// Which subscriptions are this daemon's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ours {
    /// Those that go to this address.
    Address(Url),
    /// Those whose address has this path, wherever it is.
    Path(String),
}

impl Ours {
    pub fn of(webhooks: &Webhooks) -> Ours {
        match &webhooks.public_url {
            Some(url) => Ours::Address(url.clone()),
            None => Ours::Path(webhooks.path.clone()),
        }
    }

    pub fn has(&self, subscription: &Subscription) -> bool {
        Url::parse(&subscription.url).is_ok_and(|url| self.is_at(&url))
    }

    pub fn is_at(&self, url: &Url) -> bool {
        match self {
            Ours::Address(own) => url == own,
            Ours::Path(path) => url.path() == path,
        }
    }

    /// What a person is to give as `--url`.
    fn shown(&self) -> String {
        match self {
            Ours::Address(url) => url.to_string(),
            Ours::Path(path) => format!("https://YOUR-HOST{path}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Missing,
    /// There are some, and none of them is active.
    Inactive,
    Duplicated,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Missing => "missing",
            Verdict::Inactive => "inactive",
            Verdict::Duplicated => "duplicated",
        }
    }
}

/// How it stands with one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub need: Need,
    pub verdict: Verdict,
    /// The subscriptions of the topic that are ours.
    pub copies: Vec<Subscription>,
    /// What is wrong and what to do now; `None`: nothing.
    pub todo: Option<String>,
}

impl Finding {
    /// Whether its events come at all.
    pub fn comes(&self) -> bool {
        matches!(self.verdict, Verdict::Good | Verdict::Duplicated)
    }
}

/// What the store's list is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// One for each topic that is needed.
    pub findings: Vec<Finding>,
    /// What goes to other addresses than ours.
    pub elsewhere: Vec<Subscription>,
}

impl Judgement {
    /// All that a person should see to, a line each.
    pub fn todos(&self) -> Vec<&str> {
        let todos = self.findings.iter().filter_map(|finding| finding.todo.as_deref());
        todos.collect()
    }
}

pub fn judge(needs: &[Need], ours: &Ours, listed: &[Subscription]) -> Judgement {
    let (own, elsewhere): (Vec<_>, Vec<_>) = listed.iter().cloned().partition(|one| ours.has(one));
    let finding = |need: &Need| {
        let copies: Vec<Subscription> = own.iter().filter(|one| one.topic == need.topic).cloned().collect();
        let verdict = match copies.iter().filter(|one| one.is_active).count() {
            0 if copies.is_empty() => Verdict::Missing,
            0 => Verdict::Inactive,
            _ if copies.len() > 1 => Verdict::Duplicated,
            _ => Verdict::Good,
        };
        let todo = todo(need, verdict, &copies, ours, &elsewhere);
        Finding {
            need: need.clone(),
            verdict,
            copies,
            todo,
        }
    };
    Judgement {
        findings: needs.iter().map(finding).collect(),
        elsewhere,
    }
}

fn todo(
    need: &Need,
    verdict: Verdict,
    copies: &[Subscription],
    ours: &Ours,
    elsewhere: &[Subscription],
) -> Option<String> {
    let topic = &need.topic;
    let ids = || {
        let ids: Vec<&str> = copies.iter().map(|one| one.id.as_str()).collect();
        ids.join(", ")
    };
    match verdict {
        Verdict::Good => None,
        Verdict::Missing if need.is_optional => None,
        Verdict::Missing => {
            let run = format!("selorax-sync webhooks create --url {} --topic {topic}", ours.shown());
            let other = elsewhere.iter().find(|one| one.topic == *topic);
            let other = other.map(|one| {
                let (id, url) = (&one.id, &one.url);
                format!(
                    "; subscription {id} goes to {url} instead: if that is this daemon, say so in webhooks.public_url"
                )
            });
            Some(format!(
                "{topic}: the store has no subscription to it for this daemon, so its events do not come: run `{run}`{}",
                other.unwrap_or_default()
            ))
        }
        Verdict::Inactive => {
            let failures = copies.iter().filter_map(|one| one.failures).max();
            let failures = failures.filter(|count| *count > 0);
            let failures = failures.map_or(String::new(), |count| format!(" after {count} failed calls"));
            Some(format!(
                "{topic}: subscription {} is switched off{failures}, so its events are lost; the schedules still find \
                 what changes: see that {} can be called from outside and that its secret is in webhooks.secrets, then \
                 switch it on in Settings > Apps > Webhooks",
                ids(),
                copies.first().map_or("", |one| one.url.as_str())
            ))
        }
        Verdict::Duplicated => {
            let first = copies.first().map(|one| one.url.as_str());
            let differ = copies.iter().any(|one| Some(one.url.as_str()) != first);
            let which = match (ours, differ) {
                (Ours::Path(_), true) => {
                    "they go to different addresses: say in webhooks.public_url which is this daemon's, or delete the others"
                }
                _ => {
                    "each event comes so often, which only costs calls: delete all but one whose secret is in webhooks.secrets"
                }
            };
            Some(format!(
                "{topic}: there are {} subscriptions ({}); {which}, in Settings > Apps > Webhooks",
                copies.len(),
                ids()
            ))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HERE: &str = "https://sync.test/webhooks/selorax";

    fn need(topic: &str) -> Need {
        Need {
            topic: topic.to_owned(),
            flows: vec!["orders-to-csv".to_owned()],
            is_optional: !is_sure(topic),
        }
    }

    fn one(id: u32, topic: &str, url: &str) -> Subscription {
        Subscription {
            id: id.to_string(),
            topic: topic.to_owned(),
            url: url.to_owned(),
            is_active: true,
            failures: Some(0),
            last_success_at: None,
            last_failure_at: None,
        }
    }

    fn here() -> Ours {
        Ours::Address(Url::parse(HERE).unwrap())
    }

    fn by_path() -> Ours {
        Ours::Path("/webhooks/selorax".to_owned())
    }

    fn only(ours: &Ours, topic: &str, listed: &[Subscription]) -> Finding {
        let mut judgement = judge(&[need(topic)], ours, listed);
        assert_eq!(judgement.findings.len(), 1);
        judgement.findings.remove(0)
    }

    #[test]
    fn one_active_copy_is_good_and_nothing_is_to_do() {
        for ours in [here(), by_path()] {
            let found = only(
                &ours,
                "order.created",
                &[one(1, "order.created", HERE), one(2, "order.updated", HERE)],
            );
            assert_eq!(
                (found.verdict, found.copies.len(), found.todo),
                (Verdict::Good, 1, None)
            );
        }
    }

    #[test]
    fn wh_25_one_that_is_not_there_is_missing_and_the_command_that_makes_it_is_told() {
        let found = only(&here(), "order.created", &[one(2, "order.updated", HERE)]);
        assert_eq!((found.verdict, found.comes()), (Verdict::Missing, false));
        let todo = found.todo.unwrap();
        let run = format!("selorax-sync webhooks create --url {HERE} --topic order.created");
        assert!(todo.contains(&run), "{todo}");
    }

    #[test]
    fn a_topic_that_a_store_may_not_know_is_not_missed_but_looked_after_where_it_is() {
        let found = only(&here(), "order.deleted", &[]);
        assert_eq!((found.verdict, found.todo), (Verdict::Missing, None));
        let mut off = one(1, "order.deleted", HERE);
        off.is_active = false;
        assert!(only(&here(), "order.deleted", &[off]).todo.is_some());
    }

    #[test]
    fn wh_25_one_that_is_switched_off_is_inactive_with_the_failures_that_led_to_it() {
        let mut off = one(7, "order.created", HERE);
        (off.is_active, off.failures) = (false, Some(20));
        let found = only(&here(), "order.created", &[off.clone(), off]);
        assert_eq!((found.verdict, found.comes()), (Verdict::Inactive, false));
        let todo = found.todo.unwrap();
        assert!(
            todo.contains("after 20 failed calls") && todo.contains("7, 7"),
            "{todo}"
        );
    }

    #[test]
    fn wh_25_three_copies_are_duplicated_also_where_not_all_are_active() {
        let mut copies = [1, 2, 3].map(|id| one(id, "order.created", HERE));
        copies[1].is_active = false;
        let found = only(&here(), "order.created", &copies);
        assert_eq!((found.verdict, found.comes()), (Verdict::Duplicated, true));
        let todo = found.todo.unwrap();
        assert!(
            todo.contains("3 subscriptions (1, 2, 3)") && !todo.contains("public_url"),
            "{todo}"
        );
    }

    #[test]
    fn what_goes_elsewhere_is_not_ours_and_is_pointed_at_where_ours_is_missing() {
        let other = "https://other.test/webhooks/selorax";
        let listed = [one(1, "order.created", other)];
        let judgement = judge(&[need("order.created")], &here(), &listed);
        assert_eq!(judgement.findings[0].verdict, Verdict::Missing);
        assert_eq!(judgement.elsewhere, listed);
        assert!(judgement.todos()[0].contains(other), "{:?}", judgement.todos());
        // By its path alone it is ours, wherever it goes; two of them cannot be told apart.
        let found = only(
            &by_path(),
            "order.created",
            &[listed[0].clone(), one(2, "order.created", HERE)],
        );
        assert_eq!(found.verdict, Verdict::Duplicated);
        assert!(found.todo.unwrap().contains("webhooks.public_url"));
        let odd = one(3, "order.created", "not a url");
        assert!(!by_path().has(&odd) && !here().has(&odd));
    }

    #[test]
    fn the_same_address_is_the_same_however_it_is_written() {
        let root = Ours::Address(Url::parse("https://Sync.Test:443").unwrap());
        assert!(root.has(&one(1, "a", "https://sync.test/")));
        assert!(!root.has(&one(1, "a", "https://sync.test/x")));
        assert!(!root.has(&one(1, "a", "http://sync.test/")));
    }
}
