//! A customer of the pretend shop and the JSON it is shown in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::Record;
use crate::jsontext::{Members, push_text};
use crate::make::whole_second;
use crate::page::Test;
use crate::resource::Column;
use crate::table::Row;

/// One customer. Money is integer paisa, stamps are milliseconds since 1970 (UTC) in whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    pub id: i64,
    pub store_id: i64,
    pub name: String,
    pub email: Option<String>,
    /// 11 digits with a leading zero.
    pub phone: Option<String>,
    pub address: Option<String>,
    pub city: Option<String>,
    pub address_form: AddressForm,
    pub is_guest: bool,
    pub total_orders: i64,
    pub total_spent: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// Further members, name to JSON text.
    pub extra: BTreeMap<String, String>,
}

/// How `address_json` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressForm {
    /// `{"address": …, "city": …}`
    #[default]
    Object,
    /// The same as a JSON string.
    Text,
    /// `""`
    Empty,
    Null,
}

impl Customer {
    /// Everything the shop knows about the customer, as the platform shows it.
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(600);
        self.write(&mut out);
        out
    }

    pub(crate) fn write(&self, out: &mut String) {
        let mut members = Members::open(out);
        members.int("user_id", self.id);
        members.int("store_id", self.store_id);
        members.text("name", &self.name);
        members.text_or_null("email", self.email.as_deref());
        members.text_or_null("phone", self.phone.as_deref());
        self.write_address(members.name("address_json"));
        members.int("is_guest", i64::from(self.is_guest));
        members.stamp("created_at", self.created_ms);
        members.stamp("updated_at", self.updated_ms);
        members.int("total_orders", self.total_orders);
        members.money("total_spent", self.total_spent);
        members.raw("marketing", r#"{"sms":1,"v":2}"#);
        for (name, json) in &self.extra {
            members.foreign(name, json);
        }
        members.close();
    }

    fn write_address(&self, out: &mut String) {
        let mut object = String::new();
        let mut members = Members::open(&mut object);
        members.text_or_null("address", self.address.as_deref());
        members.text_or_null("city", self.city.as_deref());
        members.close();
        match self.address_form {
            AddressForm::Object => out.push_str(&object),
            AddressForm::Text => push_text(out, &object),
            AddressForm::Empty => out.push_str(r#""""#),
            AddressForm::Null => out.push_str("null"),
        }
    }
}

impl Row for Customer {
    const INDEXED: &'static [Column] = &[Column::Created, Column::Updated];

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn touch(&mut self, ms: i64) {
        self.updated_ms = whole_second(ms);
    }

    fn number(&self, column: Column) -> i64 {
        match column {
            Column::Updated => self.updated_ms,
            _ => self.created_ms,
        }
    }

    fn text(&self, _column: Column) -> String {
        self.name.to_lowercase()
    }

    fn passes(&self, test: &Test) -> bool {
        match test {
            Test::NoGuests => !self.is_guest,
            Test::OrdersMin(least) => self.total_orders >= *least,
            Test::SpentMin(least) => self.total_spent >= *least,
            Test::Search(part) => {
                let holds =
                    |text: &Option<String>| text.as_ref().is_some_and(|text| text.to_lowercase().contains(part));
                self.name.to_lowercase().contains(part) || holds(&self.email) || holds(&self.phone)
            }
            _ => true,
        }
    }

    fn json(&self) -> String {
        Customer::json(self)
    }

    fn record(row: Arc<Customer>) -> Record {
        Record::Customer(row)
    }

    fn of(record: &Record) -> Option<&Arc<Customer>> {
        match record {
            Record::Customer(row) => Some(row),
            _ => None,
        }
    }
}
