//! A listing of what is at the other side, for the ids in it.

use std::fmt;

use contract::settings::Reader;
use contract::{Cursor, Error, Fault, Hash, Key, Listed, Malformed, Use, Value};
use secrecy::SecretString;

use super::api::{Api, Manner};
use super::jq::{Jq, text_of};
use super::paginate::{Asked, Page, Paginator};
use super::place::Place;
use super::reading::pairs;
use super::request::Prepared;
use super::rules::Rules;
use super::trail::{At, Trail};
use crate::http::Tries;

pub(super) struct Listing {
    place: Place,
    params: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    data: Jq,
    id: Jq,
    pages: Paginator,
    rules: Rules,
    pub(super) secrets: Vec<SecretString>,
}

/// What may hold a secret is not shown.
impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Listing {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Listing> {
        let mut secrets = Vec::new();
        let place = super::request::place(reader);
        let params = pairs(reader, "params", "query parameters, as they are sent", &mut secrets);
        let headers = pairs(
            reader,
            "headers",
            "headers of this request, as they are sent",
            &mut secrets,
        );
        let data = Jq::required(reader, "data_selector", "jq over the answer: the list of records");
        let id = Jq::required(reader, "id", "jq over a record: the id that `create` tells too");
        let pages = Paginator::read(reader);
        let rules = Rules::read(reader);
        Some(Listing {
            place: place?,
            params: params?,
            headers: headers?,
            data: data?,
            id: id?,
            pages: pages?,
            rules: rules?,
            secrets,
        })
    }

    pub(super) async fn part(&self, api: &Api, name: &str, after: Option<&Cursor>) -> Result<Listed, Error> {
        let doing = format!("listing {name}");
        let wrong = |Malformed(why)| Error::new(Fault::Denied, &doing, why);
        let (at, trail) = match after {
            None => (At::Start, Trail::default()),
            Some(cursor) => {
                let foreign = || wrong(Malformed("the cursor is not one of this listing".to_owned()));
                Trail::resume(&cursor.0).ok_or_else(foreign)?
            }
        };
        let prepared = self.prepare(api, &at).map_err(wrong)?;
        let url = prepared.url.clone();
        let manner = Manner {
            doing: doing.clone(),
            purpose: Use::History,
            looks: Some(Tries::Patient),
            judged: self.rules.judged(),
        };
        api.call(prepared, &manner, |answer| {
            let value = self.rules.judge(answer, &doing)?;
            let records = match self.data.value(&value, &Value::Null).map_err(wrong)? {
                Value::List(records) => records,
                other => {
                    return Err(wrong(Malformed(format!(
                        "data_selector gives {} where a list is wanted",
                        other.kind()
                    ))));
                }
            };
            let ids = records.iter().map(|record| self.id.value(record, &Value::Null));
            let ids = ids.collect::<Result<Vec<Value>, Malformed>>().map_err(wrong)?;
            let hashes: Vec<Hash> = records
                .iter()
                .map(|record| Hash::of(record.to_json().as_bytes()))
                .collect();
            let mut trail = trail.clone();
            let asked = Asked {
                at: &at,
                url: &url,
                doing: &doing,
            };
            let page = Page {
                answer,
                value: &value,
                rows: &hashes,
            };
            let next = self.pages.next(api, &asked, &page, &mut trail)?;
            Ok(Listed {
                ids: ids
                    .into_iter()
                    .filter(|id| !id.is_null())
                    .map(|id| Key(text_of(id)))
                    .collect(),
                next: next.map(|next| Cursor(trail.tell(&next))),
            })
        })
        .await
    }

    fn prepare(&self, api: &Api, at: &At) -> Result<Prepared, Malformed> {
        let (mut params, mut body) = (self.params.clone(), None);
        let url = match at {
            At::Url(url) => url.clone(),
            at => {
                let mut url = self.place.url(&api.base, &Value::Null, None)?;
                self.pages.ask(at, &mut params, &mut body);
                super::request::add_params(&mut url, &params);
                url
            }
        };
        Ok(Prepared {
            method: reqwest::Method::GET,
            url,
            headers: self.headers.clone(),
            body: None,
        })
    }

    pub(super) async fn probe(&self, api: &Api, name: &str) -> Result<String, Error> {
        let part = self.part(api, name, None).await?;
        Ok(format!("{} records on the first page", part.ids.len()))
    }
}
