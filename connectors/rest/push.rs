//! A resource that takes records one by one, or some at a time. One wish is one request; what came of it is told
//! as it was: done, not done, or unknown. Must never send again what may have been carried out.

use std::sync::Arc;

use async_trait::async_trait;
use contract::{
    Abilities, Act, Cursor, Difference, Error, Fault, Key, Listed, Malformed, Push, Receipt, RecordTarget, Unknown,
    Use, Value,
};

use super::action::{Action, PushSettings, around};
use super::api::{Api, Manner};
use super::compare::differences;
use super::jq::text_of;
use super::request::Prepared;
use super::rules::Rules;
use crate::http::{Answer, Tries};

#[derive(Debug)]
pub(super) struct Target {
    pub(super) api: Arc<Api>,
    /// As the config calls it.
    pub(super) name: String,
    pub(super) settings: Arc<PushSettings>,
    pub(super) unknown: Unknown,
    pub(super) concurrency: usize,
}

impl Target {
    pub(super) fn writes(&self, doing: &str, rules: &Rules) -> Manner {
        Manner {
            doing: doing.to_owned(),
            purpose: Use::Ring,
            looks: None,
            judged: rules.judged(),
        }
    }

    fn looks(&self, doing: &str, rules: &Rules) -> Manner {
        Manner {
            looks: Some(Tries::Few(3)),
            ..self.writes(doing, rules)
        }
    }

    async fn act(&self, action: &Action, push: &Push, id: Option<&Key>, doing: String) -> Result<Receipt, Error> {
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let prepared = action.prepare(&self.api, push, id).map_err(wrong)?;
        self.api
            .call(prepared, &self.writes(&doing, &action.rules), |answer| {
                let value = action.rules.judge(answer, &doing)?;
                action.receipt(&value, &doing)
            })
            .await
    }

    fn told(&self, verb: &str, key: &Key) -> String {
        format!("{verb} {} in {}", super::pull::plain(&key.0), self.name)
    }

    fn prepared(&self, act: Act<'_>) -> Result<Prepared, Malformed> {
        let settings = &self.settings;
        match act {
            Act::Create([push]) if settings.batch.is_none() => settings.create.prepare(&self.api, push, None),
            Act::Create(pushes) => match &settings.batch {
                Some(batch) => batch.prepare(&self.api, &settings.create, pushes),
                None => Err(Malformed("one request creates one record here".to_owned())),
            },
            Act::Update(id, push) => match &settings.update {
                Some(update) => update.prepare(&self.api, push, Some(id)),
                None => Err(Malformed("there is no `update`".to_owned())),
            },
            Act::Cancel(id, push) => match &settings.cancel {
                Some(cancel) => cancel.action.prepare(&self.api, push, Some(id)),
                None => Err(Malformed("there is no `cancel`".to_owned())),
            },
        }
    }

    /// Whether the answer to a look says that there is no such thing.
    fn is_nothing(answer: &Answer) -> bool {
        matches!(answer.status.as_u16(), 404 | 410)
    }

    pub(super) async fn probe(&self) -> Option<Result<String, Error>> {
        let list = self.settings.list.as_ref()?;
        Some(list.probe(&self.api, &self.name).await)
    }
}

