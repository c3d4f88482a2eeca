//! What a run learns of the store as it goes: its currency, and whether the list leaves out who ordered.
//!
//! The documented list rows carry neither name nor address, the single answer may. Where a flow asks for
//! them and a row has no such field at all, one order is read by itself to see what that brings; only if
//! that has no such field either are list rows enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use contract::{Error, Fault, Raw, Row, Use, Value};
use tracing::warn;

use super::api::Api;
use super::{orders, read};

const CONTACT: [&str; 14] = [
    "customer",
    "user",
    "customer_name",
    "customer_phone",
    "customer_email",
    "shipping_name",
    "shipping_phone",
    "name",
    "phone",
    "email",
    "shipping_address",
    "delivery_address",
    "address",
    "address_json",
];

#[derive(Clone, Debug, Default)]
pub(super) struct Learned(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// `None`: not asked yet.
    currency: Option<Option<String>>,
    /// Some flow asks for the customer or the address.
    contact_wanted: bool,
    /// Whether the single answer has contact fields that list rows lack; `None`: nothing seen yet that tells.
    detail_has_contact: Option<bool>,
}

impl Learned {
    pub(super) fn new(currency: Option<String>) -> Learned {
        let state = State {
            currency: currency.map(Some),
            ..State::default()
        };
        Learned(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn want_contact(&self) {
        self.state().contact_wanted = true;
    }

    pub(super) fn currency(&self) -> Option<String> {
        self.state().currency.clone().flatten()
    }

    /// The store's currency, asked for once a run; a missing scope leaves it null rather than stop orders.
    pub(super) async fn learn_currency(&self, api: &Api) -> Result<(), Error> {
        if self.state().currency.is_some() {
            return Ok(());
        }
        let currency = match api.store().await {
            Ok(profile) => profile.currency,
            Err(error) if matches!(error.status, Some(403 | 404)) => {
                warn!("{error}; `currency` stays null in orders until then, or set store.currency");
                None
            }
            Err(error) => return Err(error),
        };
        self.state().currency = Some(currency);
        Ok(())
    }

    /// Looks at one order by itself, where that could matter and was not done yet.
    pub(super) async fn learn_contact(&self, api: &Api, rows: &[Row]) -> Result<(), Error> {
        let open = {
            let state = self.state();
            state.contact_wanted && state.detail_has_contact.is_none()
        };
        let without = |row: &&Row| matches!(&row.body, Raw::Value(value) if !has_contact_fields(value));
        let Some(row) = rows.iter().find(without).filter(|_| open) else {
            return Ok(());
        };
        match api
            .one(
                &orders::SHAPE,
                &row.key,
                &format!("reading order {}", row.key.0),
                Use::Feed,
            )
            .await
        {
            Ok(Some(Row {
                body: Raw::Value(value),
                ..
            })) => {
                self.state().detail_has_contact = Some(has_contact_fields(&value));
                Ok(())
            }
            Err(error) if error.fault == Fault::Denied => Err(error),
            // Gone, unreadable or a bad moment: the next page looks again, and until then orders are read singly.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether this list row is only an index entry, because the order's own answer says who ordered.
    pub(super) fn lacks_contact(&self, row: &Value) -> bool {
        let state = self.state();
        state.contact_wanted && state.detail_has_contact != Some(false) && !has_contact_fields(row)
    }
}

/// Whether any of the fields is there at all; null is an answer too, of a guest for example.
fn has_contact_fields(order: &Value) -> bool {
    let inner = read::inner(order, orders::SHAPE.wrapper);
    CONTACT
        .iter()
        .any(|name| inner.get(name).is_some() || order.get(name).is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_null_is_there_all_the_same() {
        let has = |text: &str| has_contact_fields(&Value::parse(text).unwrap());
        assert!(has(r#"{"order_id":1,"customer_name":null}"#));
        assert!(!has(r#"{"order_id":1,"user_id":3}"#));
        assert!(has(r#"{"order":{"order_id":1},"shipping_address":{"name":"x"}}"#));
    }
}