#[async_trait]
impl RecordTarget for Target {
    fn abilities(&self) -> Abilities {
        let settings = &self.settings;
        Abilities {
            update: settings.update.is_some(),
            cancel: settings.cancel.is_some(),
            find: settings.find.is_some(),
            compare: settings.read.as_ref().is_some_and(|read| !read.compare.is_empty()),
            trusts_key: settings.trusts_key,
            list: settings.list.is_some(),
            batch: settings.batch.as_ref().map_or(1, |batch| batch.size),
            levels: false,
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn unknown(&self) -> Unknown {
        self.unknown
    }

    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        let settings = &self.settings;
        match (&settings.batch, pushes) {
            (None, pushes) => {
                let mut receipts = Vec::with_capacity(pushes.len());
                for push in pushes {
                    let doing = self.told("creating", &push.key);
                    receipts.push(self.act(&settings.create, push, None, doing).await);
                }
                receipts
            }
            (Some(batch), pushes) => batch.create(self, pushes).await,
        }
    }

    async fn update(&self, id: &Key, push: &Push) -> Result<Receipt, Error> {
        let doing = self.told("updating", &push.key);
        match &self.settings.update {
            Some(update) => {
                let receipt = self.act(update, push, Some(id), doing).await?;
                Ok(Receipt {
                    id: receipt.id.or_else(|| Some(id.clone())),
                })
            }
            None => Err(Error::new(Fault::Rejected, doing, "there is no `update`")),
        }
    }

    async fn cancel(&self, id: &Key, push: &Push) -> Result<(), Error> {
        let doing = self.told("cancelling", &push.key);
        match &self.settings.cancel {
            Some(cancel) => self.act(&cancel.action, push, Some(id), doing).await.map(|_| ()),
            None => Err(Error::new(Fault::Rejected, doing, "there is no `cancel`")),
        }
    }

    async fn find(&self, record: &Value) -> Result<Option<Receipt>, Error> {
        let doing = format!("looking for a record in {}", self.name);
        let Some(find) = &self.settings.find else {
            return Err(Error::new(Fault::Rejected, doing, "there is no `find`"));
        };
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let prepared = find
            .shape
            .prepare(&self.api.base, record, None, record)
            .map_err(wrong)?;
        self.api
            .call(prepared, &self.looks(&doing, &find.rules), |answer| {
                if Target::is_nothing(answer) {
                    return Ok(None);
                }
                let value = find.rules.judge(answer, &doing)?;
                let ids = find.id.all(&value, record).map_err(wrong)?;
                let mut ids = ids.into_iter().filter(|id| !id.is_null()).map(text_of);
                match (ids.next(), ids.next()) {
                    (None, _) => Ok(None),
                    (Some(id), None) => Ok(Some(Receipt { id: Some(Key(id)) })),
                    (Some(one), Some(other)) => {
                        let said = format!(
                            "more than one fits, such as {one} and {other}; only one of them can be this record"
                        );
                        Err(Error::new(Fault::Rejected, &doing, said).hint("remove the double one there, then retry"))
                    }
                }
            })
            .await
    }

    async fn compare(&self, id: &Key, record: &Value) -> Result<Option<Vec<Difference>>, Error> {
        let doing = format!("reading {} in {}", id.0, self.name);
        let Some(read) = &self.settings.read else {
            return Err(Error::new(Fault::Rejected, doing, "there is no `read`"));
        };
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let around = around(Some(&id.0), "", &Key(String::new()));
        let prepared = read
            .shape
            .prepare(&self.api.base, record, Some(&id.0), &around)
            .map_err(wrong)?;
        self.api
            .call(prepared, &self.looks(&doing, &read.rules), |answer| {
                if Target::is_nothing(answer) {
                    return Ok(None);
                }
                let value = read.rules.judge(answer, &doing)?;
                differences(&read.compare, record, &value).map(Some).map_err(wrong)
            })
            .await
    }

    fn cancels(&self, canonical: &Value) -> Result<bool, Malformed> {
        match &self.settings.cancel {
            Some(cancel) => cancel.when.holds(canonical, canonical),
            None => Ok(false),
        }
    }

    async fn list(&self, after: Option<&Cursor>) -> Result<Listed, Error> {
        match &self.settings.list {
            Some(list) => list.part(&self.api, &self.name, after).await,
            None => Err(Error::new(
                Fault::Rejected,
                format!("listing {}", self.name),
                "there is no `list`",
            )),
        }
    }

    fn show(&self, act: Act<'_>) -> Result<String, Malformed> {
        let prepared = self.prepared(act)?;
        Ok(self.api.curl(prepared))
    }
}
